"""
The same bytes as a message, as a small and a large S3 object, and as a file give the same items and the same errors.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack

from .conftest import Pipeline, item
from .test_forms import Bucket, event
from .test_itemctl import Itemctl

PADDING = 300_000  # larger than objects that itemloadd fetches together with others
WAYS = ["message", "small object", "large object", "file"]


@dataclass(frozen=True)
class Case:
    content: bytes  # "@" stands for the collection
    loaded: str  # the ids, one letter each
    bad: list[int] = field(default_factory=list)  # the lines of the rejected documents
    error: str = ""  # a part of each error
    encode: Callable[[bytes, int], bytes] | None = None  # arguments: bytes, level of compression
    code: str = ""

    @property
    def is_text(self) -> bool:
        try:
            self.content.decode()
        except UnicodeDecodeError:
            return False
        # Characters that SQS accepts.
        return self.encode is None and not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", self.content)


def one(name: str, **changes: Any) -> str:
    return json.dumps(item(0, "@") | {"id": name} | changes)


def pretty(name: str, indent: int = 2, **changes: Any) -> str:
    """24 lines, with indent=2."""
    return json.dumps(item(0, "@", geometry={"type": "Point", "coordinates": [0, 0]}) | {"id": name} | changes, indent=indent)


def pretty_array(*texts: str) -> str:
    return json.dumps([json.loads(text) for text in texts], indent=2)


def cut_at(text: str, mark: str) -> str:
    return text[: text.index(mark) + len(mark)]


def case(text: str | bytes, loaded: str, *bad: int, error: str = "", **options: Any) -> Case:
    return Case(text if isinstance(text, bytes) else text.encode(), loaded, list(bad), error, **options)


A, B, C = one("a"), one("b"), one("c")
NO_GEOMETRY = one("x", geometry=None)
NO_QUOTE = B.replace('"id": "b"', '"id": "b')
LINES = f"{A}\n{B}\n"
PRETTY = pretty("a")
HEIGHT = PRETTY.count("\n") + 1
FC = '{"type": "FeatureCollection", "features": ['
BOM = "\ufeff"
RS = "\x1e"
DEEP = "[" * 600 + "]" * 600


def packed(content: bytes, level: int) -> bytes:
    return gzip.compress(content, level)


def members(content: bytes, level: int) -> bytes:
    """gzip members, cut within a line; one of them is empty."""
    return gzip.compress(content[:100], level) + gzip.compress(b"", level) + gzip.compress(content[100:], level)


def flipped(content: bytes, level: int) -> bytes:
    """With a wrong checksum."""
    made = gzip.compress(content, level)
    return made[:-8] + bytes(byte ^ 0xFF for byte in made[-8:-4]) + made[-4:]


def in_utf(name: str) -> Callable[[bytes, int], bytes]:
    return lambda content, level: content.decode().encode(name)


CASES = {
    # lines
    "lines": case(LINES, "ab"),
    "crlf and blank lines": case(f"{A}\r\n\r\n  \r\n{B}\r\n", "ab"),
    "blanks before": case(f"\n\n  {A}\n{B}", "ab"),
    "a word behind": case(f"{A}\nxyz\n", "a", 2, error="not valid JSON"),
    "a word between": case(f"{A}\n\nxyz\n{B}\n", "ab", 3, error="not valid JSON"),
    "words between": case(f"{A}\nxyz\n  abc\n\"def\"\n{B}\n", "ab", 2, 3, 4),
    "comments": case(f"# one\n// two\n\n{A}\n# three\n{B}", "ab", 1, 2, 5, error="not valid JSON"),
    "last line cut in a string": case(f"{A}\n{B[:-30]}", "a", 2, error="not valid JSON"),
    "last line cut in an array": case(f"{A}\n" + cut_at(B, '"coordinates": ['), "a", 2, error="not valid JSON"),
    "first line cut": case(f"{B[:-30]}\n{A}\n", "a", 1, error="not valid JSON"),
    "first line cut behind a colon": case(cut_at(B, '"properties":') + f"\n{A}\n{C}\n", "ac", 1),
    "first line cut in an array": case(cut_at(B, '"links": [') + f"\n{A}\n{C}\n", "ac", 1),
    "each second line cut": case(f"{A}\n{B[:-1]}\n{C}\n{B[:-40]}\n{one('d')}", "acd", 2, 4),
    "an item missing a member": case(f"{A}\n{NO_GEOMETRY}\n{B}\n", "ab", 2, error="geometry is null"),
    "two on a line": case(f"{A} {B}\n{C}\n", "abc"),
    "two on a line, one bad": case(f"{A}{NO_GEOMETRY}\n{C}\n", "ac", 1),
    "a word on an item's line": case(f"{A}\n{B} xyz\n{C}\n", "ac", 2, error="not valid JSON"),
    "commas between": case(f"{A},\n{B},\n{C}", "c", 1, 2, error="not valid JSON"),
    "a bracket too many": case(f"{A}\n{B}}}\n{C}\n", "ac", 2, error="not valid JSON"),
    "another value on a line": case(f"{A}\n42\n\"text\"\nnull\n{B}\n", "ab", 2, 3, 4, error="where an object was expected"),
    "bytes that are not UTF-8": case(A.encode() + b'\n{"id": "\xe9"}\n' + B.encode() + b"\n", "ab", 2, error="UTF-8"),
    "a NUL on a line": case(f"{A}\n\0\n{B}\n", "ab", 2, error="not valid JSON"),
    "a NUL in a string": case(A + "\n" + one("b\0").replace("\\u0000", "\0") + f"\n{C}\n", "ac", 2, error="not valid JSON"),
    "an escaped NUL": case(f"{A}\n" + one("b\0") + f"\n{C}\n", "ac", 2, error="U+0000"),
    "nested deeply": case(f'{A}\n{{"a": {DEEP}}}\n{B}\n', "ab", 2, error="nesting deeper"),
    "a mark in the middle": case(f"{A}\n{BOM}{B}\n{C}\n", "ac", 2, error="byte order mark"),
    "record separators": case(f"{RS}{A}\n{RS}{B}\n", "ab"),
    "record separators and a cut text": case(f"{RS}{A}\n{RS}{B[:-20]}{RS}{C}\n", "ac", 2),
    "lines of arrays": case(f"[{A}]\n[{NO_GEOMETRY}, {B}]\n", "ab", 2),
    # over many lines
    "pretty": case(f"{PRETTY}\n{pretty('b')}\n", "ab"),
    "pretty, not indented": case(f"{pretty('a', 0)}\n{pretty('b', 0)}\n", "ab"),
    "pretty, the first cut": case(cut_at(PRETTY, '"coordinates": [\n      0,') + f"\n{pretty('b')}\n", "b", 1),
    "pretty, the middle one cut": case(f"{PRETTY}\n" + cut_at(pretty("x"), '"links": [') + f"\n{pretty('b')}\n", "ab", HEIGHT + 1),
    "pretty, the last cut": case(f"{PRETTY}\n" + cut_at(pretty("x"), '"links"'), "a", HEIGHT + 1, error="not valid JSON"),
    "pretty, a comma missing": case(PRETTY.replace('"id": "a",', '"id": "a"') + f"\n{pretty('b')}\n", "b", 1, error="not valid JSON"),
    "pretty, a quote missing": case(PRETTY.replace('"id": "a",', '"id": "a,') + f"\n{pretty('b')}\n", "b", 1, error="not valid JSON"),
    "pretty, a bracket missing": case(PRETTY.replace('"links": []', '"links": ]') + f"\n{pretty('b')}\n", "b", 1),
    "pretty, a bracket too many": case(PRETTY.replace('"links": []', '"links": []}') + f"\n{pretty('b')}\n", "b", 1),
    "pretty, the beginning cut": case(PRETTY[PRETTY.index('"geometry"') - 2 :] + f"\n{pretty('b')}\n", "b", 1),
    "pretty, not indented, the first cut": case(cut_at(pretty("x", 0), '"links": [') + f"\n{pretty('b', 0)}\n", "b", 1),
    "pretty, alone and cut": case(cut_at(PRETTY, '"links": ['), "", 1, error="not valid JSON"),
    "a line and pretty": case(f"{A}\n{pretty('b')}\n{C}\n", "abc"),
    "a word between pretty ones": case(f"{PRETTY}\nxyz\n{pretty('b')}\n", "ab", HEIGHT + 1),
    # arrays and FeatureCollections
    "an array": case(f"[{A}, {B}]", "ab"),
    "an array with a mark": case(f"{BOM}[{A}, {B}]", "ab"),
    "an array with bad elements": case(f"[{A}, {NO_GEOMETRY}, 5, {{\"id\": tru}}, {B}]", "ab", 1, 1, 1),
    "an array with an open element": case(f"[{A}, {B[:-1]}, {C}]", "ac", 1, error="not valid JSON"),
    "an array with an element whose quote is missing": case(f"[{A}, {NO_QUOTE}, {C}]", "ac", 1),
    "an array over many lines with a broken element": case(
        f"[\n  {A},\n  {B[:-1]},\n  {C}\n]\n", "ac", 3, error="not valid JSON"),
    "a pretty array with a broken element": case(
        pretty_array(A, B, C).replace('"id": "b",', '"id": "b,'), "ac", 1 + pretty_array(A).count("\n"), error="not valid JSON"),
    "an array that is not closed": case(f"[{A},\n{B}\n", "ab", 3, error="not closed"),
    "an array with a comma too many": case(f"[{A},\n{B},\n]\n", "ab", 3, error="a comma without a document"),
    "an array cut in an element": case(f"[{A},\n{B[:-30]}", "a", 2, error="not valid JSON"),
    "a FeatureCollection": case(f"{FC}{A},\n{NO_GEOMETRY},\n{B}], \"links\": [{{}}]}}", "ab", 2),
    "a FeatureCollection, type last": case(f'{{"features": [{A}, {B}], "type": "FeatureCollection"}}', "ab"),
    "a FeatureCollection with a broken feature": case(f"{FC}\n{A},\n{B[:-1]},\n{C}\n]\n}}\n", "ac", 3, error="not valid JSON"),
    "a FeatureCollection that is not closed": case(f"{FC}\n{A}\n]\n", "a", 4, error="not closed"),
    "lines of FeatureCollections": case(f"{FC}{A}]}}\n{FC}{B[:-1]}]}}\n{FC}{C}]}}\n", "ac", 2),
    # encodings
    "a mark": case(f"{BOM}{LINES}", "ab"),
    "a mark, pretty": case(f"{BOM}{PRETTY}\n", "a"),
    "gzip": case(LINES, "ab", encode=packed),
    "gzip of a mark": case(f"{BOM}{LINES}", "ab", encode=packed),
    "gzip of an array with a bad element": case(f"[{A},\n{NO_GEOMETRY},\n{B}]", "ab", 2, encode=packed),
    "gzip of several members": case(LINES, "ab", encode=members),
    "gzip with zeros behind": case(LINES, "ab", encode=lambda content, level: packed(content, level) + bytes(512)),
    "gzip, cut off": case(
        f"{LINES}{C[:-9]}", "ab", 3, error="cut off", encode=lambda content, level: gzip.compress(content, level)[:-8], code="wrong_encoding"),
    "gzip, something behind": case(LINES, "ab", 3, error="follows the gzip", encode=lambda c, level: packed(c, level) + b"xyz", code="wrong_encoding"),
    "gzip with a wrong checksum": case(LINES, "ab", 3, error="damaged", encode=flipped, code="wrong_encoding"),
    "gzip of gzip": case(LINES, "", 1, error="gzip", encode=lambda c, level: packed(packed(c, level), level), code="wrong_encoding"),
    "UTF-16": case(LINES, "", 1, error="UTF-16", encode=in_utf("utf-16"), code="wrong_encoding"),
    "UTF-16 without a mark": case(LINES, "", 1, error="UTF-16", encode=in_utf("utf-16-be"), code="wrong_encoding"),
    "UTF-32": case(LINES, "", 1, error="UTF-32", encode=in_utf("utf-32"), code="wrong_encoding"),
    "zip": case(b"PK\x03\x04" + bytes(100), "", 1, error="zip", code="wrong_encoding"),
    "zstd": case(b"\x28\xb5\x2f\xfd" + bytes(100), "", 1, error="zstd", code="wrong_encoding"),
    "bzip2": case(b"BZh91AY&SY" + bytes(100), "", 1, error="bzip2", code="wrong_encoding"),
    "xz": case(b"\xfd7zXZ\0" + bytes(100), "", 1, error="xz", code="wrong_encoding"),
    "Parquet": case(b"PAR1\x15\x04" + bytes(100), "", 1, error="Parquet", code="wrong_encoding"),
    "HTML": case("<!DOCTYPE html>\n<html>\n<p>no such page</p>\n</html>\n", "", 1, error="HTML", code="wrong_encoding"),
    "XML": case(f"\n  <?xml version='1.0'?>\n<Error/>\n{A}", "", 1, error="XML", code="wrong_encoding"),
    # events and links
    "a link": case('{"href": "https://example.com/item.json"}', "", 1, error="links to items are not followed"),
}
assert all(case.bad or not case.error for case in CASES.values())


@dataclass
class Outcome:
    loaded: str
    lines: list[int] | None  # None: the whole document is rejected
    errors: list[str]
    codes: set[str]


def collection_of(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def content_of(name: str, padding: int = 0) -> bytes:
    case = CASES[name]
    text = case.content.replace(b'"@"', json.dumps(collection_of(name)).encode()) + b" " * padding
    return case.encode(text, 0 if padding else 9) if case.encode else text


def loaded_ids(pipeline: Pipeline, names: list[str]) -> dict[str, str]:
    loaded = {name: "".join(pipeline.ids(collection_of(name))) for name in names}
    pipeline.db.execute("DELETE FROM items")
    return loaded


def of_letter(loaded: str, letter: dict[str, Any] | None) -> Outcome:
    if not letter:
        return Outcome(loaded, [], [], set())
    error = letter["error"]
    parts = re.split(r"; (?=(?:s3://[^;]*: )?(?:document|line) \d)", error) if " documents; " in error else [error]
    found = [int(line) for line in re.findall(r"(?:document \d+, |: )line (\d+)", error)]
    return Outcome(loaded, found or None, [part for part in parts if not re.fullmatch(r"\d+ of \d+ documents", part)], {letter["error_code"]})


def by_messages(pipeline: Pipeline, bodies: dict[str, str]) -> dict[str, Outcome]:
    """Loads the cases together. `bodies`: their messages by name."""
    for body in bodies.values():
        pipeline.sqs.send_message(QueueUrl=pipeline.load_queue, MessageBody=body)
    pipeline.wait_empty(pipeline.load_queue)
    bad = [name for name in bodies if CASES[name].bad]
    letters = {letter["body"]: letter for letter in pipeline.dead_letters(pipeline.load_dlq, len(bad))}
    loaded = loaded_ids(pipeline, list(bodies))
    return {name: of_letter(loaded[name], letters.get(bodies[name])) for name in bodies}


def by_objects(pipeline: Pipeline, bucket: Bucket, padding: int) -> dict[str, Outcome]:
    bodies = {}
    for name in CASES:
        key = f"{collection_of(name)}-{padding}.json"
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=content_of(name, padding), ContentEncoding="gzip")
        bodies[name] = json.dumps(event(bucket.record(key)))
    return by_messages(pipeline, bodies)


def by_files(pipeline: Pipeline, itemctl: Itemctl) -> dict[str, Outcome]:
    outcomes = {}
    for name, case in CASES.items():
        path = itemctl.folder / "input"
        path.write_bytes(content_of(name))
        itemctl.load("--rejects", "rejects", path, expect=2 if case.bad else 0)
        rejects = sorted(itemctl.rejects(), key=lambda reject: reject["index"])
        outcomes[name] = Outcome(
            "".join(pipeline.ids(collection_of(name))),
            [reject["line"] for reject in rejects],
            [reject["error"] for reject in rejects],
            {reject["error_code"] for reject in rejects},
        )
    pipeline.db.execute("DELETE FROM items")
    return outcomes


@pytest.fixture(scope="module")
def outcomes(session_stack: Stack, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Outcome]]]:
    """The outcome by way and case. All cases of a way are loaded together."""
    pipeline = Pipeline(session_stack)
    for queue in (pipeline.load_queue, pipeline.load_dlq):
        pipeline.sqs.purge_queue(QueueUrl=queue)
    pipeline.db.execute("DELETE FROM collections")
    for name in CASES:
        pipeline.add_collection(collection_of(name))
    bucket = Bucket(pipeline)
    pipeline.start(
        "itemloadd", ITEMLOADD_S3_BUCKETS=bucket.name, ITEMLOADD_MISSING_COLLECTION="reject"
    )
    found = {
        "message": by_messages(pipeline, {name: content_of(name).decode() for name in CASES if CASES[name].is_text}),
        "small object": by_objects(pipeline, bucket, 0),
        "large object": by_objects(pipeline, bucket, PADDING),
    }
    pipeline.stop_all()
    folder = tmp_path_factory.mktemp("documents")
    found["file"] = by_files(pipeline, Itemctl(build / "bin" / "itemctl", pipeline, folder))
    yield found
    pipeline.db.close()


# A message can contain only text.
PAIRS = [(name, way) for name, case in CASES.items() for way in WAYS if way != "message" or case.is_text]


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_every_way_gives_the_same(name: str, way: str, outcomes: dict[str, dict[str, Outcome]]) -> None:
    case = CASES[name]
    outcome = outcomes[way][name]
    assert outcome.loaded == case.loaded
    if outcome.lines is None:
        assert len(case.bad) == 1
    else:
        assert outcome.lines == case.bad
    assert all(case.error in error for error in outcome.errors), outcome.errors
    assert outcome.codes == {case.code} or not case.code
