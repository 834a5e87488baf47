"""
How much of the database's disk an item takes: in its table with TOAST, in its indexes, and in the log while it is
loaded.
"""

from typing import Any

from bench import items
from bench.contest import Inputs, commands, measure
from bench.loaders import OURS, Bench

CASES = (("undivided", None, 1), ("60 months", "month", 60))


def row(label: str, n: int, published: int, sizes: dict[str, int], wal: int) -> dict[str, Any]:
    return {
        "label": label,
        "items": n,
        "published_bytes": published / n,
        "table_bytes": sizes["table"] / n,
        "index_bytes": sizes["indexes"] / n,
        "disk_bytes": (sizes["table"] + sizes["indexes"]) / n,
        "wal_bytes": wal / n,
    }


def sizes_of(bench: Bench, database: str) -> dict[str, int]:
    with bench.server.connect(database) as connection:
        found = connection.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree('pgstac.items')"
        ).fetchone()
    assert found
    return {"table": int(found[0]), "indexes": int(found[1])}


def wal_position(bench: Bench, database: str) -> int:
    with bench.server.connect(database) as connection:
        found = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert found
    return int(found[0])


def run(bench: Bench) -> dict[str, Any]:
    n, rows = bench.items, []
    for label, trunc, partitions in CASES:
        made = items.make_items(n, months=partitions)
        inputs = Inputs(bench.folder, f"storage-{partitions}", made)
        published = inputs.lines(n).stat().st_size
        with bench.server.copy_of(bench.template) as database:
            bench.server.add_collection(database, trunc)
            bench.server.add_partitions(database, partitions)
            bench.server.execute("CHECKPOINT")
            empty, begins = sizes_of(bench, database), wal_position(bench, database)
            keywords = bench.server.keywords(database)
            done = measure(bench.server, database, commands(OURS, inputs, n, keywords, bench.programs, 1), n)
            if done.errors or done.stored != n:
                raise RuntimeError(f"storage: {done.stored} of {n} items stored: {done.errors[:1]}")
            wal = wal_position(bench, database) - begins
            full = sizes_of(bench, database)
            grown = {part: full[part] - empty[part] for part in full}
        rows.append(row(label, n, published, grown, wal))
        bench.say(f"storage, {label}: {rows[-1]['disk_bytes']:.0f} bytes an item")
    return {"case": "storage", "title": "what an item takes of the database's disk", "unit": "bytes", "rows": rows}
