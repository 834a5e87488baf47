"""
Where the database spends its time while we load, from the server's own log of statements. In particular: the cost of
the check for moved items, which runs in its own transaction after each batch.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from psycopg import sql

from bench import items
from bench.contest import Inputs, commands, measure
from bench.loaders import OURS, Bench

MONTHS = 60
LINE = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] .*LOG:  duration: ([\d.]+) ms  (?:statement|parse|bind|execute)[^:]*: (.*)")
CHECK = "check for moved items"


def transactions(log: str) -> Iterator[list[tuple[float, str]]]:
    """Milliseconds and text of each statement, by transaction. A statement outside of a transaction counts as one."""
    open_: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in log.splitlines():
        if not (found := LINE.match(line)):
            continue
        pid, ms, text = found[1], float(found[2]), found[3]
        open_[pid].append((ms, text))
        if not open_[pid][0][1].startswith("BEGIN") or text.startswith(("COMMIT", "ROLLBACK")):
            yield open_.pop(pid)


def kind(transaction: list[tuple[float, str]]) -> str:
    text = "\n".join(text for _, text in transaction)
    if re.search(r"COPY \w+ FROM STDIN", text):
        return "load"
    if "update_partition_stats" in text:
        return "statistics"
    if "check_partition" in text or "partition_sys_meta" in text:
        return "partitions"
    return CHECK if re.search(r"given\(id\)|pg_get_multixact_members|TO STDOUT", text) else "collections"


def verb(text: str) -> str:
    return "COPY" if "COPY" in text else text.split(maxsplit=1)[0].strip(";")


def tally(log: str) -> dict[str, float]:
    """Milliseconds by purpose; those of the load by statement."""
    spent: dict[str, float] = defaultdict(float)
    for transaction in transactions(log):
        name = kind(transaction)
        for ms, text in transaction:
            spent[f"load: {verb(text)}" if name == "load" else name] += ms
    return spent


def moved(item: dict[str, Any], number: int) -> dict[str, Any]:
    """Moves every other item by a year, into another partition."""
    if number % 2:
        return item
    properties = item["properties"]
    year = int(properties["datetime"][:4])
    rest = properties["datetime"][4:].replace("-02-29", "-02-28")
    return item | {"properties": properties | {"datetime": f"{year + 1 if year < 2004 else 2000}{rest}"}}


def measured(bench: Bench, database: str, name: str, made: list[dict[str, Any]], published_at: int) -> dict[str, float]:
    log = bench.server.log
    inputs = Inputs(bench.folder, f"sweep-{name}", made)
    begins = log.stat().st_size
    keywords = bench.server.keywords(database)
    run = measure(
        bench.server, database, commands(OURS, inputs, len(made), keywords, bench.programs, published_at), len(made)
    )
    if run.errors:
        raise RuntimeError(f"sweep: {run.errors[0]}")
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(begins)
        return tally(file.read())


def rows(name: str, spent: dict[str, float], n: int) -> list[dict[str, Any]]:
    """The total leaves out statistics: they are written once a minute, whatever was loaded."""
    whole = sum(ms for what, ms in spent.items() if what != "statistics")
    ordered = sorted(spent.items(), key=lambda pair: -pair[1])
    return [
        {"label": f"{name}, {what}", "ms": ms * 1000 / n, "share": None if what == "statistics" else ms / whole}
        for what, ms in ordered
        if ms >= whole / 200 or what == CHECK
    ]


def run(bench: Bench) -> dict[str, Any]:
    n = bench.items
    made = items.make_items(n, months=MONTHS)
    with bench.server.copy_of(bench.template) as database:
        bench.server.add_collection(database, "month")
        bench.server.add_partitions(database, MONTHS)
        for setting, value in (("log_min_duration_statement", "0"), ("log_parameter_max_length", "0")):
            statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
            role = sql.Identifier(bench.server.loader)
            names = (role, sql.Identifier(database), sql.Identifier(setting), sql.Literal(value))
            bench.server.execute(statement.format(*names))
        new = measured(bench, database, "new", made, 1)
        changed = [moved(item, number) for number, item in enumerate(made)]
        again = measured(bench, database, "moved", changed, 2)
    bench.say(f"sweep: {new[CHECK] * 1000 / n:.1f} ms for 1000 new items")
    return {
        "case": "sweep",
        "title": f"where the database's time goes, {MONTHS} months, in batches of 1000",
        "unit": "ms",
        "rows": rows("new items", new, n) + rows("half moved, half unchanged", again, n),
    }
