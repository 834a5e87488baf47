"""Tasks and functions, computed by hand: how much they do, how many messages they hold, what they cost."""

from __future__ import annotations

from random import Random

import pytest

from simulation import prices
from simulation.functions import GENERATION, LOADING, GenerationFunction, LoadingFunction
from simulation.queue import Queue
from simulation.rates import DOCUMENT, Generation, Loading, RateError, measured
from simulation.service import Service, Spot, TaskTimes
from simulation.work import Database, GenerationTask, GenerationWork, LoadingTask, LoadingWork, Retry

ITEM = Generation(cpu_s=0.1, cold_s=(4, 4), cold_cpu_s=2)
ROW = Loading(connection_rate=1000, cpu_s=0.0001, database_cpu_s=0.0005)
RETRY = Retry()


def filled(n: int, bad: int = 0) -> Queue:
    queue = Queue(Random(1))
    queue.send(0, n, bad)
    return queue


@pytest.mark.parametrize(
    ("slots", "vcpu", "wait_s", "rate"),
    [(4, 2, 0, 20), (1, 2, 0, 10), (4, 0.5, 0, 5), (4, 2, 1.9, 2), (40, 2, 1.9, 20)],
)
def test_the_rate_of_a_task(slots: int, vcpu: float, wait_s: float, rate: float) -> None:
    """The rate is limited by the processors or by the slots."""
    assert GenerationTask(slots, vcpu, wait_s, ITEM).rate == pytest.approx(rate)


def test_generation_begins_with_the_environment() -> None:
    queue, published = filled(100), []
    work = GenerationWork(queue, RETRY, GenerationTask(4, 2, 0, ITEM), lambda *what: published.append(what), Random(1))
    done = []
    for now_s in range(12):
        queue.tick(now_s)
        work.tick(now_s)
        done.append(queue.done)
    # Four workers wait for four seconds; then they do 20 items a second.
    assert done[:8] == [0, 0, 0, 0, 4, 24, 44, 64]
    assert done[-1] == 100 and sum(n for _, n, _ in published) == 100


def test_failed_messages_are_tried_five_times_with_longer_and_longer_waits() -> None:
    assert [RETRY.backoff_s(receives) for receives in range(1, 6)] == [30, 90, 270, 600, 600]
    queue = filled(10, 10)
    work = GenerationWork(queue, RETRY, GenerationTask(4, 2, 0, ITEM), lambda *_: None, Random(1))
    died_s = None
    for now_s in range(1200):
        queue.tick(now_s)
        work.tick(now_s)
        died_s = now_s if queue.dead == 10 and died_s is None else died_s
    assert died_s is not None and 30 + 90 + 270 + 600 < died_s < 30 + 90 + 270 + 600 + 20
    assert (queue.done, queue.good_dead) == (0, 0)


def test_loading_takes_what_the_database_stores() -> None:
    """The processors allow 5,000 a second, the connections 2,000, the database 1,000 (half a vCPU)."""
    queue, database = filled(10_000), Database(0.5, ROW)
    work = LoadingWork(queue, RETRY, LoadingTask(2, 0.5, 1000, 2, ROW), database)
    for now_s in range(11):
        database.tick()
        work.tick(now_s)
    assert database.rate == 1000 and queue.done == 10_000


def test_a_lone_item_waits_for_the_window_and_is_loaded() -> None:
    queue, database = filled(1), Database(2, ROW)
    work = LoadingWork(queue, RETRY, LoadingTask(2, 0.5, 1000, 2, ROW), database)
    done_s = None
    for now_s in range(10):
        database.tick()
        work.tick(now_s)
        done_s = now_s if queue.done and done_s is None else done_s
    assert done_s == 3


def test_a_bad_item_dies_alone() -> None:
    queue, database = filled(1000, 10), Database(2, ROW)
    work = LoadingWork(queue, RETRY, LoadingTask(2, 0.5, 1000, 2, ROW), database)
    for now_s in range(10):
        database.tick()
        work.tick(now_s)
    assert (queue.done, queue.dead, queue.good_dead) == (990, 10, 0)


# ------------------------------------------------------------ the service


def a_service(queue: Queue, spot: Spot = Spot(), start_s: int = 10) -> Service:
    task = GenerationTask(1, 1, 0, Generation(cpu_s=5, cold_s=(1, 1), cold_cpu_s=1))
    times = TaskTimes(start_s=(start_s, start_s), stop_s=5)
    return Service(lambda: GenerationWork(queue, RETRY, task, lambda *_: None, Random(1)), times, spot, Random(1))


def run(service: Service, queue: Queue, from_s: int, until_s: int) -> None:
    for now_s in range(from_s, until_s):
        queue.tick(now_s)
        service.tick(now_s)


def test_a_task_costs_from_its_launch_to_its_end() -> None:
    queue = Queue(Random(1))
    service = a_service(queue)
    service.desired = 2
    run(service, queue, 0, 10)
    assert service.running == 0 and len(service.tasks) == 2
    run(service, queue, 10, 100)
    assert service.running == 2
    service.desired = 0
    run(service, queue, 100, 200)
    assert service.tasks == [] and service.task_s == 2 * (100 + 5)


def test_no_task_that_holds_messages_is_ended() -> None:
    """Ten messages of five seconds, two tasks. When the work begins, none is wanted any more."""
    queue = filled(10)
    service = a_service(queue)
    service.desired = 2
    run(service, queue, 0, 12)
    assert all(task.work and task.work.is_busy for task in service.tasks)
    service.desired = 0
    for now_s in range(12, 60):
        held_before = {id(task): task.work.is_busy for task in service.tasks if task.work}
        run(service, queue, now_s, now_s + 1)
        ended = {id(task) for task in service.tasks if task.ends_s is not None and task.ends_s == now_s + 5}
        assert not any(held_before[task] for task in ended if queue.visible)
        if queue.done < 10:
            assert queue.held + queue.visible + queue.done == 10 and service.running > 0
    assert queue.done == 10 and service.tasks == []


def test_an_interrupted_task_releases_its_messages() -> None:
    queue = filled(10)
    service = a_service(queue, Spot(base=1, share=1.0))
    service.desired = 3
    run(service, queue, 0, 13)
    assert [task.is_spot for task in service.tasks] == [False, True, True]
    assert queue.held == 3 and service.interrupt_spot(13) == 2
    assert queue.held == 1 and queue.visible + queue.hidden == 9
    run(service, queue, 13, 100)
    assert queue.done == 10 and service.running == 3


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (Spot(), "DDDDD"),
        (Spot(1, 0.75), "DSSSD"),
        (Spot(1, 1.0), "DSSSS"),
        (Spot(2, 0.5), "DDSDS"),
        (Spot(0, 0.5), "SDSDS"),
    ],
)
def test_the_capacity_provider_strategy(spot: Spot, expected: str) -> None:
    kinds = ""
    for _ in range(5):
        kinds += "S" if spot.is_next(kinds.count("D"), kinds.count("S")) else "D"
    assert kinds == expected


# ------------------------------------------------------------ Lambda


def feed(function: GenerationFunction | LoadingFunction, queue: Queue, until_s: int) -> int:
    for now_s in range(until_s):
        queue.tick(now_s)
        function.tick(now_s)
        if queue.backlog == 0:
            return now_s
    return until_s


def test_five_batches_first_then_five_more_each_second() -> None:
    queue = filled(100_000)
    function = GenerationFunction(queue, GENERATION, ITEM, 5, lambda *_: None, Random(1))
    running = []
    for now_s in range(22):
        queue.tick(now_s)
        function.tick(now_s)
        running.append(len(function.running))
    assert running[0] == 5 and running[1] == 10 and max(running) == running[-1] == GENERATION.concurrency


def test_the_price_of_an_invocation() -> None:
    """Ten items of 0.1 s on a full processor, on a share of 0.58, and their environment first."""
    queue = filled(10)
    function = GenerationFunction(queue, GENERATION, ITEM, 0, lambda *_: None, Random(1))
    feed(function, queue, 100)
    item_s = 0.1 / GENERATION.vcpu
    cold_s = 4 - 2 + 2 / GENERATION.vcpu
    assert function.invocations == 1
    assert function.gib_s == pytest.approx(9 * item_s + cold_s, abs=0.002)
    assert function.gib_s * prices.LAMBDA_GB_S == pytest.approx((9 * item_s + cold_s) * 0.0000166667, abs=1e-7)


def test_items_that_take_too_long_come_back_whole() -> None:
    """Ten items of fifteen seconds each, in 120 s: they are done again and again, and dead-lettered in the end."""
    queue = filled(10)
    slow = Generation(cpu_s=0.1, cold_s=(0, 0), cold_cpu_s=0)
    function = GenerationFunction(queue, GENERATION, slow, 15, lambda *_: None, Random(1))
    feed(function, queue, 3000)
    assert (queue.done, queue.dead, function.timeouts) == (0, 10, 5)
    assert function.billed_ms == 5 * 120_000


def test_a_row_that_the_database_refuses_fails_its_batch() -> None:
    queue = filled(2000, 1)
    feed(LoadingFunction(queue, LOADING, ROW, 1e6), queue, 1000)
    assert (queue.done, queue.dead, queue.good_dead) == (1000, 1000, 999)


def test_few_items_wait_for_the_window() -> None:
    queue = filled(10)
    assert 60 <= feed(LoadingFunction(queue, LOADING, ROW, 1e6), queue, 1000) <= 62


def test_too_many_functions_for_the_database_time_out() -> None:
    """Each statement gets slower, all reach the time limit at once, and their work is rolled back."""
    queue = filled(1_000_000)
    function = LoadingFunction(queue, LOADING, ROW, 1000)
    feed(function, queue, 120)
    assert function.timeouts > 100


# ----------------------------------------------------------- the measured rates


def test_rates_are_read_from_the_document() -> None:
    start = "| ours, 2 workers, sandbox: limits |"
    row = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(start))
    assert f"| {measured('generation_glclu', 'ours, 2 workers, sandbox: limits', 'CPU ms an item'):.1f} |" in row


@pytest.mark.parametrize(
    "place", [("nothing", "ours", "items/s"), ("months", "nobody", "items/s"), ("months", "ours", "nothing")]
)
def test_a_missing_rate_is_an_error(place: tuple[str, str, str]) -> None:
    with pytest.raises(RateError, match="noth|nobody"):
        measured(*place)
