#!/usr/bin/env python3
"""
Replaces a program (terraform, aws, a builder) whose calls a test checks. It appends its arguments to CALLS, and answers
with the first matching entry of ANSWERS (JSON: [[arguments that the call has, output, exit code], ...]). A used entry
is removed if a later one matches too.
"""

import json
import os
import sys
from pathlib import Path

call = [Path(sys.argv[0]).stem, *sys.argv[1:]]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(call) + "\n")
if "--password-stdin" in call:
    sys.stdin.read()
answers = json.loads(Path(os.environ["ANSWERS"]).read_text())
fitting = [number for number, (words, _, _) in enumerate(answers) if set(words) <= set(call)]
if fitting:
    words, output, code = answers[fitting[0]]
    if any(answers[number][0] == words for number in fitting[1:]):
        del answers[fitting[0]]
        Path(os.environ["ANSWERS"]).write_text(json.dumps(answers))
    sys.stdout.write(output) if code == 0 else sys.stderr.write(output)
    sys.exit(code)
