"""
Loads new items into one of many partitions, and the same number into a single partition. The result is the first rate
as a share of the second. The form of the ids matters to the search for existing items: they begin with the date, or
with path and row, or are random.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench import items
from bench.contest import Inputs
from bench.items import month_start
from bench.loaders import OURS_ALONE, Bench, load, median

LEAST = {"date": 0.7, "path": 0.7, "random": 0.5}  # share of the rate with one partition, for 240 partitions of 400 rows
LEAST_ANYWHERE = 0.3
ROWS_MAX = 3_000_000  # in a table


@dataclass(frozen=True)
class Corner:
    kind: str
    rows: int  # in each partition
    partitions: int

    @property
    def least(self) -> float:
        return LEAST[self.kind] if (self.rows, self.partitions) == (400, 240) else LEAST_ANYWHERE

    def __str__(self) -> str:
        return f"ids by {self.kind}, {self.partitions} partitions of {self.rows:,}"


SHORT = [Corner(kind, 400, 240) for kind in LEAST]
LONG = [
    Corner("path", rows, partitions)
    for rows in (8, 400, 5_000, 200_000)
    for partitions in (2, 15, 60, 240, 600)
    if rows * partitions <= ROWS_MAX and (rows, partitions) != (400, 240)
]

# As in Landsat's ids, and as in those of other missions.
IDS = {
    "date": "'LC-' || to_char({day}, 'YYYYMMDD') || '-' || lpad({n}::text, 8, '0')",
    "path": "'LC08_L2SP_' || lpad(({n}::int8 * 7919 % 233)::text, 3, '0') || lpad(({n}::int8 * 104729 % 248)::text, 3, '0') || '_' || "
    "to_char({day}, 'YYYYMMDD') || '_' || {n} || '_02_T1'",
    "random": "md5(to_char({day}, 'YYYYMMDD') || {n})",
}


def new_id(kind: str, dice: random.Random, day: str, number: int) -> str:
    if kind == "date":
        return f"LC-{day}-new{number:05}"
    path = f"{dice.randrange(233):03}{dice.randrange(248):03}"
    return f"LC08_L2SP_{path}_{day}_new{number}_02_T1" if kind == "path" else f"{dice.getrandbits(128):032x}"


def new_items(corner: Corner, n: int, seed: int) -> list[dict[str, Any]]:
    """All in the first month."""
    dice = random.Random(seed)
    made = items.make_items(n, seed=seed)
    for number, item in enumerate(made):
        item["id"] = new_id(corner.kind, dice, item["properties"]["datetime"][:10].replace("-", ""), seed * 100000 + number)
    return made


def fill(bench: Bench, database: str, corner: Corner) -> None:
    """
    Fills each partition with copies of a thousand items. They are as large as real ones, and are made inside the
    server.
    """
    bench.say(f"filling {corner}")
    load(bench, database, OURS_ALONE, Inputs(bench.folder, "fill", items.make_items(1000, seed=1000)), 1000)
    key = bench.server.partitions(database)[0].split("_")[2]
    with bench.server.connect(database) as connection:
        connection.execute(f"CREATE TEMP TABLE model AS SELECT row_number() OVER () AS m, * FROM _items_{key}_200001")
        connection.execute(f"TRUNCATE _items_{key}_200001")
        for number in range(corner.partitions):
            day = month_start(number)
            new = IDS[corner.kind].format(day=f"'{day:%Y-%m-%d}'::timestamp", n="n")
            connection.execute(
                f"INSERT INTO _items_{key}_{day:%Y%m} (id, geometry, collection, datetime, end_datetime, content) "
                f"SELECT {new}, geometry, collection, '{day.isoformat()}', '{day.isoformat()}', content "
                f"FROM generate_series(1, {corner.rows}) AS n JOIN model ON m = n % 1000 + 1"
            )
        connection.execute("VACUUM items")
        connection.execute("CHECKPOINT")


def measured(bench: Bench, corner: Corner) -> dict[str, Any]:
    """The runs alternate, because a machine's speed changes."""
    one = Corner(corner.kind, corner.rows, 1)
    rates: dict[Corner, list[float]] = {corner: [], one: []}
    with bench.server.copy_of(bench.template) as many, bench.server.copy_of(bench.template) as single:
        databases = {corner: many, one: single}
        for which, database in databases.items():
            bench.server.add_collection(database, "month")
            bench.server.add_partitions(database, which.partitions)
            fill(bench, database, which)
        for turn in range(bench.repeat):
            for which, database in databases.items():
                name = f"partitions-{which.kind}-{which.rows}-{which.partitions}-{turn}"
                made = Inputs(bench.folder, name, new_items(which, bench.items, turn + 1))
                run = load(bench, database, OURS_ALONE, made, bench.items)
                if run.errors or run.stored != bench.items:
                    raise RuntimeError(f"{which}: {run.errors[:1]} {run.stored} stored")
                rates[which].append(run.rate)
    shares = [many / single for many, single in zip(rates[corner], rates[one])]
    bench.say(f"{corner}: {median(shares):.2f} of the rate with one")
    return {
        "label": str(corner),
        "rate": median(rates[corner]),
        "rate_min": min(rates[corner]),
        "rate_max": max(rates[corner]),
        "with_one": median(rates[one]),
        "share_of_one": median(shares),
        "goal": corner.least,
        "reached": "yes" if median(shares) >= corner.least else "no",
    }


def run(bench: Bench, corners: Sequence[Corner], title: str) -> dict[str, Any]:
    rows = [measured(bench, corner) for corner in corners]
    return {"case": "partitions_grid", "title": title, "unit": "items/s", "rows": rows}


def run_all(bench: Bench, *, long: bool) -> Iterator[dict[str, Any]]:
    yield run(bench, SHORT, "new items into one of 240 partitions of 400 rows, and into a single one")
    if long:
        yield run(bench, LONG, "new items into one of several partitions, and into a single one")
