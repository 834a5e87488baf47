"""
A stactools package for the tests. `stac probe create-item BEHAVIOUR... OUT` does what its first argument says.

It is a real wheel that uv installs from a folder (UV_FIND_LINKS), beside the real stactools.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

NAME, VERSION = "stactools-probe", "1.0"

COMMANDS = '''
import json, os, sys, time
import click

def item(**changes):
    return {"type": "Feature", "stac_version": "1.0.0", "id": "probe", "collection": "test",
            "geometry": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 1, 2],
            "properties": {"datetime": "2021-01-01T00:00:00Z"}, "links": [], "assets": {}} | changes

def behave(behaviour, args, out, title):
    properties = {"datetime": "2021-01-01T00:00:00Z", "args": list(args), "title": title}
    if behaviour == "environment":
        descriptors = {name: os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")
                       if os.path.exists("/proc/self/fd/" + name)}
        properties |= {"environ": dict(os.environ), "cwd": os.getcwd(), "files": os.listdir("."), "descriptors": descriptors,
                       "root": sorted(os.listdir("/")), "etc": sorted(os.listdir("/etc")), "status": open("/proc/self/status").read(),
                       "processes": [name for name in os.listdir("/proc") if name.isdigit()]}
    elif behaviour == "sleep":
        time.sleep(float(args[0]))
    elif behaviour == "exit":
        print(args[1] if len(args) > 1 else "the reason, on stderr", file=sys.stderr)
        sys.exit(int(args[0]))
    elif behaviour == "raise":
        raise RuntimeError("the file is broken")
    elif behaviour == "memory":
        blocks = [bytearray(10 << 20) for _ in range(1000)]
        time.sleep(5)
    elif behaviour == "print":
        for _ in range(3000):
            print("x" * 10000)
        sys.exit(1)
    elif behaviour == "nothing":
        return
    elif behaviour == "text":
        return open(out, "w").write("no JSON")
    elif behaviour == "digits":
        text = json.dumps(item(properties=properties)).replace('"args": []', '"args": [1.10, 12345678901234567890]')
        return open(out, "w").write(text)
    elif behaviour == "numbers":
        text = json.dumps(item(properties=properties)).replace('"args": []', '"args": [' + "1," * 2000000 + "1]")
        return open(out, "w").write(text)
    elif behaviour == "homeless":
        made = item(properties=properties)
        del made["collection"]
        return open(out, "w").write(json.dumps(made))
    elif behaviour == "incomplete":
        return open(out, "w").write(json.dumps({"type": "Feature", "id": "probe", "collection": "test"}))
    elif behaviour == "large":
        properties["padding"] = "x" * 400000
    elif behaviour == "symlink":
        return os.symlink("/etc/passwd", out)
    elif behaviour == "children":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    name = args[-1] if behaviour in ("ok", "sleep") and args else "probe"
    open(out, "w").write(json.dumps(item(id=name, properties=properties)))

def create_command(cli):
    @cli.group("probe")
    def group():
        pass

    @group.command("create-item")
    @click.argument("behaviour")
    @click.argument("args", nargs=-1)
    @click.argument("out")
    @click.option("--title")
    def create_item(behaviour, args, out, title):
        behave(behaviour, args, out, title)

    return group
'''

INIT = '''
def register_plugin(registry):
    from stactools.probe import commands
    registry.register_subcommand(commands.create_command)
'''


def write_wheel(folder: Path, name: str, version: str, modules: dict[str, str]) -> Path:
    """Writes a wheel of a stactools package, {path in it: text}. Creates the folder and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    files = modules | {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: stactools\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{stem}.dist-info/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in (files | {f"{stem}.dist-info/RECORD": record}).items():
            wheel.writestr(path, text)
    return folder


def make_wheel(folder: Path) -> Path:
    """Writes the wheel into the folder, and returns the folder."""
    return write_wheel(folder, NAME, VERSION, {"stactools/probe/__init__.py": INIT, "stactools/probe/commands.py": COMMANDS})
