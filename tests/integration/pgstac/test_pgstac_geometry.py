"""The geometry column, compared with PostGIS's own reading of the same GeoJSON."""

import pytest
from pgstac_support import Database, Number, dumps, loads, make_collection, make_item

RING = "[[0,0],[4,0],[4,4],[0,4],[0,0]]"
HOLE = "[[1,1],[2,1],[2,2],[1,1]]"
RING_Z = "[[0,0,1],[4,0,2.5],[4,4,-3],[0,0,1]]"

GEOMETRIES = [
    '{"type":"Point","coordinates":[1,2]}',
    '{"type":"Point","coordinates":[1,2,3]}',
    '{"type":"Point","coordinates":[1,2,3,4]}',
    '{"type":"Point","coordinates":[0.1,-179.12345678901234567890]}',
    '{"type":"Point","coordinates":[1e308,-1e-308]}',
    '{"type":"Point","coordinates":[5e-324,1.23456789012345678901234567890e29]}',
    '{"type":"Point","coordinates":[1,2],"bbox":[1,2,1,2],"note":[[1,2,3]],"geometries":[]}',
    '{"type":"LineString","coordinates":[[1,2],[3,4],[5,6]]}',
    '{"type":"LineString","coordinates":[[1,2],[3,4,5]]}',
    '{"type":"LineString","coordinates":[[1,2,9],[3,4],[5,6,7,8]]}',
    '{"type":"LineString","coordinates":[[1,2],[1,2]]}',
    f'{{"type":"Polygon","coordinates":[{RING}]}}',
    f'{{"type":"Polygon","coordinates":[{RING},{HOLE}]}}',
    f'{{"type":"Polygon","coordinates":[{RING_Z}]}}',
    f'{{"type":"Polygon","coordinates":[{RING},{RING_Z}]}}',
    '{"type":"Polygon","coordinates":[[[0,0],[4,4],[4,0],[0,4],[0,0]]]}',
    '{"type":"MultiPoint","coordinates":[[1,2],[3,4,5]]}',
    '{"type":"MultiLineString","coordinates":[[[1,2],[3,4]],[[5,6],[7,8],[9,10]]]}',
    '{"type":"MultiLineString","coordinates":[[[1,2],[3,4]],[[5,6],[7,8,1]]]}',
    f'{{"type":"MultiPolygon","coordinates":[[{RING}],[{RING},{HOLE}]]}}',
    f'{{"type":"MultiPolygon","coordinates":[[{RING}],[{RING_Z}]]}}',
    '{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}',
    '{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},'
    f'{{"type":"MultiPolygon","coordinates":[[{RING_Z}]]}},{{"type":"LineString","coordinates":[[1,2],[3,4]]}}]}}',
]


def test_column_is_what_postgis_reads(db: Database) -> None:
    db.add_collection(make_collection("c"))
    db.load_items(make_item("c", f"i{n}", geometry=Number(text)) for n, text in enumerate(GEOMETRIES)).must_load()
    for number, text in enumerate(GEOMETRIES):
        ours, theirs, equal = db.query(
            "SELECT ST_AsEWKT(i.geometry), ST_AsEWKT(g), ST_AsEWKB(i.geometry) = ST_AsEWKB(g) "
            "FROM items i, ST_GeomFromGeoJSON(%s) AS g WHERE i.id = %s",
            text,
            f"i{number}",
        )[0]
        assert ours == theirs, text
        assert equal, text


def test_minus_zero_is_zero(db: Database) -> None:
    """Read through jsonb, which is how pgstac's own functions read an item."""
    db.add_collection(make_collection("c"))
    text = '{"type":"Point","coordinates":[-0,-0.0]}'
    db.load_items([make_item("c", "i", geometry=Number(text))]).must_load()
    theirs = "stac_geom(jsonb_build_object('geometry', %s::jsonb))"
    assert db.query(f"SELECT ST_AsEWKT(geometry), ST_AsEWKT({theirs}) FROM items", text) == [
        ("SRID=4326;POINT(0 0)", "SRID=4326;POINT(0 0)")
    ]


def test_searches_return_every_kind(db: Database) -> None:
    db.add_collection(make_collection("c"))
    items = [make_item("c", f"i{n}", geometry=Number(text)) for n, text in enumerate(GEOMETRIES)]
    db.load_items(items).must_load()
    for search in ({"limit": 1000}, {"limit": 1000, "bbox": [-1e30, -1e30, 1e30, 1e30]}):
        found = loads(db.value("SELECT search(%s)::text", dumps(search)))["features"]
        expected = {item["id"] for item in items if "bbox" not in search or "1e308" not in item["geometry"]}
        assert {feature["id"] for feature in found} == expected


@pytest.mark.parametrize("depth", [2, 3, 100, 240])
def test_collection_in_collection_never_reaches_the_catalog(db: Database, depth: int) -> None:
    """PostGIS would store it, and then fail in every search that meets it."""
    db.add_collection(make_collection("c"))
    text = '{"type":"Point","coordinates":[1,2]}'
    for _ in range(depth):
        text = f'{{"type":"GeometryCollection","geometries":[{text}]}}'
    loading = db.load_items([make_item("c", "nested", geometry=Number(text)), make_item("c", "good")])
    assert loading.results == {"nested": "never", "good": "inserted"}
    assert "geometry.geometries[0] is a GeometryCollection inside another" in loading.errors["nested"]
    assert [feature["id"] for feature in loads(db.value("SELECT search('{}')::text"))["features"]] == ["good"]
