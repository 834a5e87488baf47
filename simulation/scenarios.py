"""The scenarios: bursts, steady load, an idle night, metrics that come late or not at all, messages that fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from simulation.metrics import NOT_VISIBLE, RUNNING, VISIBLE, Fault, MetricTimes
from simulation.world import Arrivals, Scenario

HOUR_S = 3600
DAY_S = 24 * HOUR_S
MILLION_A_DAY = 1_000_000 / DAY_S
NIGHT_S = 10 * HOUR_S


def poisson(random: Random, mean: float) -> int:
    limit, n, product = math.exp(-mean), 0, random.random()
    while product > limit:
        n += 1
        product *= random.random()
    return n


def at(second: int, arrivals: Arrivals) -> Callable[[int, Random], Arrivals]:
    return lambda now_s, _: arrivals if now_s == second else Arrivals()


def steady(rate: float, bad_share: float = 0.0) -> Callable[[int, Random], Arrivals]:
    def arrive(_: int, random: Random) -> Arrivals:
        n = poisson(random, rate)
        return Arrivals(requests=n, bad_requests=sum(random.random() < bad_share for _ in range(n)) if bad_share else 0)

    return arrive


def two_bursts(first: int, second: int, gap_s: int) -> Callable[[int, Random], Arrivals]:
    bursts = {60: Arrivals(requests=first), 60 + gap_s: Arrivals(requests=second)}
    return lambda now_s, _: bursts.get(now_s, Arrivals())


BURST_S = 90  # half-way into a minute, after the first metrics

SCENARIOS = (
    Scenario(
        "burst", "100,000 requests at once, after a while of nothing", at(BURST_S, Arrivals(requests=100_000)), BURST_S
    ),
    Scenario("small", "100 requests at once", at(BURST_S, Arrivals(requests=100)), BURST_S),
    Scenario(
        "items", "1,000,000 items at once, straight to ItemLoadTopic", at(BURST_S, Arrivals(items=1_000_000)), BURST_S
    ),
    Scenario("steady", "1 million requests a day, for a day", steady(MILLION_A_DAY), DAY_S),
    Scenario(
        "night",
        f"1,000 requests, {NIGHT_S // HOUR_S} hours of nothing, 10,000 in the morning",
        two_bursts(1_000, 10_000, NIGHT_S),
        60 + NIGHT_S,
    ),
    Scenario(
        "night_unkept",
        "the same without the schedule that keeps the idle queue's metrics alive",
        two_bursts(1_000, 10_000, NIGHT_S),
        60 + NIGHT_S,
        keep_alive=False,
    ),
    Scenario(
        "late",
        "the burst, with all metrics a minute later than usual",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        metrics=MetricTimes(faults=(Fault(0, 2 * DAY_S, 60),)),
    ),
    Scenario(
        "very_late",
        "the burst, with all metrics of the first half hour ten minutes late",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        metrics=MetricTimes(faults=(Fault(0, HOUR_S // 2, 600),)),
    ),
    Scenario(
        "no_insights",
        "the burst, without Container Insights' task counts",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        metrics=MetricTimes(faults=(Fault(0, 2 * DAY_S, None, (RUNNING,)),)),
    ),
    Scenario(
        "absent",
        "the burst; from the fifth minute on no metric of the queues for half an hour",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        metrics=MetricTimes(faults=(Fault(300, 300 + HOUR_S // 2, None, (VISIBLE, NOT_VISIBLE)),)),
    ),
    Scenario(
        "poison",
        "20,000 requests at once, a fifth of which fail each time",
        at(BURST_S, Arrivals(requests=20_000, bad_requests=4_000)),
        BURST_S,
    ),
    Scenario(
        "poison_items",
        "20,000 items at once, one in a hundred of which the database refuses",
        at(BURST_S, Arrivals(items=20_000, bad_items=200)),
        BURST_S,
    ),
    Scenario(
        "waiting",
        "the burst, of items that wait two seconds for their files beside the processor's time",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        wait_s=2.0,
    ),
    Scenario(
        "spot",
        "the burst; after five and seven minutes all Spot tasks are taken away",
        at(BURST_S, Arrivals(requests=100_000)),
        BURST_S,
        spot_ends_s=(BURST_S + 300, BURST_S + 420),
    ),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

# The morning's requests again, with all metrics delayed by this many seconds all the time.
LATER = tuple(
    (
        later_s,
        Scenario(
            f"later_{later_s}",
            f"10,000 requests at once, with metrics {later_s} s later",
            at(BURST_S, Arrivals(requests=10_000)),
            BURST_S,
            metrics=MetricTimes(faults=(Fault(0, 2 * DAY_S, later_s),)),
            longest_s=2 * HOUR_S,
        ),
    )
    for later_s in (0, 60, 120, 180, 300, 600)
)
