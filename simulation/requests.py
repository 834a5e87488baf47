"""
How many requests an item costs, by what the daemons do; tests/simulation/test_simulation_requests.py counts them on a
real stack.

- itemgend's workers receive one message each (generator.c), publish each item by a PublishBatch, which others' items
  share only where they are finished at the same moment (publisher.c), and settle it by a DeleteMessageBatch of one.
- itemloadd's workers wait for a first receive of ten, then have `receives` (10) under way at a time, each for up to a
  second, until the batch closes (fill.c), and delete by tens (settle.c).
- Heartbeats come at half the visibility timeout (held.c): after 60 s of an item, 30 s of a batch. None here takes so
  long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RECEIVE_MOST, ROUND_S = 10, 1


@dataclass(frozen=True)
class Requests:
    """Of one message, in one stage."""

    publishes: float
    receives: float
    deletes: float

    @property
    def sqs(self) -> float:
        return self.receives + self.deletes


# The request is published to ItemGenTopic by whoever asks, one at a time, as the README does; a PublishBatch takes ten.
GENERATION = Requests(publishes=1, receives=1, deletes=1)


def loading(rate: float, workers: int, receives: int, batch_idle_s: int, *, is_flood: bool) -> Requests:
    """
    In a flood every receive is full. Below it a receive comes back with what has arrived, one message as a rule, and
    was for nothing when a second brings none. This is the most: where one worker's receives are under way the other's
    get less.
    """
    if is_flood:
        return Requests(publishes=1, receives=1 / RECEIVE_MOST, deletes=1 / RECEIVE_MOST)
    in_batch = max(1.0, rate / workers * batch_idle_s)
    asked = 1 + receives * batch_idle_s / ROUND_S
    return Requests(publishes=1, receives=max(1.0, asked / in_batch), deletes=math.ceil(in_batch / 10) / in_batch)


def idle_receives(workers: int, seconds: float, wait_s: int = 20) -> float:
    """Of a task that has nothing to do: each worker's long poll."""
    return workers * seconds / wait_s
