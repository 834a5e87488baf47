"""
The same work on the original's design: Lambda functions that an SQS event source mapping feeds.

Source: AWS Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings". It starts with five
batches at a time and adds up to 300 a minute, to at most 1,000 (also the default concurrency of an account) or the
mapping's own maximum. One simplification favours the original: its load queue has a visibility timeout as long as the
batching window, but here that brings no message back too early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from simulation.queue import Lot, Queue
from simulation.rates import LAMBDA_MIB_PER_VCPU, Generation, Loading
from simulation.work import Publish

FIRST_CONCURRENCY, MORE_PER_MINUTE, MOST_CONCURRENCY = 5, 300, 1000


@dataclass(frozen=True)
class Mapping:
    """Settings of the original's CDK stack and of the seed document."""

    memory_mib: int
    timeout_s: int
    visibility_s: int
    batch: int
    window_s: int
    concurrency: int
    receives: int = 5

    @property
    def vcpu(self) -> float:
        return self.memory_mib / LAMBDA_MIB_PER_VCPU


GENERATION = Mapping(memory_mib=1024, timeout_s=120, visibility_s=120, batch=10, window_s=0, concurrency=100)
LOADING = Mapping(memory_mib=1024, timeout_s=45, visibility_s=60, batch=1000, window_s=60, concurrency=MOST_CONCURRENCY)


@dataclass
class Invocation:
    lots: list[Lot]
    began_s: int
    left: float  # remaining seconds, or items that are not stored yet
    n: int = field(init=False)

    def __post_init__(self) -> None:
        self.n = sum(lot.n for lot in self.lots)


class Function:
    """The common parts of both functions: how they are fed, and what they cost."""

    def __init__(self, queue: Queue, mapping: Mapping) -> None:
        self.queue = queue
        self.mapping = mapping
        self.running: list[Invocation] = []
        self.invocations = 0
        self.billed_ms = 0
        self.concurrency_max = 0
        self.timeouts = 0
        self._concurrency = float(FIRST_CONCURRENCY)
        self._waiting_since_s: int | None = None

    @property
    def gib_s(self) -> float:
        return self.billed_ms / 1000 * self.mapping.memory_mib / 1024

    def tick(self, now_s: int) -> None:
        self.proceed(now_s)
        self._scale()
        if self.queue.visible == 0:
            self._waiting_since_s = None
            return
        self._waiting_since_s = now_s if self._waiting_since_s is None else self._waiting_since_s
        is_due = now_s - self._waiting_since_s >= self.mapping.window_s
        while len(self.running) < int(self._concurrency) and (
            self.queue.visible >= self.mapping.batch or (is_due and self.queue.visible > 0)
        ):
            lots = self.queue.receive(now_s, self.mapping.batch)
            if not lots:
                break
            self.running.append(self.invoke(now_s, lots))
            self.invocations += 1
            if is_due:
                self._waiting_since_s = None if self.queue.visible == 0 else now_s
        self.concurrency_max = max(self.concurrency_max, len(self.running))

    def _scale(self) -> None:
        if self.queue.visible > 0 and len(self.running) >= int(self._concurrency):
            most = min(self.mapping.concurrency, MOST_CONCURRENCY)
            self._concurrency = min(self._concurrency + MORE_PER_MINUTE / 60, most)
        elif not self.running:
            self._concurrency = FIRST_CONCURRENCY

    def bill(self, seconds: float) -> None:
        self.billed_ms += math.ceil(seconds * 1000)

    def fail(self, invocation: Invocation, lot: Lot) -> None:
        """
        A failed message is visible again after the visibility timeout; after its last receive it goes to the
        dead-letter queue.
        """
        if lot.n == 0:
            return
        if lot.receives >= self.mapping.receives:
            self.queue.bury(lot)
        else:
            self.queue.hide(lot, invocation.began_s + self.mapping.visibility_s)

    def time_out(self, invocation: Invocation) -> None:
        self.timeouts += 1
        self.bill(self.mapping.timeout_s)
        for lot in invocation.lots:
            self.fail(invocation, lot)

    # --- differs by function

    def invoke(self, now_s: int, lots: list[Lot]) -> Invocation:
        raise NotImplementedError

    def proceed(self, now_s: int) -> None:
        raise NotImplementedError


class GenerationFunction(Function):
    """
    Handles up to ten messages one after the other, each with uvx. A new execution environment starts without downloaded
    packages.
    """

    def __init__(
        self, queue: Queue, mapping: Mapping, measured: Generation, wait_s: float, publish: Publish, random: Random
    ) -> None:
        super().__init__(queue, mapping)
        self._item_s = measured.seconds(mapping.vcpu, wait_s)
        self._measured = measured
        self._publish = publish
        self._random = random
        self._warm = 0

    def _cold_s(self) -> float:
        """The time measured on one core, with the processor's part scaled to this function's share of one."""
        cpu_s = self._measured.cold_cpu_s
        return self._random.uniform(*self._measured.cold_s) - cpu_s + cpu_s / self.mapping.vcpu - self._item_s

    def invoke(self, now_s: int, lots: list[Lot]) -> Invocation:
        seconds = self._item_s * sum(lot.n for lot in lots)
        if len(self.running) >= self._warm:
            self._warm += 1
            seconds += max(self._cold_s(), 0)
        return Invocation(lots, now_s, seconds)

    def proceed(self, now_s: int) -> None:
        still = []
        for invocation in self.running:
            if now_s - invocation.began_s < min(invocation.left, self.mapping.timeout_s):
                still.append(invocation)
            elif invocation.left > self.mapping.timeout_s:
                self.time_out(invocation)
            else:
                self.bill(invocation.left)
                for lot in invocation.lots:
                    self.queue.delete(now_s, lot.only_good())
                    self.fail(invocation, lot.only_bad())
                    self._publish(now_s, lot.good, 0)
        self.running = still


class LoadingFunction(Function):
    """
    Loads one batch at a time, all or nothing: a row that the database refuses fails all messages of its collection.
    """

    def __init__(self, queue: Queue, mapping: Mapping, measured: Loading, database_rate: float) -> None:
        super().__init__(queue, mapping)
        slower_s = measured.cpu_s * (1 / mapping.vcpu - 1)
        self._rate = 1 / (1 / measured.connection_rate + slower_s)
        self._database_rate = database_rate

    def invoke(self, now_s: int, lots: list[Lot]) -> Invocation:
        return Invocation(lots, now_s, float(sum(lot.n for lot in lots)))

    def proceed(self, now_s: int) -> None:
        if not self.running:
            return
        rate = min(self._rate, self._database_rate / len(self.running))
        still = []
        for invocation in self.running:
            invocation.left -= rate
            if invocation.left > 0 and now_s - invocation.began_s < self.mapping.timeout_s:
                still.append(invocation)
            elif invocation.left > 0:
                self.time_out(invocation)
            else:
                self.bill(now_s - invocation.began_s + invocation.left / rate)
                is_refused = any(lot.bad for lot in invocation.lots)
                for lot in invocation.lots:
                    if is_refused:
                        self.fail(invocation, lot)
                    else:
                        self.queue.delete(now_s, lot)
        self.running = still
