"""Random item_assets, and items that partly agree with them, from a seed: cases that dehydration must get right."""

import random
from typing import Any

from pgstac_support import Number, make_item

NUMBERS = [
    "0", "-0", "0.0", "1", "1.0", "1.10", "-1", "100", "1e2", "1E+2", "1e-7", "0.0000001", "1e300", "-2.5e-300",
    "0.1", "0.10000000000000000555", "12345678901234567890", "12345678901234567891", "3.14159265358979323846264338",
]  # fmt: skip
STRINGS = ["", "a", "A", "true", "1", "é", "e\u0301", "日本", "😀", '"\\/\b\f\n\r\t', "\u007f\u2028\ufeff", "x" * 300]
KEYS = ["a", "b", "A", "id", "geometry", "collection", "type", "href", "roles", "é", "😀", "", "a b", 'q"\\', "datetime"]


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def scalar(self) -> Any:
        kind = self.random.randrange(6)
        if kind < 2:
            return Number(self.random.choice(NUMBERS))
        if kind < 4:
            return self.random.choice(STRINGS)
        return self.random.choice([True, False, None])

    def value(self, depth: int) -> Any:
        kind = self.random.randrange(10) if depth > 0 else 0
        if kind < 5:
            return self.scalar()
        if kind < 8:
            keys = self.random.sample(KEYS, self.random.randrange(4))
            return {key: self.value(depth - 1) for key in keys}
        return [self.value(depth - 1) for _ in range(self.random.randrange(4))]

    def variant(self, base: Any, depth: int) -> Any:
        """A variant of a base value, mostly similar to it."""
        change = self.random.randrange(12)
        if change == 0:
            return self.value(depth)
        if change == 1:
            return self.random.choice([None, [], {}])
        if change == 2 and base in ("0", "1", True, False):
            return self.random.choice([True, False, Number("1"), Number("0"), "1"])
        if isinstance(base, dict):
            kept = {key: self.variant(member, depth - 1) for key, member in base.items() if self.random.random() < 0.8}
            return kept | ({self.random.choice(KEYS): self.value(1)} if self.random.random() < 0.3 else {})
        if isinstance(base, list):
            varied = [self.variant(element, depth - 1) for element in base]
            return varied[:-1] if self.random.random() < 0.1 else varied
        return base if self.random.random() < 0.7 else self.scalar()

    def nest(self, depth: int) -> Any:
        nested: Any = self.scalar()
        for _ in range(depth):
            nested = {self.random.choice(KEYS): nested} if self.random.random() < 0.7 else [nested, self.scalar()]
        return nested

    def item_assets(self) -> dict[str, Any]:
        assets = {f"asset{n}": self.value(4) for n in range(12)}
        assets["bands"] = {"eo:bands": [{"name": f"b{n}", "gsd": Number("10.0"), "tags": [[{"x": 1}]]} for n in range(4)]}
        return assets

    def item(self, collection: str, name: str, item_assets: dict[str, Any]) -> dict[str, Any]:
        year, month = self.random.choice([1959, 1970, 2000, 2020]), self.random.randrange(1, 13)
        when = f"{year}-{month:02}-07T{self.random.randrange(24):02}:30:00.{self.random.randrange(10**6):06}Z"
        assets = self.variant(item_assets, 4)
        members: dict[str, Any] = {
            "assets": assets if isinstance(assets, dict) else {"x": assets},
            "links": [{"rel": "via", "href": "https://example.com/h", "x": self.value(2)} for _ in range(self.random.randrange(3))],
            "bbox": [Number(self.random.choice(NUMBERS)) for _ in range(4)],
            "x:nested": self.nest(self.random.randrange(60)),
            "x:other": self.value(3),
        }
        if self.random.random() < 0.1:
            members["stac_version"] = self.random.choice(["1.1.0", None])
        item = make_item(collection, name, when, **members)
        item["properties"] |= {key: self.value(3) for key in self.random.sample(KEYS[:-1], 4)}
        return item
