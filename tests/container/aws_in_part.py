#!/usr/bin/env python3
"""
Replaces the AWS command line: it runs the real one against the local AWS, except for what the local AWS cannot do. The
local AWS runs no tasks, so they end as a stand-in says (stand_in.py). It does not know the images that were pushed to
another registry, so that registry itself is asked (REGISTRY: JSON).
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
