"""An ECS service on Fargate: tasks that take a while to start, and protect themselves from scale-in while they work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from simulation.work import Work

# Tasks that start per second and account: "AWS Fargate throttling quotas" in the Amazon ECS Developer Guide.
LAUNCHES_PER_S = 20


@dataclass
class Task:
    launched_s: int  # paid from here on
    runs_s: int  # works from here on
    is_spot: bool
    work: Work | None = None
    ends_s: int | None = None  # a stop waits for the open long poll


@dataclass(frozen=True)
class Spot:
    """A capacity provider strategy: this many tasks on demand first, then this share of the others on Spot."""

    base: int = 0
    share: float = 0.0

    def is_next(self, on_demand: int, spot: int) -> bool:
        beyond = on_demand + spot - self.base
        return on_demand >= self.base and spot < math.ceil((beyond + 1) * self.share)


@dataclass(frozen=True)
class TaskTimes:
    """
    Times that no document gives exactly and that we have not measured. They are assumptions, and the report says so.
    """

    start_s: tuple[int, int] = (30, 90)  # range from the launch to the first receive, with the image pull
    stop_s: int = 20  # wait_time of etc/*.yaml: a stop waits for the open long poll


class Service:
    def __init__(self, new_work: Callable[[], Work], times: TaskTimes, spot: Spot, random: Random) -> None:
        self._new_work = new_work
        self._times = times
        self._spot = spot
        self._random = random
        self.desired = 0
        self.tasks: list[Task] = []
        self.task_s = self.spot_s = 0  # paid, on demand and Spot
        self.tasks_max = 0

    @property
    def running(self) -> int:
        return sum(task.work is not None and task.ends_s is None for task in self.tasks)

    def tick(self, now_s: int) -> None:
        self._end(now_s)
        active = [task for task in self.tasks if task.ends_s is None]
        self._launch(now_s, active)
        self._reduce(now_s, active)
        for task in self.tasks:
            if task.is_spot:
                self.spot_s += 1
            else:
                self.task_s += 1
            if task.ends_s is None and now_s >= task.runs_s:
                if task.work is None:
                    task.work = self._new_work()
                task.work.tick(now_s)
        self.tasks_max = max(self.tasks_max, len(self.tasks))

    def interrupt_spot(self, now_s: int) -> int:
        """Takes away all Spot tasks at once. They give back their messages; the service starts other tasks."""
        taken = [task for task in self.tasks if task.is_spot and task.ends_s is None]
        for task in taken:
            self._stop(now_s, task)
        return len(taken)

    def _launch(self, now_s: int, active: list[Task]) -> None:
        spot = sum(task.is_spot for task in active)
        on_demand = len(active) - spot
        for _ in range(min(self.desired - len(active), LAUNCHES_PER_S)):
            is_spot = self._spot.is_next(on_demand, spot)
            spot, on_demand = spot + is_spot, on_demand + (not is_spot)
            self.tasks.append(Task(now_s, now_s + self._random.randint(*self._times.start_s), is_spot))

    def _reduce(self, now_s: int, active: list[Task]) -> None:
        """Stops tasks that have not started yet first. Of the others, stops only those that hold no message."""
        excess = len(active) - self.desired
        if excess <= 0:
            return
        idle = [task for task in active if task.work is None or not task.work.is_busy]
        idle.sort(key=lambda task: -task.runs_s)
        for task in idle[:excess]:
            self._stop(now_s, task)

    def _stop(self, now_s: int, task: Task) -> None:
        if task.work is not None:
            task.work.hand_back(now_s)
            task.ends_s = now_s + self._times.stop_s
        else:
            task.ends_s = now_s

    def _end(self, now_s: int) -> None:
        if any(task.ends_s is not None and task.ends_s <= now_s for task in self.tasks):
            self.tasks = [task for task in self.tasks if task.ends_s is None or task.ends_s > now_s]
