"""
The items of the benchmarks: shaped like those of a land cover package's create-item, 1 to 3 KB, the same for the same
seed.

An item has a raster asset with classes and statistics, projection members and derived assets. Its collection's
item_assets contain the members that all of them share, so that there is something to dehydrate.
"""

import calendar
import json
import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

COLLECTION = "land-cover"
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
CLASSES = (
    *("True desert", "Semi-arid", "Dense short vegetation", "Tree cover", "Salt pan", "Sparse wetland"),
    *("Dense wetland", "Wetland tree cover", "Ice", "Water", "Cropland", "Built-up", "Ocean", "No data"),
)


def class_list(n: int) -> list[dict[str, Any]]:
    return [{"value": 20 * i, "description": name} for i, name in enumerate(CLASSES[:n])]


def make_collection() -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": COLLECTION,
        "title": "Land cover",
        "description": "Land cover and land use, made for the benchmarks.",
        "license": "CC-BY-4.0",
        "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "stac_extensions": ["https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"],
        "item_assets": {
            "data": {
                "title": "Land cover",
                "type": TIFF,
                "roles": ["data"],
                "classification:classes": class_list(6),
            },
            "thumbnail": {"title": "Preview", "type": "image/png", "roles": ["thumbnail"]},
        },
    }


def rectangle(west: float, south: float, size: float) -> dict[str, Any]:
    east, north = round(west + size, 6), round(south + size, 6)
    ring = [[east, south], [east, north], [west, north], [west, south], [east, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def polygon(random_: random.Random, west: float, south: float, points: int) -> dict[str, Any]:
    """A closed ring around a centre, like a footprint that was traced from a mask."""
    ring = []
    for i in range(points - 1):
        angle, radius = 2 * math.pi * i / (points - 1), 2 + random_.random() / 10
        ring.append([round(west + 5 + radius * math.cos(angle), 7), round(south + 5 + radius * math.sin(angle), 7)])
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def statistics(random_: random.Random) -> dict[str, Any]:
    values = [round(random_.uniform(0, 255), 9) for _ in range(4)]
    return {"minimum": 0, "maximum": 255, "mean": values[0], "stddev": values[1], "valid_percent": values[2]}


def derived_asset(random_: random.Random, base: str, number: int) -> dict[str, Any]:
    return {
        "href": f"{base}/derived/{number}/{random_.getrandbits(64):016x}.tif",
        "title": f"Derived layer {number}",
        "type": TIFF,
        "roles": ["data", "derived"],
        "raster:bands": [{"data_type": "uint8", "nodata": 255, "statistics": statistics(random_)}],
    }


def make_item(random_: random.Random, number: int, when: datetime, points: int, n_derived: int) -> dict[str, Any]:
    west, south = 10.0 * random_.randrange(-18, 17), 10.0 * random_.randrange(-8, 7)
    name = f"lc-{when:%Y%m}-{number:07}-{random_.getrandbits(32):08x}"
    base = f"https://storage.example.com/land-cover/v2/{when:%Y}/{name}"
    geometry = polygon(random_, west, south, points) if points else rectangle(west, south, 10.0)
    text = f"{when:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/classification/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": COLLECTION,
        "geometry": geometry,
        "bbox": [west, south, west + 10.0, south + 10.0],
        "properties": {
            "datetime": text,
            "title": f"Land cover {when:%Y}, {name}",
            "created": "2024-02-03T04:05:06.789000Z",
            "proj:epsg": 4326,
            "proj:shape": [40000, 40000],
            "proj:transform": [0.00025, 0.0, west, 0.0, -0.00025, south + 10.0],
        },
        "assets": {
            "data": {
                "href": f"{base}.tif",
                "title": "Land cover",
                "type": TIFF,
                "roles": ["data"],
                "classification:classes": class_list(6),
                "raster:bands": [{"data_type": "uint8", "nodata": 255, "statistics": statistics(random_)}],
            },
            "thumbnail": {"href": f"{base}.png", "title": "Preview", "type": "image/png", "roles": ["thumbnail"]},
        }
        | {f"derived_{i}": derived_asset(random_, base, i) for i in range(n_derived)},
        "links": [{"rel": "collection", "href": "https://stac.example.com/collections/land-cover"}],
    }


def month_start(number: int) -> datetime:
    return datetime(2000 + number // 12, number % 12 + 1, 1, tzinfo=timezone.utc)


def make_items(
    n: int, *, months: int = 1, seed: int = 1, points: int = 0, n_derived: int | None = None
) -> list[dict[str, Any]]:
    """
    Items scattered at random over `months` months from 2000-01 on, with `n_derived` assets each, or else up to
    three.
    """
    random_ = random.Random(seed)
    made = []
    for number in range(n):
        start = month_start(random_.randrange(months))
        seconds = random_.randrange(calendar.monthrange(start.year, start.month)[1] * 86400)
        derived = random_.randrange(4) if n_derived is None else n_derived
        made.append(make_item(random_, number, start + timedelta(seconds=seconds), points, derived))
    return made


def spoil(item: dict[str, Any], how: str) -> dict[str, Any]:
    """
    Spoils an item. `check`: we notice it before asking the database (no datetime). `database`: only the database
    notices it (an id too long for an index row).
    """
    if how == "check":
        return item | {"properties": {key: item["properties"][key] for key in item["properties"] if key != "datetime"}}
    random_ = random.Random(item["id"])
    return item | {"id": "".join(chr(random_.randrange(0x4E00, 0x9F00)) for _ in range(2600))}


def lines(items: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(item, separators=(",", ":"), ensure_ascii=False) + "\n" for item in items)
