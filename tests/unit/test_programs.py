"""Runs the unit test programs that make built; each prints what failed and how many checks it made."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "unit").glob("test_*.c"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, build: Path) -> None:
    done = subprocess.run(
        [build / "tests" / name],
        cwd=ROOT,
        env={**os.environ, "BUILD": str(build)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-8000:]
