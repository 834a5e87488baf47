"""
Plans a run of the model test from a seed: collections, versions of items, the order of their delivery, the expected
end.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from pgstac_support import Number, make_item

# The third and the fourth date are in another year in UTC than in their text, so in another partition.
DATETIMES = [
    "2019-03-01T00:00:00Z", "2019-12-31T23:59:59.999999Z", "2020-01-01T00:30:00+01:00", "2019-12-31T22:00:00-05:00",
    "2020-02-29T12:00:00Z", "2020-03-31T23:59:59Z", "2020-07-15T06:00:00.5Z", "2021-01-01T00:00:00Z", "2021-11-30T12:00:00Z",
]  # fmt: skip
ENDS = ["2021-12-31T23:59:59Z", "2035-06-01T00:00:00Z"]
TRUNCS = [None, "year", "month"]
BASES: list[dict[str, Any]] = [
    {"data": {"title": "A", "roles": ["data"], "gsd": Number("10.0")}, "thumb": {"title": "A"}},
    {"data": {"title": "B", "roles": ["data", "x"]}, "thumb": {"title": "B", "type": "image/png"}, "more": {"title": "A"}},
    {"data": {"title": "A", "gsd": Number("20")}},
    {},
]
INCOMPRESSIBLE = "".join(f"{n * 2654435761 % 4294967296:08x}" for n in range(1000))


@dataclass
class Version:
    collection: str
    item: dict[str, Any]
    published_at: int
    is_poison: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.collection, self.item["id"]


@dataclass
class Plan:
    seed: int
    is_portable: bool = False  # loads with pgstac's own functions: they know the base_item, but nobody can see which one they used
    dice: random.Random = field(init=False)
    truncs: dict[str, str | None] = field(init=False)  # of the collections that exist from the start
    missing: str = field(init=False)  # how the loaders treat items of the collection `absent`
    absent: str = "late"
    doomed: list[Version] = field(default_factory=list)  # loaded first, and deleted by pgstac's delete_item meanwhile
    versions: list[Version] = field(default_factory=list)
    deliveries: list[Version] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.truncs = {"monthly": "month", "other": self.dice.choice(TRUNCS)}
        self.missing = self.dice.choice(["retry", "create", "reject"])
        for collection in [*self.truncs, self.absent]:
            self._add_collection(collection, 6 if collection == self.absent else 24)
        self.deliveries = self.versions + [self.dice.choice(self.versions) for _ in range(len(self.versions) // 3)]
        self.dice.shuffle(self.deliveries)

    def _add_collection(self, collection: str, n_items: int) -> None:
        for number in range(n_items):
            times = self.dice.sample(range(1, 10**6), self.dice.randrange(1, 5))
            self.versions += [self._version(collection, f"i{number}", at) for at in times]
        if collection != self.absent:
            self.versions.append(self._poisoned(Version(collection, make_item(collection, f"{INCOMPRESSIBLE}{collection}"), 1)))
            self.doomed += [self._version(collection, f"doomed{number}", 1, poison=0) for number in range(4)]

    def _version(self, collection: str, name: str, at: int, poison: float = 0.08) -> Version:
        when = self.dice.choice(DATETIMES)
        item = make_item(collection, name, when, assets=self._assets(), **{"x:version": at})
        item["geometry"] = {"type": "Point", "coordinates": [self.dice.randrange(180), self.dice.randrange(90)]}
        if self.dice.random() < 0.2:
            item["properties"] |= {"start_datetime": when, "end_datetime": self.dice.choice(ENDS)}
        version = Version(collection, item, at)
        return self._poisoned(version) if self.dice.random() < poison else version

    def _assets(self) -> dict[str, Any]:
        base = self.dice.choice(BASES)
        kept = {name: dict(asset) for name, asset in base.items() if self.dice.random() < 0.8}
        for asset in kept.values():
            asset["href"] = self.dice.choice(["s3://x/y.tif", "é", ""])
        return kept

    def _poisoned(self, version: Version) -> Version:
        """
        Our checks refuse the first kinds, only the database refuses the last ones. A long id is also refused only by
        the database.
        """
        version.is_poison = True
        if len(version.item["id"]) > 1000:
            return version
        kind = self.dice.randrange(5)
        if kind == 0:
            version.item["geometry"] = None
        elif kind == 1:
            version.item["geometry"] = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 0], [5, 5]]]}
        elif kind == 2:
            version.item["properties"] |= {"start_datetime": "2020-01-02T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}
        elif kind == 3:
            version.item["properties"]["x:percent"] = "most of it"
        else:
            version.item["properties"]["x:percent"] = Number("9" * 400)
        return version

    def expected(self) -> dict[tuple[str, str], Version]:
        """The catalog at the end: the newest version of each item that can be stored at all."""
        newest: dict[tuple[str, str], Version] = {}
        for version in self.versions:
            lost = version.is_poison or (version.collection == self.absent and self.missing == "reject")
            if not lost and (version.key not in newest or newest[version.key].published_at < version.published_at):
                newest[version.key] = version
        return newest
