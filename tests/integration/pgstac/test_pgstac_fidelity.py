"""
A published item on its way: the content of its row, what pgstac returns for it, and how the row differs from
pypgstac's.

docs/explanation/fidelity.md describes the same. Each entry of its lists has a test here.
"""

import copy
import json
from collections.abc import Callable, Iterator
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

# How pypgstac's content differs from ours: docs/explanation/fidelity.md, "How the content differs from pypgstac's".
NULL = "pypgstac drops a null over a base value"
EMPTY = "pypgstac drops an empty list over a base value of another kind"
TRUE = "pypgstac takes true for 1 and false for 0, and drops one that covers the other"
DIGITS = "pypgstac rounds numbers to doubles"
OBJECT = "pypgstac garbles an object over a base value of another kind"
KNOWN = {NULL, EMPTY, TRUE, DIGITS, OBJECT}


def rounded(value: Any) -> Any:
    """The value as pypgstac compares it with ==: numbers are doubles."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: rounded(member) for key, member in value.items()}
    return [rounded(element) for element in value] if isinstance(value, list) else value


def dropped(value: Any, below: Any) -> str:
    """The reason why pypgstac left out a member that we keep."""
    if value is None:
        return NULL
    if value == []:
        return EMPTY
    value = hydrate_py(copy.deepcopy({"": below}), copy.deepcopy({"": value}))[""]
    if rounded(value) != rounded(below):
        return f"unknown: {value!r} over {below!r} is missing"
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
    """Loads items with pypgstac. Returns those that it cannot load, with its error."""
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


@pytest.fixture
def db(make_db: Callable[[], Database]) -> Database:
    """A database with the installed pypgstac's version, which loads the same items."""
    return make_db()


COLUMNS = "SELECT id, encode(ST_AsEWKB(geometry), 'hex'), datetime, end_datetime FROM items WHERE collection = %s"


@pytest.fixture(scope="module")
def found() -> set[str]:
    """The differences that were seen. Every known difference must be among them."""
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
    """It must run after the test above."""
    assert found == KNOWN


def test_private_member(db: Database) -> None:
    """The member goes into the column `private`, beside our published_at. No search returns it, as with pypgstac."""
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name))
    item = make_item("ours", "i", private={"x": 1})
    db.load_items([item], at=7).must_load()
    assert load_by_pypgstac(db, [item | {"collection": "theirs"}]) == {}
    assert db.query("SELECT content ? 'private', private FROM items ORDER BY collection") == [
        (False, {"x": 1, "published_at": 7}),
        (False, {"x": 1}),
    ]
    assert "private" not in db.get_item("ours", "i")


PRIVATE = {
    "an own published_at": ({"published_at": 99, "x": 1}, {"x": 1}),
    "empty": ({}, {}),
    "null": (None, {}),
    "text": ("x", {"private": "x"}),
    "list": ([1, {"a": None}], {"private": [1, {"a": None}]}),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_private_of_other_forms(db: Database, name: str) -> None:
    published, stored = PRIVATE[name]
    db.add_collection(make_collection("c"))
    db.load_items([make_item("c", "i", private=published)], at=7).must_load()
    assert db.query("SELECT content ? 'private', private FROM items") == [(False, stored | {"published_at": 7})]


def test_coordinates_beyond_the_third(db: Database) -> None:
    """pypgstac keeps the fourth coordinate, which nothing returns. It refuses a geometry with some heights missing."""
    geometries = {"four": [[0, 0, 1, 5], [1, 2, 3, 4]], "three": [[0, 0, 1], [1, 2, 3]], "some": [[0, 0], [1, 2, 3]]}
    items = []
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name))
        items.append([make_item(name, i, geometry={"type": "LineString", "coordinates": c}) for i, c in geometries.items()])
    db.load_items(items[0]).must_load()
    assert load_by_pypgstac(db, items[1][:2]) == {}
    with pytest.raises(Exception, match="Mixed dimensionality"):
        load_by_pypgstac(db, items[1][2:])
    stored = dict(db.query("SELECT collection || ' ' || id, ST_AsEWKT(geometry) FROM items"))
    assert stored == {
        "ours four": "SRID=4326;LINESTRING(0 0 1,1 2 3)",
        "ours three": "SRID=4326;LINESTRING(0 0 1,1 2 3)",
        "ours some": "SRID=4326;LINESTRING(0 0 0,1 2 3)",
        "theirs four": "SRID=4326;LINESTRING(0 0 1 5,1 2 3 4)",
        "theirs three": "SRID=4326;LINESTRING(0 0 1,1 2 3)",
    }
    assert db.get_item("theirs", "four")["geometry"] == db.get_item("ours", "four")["geometry"]


def test_local_time_picks_the_partition(db: Database) -> None:
    """pypgstac takes year and month from the text. It cannot load an item whose month in UTC is another one."""
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
    """For items that meet none of the exceptions tested below."""
    item = make_item("c", "i", assets={"x": {"title": "T", "href": "h"}, "y": {"href": "é", "n": Number("1.10")}})
    item["properties"] |= {"big": Number("12345678901234567890"), "no": False, "empty": {}, "none": []}
    db.add_collection(make_collection("c", item_assets=BASE))
    db.load_items([item]).must_load()
    assert same(db.get_item("c", "i"), loads(dumps(item)))
    assert same(loads(db.value("SELECT search('{}')::text"))["features"][0], loads(dumps(item)))


def nested(leaf: str) -> Number:
    return Number('{"a":[' * DEEP + leaf + "]}" * DEEP)


DEEP = 100  # this many objects, and as many lists
FORMS: dict[str, dict[str, Any]] = {
    "numbers": {"x": [Number(text) for text in ("1.10", "0.1e1", "12345678901234567890", "1e-7", "-2.5E-300", "1e300", "9" * 300)]},
    "long fractions": {"x": Number("0." + "1234567890" * 40)},
    "unicode": {"x": "\u00e9 e\u0301 \u65e5\u672c \U0001f600 \u2028\ufeff\u007f", "\u65e5\u672c": {"\U0001f600": [], "": "", "a b": 1}},
    "escapes": {"x": '"\\/\b\f\n\r\t\u0001', 'q"\\\n': True},
    "nesting": {"x": nested("1")},
    "nesting like the base's": {"assets": {"deep": nested("1")}},
    "nesting unlike the base's": {"assets": {"deep": nested("2")}},
    "names of the base's": {"x": {"type": "Feature", "stac_version": "1.0.0", "collection": "c", "assets": {"x": {"title": "T"}}}},
    "names of columns": {"x": {"id": "i", "geometry": {}, "datetime": "d", "end_datetime": 1, "content": {}, "private": {"x": 1}}},
    "no bbox": {},
    "bbox": {"bbox": [-180, -90, Number("180.0"), 90]},
    "bbox with heights": {"bbox": [1, 2, Number("-0.5"), 3, 4, 8848]},
    "another version": {"stac_version": "1.1.0", "stac_extensions": ["https://example.com/v1.0.0/schema.json"]},
    "a longer datetime": {"properties": {"datetime": "2020-01-01T00:30:00.123456789+05:30", "updated": "2020-01-01T24:00:00Z"}},
    "a short datetime": {"properties": {"datetime": "2020-01-01t00:30:00.5-12:00"}},
    "a range": {
        "properties": {
            "datetime": "2020-01-05T00:00:00Z",
            "start_datetime": "2020-01-01T00:00:00+14:00",
            "end_datetime": "2021-01-01T00:00:00Z",
        }
    },
}
GEOMETRIES = [
    '{"type":"Point","coordinates":[1.5,-2.25,8848.86]}',
    '{"type":"LineString","coordinates":[[1,2,0],[3,4,-5.5]]}',
    '{"type":"Polygon","coordinates":[[[0,0],[4,0],[4,4],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]}',
    '{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}',
    '{"type":"MultiLineString","coordinates":[[[1,2],[3,4]],[[5,6],[7,8]]]}',
    '{"type":"MultiPolygon","coordinates":[[[[0,0,1],[4,0,1],[4,4,1],[0,0,1]]]]}',
    '{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},{"type":"LineString","coordinates":[[1,2],[3,4]]}]}',
]


@pytest.mark.parametrize("where", ["item", "properties", "assets"])
def test_every_form_comes_back(db: Database, where: str) -> None:
    """get_item and search return it as published. Members named x also occur outside of the item's assets."""
    db.add_collection(make_collection("c", item_assets=BASE | {"deep": nested("1")}), "month")
    items = {name: make_item("c", name, **copy.deepcopy(members)) for name, members in FORMS.items()}
    items |= {text: make_item("c", text, geometry=Number(text)) for text in GEOMETRIES}
    for item in items.values():
        if "x" in item and where != "item":
            item[where] |= {"x" if where == "properties" else "y": {"x": item.pop("x")}}
    db.load_items(items.values()).must_load()
    given = {name: text for name, text in db.query("SELECT id, get_item(id, collection)::text FROM items")}
    found = loads(db.value("SELECT search('{\"limit\":100}')::text"))["features"]
    assert given.keys() == items.keys() == {feature["id"] for feature in found}
    for name, item in items.items():
        assert same(loads(given[name]), loads(dumps(item))), name
    for feature in found:
        assert same(feature, loads(dumps(items[feature["id"]]))), feature["id"]


def test_every_form_is_stored_as_by_pypgstac(db: Database) -> None:
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name, item_assets=BASE | {"deep": nested("1")}))
    members = FORMS | {text: {"geometry": Number(text)} for text in GEOMETRIES}
    items = [make_item("ours", name, **copy.deepcopy(form)) for name, form in members.items()]
    db.load_items(items).must_load()
    assert load_by_pypgstac(db, [item | {"collection": "theirs"} for item in items]) == {}
    ours, theirs, base = db.content("ours"), db.content("theirs"), db.base_item("ours")
    for name, content in ours.items():
        assert set(differences(content, theirs[name], base)) <= {DIGITS}, name
    assert sorted(db.query(COLUMNS, "ours")) == sorted(db.query(COLUMNS, "theirs"))


def test_a_null_bbox_is_stored_and_lost(db: Database) -> None:
    assert "bbox" not in give_back(db, bbox=None)
    assert db.content("c")["i"]["bbox"] is None


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
    """stac-fastapi-pgstac with USE_API_HYDRATE fails. The database's own hydration returns the item."""
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


@pytest.mark.parametrize("trunc", [None, "year", "month"])
def test_the_last_microsecond_of_9999_leaves_the_collection_to_pypgstac(db: Database, trunc: str | None) -> None:
    """pgstac rounds later times to the year 10000, which pypgstac cannot read. So they are refused."""
    db.add_collection(make_collection("c"), trunc)

    def make(name: str, end: str) -> dict[str, Any]:
        return make_item("c", name, properties={"start_datetime": "2020-06-15T12:00:00Z", "end_datetime": end})

    far, near = "9999-12-31T23:59:59.999999Z", "2020-06-16T12:00:00Z"
    loading = db.load_items([make("far", far), make("later", "9999-12-31T23:59:59.9999999Z")])
    assert loading.results == {"far": "inserted", "later": "never"}
    assert "9999-12-31T23:59:59.9999999Z" in loading.errors["later"] and "out of the range" in loading.errors["later"]
    assert load_by_pypgstac(db, [make("theirs", near), make("theirs, far", far)]) == {}
    db.load_items([make("ours", near), make("ours, far", far)]).must_load()
    assert load_by_pypgstac(db, [make("theirs, at last", near)]) == {}
    assert len(db.rows("c")) == 6
