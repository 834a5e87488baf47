"""
The hostile package. Version 1.0 misbehaves in the way that the first argument of its create-item names, the other versions when
they are imported. hostile_commands.py is its code.
"""

from __future__ import annotations

from pathlib import Path

from tests.integration.pipeline.probe import write_wheel

NAME = "stactools-hostile"
COMMANDS = Path(__file__).with_name("hostile_commands.py")

# version: what it does at import
AT_IMPORT = {
    "1.0": "",
    "0.1": "raise",
    "0.2": "exit",
    "0.3": "sleep",
    "0.4": "kill",
    "0.5": "fill",
    "0.6": "bomb",
    "0.7": "print",
    "0.8": "garbage",
    "0.9": "close",
    "0.10": "lie",
}

INIT = """
from stactools.hostile import commands

commands.at_import({behaviour!r})

def register_plugin(registry):
    registry.register_subcommand(commands.create_command)
"""


# A module whose import never returns.
TRAP = """
import time
time.sleep(100)
"""


def make_wheels(folder: Path) -> Path:
    """Writes a wheel of each version into the folder and returns the folder."""
    for version, behaviour in AT_IMPORT.items():
        modules = {
            "stactools/hostile/__init__.py": INIT.format(behaviour=behaviour),
            "stactools/hostile/commands.py": COMMANDS.read_text(),
            "stactools/hostile/trap.py": TRAP,
        }
        write_wheel(folder, NAME, version, modules)
    return folder
