#!/usr/bin/env python3
"""Writes the generated parts of the configuration files, manual pages and reference pages.

A generated part lies between two comments: "generated: itemgend" (its configuration keys) or "generated: itemgend
metrics", and "end generated". The text comes from the daemon itself (--help-config, --help-metrics).

    local/generate.py build/bin            writes the files
    local/generate.py --check build/bin    names the files that are out of date, and exits with 1 if there are any
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
FILES = ("etc/*.yaml", "man/*.8", "docs/reference/*.md")
FORMATS = {".yaml": "yaml", ".8": "man", ".md": "markdown"}
PART = re.compile(r"^(?P<begin>.*\bgenerated: (?P<daemon>item[a-z]+)(?P<metrics> metrics)?\b.*\n)"
                  r"(?P<text>(?s:.*?))(?P<end>^.*\bend generated\b.*\n)", re.M)


def generated(text: str, file_format: str, programs: Path) -> str:
    """Returns the text of a file with its generated parts as they should be now."""

    def part(match: re.Match[str]) -> str:
        option = "--help-metrics" if match["metrics"] else f"--help-config={file_format}"
        command = [programs / match["daemon"], option]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        # A Markdown table and a YAML key need an empty line around them; mdoc must not have one.
        blank = "" if file_format == "man" else "\n"
        return f"{match['begin']}{blank}{output.strip()}\n{blank}{match['end']}"

    return PART.sub(part, text)


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the generated parts of etc/, man/ and docs/reference/.")
    parser.add_argument("--check", action="store_true", help="write nothing, name the files that are out of date")
    parser.add_argument("programs", type=Path, help="directory of the daemons, for example build/bin")
    arguments = parser.parse_args()
    stale = []
    for path in sorted(path for pattern in FILES for path in TOP.glob(pattern)):
        text = path.read_text()
        new = generated(text, FORMATS[path.suffix], arguments.programs.resolve())
        if new != text:
            stale.append(path.relative_to(TOP))
        if new != text and not arguments.check:
            path.write_text(new)
    for path in stale:
        print(f"{path} is out of date: run make generate" if arguments.check else f"wrote {path}")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
