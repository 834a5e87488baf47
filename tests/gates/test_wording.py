"""Plain English: the text of the repository avoids wordings that readers have to read twice. STYLE.md has the rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

# Each wording to avoid, with a better one.
WORDINGS = {
    r"\banew\b": '"again"',
    r"\bis no (?!longer\b)": '"is not a", "does not exist" or "has no"',
    r"\bare no (?!longer\b)": '"are not", "do not exist" or "has no"',
    r"\bwho is\b": "name the person or the program",
    r"\btold when\b": '"logged when"',
    r"\bshall\b": '"must", "should" or "will"',
    r"\b(?:is|are|was|were|be|been) told\b(?! when)": '"is logged" or "is reported"',
    r", for (?:it|they|he|she|we|you|there|nobody|nothing|whoever) (?:\w+s|\w+ed|are|were|can|could|will|may|do|have)\b": '"because"',
}
# A sentence with "What ..." or "Who ..." as its subject, where a sentence of a comment or a document begins.
CLAUSE = re.compile(r"""(?:^\s*(?:\#|//|/\*|\*)\s|^\s*"{3}|^|[.:]\s)(?:What|Who|Whoever|Whatever)\s(?![^.]*\?)[a-z]""")

# Lists of other people's packages, licences, and texts that quote the wordings.
NOT_OURS = re.compile(r"LICENSE$|deb/copyright$|requirements[^/]*\.txt$|package-lock\.json$|go\.(?:mod|sum)$|\.svg$|\.png$")
QUOTED = {"STYLE.md", "tests/gates/test_wording.py"}

# Text that has not been rewritten yet. Each entry is the beginning of a path.
TO_COME = (
    "etc/item",
    "lib/aws/",
    "lib/pgstac/",
    "man/itemloadd.8",
    "tests/integration/test_settle.py",
    "tests/unit/sigv4/",
    "tests/unit/test_dehydrate.c",
)


def texts() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    found = []
    for name in listed.stdout.splitlines():
        path = TOP / name
        if path.is_symlink() or not path.is_file() or NOT_OURS.search(name) or name in QUOTED or name.startswith(TO_COME):
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((name, content.decode(errors="replace")))
    return found


def problems(name: str, text: str) -> list[str]:
    found = []
    is_document = name.endswith((".md", ".8"))
    for number, line in enumerate(text.split("\n"), 1):
        for wording, better in WORDINGS.items():
            if match := re.search(wording, line, re.I):
                found.append(f"{name}:{number}: \"{match[0].strip(', ')}\": write {better}")
        is_heading = is_document and line.startswith(("#", "|", ">"))
        begins = CLAUSE.search(line)
        if begins and not is_heading and (is_document or begins[0].strip() not in ("What", "Who", "Whoever", "Whatever")):
            found.append(f'{name}:{number}: "{line.strip()[:60]}": begin the sentence with its subject, not with What or Who')
    return found


def test_wording() -> None:
    found = [problem for name, text in texts() for problem in problems(name, text)]
    assert found == [], "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.py", "# The item is made anew."),
        ("a.py", '    """There is no such queue."""'),
        ("a.tf", '    error_message = "config.yaml is no YAML"'),
        ("a.md", "There are no dead letters."),
        ("a.c", " * The client who is connected"),
        ("a.md", "MESSAGE_DEAD is told when a message fails."),
        ("a.h", "/* The caller shall free it. */"),
        ("a.c", "/* The reason is told in the log. */"),
        ("a.py", "# It is skipped, for it has no id."),
        ("a.md", "What is held stays invisible."),
        ("a.py", "# What is held stays invisible."),
        ("a.c", " * Leases are renewed. Who holds one keeps it."),
        ("a.py", '    """What is left afterwards."""'),
    ],
)
def test_the_gate_refuses(name: str, line: str) -> None:
    assert len(problems(name, f"\n{line}\n")) == 1
    assert problems(name, f"\n{line}\n")[0].startswith(f"{name}:2: ")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.py", "# The item is made again."),
        ("a.py", "# It is no longer needed."),
        ("a.md", "What does it cost? The next section has figures."),
        ("a.md", "| What it costs | 3 |"),
        ("a.md", "## What it costs"),
        ("a.md", "Options for the daemons, and for those who run them."),
        ("a.c", 'buf_puts(buf, "What is");'),
    ],
)
def test_the_gate_accepts(name: str, line: str) -> None:
    assert problems(name, line) == []
