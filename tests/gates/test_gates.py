"""Checks that no single module's test can do: the form of the code, and that documents and files match the programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("BUILD", "build")
DAEMONS = ("itemgend", "itemloadd")


def run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    # The make that runs us passes its variables (SAN=1) on through the environment.
    handed_down = ("SAN", "CC", "OUT", "CFLAGS", "V")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in handed_down}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=TOP, text=True, capture_output=True, env=environment, **options)


def tracked(*patterns: str) -> list[Path]:
    listed = run("git", "ls-files", "--", *patterns)
    if listed.returncode == 0 and listed.stdout:
        return [TOP / name for name in listed.stdout.split("\n") if name]
    return [path for pattern in patterns for path in TOP.rglob(pattern.lstrip("*")) if "build" not in path.parts]


def needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed: make deps")


# ---------------------------------------------------------------- the code

# The folders whose headers each folder may include, besides its own. Dependencies go one way. A folder that is not listed
# has the rules of the folder above it.
MAY_INCLUDE = {
    "lib/base": "",
    "lib/http": "base",
    "lib/sigv4": "base http",
    "lib/aws": "base http sigv4",
    "lib/sqs": "base http aws",
    "lib/stac": "base",
    "lib/pgstac": "base aws stac",
    "lib/daemon": "base http",
    "lib/worker": "base aws sqs daemon",
    "daemons/itemgend": "base http aws sqs stac daemon worker",
    "daemons/itemgend/request": "base sqs daemon",
    "daemons/itemgend/sandbox": "base aws daemon itemgend/request",
    "daemons/itemgend/venv": "base daemon itemgend/request itemgend/sandbox",
    "daemons/itemgend/forkserver": "base daemon itemgend/sandbox itemgend/venv",
    "daemons/itemgend/publish": "base aws daemon",
    "daemons/itemctl": "base http aws sqs stac pgstac daemon",
    "daemons/itemloadd": "base http aws sqs stac pgstac daemon worker",
    "libexec/itemgend-network": "base",
}
# Headers that all files of a program may include.
FOR_ALL = ["itemgend/options.h", "itemgend/limits.h"]


def test_dependencies_go_one_way():
    wrong = []
    for path in tracked(*(f"{top}/*.{kind}" for top in ("lib", "daemons", "libexec") for kind in "ch")):
        folder = path.relative_to(TOP).parent
        if str(folder) not in MAY_INCLUDE:
            folder = folder.parent
        own = "/".join(folder.parts[1:])
        allowed = [own, *MAY_INCLUDE[str(folder)].split(), *(name for name in FOR_ALL if name.split("/")[0] == own.split("/")[0])]
        for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.M):
            if not any(f"{included}/".startswith(f"{name}/") for name in allowed):
                wrong.append(f"{path.relative_to(TOP)} includes {included}")
    assert wrong == []


def test_each_header_compiles_alone():
    flags = run("pkg-config", "--cflags", "libcurl", "openssl", "libcjson", "libpq", "libsystemd").stdout.split()
    wrong = []
    for path in tracked("lib/*.h", "daemons/*.h", "libexec/*.h"):
        name = "/".join(path.relative_to(TOP).parts[1:])
        source = f'#include "{name}"\n'
        result = run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only",
                     "-Ilib", "-Idaemons", "-Ilibexec", *flags, "-xc", "-", input=source)
        if result.returncode != 0:
            wrong.append(f"{name}: {result.stderr}")
    assert wrong == []


def test_format():
    needs("clang-format")
    result = run("make", "-s", "check-format")
    assert result.returncode == 0, result.stdout + result.stderr


def test_gcc_analyzer():
    result = run("make", "-s", "-j2", "analyze")
    assert result.returncode == 0, (result.stdout + result.stderr)[-8000:]


def test_clang_builds_without_a_warning():
    needs("clang")
    result = run("make", "-s", "-j2", "CC=clang", "OUT=build/clang", "all")
    assert result.returncode == 0, (result.stdout + result.stderr)[-8000:]


def test_cppcheck():
    needs("cppcheck")
    result = run("make", "-s", "cppcheck")
    assert result.returncode == 0, (result.stdout + result.stderr)[-8000:]


def test_shellcheck():
    needs("shellcheck")
    scripts = [path for path in tracked("*") if path.is_file() and not path.is_symlink()
               and (path.suffix == ".sh" or path.read_bytes()[:20].startswith((b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")))]
    assert scripts
    result = run("shellcheck", *scripts)
    assert result.returncode == 0, result.stdout


# -------------------------------------------------------------- documents


def test_generated_parts_are_those_of_the_programs():
    result = run("python3", "local/generate.py", "--check", BUILD / "bin")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_every_example_in_the_configuration_file_is_valid(daemon, tmp_path):
    text = (TOP / "etc" / f"{daemon}.yaml").read_text()
    keys = dict(re.findall(r"^(?:#|# Example: |)([a-z0-9_]+): (.+)$", text, re.M))
    assert len(keys) > 20
    if "constraints" in keys:
        keys["constraints"] = "etc/constraints.txt"  # it must exist
    config = tmp_path / "all.yaml"
    config.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    result = run(BUILD / "bin" / daemon, "--config", config, "--check-config")
    assert result.stderr == ""
    assert len(re.findall(rf"# {config}:", result.stdout)) == len(keys)


@pytest.mark.parametrize("program", (*DAEMONS, "itemctl"))
def test_manual_page_is_well_formed(program):
    needs("mandoc")
    result = run("mandoc", "-T", "lint", "-W", "warning", TOP / "man" / f"{program}.8")
    assert result.stdout == ""


def test_manual_page_of_itemctl_has_every_option():
    text = (TOP / "man" / "itemctl.8").read_text()
    in_page = set(re.findall(r"^\.It Fl -([a-z-]+)", text, re.M))
    helps = [run(BUILD / "bin" / "itemctl", *command, "--help") for command in ([], ["load"])]
    assert all(result.returncode == 0 and result.stderr == "" for result in helps)
    in_help = {option for result in helps for option in re.findall(r"^ +(?:-\w, )?--([a-z-]+)", result.stdout, re.M)}
    assert in_page == in_help
    taken = set(re.findall(r'\{ "([a-z-]+)", (?:required|no)_argument', (TOP / "daemons/itemctl/load_options.c").read_text()))
    assert taken | {"version"} == in_help


def test_every_event_is_documented():
    header = (TOP / "lib/daemon/log.h").read_text()
    events = re.findall(r'X\((\w+), "([0-9a-f]{32})"\)', header)
    documented = re.findall(r"^\| ([A-Z_]+) \| ([0-9a-f]{32}) \|", (TOP / "docs/reference/events.md").read_text(), re.M)
    assert documented == events
    assert len({number for _, number in events}) == len(events)
