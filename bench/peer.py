"""
peer.py KIND KEYWORDS FILE: loads the content of FILE as one of the peers does, in batches of a thousand.

upsert, delsert    pypgstac's Loader; FILE has an item on each line
original           messages as the Lambda function gets them: SNS envelopes, validated with stac-pydantic, then
                   pypgstac's upsert for each collection of a batch; FILE has a message's body on each line
copy, copy_upsert  the database's own speed: prepared rows (prepare.py), by COPY alone, or by COPY into a
                   temporary table and one upsert for each partition

KEYWORDS: of the connection, as JSON. It reads everything and connects, writes "ready", waits for a line, and prints its
costs as JSON. A failure ends a batch, not the run, as in a Lambda function; errors are counted.
"""

import json
import logging
import pickle
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

BATCH = 1000
Work = Callable[[Any], None]


def batches_of(lines: Sequence[str]) -> list[Sequence[str]]:
    return [lines[first : first + BATCH] for first in range(0, len(lines), BATCH)]


def read_lines(name: str) -> list[Sequence[str]]:
    with open(name, encoding="utf-8") as file:
        return batches_of(file.read().splitlines())


def make_loader(keywords: dict[str, str]) -> Any:
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader

    logging.disable(logging.CRITICAL)
    loader = Loader(PgstacDB(dsn=psycopg.conninfo.make_conninfo(**keywords)))
    loader.check_version()
    return loader


def pypgstac_work(keywords: dict[str, str], method: str) -> Work:
    import orjson
    from pypgstac.load import Methods

    loader = make_loader(keywords)

    def work(lines: Sequence[str]) -> None:
        loader.load_items((orjson.loads(line) for line in lines), insert_mode=Methods(method))

    return work


def original_work(keywords: dict[str, str]) -> Work:
    from pypgstac.load import Methods
    from stac_pydantic.item import Item

    loader = make_loader(keywords)
    # Builds the models, which happens at their first use. A warm function has done that before.
    Item.model_json_schema()

    def work(bodies: Sequence[str]) -> None:
        by_collection = defaultdict(list)
        for body in bodies:
            try:
                item = Item(**json.loads(json.loads(body)["Message"]))
            except ValueError:
                continue
            by_collection[item.collection].append(item.model_dump(mode="json"))
        for items in by_collection.values():
            loader.load_items(iter(items), insert_mode=Methods.upsert)

    return work


TEMPORARY = "CREATE TEMP TABLE batch (partition text, LIKE pgstac.items) ON COMMIT DROP"
COLUMNS = "id, geometry, collection, datetime, end_datetime, content, private"
UPSERT = (
    f"INSERT INTO pgstac.{{}} ({COLUMNS}) SELECT {COLUMNS} FROM batch WHERE partition = %s ORDER BY id "
    "ON CONFLICT (id) DO UPDATE SET geometry = excluded.geometry, datetime = excluded.datetime, "
    "end_datetime = excluded.end_datetime, content = excluded.content, private = excluded.private"
)


def copy_into(cursor: "psycopg.Cursor[Any]", statement: sql.Composable, data: bytes) -> None:
    with cursor.copy(statement) as copy:
        copy.write(data)


def copy_work(keywords: dict[str, str]) -> Work:
    connection = psycopg.connect(**keywords)  # type: ignore[arg-type]

    def work(batch: dict[str, Any]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            for partition, data in batch["partitions"].items():
                statement = sql.SQL("COPY pgstac.{} (" + COLUMNS + ") FROM STDIN (FORMAT binary)")
                copy_into(cursor, statement.format(sql.Identifier(partition)), data)

    return work


def copy_upsert_work(keywords: dict[str, str]) -> Work:
    connection = psycopg.connect(**keywords)  # type: ignore[arg-type]

    def work(batch: dict[str, Any]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(TEMPORARY)
            copy_into(cursor, sql.SQL("COPY batch FROM STDIN (FORMAT binary)"), batch["all"])
            for partition in batch["partitions"]:
                cursor.execute(sql.SQL(UPSERT).format(sql.Identifier(partition)), [partition])

    return work


def read_prepared(name: str) -> list[Any]:
    with open(name, "rb") as file:
        return list(pickle.load(file))


def main() -> None:
    kind, keywords, file = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    works: dict[str, Callable[[], Work]] = {
        "upsert": lambda: pypgstac_work(keywords, "upsert"),
        "delsert": lambda: pypgstac_work(keywords, "delsert"),
        "original": lambda: original_work(keywords),
        "copy": lambda: copy_work(keywords),
        "copy_upsert": lambda: copy_upsert_work(keywords),
    }
    batches = read_prepared(file) if kind.startswith("copy") else read_lines(file)
    work = works[kind]()
    print("ready", flush=True)
    sys.stdin.readline()
    errors: list[str] = []
    began, cpu = time.monotonic(), time.process_time()
    for batch in batches:
        try:
            work(batch)
        except Exception as error:  # a peer's failure is a result
            errors.append(f"{type(error).__name__}: {error}".splitlines()[0])
    answer = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu, "errors": errors}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
