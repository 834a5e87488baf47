"""
Simulates how one running task handles messages, second by second: the way through a queue in itemgend and itemloadd.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from simulation.queue import Lot, Queue
from simulation.rates import Generation, Loading

CARRY = 0.999  # of a message: fractions from slower rates add up, and an idle task begins at once

Publish = Callable[[int, int, int], None]  # time, number of items, number of bad ones


@dataclass(frozen=True)
class Retry:
    """As "retried" in docs/reference/messages.md: a back-off that triples, and a dead letter after the last attempt."""

    attempts: int = 5
    backoff_min_s: int = 30
    backoff_max_s: int = 600

    def backoff_s(self, receives: int) -> int:
        return int(min(self.backoff_min_s * 3 ** (receives - 1), self.backoff_max_s))

    def settle(self, queue: Queue, now_s: int, lot: Lot, is_permanent: bool) -> None:
        """Deals with failed messages."""
        if lot.n == 0:
            return
        if is_permanent or lot.receives >= self.attempts:
            queue.bury(lot)
        else:
            queue.hide(lot, now_s + self.backoff_s(lot.receives))


class Database:
    """Limits the items a second that the database stores, for all loaders together."""

    def __init__(self, vcpu: float, loading: Loading) -> None:
        self.rate = vcpu / loading.database_cpu_s
        self._left = 0.0

    def tick(self) -> None:
        self._left = min(self._left, CARRY) + self.rate

    def take(self, n: int) -> int:
        taken = min(n, int(self._left))
        self._left -= taken
        return taken


class Work:
    """
    The workers of one task together. Messages received in one second are done after `seconds`. The task holds at
    most `held_max`.
    """

    def __init__(self, queue: Queue, retry: Retry, rate: float, held_max: int, seconds: int) -> None:
        self.queue = queue
        self.retry = retry
        self.rate = rate
        self._held_max = held_max
        self._seconds = seconds
        self._credit = CARRY
        self._under_way: list[tuple[int, list[Lot]]] = []
        self.held = 0

    @property
    def is_busy(self) -> bool:
        """True if the task holds messages, and so protects itself from scale-in."""
        return self.held > 0

    def tick(self, now_s: int) -> None:
        self._finish_what_is_due(now_s)
        self._credit = min(self._credit, CARRY) + self.rate
        n = self.allowed(min(int(self._credit), self._held_max - self.held))
        if n > 0 and self.queue.visible > 0:
            ready_s = self.ready_s(now_s)
            lots = self.queue.receive(now_s, n)
            received = sum(lot.n for lot in lots)
            self._credit -= received
            self.held += received
            if lots:
                self._under_way.append((ready_s, lots))
        elif now_s % 20 == 0:
            self.queue.touch(now_s)  # a long poll

    def _finish_what_is_due(self, now_s: int) -> None:
        due = [lot for ready_s, lots in self._under_way if ready_s <= now_s for lot in lots]
        if due:
            self._under_way = [(ready_s, lots) for ready_s, lots in self._under_way if ready_s > now_s]
        for lot in due:
            self.held -= lot.n
            self.finish(now_s, lot)

    def hand_back(self, now_s: int) -> None:
        """The task is ended: its messages are visible again at once."""
        for _, lots in self._under_way:
            for lot in lots:
                self.queue.hide(lot, now_s)
        self._under_way.clear()
        self.held = 0

    # --- differs by stage

    def allowed(self, n: int) -> int:
        return n

    def ready_s(self, now_s: int) -> int:
        """When messages received now will be done."""
        return now_s + self._seconds

    def finish(self, now_s: int, lot: Lot) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class GenerationTask:
    slots: int
    vcpu: float
    wait_s: float  # time that an item waits beside its processor time: for files on the network
    measured: Generation

    @property
    def rate(self) -> float:
        return min(self.vcpu / self.measured.cpu_s, self.slots / self.measured.seconds(self.vcpu, self.wait_s))


class GenerationWork(Work):
    """itemgend: the first message waits until the package's environment is created. Failed messages are tried again."""

    def __init__(self, queue: Queue, retry: Retry, task: GenerationTask, publish: Publish, random: Random) -> None:
        seconds = max(1, math.ceil(task.slots / task.rate))
        super().__init__(queue, retry, task.rate, max(task.slots, math.ceil(task.rate * seconds)), seconds)
        self._slots = task.slots
        self._publish = publish
        self._environment_s = math.ceil(random.uniform(*task.measured.cold_s))
        self._warm_s: int | None = None

    def allowed(self, n: int) -> int:
        """While the environment is being created, each worker holds one message."""
        if self._warm_s is None and self.queue.visible > 0:
            return min(n, self._slots)
        return n

    def tick(self, now_s: int) -> None:
        if self._warm_s is None or now_s >= self._warm_s:
            super().tick(now_s)

    def ready_s(self, now_s: int) -> int:
        if self._warm_s is None:
            self._warm_s = now_s + self._environment_s
        return max(self._warm_s, super().ready_s(now_s))

    def finish(self, now_s: int, lot: Lot) -> None:
        self.queue.delete(now_s, lot.only_good())
        self.retry.settle(self.queue, now_s, lot.only_bad(), is_permanent=False)
        self._publish(now_s, lot.good, 0)


@dataclass(frozen=True)
class LoadingTask:
    workers: int
    vcpu: float
    batch_items: int
    batch_idle_s: int
    measured: Loading

    @property
    def rate(self) -> float:
        return min(self.vcpu / self.measured.cpu_s, self.workers * self.measured.connection_rate)


class LoadingWork(Work):
    """
    itemloadd: in a flood batches are full at once; otherwise a batch closes after `batch_idle`. A bad item fails
    alone.
    """

    def __init__(self, queue: Queue, retry: Retry, task: LoadingTask, database: Database) -> None:
        # At its full rate a task loads several batches a second; it then holds the messages of one second.
        held_max = max(task.workers * task.batch_items, math.ceil(task.rate))
        super().__init__(queue, retry, task.rate, held_max, 1)
        self._batch_items = task.batch_items
        self._batch_idle_s = task.batch_idle_s
        self._database = database

    def allowed(self, n: int) -> int:
        n = min(n, self.queue.visible)
        return self._database.take(n) if n > 0 else 0

    def ready_s(self, now_s: int) -> int:
        is_flood = self.queue.visible >= self._batch_items
        return super().ready_s(now_s) + (0 if is_flood else self._batch_idle_s)

    def finish(self, now_s: int, lot: Lot) -> None:
        self.queue.delete(now_s, lot.only_good())
        self.retry.settle(self.queue, now_s, lot.only_bad(), is_permanent=True)
