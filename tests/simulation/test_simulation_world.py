"""
The whole simulation: nothing is lost, more tasks are never slower, and what the document says about the policy is true.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation import policy
from simulation.metrics import Fault, MetricTimes
from simulation.queue import Queue
from simulation.scenarios import BURST_S, BY_NAME, DAY_S, LATER, at, two_bursts
from simulation.service import TaskTimes
from simulation.world import Arrivals, Outcome, Scenario, simulate

TERRAFORM = policy.read()
TIMES = TaskTimes(start_s=(60, 60))


def burst(n: int, **changes: object) -> Scenario:
    return replace(Scenario("test", "", at(BURST_S, Arrivals(requests=n)), BURST_S, times=TIMES), **changes)


def ours(scenario: Scenario, terraform: policy.Terraform = TERRAFORM, stage: str = "generation") -> Outcome:
    return simulate(scenario, terraform, 1).of("ours", stage)


def with_scaling(terraform: policy.Terraform, **changes: object) -> policy.Terraform:
    generation = replace(terraform.generation, scaling=replace(terraform.generation.scaling, **changes))
    return replace(terraform, generation=generation)


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"steady"}))
def test_every_message_is_accounted_for_all_the_time(name: str) -> None:
    def look(_: int, requests: Queue, items: Queue) -> None:
        for queue in (requests, items):
            assert queue.visible + queue.hidden + queue.held + queue.done + queue.dead == queue.sent
            assert min(queue.visible, queue.hidden, queue.held) >= 0

    run = simulate(BY_NAME[name], TERRAFORM, 1, look)
    for outcome in run.outcomes:
        assert outcome.done + outcome.dead == outcome.sent
        if outcome.who == "ours":
            assert outcome.good_dead == 0
    # In both designs, every request that was done made an item.
    for who in ("ours", "original"):
        requests, items = run.of(who, "generation"), run.of(who, "loading")
        published = 0 if name in ("items", "poison_items") else items.sent
        assert published == requests.done


def test_the_same_seed_the_same_figures() -> None:
    once, again, other = (simulate(BY_NAME["poison"], TERRAFORM, seed).outcomes for seed in (7, 7, 8))
    assert once == again != other


def test_the_first_task_by_hand() -> None:
    """
    Requests at 90 s are in the minute that ends at 120 s. Its metric is known at 180 s: the alarm starts a task, which
    runs 60 s later, at 240 s.
    """
    assert ours(burst(10)).wake_s == 240 - BURST_S


def test_the_others_by_hand() -> None:
    """
    The first task runs at 240 s, so it is counted in the minute that ends at 300 s, known at 360 s, and in the next,
    known at 420 s. Then the oldest value above the target is three minutes old, and CloudWatch does not wait for the
    third (a row "- - X X -"). Ten tasks are wanted, and at 480 s nine more of them run. Until then the first one does
    49.4 a second.
    """
    outcome = ours(burst(100_000))
    rate = 2 / 0.0405
    assert outcome.tasks_max == 10 and outcome.wake_s == 150
    most_done_alone = 240 * rate
    soonest = 480 + (100_000 - most_done_alone) / (10 * rate) - BURST_S
    assert soonest <= outcome.drained_s <= soonest + 40


def test_task_hours_and_dollars_by_hand() -> None:
    """One task, from 180 s until the queue has been empty for long enough."""
    outcome = ours(burst(10))
    run = simulate(burst(10), TERRAFORM, 1)
    assert outcome.tasks_max == 1
    assert outcome.task_hours <= (run.ended_s - 180) / 3600
    hour = 2 * 0.04048 + 5 * 0.004445 + 0.005
    assert outcome.dollars == pytest.approx(outcome.task_hours * hour)
    assert outcome.dollars_spot == pytest.approx(outcome.dollars)  # the first task is not on Spot


def test_more_work_takes_longer_and_costs_more() -> None:
    outcomes = [ours(burst(n)) for n in (1, 1_000, 10_000, 100_000, 300_000)]
    for less, more in zip(outcomes, outcomes[1:]):
        assert less.drained_s <= more.drained_s and less.task_hours <= more.task_hours
        assert less.backlog_max < more.backlog_max and less.tasks_max <= more.tasks_max


def test_more_tasks_are_never_slower() -> None:
    drained = [ours(burst(100_000), with_scaling(TERRAFORM, max_tasks=most)).drained_s for most in (1, 2, 5, 10, 40)]
    assert drained == sorted(drained, reverse=True) and drained[0] > 3 * drained[-1]


def test_a_wait_for_files_needs_more_slots_not_more_processors() -> None:
    quick, slow = ours(burst(20_000)), ours(burst(20_000, wait_s=2.0))
    assert slow.drained_s > 3 * quick.drained_s


def test_later_metrics_mean_later_tasks() -> None:
    first = [simulate(scenario, TERRAFORM, 1).of("ours", "generation").wake_s for _, scenario in LATER]
    known = [wake_s for wake_s in first if wake_s is not None]
    assert known == sorted(known) and first[: len(known)] == known and len(known) >= 2


NIGHT = Scenario("night", "", two_bursts(100, 10_000, 10 * 3600), 10 * 3600 + 60, times=TIMES)


def test_the_schedule_keeps_scaling_from_zero_fast() -> None:
    """Without the schedule, the requests of the morning would not be noticed for a quarter of an hour."""
    kept, unkept = ours(NIGHT), ours(replace(NIGHT, keep_alive=False))
    assert kept.done == unkept.done == 10_100
    assert kept.wake_s <= 4 * 60
    assert 15 * 60 <= unkept.wake_s <= 20 * 60


def test_metrics_that_never_come_start_nothing() -> None:
    nothing = MetricTimes(faults=(Fault(0, DAY_S, None),))
    outcome = ours(burst(100, metrics=nothing, longest_s=2 * 3600))
    assert (outcome.done, outcome.tasks_max, outcome.wake_s, outcome.drained_s) == (0, 0, None, None)
    with_one = ours(burst(100, metrics=nothing), with_scaling(TERRAFORM, min_tasks=1, steps=()))
    assert with_one.done == 100


def test_an_idle_service_ends_its_last_task() -> None:
    """By the step policy. Target tracking alone would do it too, five minutes later."""
    only_wake = with_scaling(TERRAFORM, steps=tuple(s for s in TERRAFORM.generation.scaling.steps if s.name == "wake"))
    by_step, by_tracking = ours(burst(10)).task_hours * 3600, ours(burst(10), only_wake).task_hours * 3600
    assert 10 * 60 < by_step < 15 * 60 <= by_tracking < by_step + 6 * 60


def test_a_spot_interruption_loses_no_message_and_little_time() -> None:
    spot, calm = BY_NAME["spot"], BY_NAME["burst"]
    interrupted, not_interrupted = ours(spot), ours(calm)
    assert interrupted.done == not_interrupted.done == 100_000 and interrupted.dead == 0
    assert not_interrupted.drained_s < interrupted.drained_s < not_interrupted.drained_s + 180


def test_failed_messages_keep_tasks_running_until_their_last_attempt() -> None:
    """A message that waits for another attempt counts as in flight."""
    poisoned, good = ours(BY_NAME["poison"]), ours(burst(16_000))
    assert poisoned.dead == 4_000 and poisoned.drained_s > 16 * 60
    assert poisoned.task_hours > good.task_hours


def test_a_day_at_an_even_rate_by_hand() -> None:
    """11.6 items a second are less than one task does: it runs all day, and rarely a second one."""
    run = simulate(BY_NAME["steady"], TERRAFORM, 1)
    outcome, original = run.of("ours", "generation"), run.of("original", "generation")
    assert outcome.sent == original.sent == pytest.approx(1e6, rel=0.01)
    assert 24 <= outcome.task_hours < 26
    item_s = 0.854 / (1024 / 1769)
    assert original.dollars == pytest.approx(1e6 * item_s * 0.0000166667, rel=0.05)
