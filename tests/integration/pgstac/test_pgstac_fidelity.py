"""
What becomes of a published item: what the row holds, what pgstac gives back of it, how the row differs from pypgstac's.

docs/fidelity.md says the same in words; each thing it lists has its test here.
"""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hydraters import hydrate
from pgstac_support import Database, Number, dumps, loads, make_collection, make_item, same
from pypgstac.db import PgstacDB
from pypgstac.hydration import hydrate_py
from pypgstac.load import Loader, Methods
from random_items import Maker

ITEMS = 250
SEEDS = [1, 2, 3]

# How pypgstac's content differs from ours: docs/fidelity.md, "How the content differs from pypgstac's".
NULL = "pypgstac drops a null over a base value"
EMPTY = "pypgstac drops an empty list over a base value of another kind"
TRUE = "pypgstac takes true for 1 and false for 0, and drops one that covers the other"
DIGITS = "pypgstac rounds numbers to doubles"
OBJECT = "pypgstac garbles an object over a base value of another kind"
KNOWN = {NULL, EMPTY, TRUE, DIGITS, OBJECT}


def rounded(value: Any) -> Any:
    """As pypgstac sees it, for ==."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: rounded(member) for key, member in value.items()}
    return [rounded(element) for element in value] if isinstance(value, list) else value


def dropped(value: Any, below: Any) -> str:
    """Why pypgstac left out a member that we keep."""
    if value is None:
        return NULL
    if value == []:
        return EMPTY
    value = hydrate_py(copy.deepcopy({"": below}), copy.deepcopy({"": value}))[""]
    if rounded(value) != rounded(below):
        return f"unknown: {value!r} over {below!r} is not there"
    return TRUE if "true" in dumps(value) + dumps(below) or "false" in dumps(value) + dumps(below) else DIGITS


def differences(ours: Any, theirs: Any, base: Any) -> Iterator[str]:
    if same(ours, theirs):
        return
    if isinstance(ours, dict) and base is not None and not isinstance(base, dict):
        yield OBJECT
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        below = base or {}
        for key in ours.keys() | theirs.keys():
            if key not in ours:
                yield f"unknown: pypgstac adds {key!r}"
            elif key not in theirs:
                yield dropped(ours[key], below.get(key))
            else:
                yield from differences(ours[key], theirs[key], below.get(key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        aligned = base if isinstance(base, list) and len(base) == len(ours) else [None] * len(ours)
        for element, other, below in zip(ours, theirs, aligned):
            yield from differences(element, other, below)
    elif isinstance(ours, Decimal) and isinstance(theirs, Decimal) and float(ours) == float(theirs):
        yield DIGITS
    else:
        yield f"unknown: {ours!r} here, {theirs!r} there"


def load_by_pypgstac(db: Database, items: list[dict[str, Any]]) -> dict[str, str]:
    """Those that it cannot load, with what it said."""
    dsn = f"postgresql://owner@127.0.0.1:{db.server.port}/{db.name}"
    refused = {}
    with PgstacDB(dsn=dsn) as connection:
        loader = Loader(db=connection)
        loadable = []
        for item in items:
            text = dumps(item)
            try:
                loader.format_item(orjson.loads(text))
                loadable.append(orjson.loads(text))
            except (AttributeError, TypeError) as error:
                refused[str(item["id"])] = str(error)
        loader.load_items(iter(loadable), insert_mode=Methods.upsert)
    return refused


COLUMNS = "SELECT id, encode(ST_AsEWKB(geometry), 'hex'), datetime, end_datetime FROM items WHERE collection = %s"


@pytest.fixture(scope="module")
def found() -> set[str]:
    """The differences that were seen: each that is known shall be."""
    return set()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_items(db: Database, seed: int, found: set[str]) -> None:
    maker = Maker(seed)
    item_assets = maker.item_assets()
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name, item_assets=item_assets), trunc="year")
    items = [maker.item("ours", f"i{n}", item_assets) for n in range(ITEMS)]
    db.load_items(items, "-b", "100").must_load()
    refused = load_by_pypgstac(db, [item | {"collection": "theirs"} for item in items])

    base = db.base_item("ours")
    content, theirs = db.content("ours"), db.content("theirs")
    for item in items:
        published = loads(dumps(item))
        for column in ("id", "geometry"):
            del published[column]
        assert same(hydrate_py(copy.deepcopy(base), copy.deepcopy(content[item["id"]])), published), item["id"]
        if item["id"] in refused:
            found.add(OBJECT)
        else:
            found.update(differences(content[item["id"]], theirs[item["id"]], base))
    columns = dict((row[0], row[1:]) for row in db.query(COLUMNS, "ours"))
    for row in db.query(COLUMNS, "theirs"):
        assert row[1:] == columns[row[0]]
    assert len(theirs) + len(refused) == len(columns) == ITEMS
    assert not {difference for difference in found if difference.startswith("unknown")}


def test_known_differences_are_all_there(found: set[str]) -> None:
    """After the test before."""
    assert found == KNOWN


def test_private_member(db: Database) -> None:
    """pypgstac moves it to the column of that name, which no search returns; we keep what was published together."""
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name))
    item = make_item("ours", "i", private={"x": 1})
    db.load_items([item], at=7).must_load()
    assert load_by_pypgstac(db, [item | {"collection": "theirs"}]) == {}
    assert db.query("SELECT content ? 'private', private::text FROM items ORDER BY collection") == [
        (True, '{"published_at": 7}'),
        (False, '{"x": 1}'),
    ]


def test_local_time_picks_the_partition(db: Database) -> None:
    """pypgstac takes year and month from the text: it cannot load an item whose UTC month is another one."""
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name), trunc="month")
    item = make_item("ours", "i", "2020-01-01T00:30:00+01:00")
    db.load_items([item]).must_load()
    assert list(db.rows("ours")["i"])[0].endswith("_201912")
    with pytest.raises(Exception, match="no partition|violates partition constraint|does not exist"):
        load_by_pypgstac(db, [item | {"collection": "theirs"}])


# ---------------------------------------------------------------- what pgstac gives back

BASE = {"x": {"title": "T", "list": [Number("1"), Number("2")], "deep": [[{"a": Number("1")}]], "tail": [{}, [], "t"]}}


def give_back(db: Database, item_assets: dict[str, Any] = BASE, **members: Any) -> Any:
    db.add_collection(make_collection("c", item_assets=item_assets))
    db.load_items([make_item("c", "i", **members)]).must_load()
    return db.get_item("c", "i")


def test_get_item_is_the_published_item(db: Database) -> None:
    """Where nothing of the list below is met."""
    item = make_item("c", "i", assets={"x": {"title": "T", "href": "h"}, "y": {"href": "é", "n": Number("1.10")}})
    item["properties"] |= {"big": Number("12345678901234567890"), "no": False, "empty": {}, "none": []}
    db.add_collection(make_collection("c", item_assets=BASE))
    db.load_items([item]).must_load()
    assert same(db.get_item("c", "i"), loads(dumps(item)))
    assert same(loads(db.value("SELECT search('{}')::text"))["features"][0], loads(dumps(item)))


def test_nulls_are_lost(db: Database) -> None:
    properties = {"datetime": None, "start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-02T00:00:00Z"}
    given = give_back(db, properties=properties | {"x": {"y": None, "z": [{"n": None}]}})
    assert given["properties"] == {
        "start_datetime": "2020-01-01T00:00:00Z",
        "end_datetime": "2020-01-02T00:00:00Z",
        "x": {"z": [{}]},
    }
    assert db.content("c")["i"]["properties"]["datetime"] is None


def test_null_over_a_base_value_is_the_base_value(db: Database) -> None:
    given = give_back(db, assets={"x": {"title": None, "list": [None, Number("3")]}})
    assert given["assets"]["x"] == {"title": "T", "list": [1, 3]}
    assert db.content("c")["i"]["assets"]["x"]["title"] is None


def test_empty_things_in_lists_that_the_base_has_too_become_null(db: Database) -> None:
    given = give_back(db, assets={"x": {"tail": [{}, [], "other"]}})
    assert given["assets"]["x"] == {"tail": [None, None, "other"]}


def test_base_keys_come_back_in_lists_of_lists(db: Database) -> None:
    given = give_back(db, assets={"x": {"deep": [[{"b": Number("2")}]]}})
    assert given["assets"]["x"] == {"deep": [[{"a": 1, "b": 2}]]}
    assert db.content("c")["i"]["assets"]["x"]["deep"] == [[{"b": 2}]]


def test_geometry_comes_back_from_its_column(db: Database) -> None:
    text = (
        '{"type":"LineString","coordinates":[[0.1234567890123456789,-0],[1,2,3,4]],'
        '"bbox":[0,0,1,2],"crs":{"type":"name","properties":{"name":"EPSG:3857"}},"note":"x"}'
    )
    given = give_back(db, geometry=Number(text))
    coordinates = [[Decimal("0.12345678901234568"), 0, 0], [1, 2, 3]]
    assert given["geometry"] == {"type": "LineString", "coordinates": coordinates}


def test_notation_of_numbers_and_order_of_keys(db: Database) -> None:
    properties = Number('{"datetime":"2020-01-01T00:00:00Z","zz":1e-7,"b":-0,"a":1.10,"c":1E+2,"a":1.20}')
    given = give_back(db, properties=properties)
    assert same(given["properties"] | {"datetime": ""}, loads('{"datetime":"","a":1.20,"b":0,"c":100,"zz":0.0000001}'))
    text = db.value("SELECT get_item('i', 'c')->>'properties'")
    assert text == '{"a": 1.20, "b": 0, "c": 100, "zz": 0.0000001, "datetime": "2020-01-01T00:00:00Z"}'


def test_hydration_outside_the_database_refuses_another_kind_than_the_base(db: Database) -> None:
    """stac-fastapi-pgstac with USE_API_HYDRATE; the database's own way gives the item back."""
    given = give_back(db, assets={"x": {"title": ["T"]}})
    assert given["assets"]["x"] == {"title": ["T"]}
    with pytest.raises(ValueError, match="type mismatch"):
        hydrate(json.loads(dumps(db.base_item("c"))), json.loads(dumps(db.content("c")["i"])))


def test_the_reserved_mark_is_refused(db: Database) -> None:
    mark = "\U0001235f\u203b"
    db.add_collection(make_collection("c", item_assets=BASE))
    loading = db.load_items([make_item("c", "marked", assets={"x": {"title": mark}}), make_item("c", "good")])
    assert loading.results == {"marked": "never", "good": "inserted"}
    assert loading.errors["marked"].startswith("reserved_value: ")
