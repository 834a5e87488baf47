"""Packages for tests: wheels and source distributions in a directory that uv searches (UV_FIND_LINKS), without a registry."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# A build backend that needs only Python.
BACKEND = '''
import zipfile
files = {files!r}
def get_requires_for_build_wheel(config_settings=None): return []
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {code}
    name = "{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel_directory + "/" + name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
'''


def _files(name: str, version: str, requires: Sequence[str], files: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    made: dict[str, str | bytes] = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return made | {f"{info}/RECORD": "".join(f"{path},,\n" for path in [*made, f"{info}/RECORD"])}


def add_wheel(folder: Path, name: str, version: str = "1.0", *, requires: Sequence[str] = (), files: Mapping[str, str | bytes] | None = None) -> None:
    module = name.replace("-", "_")
    files = files if files is not None else {f"{module}.py": f"version = {version!r}\n"}
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in _files(name, version, requires, files).items():
            wheel.writestr(path, content)


def add_source(folder: Path, name: str, version: str = "1.0", *, code: str = "pass") -> None:
    """
    Adds a package that has to be built. `code` is a line that its build runs, which may change `files`, the future
    wheel.
    """
    module = name.replace("-", "_")
    built = _files(name, version, (), {f"{module}.py": f"version = {version!r}\n"})
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n',
        "backend.py": BACKEND.format(code=code, module=module, version=version, files=built),
    }
    with tarfile.open(folder / f"{module}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{module}-{version}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
