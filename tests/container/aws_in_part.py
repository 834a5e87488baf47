#!/usr/bin/env python3
"""
In the place of the AWS command line: the real one against the local AWS, but for what that cannot do. It runs no tasks, so these end as a stand-in
says (stand_in.py); and it does not know what was pushed to a registry that is not its own, so the registry itself is asked (REGISTRY: JSON).
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["PROJECT"])
words = sys.argv[1:]
if {"run-task", "describe-tasks", "get-log-events"} & set(words):
    os.execv(sys.executable, [sys.executable, str(Path(__file__).with_name("stand_in.py")), *words])
if "describe-images" in words:
    from tests.container.registry import Registry

    known = json.loads(os.environ["REGISTRY"])
    registry = Registry(Path(known["folder"]), known["host"], known["password"], known["port"])
    name = words[words.index("--repository-name") + 1]
    tag = words[words.index("--image-ids") + 1].removeprefix("imageTag=")
    sys.exit(0 if registry.image(name, tag) else 254)
os.execv(os.environ["AWS"], ["aws", *words])
