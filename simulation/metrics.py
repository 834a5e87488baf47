"""The metrics of a queue and its service that CloudWatch has, minute by minute: late, or absent."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.cloudwatch import PERIOD_S
from simulation.expression import Value
from simulation.queue import Queue
from simulation.service import Service

VISIBLE, NOT_VISIBLE = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"
RUNNING = "RunningTaskCount"
NAMES = (VISIBLE, NOT_VISIBLE, RUNNING)

# Amazon SQS Developer Guide, "Monitoring Amazon SQS queues using CloudWatch": a queue counts as active for up to six
# hours after its last use or message. When it is used again, its metrics take up to 15 minutes to appear. Here they
# always take 15.
ACTIVE_S, RETURN_S = 6 * 3600, 15 * 60


@dataclass(frozen=True)
class Fault:
    """Metrics of the minutes between two times arrive later, or never."""

    from_s: int
    until_s: int
    later_s: int | None
    names: tuple[str, ...] = NAMES


@dataclass(frozen=True)
class MetricTimes:
    delay_s: int = 60  # from a minute's end until its values can be read: an assumption
    faults: tuple[Fault, ...] = ()

    def arrives_s(self, ended_s: int, name: str) -> int | None:
        arrives_s: int | None = ended_s + self.delay_s
        for fault in self.faults:
            if fault.from_s <= ended_s < fault.until_s and name in fault.names:
                arrives_s = None if fault.later_s is None else ended_s + self.delay_s + fault.later_s
        return arrives_s


@dataclass
class _Minute:
    maximum: float = 0.0
    total: float = 0.0
    n: int = 0
    arrives_s: int | None = None

    def add(self, value: float) -> None:
        self.maximum = max(self.maximum, value)
        self.total += value
        self.n += 1

    def statistic(self, name: str) -> float:
        return {"Maximum": self.maximum, "Average": self.total / self.n, "Sum": self.total}[name]


class Feed:
    def __init__(self, queue: Queue, service: Service, times: MetricTimes) -> None:
        self._queue = queue
        self._service = service
        self._times = times
        self._minutes: dict[str, dict[int, _Minute]] = {name: {} for name in NAMES}
        self._is_active = True
        self._silent_until_s = 0

    def observe(self, now_s: int) -> None:
        """Called each second."""
        if self._queue_is_measured(now_s):
            self._add(now_s, VISIBLE, self._queue.visible)
            self._add(now_s, NOT_VISIBLE, self._queue.in_flight)
        if self._service.running > 0:  # Container Insights reports nothing for a service without tasks
            self._add(now_s, RUNNING, self._service.running)

    def known(self, now_s: int, name: str, statistic: str, minutes: int) -> list[Value]:
        """Values of the last whole minutes, newest first."""
        this = now_s // PERIOD_S
        return [self._value(name, minute, statistic, now_s) for minute in range(this - 1, this - 1 - minutes, -1)]

    def _value(self, name: str, minute: int, statistic: str, now_s: int) -> Value:
        found = self._minutes[name].get(minute)
        has_arrived = found is not None and found.arrives_s is not None and found.arrives_s <= now_s
        return found.statistic(statistic) if found and has_arrived else None

    def _add(self, now_s: int, name: str, value: float) -> None:
        number = now_s // PERIOD_S
        minute = self._minutes[name].get(number)
        if minute is None:
            arrives_s = self._times.arrives_s((number + 1) * PERIOD_S, name)
            minute = self._minutes[name].setdefault(number, _Minute(arrives_s=arrives_s))
        minute.add(value)

    def _queue_is_measured(self, now_s: int) -> bool:
        last_use_s = self._queue.last_use_s
        is_active = self._queue.backlog > 0 or (last_use_s is not None and now_s - last_use_s < ACTIVE_S)
        if is_active and not self._is_active:
            self._silent_until_s = now_s + RETURN_S
        self._is_active = is_active
        return is_active and now_s >= self._silent_until_s
