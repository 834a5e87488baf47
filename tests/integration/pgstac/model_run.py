"""
Runs a plan of the model test: a queue, loaders that are killed, readers, and an operator who changes the collections.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
from model_plan import BASES, Plan, Version
from pgstac_support import Database, Loading, dumps, end_load, line, make_collection

# The trigger stores in `private` which base_item a row was dehydrated against. The loader merges `private`, and pgstac
# copies it.
WITNESS = """
CREATE OR REPLACE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF TG_OP = 'UPDATE' OR NOT coalesce(NEW.private, '{}') ? 'base' THEN
        NEW.private = coalesce(NEW.private, '{}') || jsonb_build_object('base',
            (SELECT base_item FROM pgstac.collections WHERE id = NEW.collection));
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER bear_witness BEFORE INSERT OR UPDATE OF content ON items FOR EACH ROW EXECUTE FUNCTION bear_witness();
INSERT INTO queryables (name, definition, property_wrapper, property_index_type)
    SELECT 'x:percent', '{"type":"number"}', 'to_int', 'BTREE' WHERE NOT EXISTS (SELECT FROM queryables WHERE name = 'x:percent');
"""
TIME_LIMIT_S = 120


def thread(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """A thread that an interrupted test does not wait for."""
    return threading.Thread(target=target, args=arguments, daemon=True)


class Queue:
    """A queue of deliveries. Each is taken, and then settled as done or given back."""

    def __init__(self, deliveries: list[Version]) -> None:
        self._waiting = list(deliveries)
        self._held = 0
        self._changed = threading.Condition()
        self._deadline = time.monotonic() + TIME_LIMIT_S
        self.taken = 0
        self.loaded: list[tuple[str, str]] = []  # keys that have a version in the catalog, from now on for ever
        self.failures: list[str] = []

    def take(self, count: int, wait: bool) -> list[Version]:
        """Never returns an id twice. With `wait`, it returns an empty list only when everything is done."""
        with self._changed:
            self._check_time()
            while wait and not self._waiting and self._held and not self.failures:
                self._wait()
            taken: list[Version] = []
            while self._waiting and len(taken) < count and not self.failures:
                if any(other.item["id"] == self._waiting[0].item["id"] for other in taken):
                    break
                taken.append(self._waiting.pop(0))
            self._held += len(taken)
            self.taken += len(taken)
            self._changed.notify_all()
            return taken

    def settle(self, done: list[Version], back: list[Version]) -> None:
        with self._changed:
            self._held -= len(done) + len(back)
            self._waiting += back
            self._changed.notify_all()

    def wait_taken(self, count: int) -> None:
        """Waits until this many deliveries were taken, or everything is done."""
        with self._changed:
            while self.taken < count and self._is_open():
                self._wait()

    def is_open(self) -> bool:
        with self._changed:
            self._check_time()
            return self._is_open()

    def _is_open(self) -> bool:
        return bool(self._waiting or self._held) and not self.failures

    def fail(self, failure: str) -> None:
        with self._changed:
            self.failures.append(failure)
            self._changed.notify_all()

    def _wait(self) -> None:
        self._changed.wait(1)
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline and not self.failures:
            self.failures.append(f"not done within {TIME_LIMIT_S} s: {len(self._waiting)} wait, {self._held} held")


class Loaders:
    """Threads that run one build/tests/load after another, each on deliveries from the queue."""

    def __init__(self, db: Database, plan: Plan, queue: Queue) -> None:
        self._db, self._plan, self._queue = db, plan, queue
        seeds = [plan.dice.random() for _ in range(plan.dice.randrange(2, 5))]
        self.threads = [thread(self._run, random.Random(seed)) for seed in seeds]

    def _run(self, dice: random.Random) -> None:
        try:
            while batches := self._take(dice):
                self._load(batches, dice)
        except Exception as error:
            self._queue.fail(f"loader: {error!r}")

    def _take(self, dice: random.Random) -> list[list[Version]]:
        """The input of one process: batches of one size, except for the last."""
        size = dice.choice([1, 5, 20, 50])
        batches: list[list[Version]] = []
        for number in range(dice.randrange(1, 7)):
            batch = self._queue.take(size, wait=number == 0)
            if batch:
                batches.append(batch)
            if len(batch) < size:
                break
        return batches

    def _load(self, batches: list[list[Version]], dice: random.Random) -> None:
        options = ["-b", str(len(batches[0])), "-m", self._plan.missing, *(["-n"] if dice.random() < 0.6 else [])]
        loading = self._db.begin_load(*options)
        if dice.random() < 0.15:  # a crash, wherever the loader is by then
            threading.Timer(dice.random() * 0.1, loading.kill).start()
        batches = list(batches)
        try:
            ended = end_load(loading, (line(v.item, v.published_at) for batch in batches for v in batch))
        except json.JSONDecodeError:  # it was killed in the middle of a line
            ended = Loading(-9, [], "")
        if ended.status > 0 and "(outage): " not in ended.error:
            self._queue.fail(f"loader: exit {ended.status}: {ended.error}")
        self._settle(batches, ended.lines)

    def _settle(self, batches: list[list[Version]], reports: list[dict[str, Any]]) -> None:
        """Treats a version without a report as not loaded, because its result is unknown."""
        done: list[Version] = []
        back: list[Version] = []
        for batch in batches:
            by_id = {report["id"]: report for report in reports[: len(batch)]}
            reports = reports[len(batch) :]
            for version in batch:
                report = by_id.get(version.item["id"])
                (done if report and report["result"] != "later" else back).append(version)
                if report:
                    self._judge(version, report)
        self._queue.settle(done, back)
        if back:
            time.sleep(0.02)

    def _judge(self, version: Version, report: dict[str, Any]) -> None:
        """A bad item that only the database can notice may be reported as stale, because it is not written then."""
        hopeless = version.is_poison or (version.collection == self._plan.absent and self._plan.missing == "reject")
        if report["result"] == "done":
            self._queue.loaded.append(version.key)
        if report["result"] == "never" and not hopeless or report.get("outcome", "stale") != "stale" and hopeless:
            self._queue.fail(f"{version.key} at {version.published_at} is {report}")


class Readers:
    """Threads that search all the time. They must never see an error, or miss an item that is in the catalog."""

    def __init__(self, db: Database, plan: Plan, queue: Queue) -> None:
        self._db, self._queue = db, queue
        self.gates = [threading.Lock() for _ in range(2)]  # held during operations that disturb readers
        self.threads = [thread(self._run, gate, random.Random(plan.dice.random())) for gate in self.gates]

    def _run(self, gate: threading.Lock, dice: random.Random) -> None:
        with self._db.connect("reader") as connection:
            while self._queue.is_open():
                with gate:
                    try:
                        self._read(connection, dice)
                    except psycopg.Error as error:
                        self._queue.fail(f"reader: {error.sqlstate} {error}")
                time.sleep(0.1)

    def _read(self, connection: "psycopg.Connection[Any]", dice: random.Random) -> None:
        search: dict[str, Any] = {"limit": 20, "collections": [dice.choice(["monthly", "other", "late"])]}
        if dice.random() < 0.5:
            search["datetime"] = f"{dice.choice([2019, 2020])}-06-01T00:00:00Z/2021-06-01T00:00:00Z"
        if dice.random() < 0.5:
            search["sortby"] = [{"field": dice.choice(["datetime", "id"]), "direction": dice.choice(["asc", "desc"])}]
        connection.execute("SELECT search(%s)", [dumps(search)])
        if self._queue.loaded:
            collection, name = dice.choice(self._queue.loaded)
            found = connection.execute("SELECT count(*) FROM items WHERE collection = %s AND id = %s", [collection, name])
            if found.fetchall()[0][0] == 0:
                self._queue.fail(f"reader: {name} of {collection} was loaded and is not there")


class World:
    """
    Other users: they end sessions, change and repartition collections, delete items, and write notes into `private`.
    """

    def __init__(self, db: Database, plan: Plan, queue: Queue, gates: list[threading.Lock]) -> None:
        self._db, self._plan, self._queue, self._gates = db, plan, queue, gates
        self._dice = random.Random(plan.dice.random())
        self.notes: dict[tuple[str, str], int] = {}
        self.thread = thread(self._run)

    def _run(self) -> None:
        actions: list[Callable[[], None]] = (
            [self._end_session] * 6
            + [self._change_base] * (0 if self._plan.is_portable else 4)
            + [self._repartition] * 2
            + [self._tighten_statistics]
            + [self._write_note] * 8
            + [self._delete_item] * len(self._plan.doomed)
            + ([self._add_absent] if self._plan.missing == "retry" else [])
        )
        self._dice.shuffle(actions)
        try:
            for number, action in enumerate(actions):
                self._queue.wait_taken((number + 1) * len(self._plan.deliveries) // (len(actions) + 1))
                action()
        except Exception as error:
            self._queue.fail(f"world: {error!r}")

    def _until_it_works(self, statement: str, *parameters: Any) -> int:
        """pgstac's own functions may lose against a loader in a deadlock, or meet an item that is being moved."""
        with self._db.connect() as connection:
            while True:
                try:
                    return connection.execute(statement, parameters or None).rowcount  # type: ignore[call-overload]
                except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation) as error:
                    if not self._queue.is_open():
                        raise error

    def _end_session(self) -> None:
        pids = self._db.query("SELECT pid FROM pg_stat_activity WHERE usename LIKE '%%loader' AND datname = %s", self._db.name)
        if pids:
            self._db.query("SELECT pg_terminate_backend(%s)", self._dice.choice(pids)[0])

    def _change_base(self) -> None:
        name = self._dice.choice(list(self._plan.truncs))
        changed = make_collection(name, item_assets=self._dice.choice(BASES))
        if self._dice.random() < 0.5:
            self._until_it_works("SELECT upsert_collection(%s::jsonb)", dumps(changed))
        else:
            self._db.load([dumps({"collection": changed})])

    def _repartition(self) -> None:
        name = self._dice.choice(list(self._plan.truncs))
        trunc = self._dice.choice([None, "year", "month"])
        self._without_readers("UPDATE collections SET partition_trunc = %s WHERE id = %s", trunc, name)
        self._plan.truncs[name] = trunc

    def _tighten_statistics(self) -> None:
        self._without_readers("SELECT update_partition_stats(partition, false) FROM partitions_view")

    def _without_readers(self, statement: str, *parameters: Any) -> None:
        with ExitStack() as held:
            for gate in self._gates:
                held.enter_context(gate)
            self._until_it_works(statement, *parameters)

    def _write_note(self) -> None:
        if self._queue.loaded:
            key = self._dice.choice(self._queue.loaded)
            note = self._dice.randrange(10**6)
            statement = "UPDATE items SET private = private || jsonb_build_object('note', %s) WHERE collection = %s AND id = %s"
            if self._until_it_works(statement, note, *key) > 0:
                self.notes[key] = note

    def _delete_item(self) -> None:
        gone = self._plan.doomed.pop()
        self._until_it_works("SELECT delete_item(%s, %s)", gone.item["id"], gone.collection)

    def _add_absent(self) -> None:
        self._db.add_collection(make_collection(self._plan.absent, item_assets=BASES[0]), "year")


def prepare(db: Database, plan: Plan) -> None:
    db.query(WITNESS)
    for name, trunc in plan.truncs.items():
        db.add_collection(make_collection(name, item_assets=BASES[0]), trunc)
    db.load(line(version.item, version.published_at) for version in plan.doomed).must_load()


def run(db: Database, plan: Plan) -> World:
    """Runs until everything is done. Failures that the queue collected fail the test."""
    prepare(db, plan)
    queue = Queue(plan.deliveries)
    loaders, readers = Loaders(db, plan, queue), Readers(db, plan, queue)
    world = World(db, plan, queue, readers.gates)
    threads = [*loaders.threads, *readers.threads, world.thread]
    for started in threads:
        started.start()
    for started in threads:
        started.join()
    assert not queue.failures, queue.failures
    return world
