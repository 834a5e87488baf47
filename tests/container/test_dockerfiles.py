"""Checks of the Dockerfiles that need no build."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from local.stack import ROOT, TOOLS

DOCKERFILES = sorted((ROOT / "container").glob("*/Dockerfile"))
NAMES = [path.parent.name for path in DOCKERFILES]
HADOLINT = [TOOLS / "hadolint", "--config", ROOT / "container" / "hadolint.yaml"]


def dockerfile(name: str) -> str:
    """The text without comments, with each instruction on one line."""
    text = (ROOT / "container" / name / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r" *\\\n\s*", " ", "\n".join(lines))


def installed(text: str) -> set[str]:
    listed = re.search(r"apt-get install --yes --no-install-recommends ([a-z0-9+.$_A-Z -]+?) &&", text)
    assert listed, text
    return set(listed[1].split())


@pytest.mark.parametrize("path", DOCKERFILES, ids=NAMES)
def test_hadolint(path: Path) -> None:
    done = subprocess.run([*HADOLINT, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_refuses_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN apt-get update && sudo apt-get install curl\n")
    done = subprocess.run([*HADOLINT, bad], capture_output=True, text=True)
    assert done.returncode != 0 and "DL3004" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_base_image_can_be_pinned(name: str) -> None:
    text = dockerfile(name)
    assert text.lstrip().startswith("ARG BASE=debian:12-slim\n")
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) <= {"$BASE", "scratch"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "deb"])
def test_the_program_does_not_run_as_root(name: str) -> None:
    last = dockerfile(name).split("\nFROM ")[-1]
    user = re.findall(r"^USER (\d+):(\d+)$", last, re.M)
    assert user and "0" not in user[-1]
    assert re.search(r'^ENTRYPOINT \["/', last, re.M), "the engine must start the program without a shell"


@pytest.mark.parametrize("name", ["itemgend", "itemloadd", "deb"])
def test_the_packages_of_the_build(name: str) -> None:
    """The same packages that make deps installs, except for the C library's headers and make's own needs."""
    listed = re.search(r"^build_packages=\(\n((?:.|\n)*?)\n\)", (ROOT / "local/deps.sh").read_text(), re.M)
    assert listed and set(listed[1].split()) <= installed(dockerfile(name))


@pytest.mark.parametrize("daemon", ["itemgend", "itemloadd"])
def test_the_image_has_a_health_check(daemon: str) -> None:
    assert f'CMD ["/usr/local/bin/{daemon}", "--health"]' in dockerfile(daemon)


def test_the_context_has_only_the_copied_files() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert all((ROOT / path).exists() for path in allowed)
    assert not [path for path in allowed if path.startswith((".git", "build", "tests", "terraform", "config"))]


def test_every_build_argument_is_documented_and_passed_on() -> None:
    used: dict[str, set[str]] = {}
    for name in NAMES:
        for argument in re.findall(r"^ARG (\w+)", dockerfile(name), re.M):
            used.setdefault(argument, set()).add(name)
    del used["SOURCE_DATE_EPOCH"]  # set by the builders themselves
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", (ROOT / "docs" / "reference" / "containers.md").read_text(), re.M)
    documented = {argument: set(NAMES) - {"deb"} if images == "all" else set(images.split(", ")) for argument, images in rows}
    assert documented == {argument: names - {"deb"} for argument, names in used.items()}
    passed_on = re.search(r"^arguments=\((.*)\)$", (ROOT / "container" / "images.sh").read_text(), re.M)
    assert passed_on and set(passed_on[1].split()) | {"REVISION"} == set(used)
