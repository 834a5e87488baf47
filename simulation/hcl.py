"""Finds values in terraform's .tf files. It parses just enough of the language, and evaluates nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

OPENING, CLOSING = "([{", ")]}"


class HclError(Exception):
    pass


@dataclass
class Body:
    """A parsed body: attributes by name, as written, and blocks in their order."""

    attributes: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def all(self, kind: str, *labels: str) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind and block.labels[: len(labels)] == labels]

    def one(self, kind: str, *labels: str) -> Block:
        found = self.all(kind, *labels)
        if len(found) != 1:
            raise HclError(f"{len(found)} blocks {' '.join((kind, *labels))} , but one is expected")
        return found[0]

    def attribute(self, name: str) -> str:
        if name not in self.attributes:
            raise HclError(f"no attribute {name}")
        return self.attributes[name]


@dataclass
class Block(Body):
    kind: str = ""
    labels: tuple[str, ...] = ()


def parse_folder(folder: Path) -> Body:
    """Parses all .tf files of a module together."""
    files = sorted(folder.glob("*.tf"))
    if not files:
        raise HclError(f"no .tf files in {folder}")
    body = Body()
    for file in files:
        _Parser(file.read_text()).fill(body)
    return body


def object_of(text: str) -> dict[str, str]:
    """The members of `{ a = 1, b = 2 }`, as written."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise HclError(f"no object: {text[:60]}")
    body = Body()
    _Parser(text[1:-1]).fill(body)
    return body.attributes


def list_of(text: str) -> list[str]:
    """The elements of `[a, b]`."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise HclError(f"no list: {text[:60]}")
    return split_at_commas(text[1:-1])


def call_of(text: str, name: str) -> list[str]:
    """The arguments of `name(a, b)`."""
    text = text.strip()
    if not (text.startswith(f"{name}(") and text.endswith(")")):
        raise HclError(f"no call of {name}: {text[:60]}")
    return split_at_commas(text[len(name) + 1 : -1])


def split_at_commas(text: str) -> list[str]:
    parts, start, position = [], 0, 0
    while position < len(text):
        position = _skip(text, position)
        if position < len(text) and text[position] == ",":
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def _skip(text: str, position: int) -> int:
    """Skips the string, comment or bracket that begins here; returns the position of its last character."""
    character = text[position]
    if character == '"':
        return _string_end(text, position)
    if character == "#" or text.startswith("//", position):
        end = text.find("\n", position)
        return (len(text) if end < 0 else end) - 1
    if character in OPENING:
        position += 1
        while position < len(text) and text[position] not in CLOSING:
            position = _skip(text, position) + 1
        if position == len(text):
            raise HclError("a bracket is not closed")
    return position


def _string_end(text: str, position: int) -> int:
    """Finds the end of a string. It may contain ${...}, which may contain other strings."""
    position += 1
    while text[position] != '"':
        if text[position] == "\\":
            position += 1
        elif text.startswith("${", position):
            position = _skip(text, position + 1)
        position += 1
    return position


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def fill(self, body: Body) -> None:
        while self._past_blanks():
            head = re.compile(r'("?)([\w.-]+)\1((?:[ \t]+(?:"[^"]*"|\w+))*)[ \t]*').match(self._text, self._position)
            if not head:
                raise HclError(f"not understood: {self._text[self._position : self._position + 60]!r}")
            self._position = head.end()
            if self._text.startswith("{", self._position):
                labels = tuple(re.findall(r"[\w.-]+", head[3]))
                block = Block(kind=head[2], labels=labels)
                start, self._position = self._position, _skip(self._text, self._position) + 1
                _Parser(self._text[start + 1 : self._position - 1]).fill(block)
                body.blocks.append(block)
            elif self._text[self._position : self._position + 1] in ("=", ":"):
                self._position += 1
                body.attributes[head[2]] = self._expression()
            else:
                raise HclError(f"neither a block nor an attribute: {head[0]!r}")

    def _past_blanks(self) -> bool:
        while self._position < len(self._text):
            character = self._text[self._position]
            if character == "#" or self._text.startswith("//", self._position):
                self._position = _skip(self._text, self._position) + 1
            elif character.isspace() or character == ",":
                self._position += 1
            else:
                return True
        return False

    def _expression(self) -> str:
        """Reads up to the end of the line or of the member. Brackets may span lines."""
        start = self._position
        while self._position < len(self._text) and self._text[self._position] not in "\n,":
            if self._text[self._position] == "#" or self._text.startswith("//", self._position):
                break
            self._position = _skip(self._text, self._position) + 1
        return self._text[start : self._position].strip()
