"""The loaders' cases: the state before each, the contenders, and how the figures are computed."""

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import items
from bench.contest import Contender, Inputs, Programs, Run, commands, measure, peer_python
from bench.database import Server
from local.postgres import DATABASE

PGSTAC = os.environ.get("BENCH_PGSTAC", "")  # its version, for the peers and for the database
PREVIOUS_PGSTAC = "0.9.12"  # the last version whose items do not name a version of their base item
ORIGINALS_PGSTAC = "0.9.5"  # the version that the original's documentation recommends

OURS = Contender("ours", "ours", at_once=2)  # the default of itemloadd and itemctl
OURS_ALONE = Contender("ours, 1 connection", "ours")
COPY_UPSERT = Contender("bare COPY + upsert", "copy_upsert")
COPY = Contender("bare COPY", "copy")
UPSERT = Contender("pypgstac upsert", "upsert")
DELSERT = Contender("pypgstac delsert", "delsert")
ORIGINAL = Contender("the original's path", "original")
ALL = (OURS, OURS_ALONE, COPY_UPSERT, COPY, UPSERT, DELSERT, ORIGINAL)


@dataclass(frozen=True)
class Goal:
    """A goal for our rate, as a multiple of another contender's."""

    than: Contender
    least: float
    of: Contender = OURS
    or_busy: float | None = None  # share of all cores that also counts as reached: the machine had no more to give


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    contenders: Sequence[Contender]
    months: int = 1  # number of months that the items are scattered over
    trunc: str | None = "month"  # how the collection is divided; None: undivided
    partitions: int = 0  # partitions before the run
    n: float = 1  # items, as a multiple of BENCH_ITEMS
    points: int = 0  # of each polygon; 0: a rectangle
    loaded_before: bool = False  # every contender has loaded the same items before the clock starts
    spoiled: str = ""  # kind of the bad items, one in a hundred; see items.spoil
    rows_before: int = 0
    pgstac: str = ""  # its version; "": the version of all other cases
    goals: Sequence[Goal] = ()
    slower: float = 0  # most times that an item may take longer than in the previous part of the same case
    long: bool = False  # only if it is named, or with BENCH_LONG=1


def few(contenders: Sequence[Contender], share: float) -> tuple[Contender, ...]:
    """Gives slow contenders a part of the items; their rate does not depend on the number of items."""
    return tuple(c if c.kind in ("ours", "copy", "copy_upsert") else replace(c, share=share) for c in contenders)


def at_once(contender: Contender, n: int, share: float = 1) -> Contender:
    return replace(contender, label=f"{contender.label}, {n} at once", at_once=n, share=share)


OURS_AT_ONCE = TWO, FOUR = tuple(replace(OURS, label=f"ours, {n} connections", at_once=n) for n in (2, 4))


def curve(in_batch: int, in_table: int) -> Case:
    return Case(
        "partitions",
        f"a batch over {in_batch} partitions of {in_table}",
        (OURS_ALONE, COPY_UPSERT),
        months=in_batch,
        partitions=in_table,
        n=0.5,
        long=in_table > 60,
    )


# Partitions of a batch, and of the table.
CURVE = ((1, 1), (1, 60), (6, 60), (20, 60), (60, 60), (1, 600), (60, 600), (600, 600))

CASES = (
    Case(
        "one_partition",
        "one quiet partition",
        ALL,
        trunc=None,
        partitions=1,
        goals=(Goal(COPY_UPSERT, 1.1), Goal(UPSERT, 2.7), Goal(ORIGINAL, 3.3)),
    ),
    Case(
        "one_partition",
        f"one quiet partition, pgstac {PREVIOUS_PGSTAC}",
        (OURS, COPY_UPSERT, UPSERT),
        trunc=None,
        partitions=1,
        pgstac=PREVIOUS_PGSTAC,
        goals=(Goal(COPY_UPSERT, 1.1), Goal(UPSERT, 2.7)),
    ),
    Case(
        "months",
        "scattered over 60 months",
        few(ALL, 0.25),
        months=60,
        partitions=60,
        goals=(Goal(COPY_UPSERT, 0.9), Goal(UPSERT, 4.5)),
    ),
    Case(
        "months",
        f"scattered over 60 months, pgstac {PREVIOUS_PGSTAC}",
        few((OURS, COPY_UPSERT, UPSERT), 0.25),
        months=60,
        partitions=60,
        pgstac=PREVIOUS_PGSTAC,
        goals=(Goal(COPY_UPSERT, 0.9), Goal(UPSERT, 7)),
    ),
    Case(
        "months",
        f"scattered over 60 months, pgstac {ORIGINALS_PGSTAC}",
        few(ALL, 0.25),
        months=60,
        partitions=60,
        pgstac=ORIGINALS_PGSTAC,
        goals=(Goal(UPSERT, 20),),
    ),
    Case(
        "unchanged",
        "all unchanged",
        (OURS, OURS_ALONE, COPY_UPSERT, UPSERT, DELSERT, ORIGINAL),
        trunc=None,
        partitions=1,
        loaded_before=True,
    ),
    Case("poison", "1 % without a datetime", (OURS, UPSERT, ORIGINAL), trunc=None, partitions=1, spoiled="check"),
    Case("poison", "1 % that only the database refuses", (OURS, UPSERT, ORIGINAL), trunc=None, partitions=1,
         spoiled="database"),
    Case(
        "loaders",
        "a fresh collection by months, several loaders",
        (OURS_ALONE, *OURS_AT_ONCE, replace(UPSERT, share=0.25), at_once(UPSERT, 4, 0.25)),
        months=12,
        n=2,
        goals=(Goal(OURS_ALONE, 1.3, of=FOUR, or_busy=0.95),),
    ),
    *(curve(in_batch, in_table) for in_batch, in_table in CURVE),
    Case("polygons", "polygons of 2,000 points", few(ALL, 0.25), trunc=None, partitions=1, n=0.1, points=2000),
    Case("million", "new items, empty table", (OURS_ALONE, COPY_UPSERT), trunc=None, partitions=1, long=True),
    Case("million", "new items, 1 million rows", (OURS_ALONE, COPY_UPSERT), trunc=None, partitions=1, rows_before=1_000_000,
         slower=1.5, long=True),
)  # fmt: skip


@dataclass
class Bench:
    server: Server
    programs: Programs
    folder: Path
    items: int
    repeat: int
    say: Callable[[str], None]
    template: str = DATABASE  # databases that contenders load into

    def at(self, pgstac: str) -> "Bench":
        """The same with this version of pgstac, for the peers and for the databases."""
        if not pgstac:
            return self
        python = peer_python(pgstac)
        template = self.server.template_of(pgstac, python.with_name("pypgstac"))
        return replace(self, programs=replace(self.programs, python=python), template=template)


# ------------------------------------------------------------------ a case


def make_inputs(bench: Bench, case: Case, n: int, seed: int) -> Inputs:
    made = items.make_items(n, months=case.months, points=case.points, seed=seed)
    if case.spoiled:
        made = [items.spoil(item, case.spoiled) if i % 100 == 49 else item for i, item in enumerate(made)]
    return Inputs(bench.folder, f"{case.name}-{CASES.index(case)}-{seed}", made)


def load(bench: Bench, database: str, contender: Contender, inputs: Inputs, n: int, published_at: int = 1) -> Run:
    keywords = bench.server.keywords(database)
    argvs = commands(contender, inputs, n, keywords, bench.programs, published_at)
    run = measure(bench.server, database, argvs, n)
    if contender.at_once > 1:
        run.parts = {}  # they overlap with several connections
    return run


def prepare_rows(bench: Bench, case: Case, scratch: str, inputs: Inputs, n: int) -> None:
    """Writes the input of the bare COPYs: the rows as our own loader stores them."""
    if inputs.prepared(n).exists():
        return
    bench.server.empty(scratch, case.partitions)
    load(bench, scratch, OURS, inputs, n)
    inputs.prepare(bench.server, scratch, n)


def fill(bench: Bench, database: str, rows: int) -> None:
    """
    Adds copies of a thousand items with other ids. They are as large as real ones, and are made inside the server.
    """
    bench.say(f"filling a table with {rows} rows")
    load(bench, database, OURS, Inputs(bench.folder, "fill", items.make_items(1000, seed=1000)), 1000)
    columns = "geometry, collection, datetime, end_datetime, content, private"
    (partition,) = bench.server.partitions(database)
    bench.server.execute(
        f"INSERT INTO pgstac.{partition} (id, {columns}) SELECT md5(id || n), {columns} "
        f"FROM pgstac.{partition}, generate_series(1, {rows // 1000 - 1}) n",
        database,
    )
    bench.server.execute(f"VACUUM ANALYZE pgstac.{partition}", database)
    bench.server.execute("CHECKPOINT")


def run_once(bench: Bench, case: Case, database: str, contender: Contender, inputs: Inputs, n: int) -> Run:
    if not case.partitions:
        with bench.server.copy_of(database) as fresh:
            return load(bench, fresh, contender, inputs, n)
    if not case.rows_before:
        bench.server.empty(database, case.partitions)
    if case.loaded_before:
        load(bench, database, contender, inputs, n)
    return load(bench, database, contender, inputs, n, published_at=2)


def size(bench: Bench, case: Case, contender: Contender) -> int:
    return max(10, round(bench.items * case.n * contender.share))


def prepared_database(bench: Bench, case: Case, stack: ExitStack) -> str:
    database = stack.enter_context(bench.server.copy_of(bench.template))
    bench.server.add_collection(database, case.trunc)
    bench.server.add_partitions(database, case.partitions)
    return database


def run_case(bench: Bench, case: Case) -> dict[str, Any]:
    bench = bench.at(case.pgstac)
    runs: dict[str, list[Run]] = {contender.label: [] for contender in case.contenders}
    sizes = {contender.label: size(bench, case, contender) for contender in case.contenders}
    with ExitStack() as stack:
        database = prepared_database(bench, case, stack)
        with_copy = any(contender.kind.startswith("copy") for contender in case.contenders)
        scratch = prepared_database(bench, case, stack) if with_copy else ""
        if case.rows_before:
            fill(bench, database, case.rows_before)
        for turn in range(bench.repeat):
            for place, contender in enumerate(case.contenders):
                # If the table is not emptied, the items have to be new each time.
                seed = 1 + turn + place * bench.repeat * bool(case.rows_before)
                inputs = make_inputs(bench, case, max(sizes.values()), seed)
                if contender.kind.startswith("copy"):
                    prepare_rows(bench, case, scratch, inputs, sizes[contender.label])
                run = run_once(bench, case, database, contender, inputs, sizes[contender.label])
                run.only_stored = bool(case.spoiled)
                runs[contender.label].append(run)
                bench.say(f"{case.name}, {case.title}: {contender.label}: {run.rate:.0f} items/s")
    rows = [summary(label, of, runs[case.contenders[0].label]) for label, of in runs.items()]
    found = {"case": case.name, "title": case.title, "unit": "items/s", "rows": rows}
    return found | ({"notes": noted} if (noted := notes(case, rows)) else {})


def notes(case: Case, rows: Sequence[dict[str, Any]]) -> list[str]:
    version = [f"Both the database's pgstac and pypgstac: {case.pgstac}."] if case.pgstac else []
    rates = {row["label"]: row["rate"] for row in rows}
    busy = {row["label"]: row["busy"] for row in rows}
    return version + [note(goal, rates, busy[goal.of.label]) for goal in case.goals if rates[goal.than.label]]


def note(goal: Goal, rates: dict[str, float], busy: float) -> str:
    times = rates[goal.of.label] / rates[goal.than.label]
    other = f" or the cores {goal.or_busy:.0%} busy: they are {busy:.0%}," if goal.or_busy else ""
    reached = times >= goal.least or (goal.or_busy is not None and busy >= goal.or_busy)
    rate = f"{goal.of.label}: {times:.2f} times the rate of {goal.than.label}"
    return f"{rate} (goal: {goal.least},{other} {'reached' if reached else 'not reached'})."


def run_cases(bench: Bench, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    before: dict[str, Any] = {}
    for case in cases:
        found = run_case(bench, case)
        if case.slower and before.get("case") == case.name:
            rates = [part["rows"][0]["rate"] for part in (before, found)]
            found["notes"] = [*found.get("notes", []), told_slower(case, *rates)]
        before = found
        yield found


def told_slower(case: Case, before: float, rate: float) -> str:
    times = before / rate
    reached = "reached" if times <= case.slower else "not reached"
    return f"An item took {times:.2f} times as long as in the table above (goal: at most {case.slower}, {reached})."


# ------------------------------------------------------------------ figures


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def summary(label: str, runs: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    """`ratio`: our rate as a multiple of this one's. CPU seconds are per 1000 items."""
    rate = median([run.rate for run in runs])
    thousands = runs[0].items / 1000
    row: dict[str, Any] = {
        "label": label,
        "items": runs[0].items,
        "stored": min(run.stored for run in runs),
        "rate": rate,
        "rate_min": min(run.rate for run in runs),
        "rate_max": max(run.rate for run in runs),
        "ratio": median([run.rate for run in ours]) / rate if rate else None,
        "client_cpu_s": median([run.client_cpu_s for run in runs]) / thousands,
        "database_cpu_s": median([run.database_cpu_s for run in runs]) / thousands,
        "busy": median([run.busy for run in runs]),
        "errors": sorted({error for run in runs for error in run.errors})[:5],
        "n_errors": sum(len(run.errors) for run in runs),
    }
    for part in runs[0].parts:
        row[f"{part}_s"] = median([run.parts[part] for run in runs]) / thousands
    if runs[0].parts:
        row["load_rate"] = 1000 / row["load_s"]
    return row
