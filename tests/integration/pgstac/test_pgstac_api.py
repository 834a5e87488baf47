"""
Reads items that we loaded the way users do: with a real stac-fastapi-pgstac on the same database.

docs/explanation/fidelity.md lists the allowed differences from what was published.
"""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pgstac_support import ROOT, Database, Number, dumps, loads, make_collection, make_item, same
from random_items import Maker

from local.postgres import free_port

UVICORN = ROOT / "build" / "venv-api" / "bin" / "uvicorn"
EXTENSION = "https://stac-extensions.github.io/projection/v1.2.0/schema.json"


@contextmanager
def serving(db: Database, log: Path, **settings: str) -> Iterator[str]:
    """Runs the API and yields its address."""
    port = free_port()
    connection = {"PGHOST": "127.0.0.1", "PGPORT": str(db.server.port), "PGDATABASE": db.name}
    env = os.environ | connection | {"PGUSER": "owner", "PGPASSWORD": "any"} | settings
    command = [UVICORN, "--factory", "stac_fastapi.pgstac.app:create_app", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        api = subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=log.parent)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}", api, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        api.terminate()
        api.wait(30)


def wait_until_it_answers(address: str, api: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(f"{address}/_mgmt/ping")
            return
        except OSError:
            assert api.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def get(url: str, body: Any = None) -> Any:
    data = None if body is None else dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return loads(answer.read().decode())


@pytest.fixture(scope="module")
def shared(make_shared_db: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, str]]:
    db = make_shared_db()
    with serving(db, tmp_path_factory.mktemp("api") / "log") as address:
        yield db, address


# The output of the two packages in docs/ and the README, by form.
LANDCOVER = make_item(
    "landcover",
    "landcover-2000-50N_090W",
    "2000-01-01T00:00:00Z",
    stac_version="1.1.0",
    stac_extensions=[EXTENSION],
    bbox=[Number("-90.0"), Number("40.0"), Number("-80.0"), Number("50.0")],
    geometry=loads('{"type":"Polygon","coordinates":[[[-80.0,40.0],[-80.0,50.0],[-90.0,50.0],[-90.0,40.0],[-80.0,40.0]]]}'),
    links=[{"rel": "derived_from", "href": "https://example.com/source.json", "type": "application/json"}],
    assets={
        "landcover": {
            "href": "https://example.com/v2/2000/50N_090W.tif",
            "type": "image/tiff; application=geotiff",
            "title": "Annual land cover",
            "roles": ["data"],
            "classification:classes": [{"value": n, "description": f"class {n}"} for n in range(3)],
        }
    },
)
LANDCOVER["properties"] |= {
    "start_datetime": "2000-01-01T00:00:00Z",
    "end_datetime": "2000-12-31T23:59:59Z",
    "proj:transform": [Number("0.00025"), Number("0.0"), Number("-90.0"), Number("0.0"), Number("-0.00025"), Number("50.0")],
    "proj:code": "EPSG:4326",
}
LANDCOVER_ASSETS = {"landcover": {"title": "Another", "roles": ["data"], "description": "not in the item"}}
FOREST_ASSETS = {
    name: {
        "type": "image/tiff; application=geotiff",
        "title": f"Forest {name}",
        "roles": ["data"],
        "raster:bands": [{"data_type": "uint8", "scale": Number("1.0"), "offset": Number("0.0"), "sampling": "area"}],
    }
    for name in ("gain", "lossyear", "treecover2000")
}
FOREST = make_item(
    "forest",
    "forest-40N-080W",
    "2023-12-31T00:00:00.725Z",
    stac_version="1.1.0",
    bbox=[-80, 30, -70, 40],
    geometry=loads('{"type":"MultiPolygon","coordinates":[[[[-70,30],[-70,40],[-80,40],[-80,30],[-70,30]]]]}'),
    assets={name: asset | {"href": f"https://example.com/{name}.tif"} for name, asset in FOREST_ASSETS.items()},
)
FOREST["properties"] |= {"proj:shape": [40000, 40000], "proj:epsg": 4326, "note": "é 日本 😀", "no": False, "none": [], "empty": {}}


def published(item: dict[str, Any]) -> Any:
    return loads(dumps(item))


def without_own_links(given: Any) -> Any:
    """Removes links that the API adds. It adds these four, and replaces the item's own."""
    return given | {"links": [link for link in given["links"] if link["rel"] not in ("self", "root", "parent", "collection")]}


def test_items_come_back_as_they_were_published(shared: tuple[Database, str]) -> None:
    db, address = shared
    db.add_collection(make_collection("landcover", item_assets=LANDCOVER_ASSETS), "year")
    db.add_collection(make_collection("forest", item_assets=FOREST_ASSETS | {"datamask": {"title": "not in the item"}}), "month")
    db.load_items([LANDCOVER, FOREST]).must_load()
    for item in (LANDCOVER, FOREST):
        one = get(f"{address}/collections/{item['collection']}/items/{item['id']}")
        assert same(without_own_links(one), published(item))
        assert {"self", "root", "parent", "collection"} <= {link["rel"] for link in one["links"]}
        west, south = item["bbox"][:2]
        for search in (
            {"ids": [item["id"]]},
            {"bbox": [float(west) + 1, float(south) + 1, float(west) + 2, float(south) + 2], "collections": [item["collection"]]},
            {"datetime": item["properties"]["datetime"]},
            {"datetime": "2000-02-01T00:00:00Z/2000-03-01T00:00:00Z" if item is LANDCOVER else "2023-12-31T00:00:00Z/.."},
            {"filter": {"op": "=", "args": [{"property": "id"}, item["id"]]}},
        ):
            features = get(f"{address}/search", search)["features"]
            assert len(features) == 1 and same(without_own_links(features[0]), published(item)), search


def doubles(value: Any) -> Any:
    """The value as a server reads it that stores numbers as doubles."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: doubles(member) for key, member in value.items()}
    return [doubles(element) for element in value] if isinstance(value, list) else value


def test_random_items(shared: tuple[Database, str]) -> None:
    """The API returns what pgstac returns, except for digits that a double cannot hold."""
    db, address = shared
    maker = Maker(7)
    item_assets = maker.item_assets()
    db.add_collection(make_collection("random", item_assets=item_assets), "year")
    items = [maker.item("random", f"i{n}", item_assets) for n in range(100)]
    db.load_items(items).must_load()
    rows = db.query("SELECT id, get_item(id, collection)::text FROM items WHERE collection = 'random'")
    given = {name: loads(text) for name, text in rows}
    features = get(f"{address}/search", {"collections": ["random"], "limit": 200})["features"]
    assert sorted(feature["id"] for feature in features) == sorted(item["id"] for item in items)
    for feature in features:
        assert doubles(without_own_links(feature)) == doubles(given[feature["id"]]), feature["id"]


def test_numbers_beyond_doubles(shared: tuple[Database, str]) -> None:
    db, address = shared
    db.add_collection(make_collection("numbers"))
    item = make_item("numbers", "i")
    item["properties"] |= {"pi": Number("3.14159265358979323846264338"), "big": Number("123456789012345678901")}
    db.load_items([item]).must_load()
    properties = get(f"{address}/collections/numbers/items/i")["properties"]
    assert properties["pi"] == Decimal("3.141592653589793") and properties["big"] != Decimal("123456789012345678901")
    assert float(properties["big"]) == 123456789012345678901.0
    assert same(db.get_item("numbers", "i"), published(item))


def test_numbers_beyond_the_range_of_doubles(shared: tuple[Database, str]) -> None:
    db, address = shared
    db.add_collection(make_collection("range"))
    items = [make_item("range", "good"), make_item("range", "beyond", **{"x:n": Number("1e309")})]
    db.load_items(items).must_load()
    assert same(db.get_item("range", "beyond"), published(items[1]))
    with pytest.raises(urllib.error.HTTPError, match="500"):
        get(f"{address}/search", {"collections": ["range"]})
    get(f"{address}/collections/range/items/good")


def test_links_of_its_own(shared: tuple[Database, str]) -> None:
    db, address = shared
    db.add_collection(make_collection("links"))
    links = [{"rel": rel, "href": f"https://example.com/{rel}"} for rel in ("self", "root", "parent", "collection", "via")]
    db.load_items([make_item("links", "i", links=[*links, {"rel": "derived_from", "href": "a/b"}])]).must_load()
    given = {link["rel"]: link["href"] for link in get(f"{address}/collections/links/items/i")["links"]}
    assert given.pop("via") == "https://example.com/via"
    assert given.pop("derived_from") == f"{address}/a/b"
    assert given.keys() == {"self", "root", "parent", "collection"}
    assert all(href.startswith(address) for href in given.values())


@pytest.mark.long
def test_with_its_own_hydration(shared: tuple[Database, str], tmp_path: Path) -> None:
    db, _ = shared
    db.add_collection(make_collection("hydrated", item_assets=FOREST_ASSETS), "month")
    item = FOREST | {"collection": "hydrated"}
    db.load_items([item]).must_load()
    with serving(db, tmp_path / "log", USE_API_HYDRATE="true") as address:
        assert same(without_own_links(get(f"{address}/collections/hydrated/items/{item['id']}")), published(item))
