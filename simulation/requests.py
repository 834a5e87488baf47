"""
How many requests an item costs. tests/simulation/test_simulation_requests.py counts them on a running stack.

- itemgend's workers receive one message at a time, publish each item with a PublishBatch, and settle it with a
  DeleteMessageBatch of one. Items share a PublishBatch only if they are finished at the same moment.
- itemloadd's workers wait for a first receive of ten. Then they run `receives` (10) receives at the same time, each for
  up to a second, until the batch closes, and delete messages by tens.
- Leases are renewed at half the visibility timeout: after 60 s for an item, after 30 s for a batch. No message here
  takes so long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RECEIVE_MOST, ROUND_S = 10, 1


@dataclass(frozen=True)
class Requests:
    """Requests for one message, in one stage."""

    publishes: float
    receives: float
    deletes: float

    @property
    def sqs(self) -> float:
        return self.receives + self.deletes


# The caller publishes requests to ItemGenTopic one at a time, as the README does; a PublishBatch could take ten.
GENERATION = Requests(publishes=1, receives=1, deletes=1)


def loading(rate: float, workers: int, receives: int, batch_idle_s: int, *, is_flood: bool) -> Requests:
    """
    In a flood every receive is full. Below that, a receive returns what has arrived, usually one message, or nothing
    after a second. The result is an upper bound: receives of several workers compete for messages.
    """
    if is_flood:
        return Requests(publishes=1, receives=1 / RECEIVE_MOST, deletes=1 / RECEIVE_MOST)
    in_batch = max(1.0, rate / workers * batch_idle_s)
    asked = 1 + receives * batch_idle_s / ROUND_S
    return Requests(publishes=1, receives=max(1.0, asked / in_batch), deletes=math.ceil(in_batch / 10) / in_batch)


def idle_receives(workers: int, seconds: float, wait_s: int = 20) -> float:
    """Receives of a task without work: each worker's long poll."""
    return workers * seconds / wait_s
