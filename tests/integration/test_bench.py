"""
`make bench` with its smallest sizes: every contender loads all items of its case, and the results contain the figures
of the tables.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import items, limit, loaders, report, sweep
from bench.database import Server
from bench.loaders import ALL, Goal, note
from local import environment
from local.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("BUILD", "build")
MACHINE = {"cores", "processor", "memory_mib", "kernel", "postgresql", "pypgstac", "psycopg", "boto3", "compiler"}
ROW = {"label", "items", "stored", "rate", "rate_min", "rate_max", "ratio", "client_cpu_s", "database_cpu_s", "busy"}
OURS = {"parse_s", "load_s", "statistics_s", "load_rate"}
N = 50


def run(folder: Path, names: str) -> tuple[dict[str, Any], str]:
    """Runs cases. Returns the results and the output."""
    sizes = {"BENCH_ITEMS": str(N), "BENCH_MESSAGES": "100", "BENCH_BATCHES": "2", "BENCH_REPEAT": "1", "BENCH_FSYNC": "0"}
    env = environment.for_tools() | {"BENCH": names} | sizes
    command = [sys.executable, "-m", "bench", "--programs", BUILD, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "results.json").read_text()), done.stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    return run(tmp_path_factory.mktemp("bench"), "one_partition,poison,loaders,sweep,storage")


@pytest.fixture(scope="module")
def results(printed: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return printed[0]


def rows(results: dict[str, Any], case: str, number: int = 0) -> dict[str, dict[str, Any]]:
    """The rows of the case's part `number`, by label."""
    found = [entry for entry in results["cases"] if entry["case"] == case][number]
    assert found["title"] and found["unit"]
    return {row["label"]: row for row in found["rows"]}


def test_each_contender_loads_everything(results: dict[str, Any]) -> None:
    found = rows(results, "one_partition")
    assert list(found) == [contender.label for contender in ALL]
    for row in found.values():
        assert ROW <= set(row)
        assert row["stored"] == row["items"] == N and row["n_errors"] == 0, row
        assert row["rate_min"] <= row["rate"] <= row["rate_max"]
        assert row["ratio"] == pytest.approx(found["ours"]["rate"] / row["rate"])
    assert OURS <= set(found["ours, 1 connection"])


@pytest.mark.parametrize("part", [0, 1])
def test_a_bad_item_costs_us_one_item_and_pypgstac_all(results: dict[str, Any], part: int) -> None:
    found = rows(results, "poison", part)
    assert found["ours"]["stored"] == N - 1
    assert found["ours"]["errors"][0].startswith("1 items failed")
    assert found["pypgstac upsert"]["stored"] == 0
    assert found["pypgstac upsert"]["n_errors"] == 1
    assert found["pypgstac upsert"]["rate"] == 0 and found["pypgstac upsert"]["ratio"] is None


def test_several_loaders_on_a_fresh_collection_load_everything(results: dict[str, Any]) -> None:
    found = rows(results, "loaders")
    ours = [row for label, row in found.items() if label.startswith("ours")]
    assert len(ours) == 3
    assert all(row["stored"] == row["items"] == 2 * N and row["n_errors"] == 0 for row in ours)


def test_the_check_for_moved_items_has_its_figure(results: dict[str, Any]) -> None:
    found = rows(results, "sweep")
    for name in ("new items", "half moved, half unchanged"):
        row = found[f"{name}, {sweep.CHECK}"]
        assert row["ms"] > 0 and 0 < row["share"] < 1
    for statement in ("COPY", "INSERT"):
        assert any(label.endswith(f"load: {statement}") for label in found)


def test_an_item_takes_less_disk_than_its_published_text(results: dict[str, Any]) -> None:
    """
    The members that all items share are in the collection. A table has a few more pages: its map, and the last rows.
    """
    row = rows(results, "storage")["undivided"]
    assert 500 < row["table_bytes"] - 4 * 8192 / N < row["published_bytes"]
    assert row["disk_bytes"] == row["table_bytes"] + row["index_bytes"]
    assert row["wal_bytes"] > row["table_bytes"] / 2


def test_the_goals_are_reported(results: dict[str, Any]) -> None:
    notes = {name: [] for name in ("one_partition", "loaders")}
    for entry in results["cases"]:
        if entry["case"] in notes:
            notes[entry["case"]].append(entry.get("notes", []))
    goals = [[note.partition(" (goal: ")[2].split(",")[0] for note in part if "goal" in note] for part in notes["one_partition"]]
    assert goals == [["1.1", "2.7", "3.3"], ["1.1", "2.7"]], "with today's pgstac, and the one before it"
    assert [note.split(":")[0] for note in notes["loaders"][0]] == ["ours, 4 connections"]


@pytest.mark.parametrize(
    ("rate", "or_busy", "said"),
    [
        (1000, None, "goal: 20, reached"),
        (999, None, "goal: 20, not reached"),
        (999, 0.93, "goal: 20, or the cores 93% busy: they are 93%, reached"),
        (999, 0.94, "goal: 20, or the cores 94% busy: they are 93%, not reached"),
    ],
)
def test_a_goal_is_reached_or_not(rate: float, or_busy: float | None, said: str) -> None:
    rates = {loaders.OURS.label: rate, loaders.UPSERT.label: 50}
    text = note(Goal(loaders.UPSERT, 20, or_busy=or_busy), rates, busy=0.93)
    assert text == f"ours: {rate / 50:.2f} times the rate of pypgstac upsert ({said})."


@pytest.mark.parametrize(("rate", "said"), [(400, "1.50 times as long"), (399, "not reached")])
def test_an_item_takes_longer_in_a_full_table(rate: float, said: str) -> None:
    (case,) = [case for case in loaders.CASES if case.slower]
    assert case.rows_before == 1_000_000 and said in loaders.told_slower(case, 600, rate)


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed, which the queue needs")
def test_messages_through_a_queue(tmp_path: Path) -> None:
    found, printed = run(tmp_path, "queue,end_to_end,memory")
    assert [entry["case"] for entry in found["cases"]] == ["queue", "end_to_end", "memory"]  # too few to see which side is the limit
    assert all(row["peak_mib"] > 1 for entry in found["cases"] for row in entry["rows"] if "peak_mib" in row)
    (loader,) = found["cases"][-1]["rows"]
    assert loader["rate"] > 0 and "Resident MiB" in printed


@pytest.mark.long
def test_scattered_items_go_into_older_pgstacs_too(tmp_path: Path) -> None:
    found, _ = run(tmp_path, "months")
    newest, previous, originals = found["cases"]
    assert "goal: 0.9" in newest["notes"][0] and "goal: 4.5" in newest["notes"][1]
    assert previous["notes"][0].endswith("0.9.12.") and originals["notes"][0].endswith("0.9.5.")
    for case in (newest, originals):
        assert [row["label"] for row in case["rows"]] == [contender.label for contender in ALL]
    for case in (newest, previous, originals):
        assert all(row["stored"] == row["items"] and row["n_errors"] == 0 for row in case["rows"])


BOUNDS = "SELECT partition, constraint_dtrange, constraint_edtrange FROM partition_sys_meta WHERE collection = %s ORDER BY 1"


def test_an_emptied_table_has_its_first_bounds(stack: Stack) -> None:
    """pypgstac narrows them to the items it loads; the next contender would have to widen every partition."""
    server = Server(stack)
    with server.copy_of() as database:
        server.add_collection(database, "month")
        server.add_partitions(database, 2)
        with server.connect(database) as connection:
            began = connection.execute(BOUNDS, [items.COLLECTION]).fetchall()
            for item in items.make_items(9, months=2):
                connection.execute("SELECT create_item(%s::jsonb)", [json.dumps(item)])
            connection.execute("SELECT update_partition_stats(partition, false) FROM partitions_view")
            narrowed = connection.execute(BOUNDS, [items.COLLECTION]).fetchall()
            assert len(narrowed) == len(began) and not set(narrowed) & set(began)
            server.empty(database, 2)
            assert connection.execute(BOUNDS, [items.COLLECTION]).fetchall() == began
        assert server.count(database) == 0


def test_results_are_printed_as_they_are_written(printed: tuple[dict[str, Any], str]) -> None:
    found, output = printed
    assert MACHINE <= set(found["machine"])
    assert found["items"] == N and found["repeat"] == 1
    assert report.text(found) in output
    head, *_ = [line for line in report.markdown(found).splitlines() if line.startswith("| ")]
    assert "items/s" in head and "ours is" in head


def test_items_are_the_same_for_a_seed_and_of_one_to_three_kilobytes() -> None:
    made = items.make_items(200, months=60, seed=7)
    assert made == items.make_items(200, months=60, seed=7) != items.make_items(200, months=60, seed=8)
    sizes = [len(line) for line in items.lines(made).splitlines()]
    assert 1000 <= min(sizes) and max(sizes) <= 3072
    assert len({item["id"] for item in made}) == 200
    assert len({item["properties"]["datetime"][:7] for item in made}) > 50


@pytest.mark.parametrize(
    ("loader", "queue", "database", "busy", "expected"),
    [
        (0.40, 0.45, 0.50, 0.97, "at its limit is the queue with the database."),
        (0.95, 0.20, 0.30, 0.97, "at its limit is itemloadd."),
        (0.20, 0.25, 0.30, 1.00, "other programs had the rest; nearest to its limit is the queue with the database."),
        (0.20, 0.25, 0.30, 0.60, "no core was full; nearest to its limit is the queue with the database."),
    ],
)
def test_which_side_is_at_its_limit(loader: float, queue: float, database: float, busy: float, expected: str) -> None:
    seated = [(limit.LOADER, 0, loader), (limit.QUEUE, 1, queue), (limit.DATABASE, 1, database)]
    seats = [{"label": name, "core": core, "of_core": share, "core_busy": busy} for name, core, share in seated]
    assert limit.verdict(seats).endswith(expected)
