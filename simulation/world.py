"""Runs everything second by second: publishing, the two stages, and each minute CloudWatch and scaling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from simulation import prices
from simulation.cloudwatch import PERIOD_S
from simulation.functions import GENERATION, LOADING, Function, GenerationFunction, LoadingFunction
from simulation.metrics import Feed, MetricTimes
from simulation.policy import Stage as Declared
from simulation.policy import Terraform
from simulation.queue import Queue
from simulation.rates import original_generation, original_loading, ours_generation, ours_loading
from simulation.scaling import Scaling
from simulation.service import Service, TaskTimes
from simulation.work import Database, GenerationTask, GenerationWork, LoadingTask, LoadingWork, Work

STAGES = ("generation", "loading")


@dataclass(frozen=True)
class Arrivals:
    """
    What is published in one second: requests to ItemGenTopic, items to ItemLoadTopic, and the number of bad ones of
    each.
    """

    requests: int = 0
    bad_requests: int = 0
    items: int = 0
    bad_items: int = 0


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    arrivals: Callable[[int, Random], Arrivals]
    last_s: int  # time of the last arrival
    metrics: MetricTimes = MetricTimes()
    times: TaskTimes = TaskTimes()
    keep_alive: bool = True
    spot_ends_s: tuple[int, ...] = ()  # when all Spot tasks are taken away
    wait_s: float = 0.0
    longest_s: int = 36 * 3600


@dataclass
class Outcome:
    """Result of one stage, of ours or of the original's."""

    stage: str
    who: str
    sent: int
    done: int
    dead: int
    good_dead: int
    backlog_max: int
    longest_s: int  # longest time from sending to deletion
    drained_s: int | None  # time from the last message published until all are done or dead; None if that is not reached
    wake_s: int | None  # the longest time that messages waited for a first task
    tasks_max: int
    task_hours: float
    dollars: float
    dollars_spot: float  # at Spot's largest discount
    extra: dict[str, float] = field(default_factory=dict)


class _Watch:
    """Observes a queue, for the report."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.last_sent_s = 0
        self.empty_s: int | None = None
        self.backlog_max = 0
        self._sent = 0

    def tick(self, now_s: int) -> None:
        if self._queue.sent > self._sent:
            self._sent = self._queue.sent
            self.last_sent_s = now_s
        backlog = self._queue.backlog
        self.backlog_max = max(self.backlog_max, backlog)
        if backlog > 0:
            self.empty_s = None
        elif self.empty_s is None:
            self.empty_s = now_s

    @property
    def drained_s(self) -> int | None:
        return None if self.empty_s is None else max(self.empty_s - self.last_sent_s, 0)


class _Stage:
    def __init__(self, queue: Queue, service: Service, policy: Declared, scenario: Scenario) -> None:
        self.queue = queue
        self.service = service
        self.policy = policy
        self.watch = _Watch(queue)
        self._scaling = Scaling(policy.scaling)
        self._feed = Feed(queue, service, scenario.metrics)
        self._keep_alive_s = policy.scaling.keep_alive_s if scenario.keep_alive else None
        self._sleeps_since_s: int | None = None  # messages wait since then, and no task runs
        self._wake_s: int | None = None
        service.desired = policy.scaling.min_tasks

    def tick(self, now_s: int) -> None:
        self.queue.tick(now_s)
        if self._keep_alive_s and now_s % self._keep_alive_s == 0:
            self.queue.touch(now_s)
        if now_s > 0 and now_s % PERIOD_S == 0:
            metrics = partial(self._feed.known, now_s)
            self.service.desired = self._scaling.desired(now_s, self.service.desired, metrics)
        self.service.tick(now_s)
        self.watch.tick(now_s)
        self._feed.observe(now_s)
        self._watch_waking(now_s)

    def _watch_waking(self, now_s: int) -> None:
        if self.service.running == 0 and self.queue.visible > 0:
            self._sleeps_since_s = now_s if self._sleeps_since_s is None else self._sleeps_since_s
        elif self._sleeps_since_s is not None:
            self._wake_s = max(self._wake_s or 0, now_s - self._sleeps_since_s)
            self._sleeps_since_s = None

    @property
    def is_at_rest(self) -> bool:
        return self.queue.backlog == 0 and len(self.service.tasks) == self.policy.scaling.min_tasks

    def outcome(self, name: str) -> Outcome:
        size = self.policy.size
        hour = prices.fargate_task_hour(size.cpu_units, size.memory_mib, self.policy.architecture)
        address = prices.PUBLIC_IPV4_HOUR
        spot_hour = (hour - address) * (1 - prices.FARGATE_SPOT_DISCOUNT_MOST) + address
        hours, spot_hours = self.service.task_s / 3600, self.service.spot_s / 3600
        return Outcome(
            stage=name,
            who="ours",
            sent=self.queue.sent,
            done=self.queue.done,
            dead=self.queue.dead,
            good_dead=self.queue.good_dead,
            backlog_max=self.watch.backlog_max,
            longest_s=self.queue.longest_s,
            drained_s=self.watch.drained_s,
            wake_s=self._wake_s,
            tasks_max=self.service.tasks_max,
            task_hours=hours + spot_hours,
            dollars=(hours + spot_hours) * hour,
            dollars_spot=hours * hour + spot_hours * spot_hour,
        )


@dataclass
class Run:
    scenario: Scenario
    seed: int
    outcomes: list[Outcome]
    ended_s: int

    def of(self, who: str, stage: str) -> Outcome:
        return next(outcome for outcome in self.outcomes if (outcome.who, outcome.stage) == (who, stage))


Look = Callable[[int, Queue, Queue], None]  # called each second: for tests of rules that must hold all the time


def simulate(scenario: Scenario, terraform: Terraform, seed: int, look: Look | None = None) -> Run:
    ours, ended_s = _ours(scenario, terraform, Random(seed), look)
    return Run(scenario, seed, ours + _original(scenario, terraform, Random(seed), ended_s, look), ended_s)


def _ours(scenario: Scenario, terraform: Terraform, random: Random, look: Look | None) -> tuple[list[Outcome], int]:
    arriving, chance = Random(random.random()), Random(random.random())
    requests, items = Queue(chance), Queue(chance)
    database = Database(terraform.database_vcpu, ours_loading())
    gen_policy, load_policy = terraform.generation, terraform.loading
    maker = GenerationTask(gen_policy.workers, gen_policy.size.vcpu, scenario.wait_s, ours_generation())
    loader = LoadingTask(
        load_policy.workers, load_policy.size.vcpu, terraform.batch_items, terraform.batch_idle_s, ours_loading()
    )

    def new_maker() -> Work:
        return GenerationWork(requests, terraform.retry, maker, items.send, chance)

    def new_loader() -> Work:
        return LoadingWork(items, terraform.retry, loader, database)

    generation = _Stage(requests, Service(new_maker, scenario.times, gen_policy.spot, chance), gen_policy, scenario)
    loading = _Stage(items, Service(new_loader, scenario.times, load_policy.spot, chance), load_policy, scenario)

    now_s = 0
    while now_s < scenario.longest_s:
        if now_s <= scenario.last_s:
            arrived = scenario.arrivals(now_s, arriving)
            requests.send(now_s, arrived.requests, arrived.bad_requests)
            items.send(now_s, arrived.items, arrived.bad_items)
        if now_s in scenario.spot_ends_s:
            generation.service.interrupt_spot(now_s)
            loading.service.interrupt_spot(now_s)
        database.tick()
        generation.tick(now_s)
        loading.tick(now_s)
        if look:
            look(now_s, requests, items)
        now_s += 1
        if now_s > scenario.last_s and generation.is_at_rest and loading.is_at_rest:
            break
    return [generation.outcome("generation"), loading.outcome("loading")], now_s


def _original(
    scenario: Scenario, terraform: Terraform, random: Random, at_least_s: int, look: Look | None
) -> list[Outcome]:
    arriving, chance = Random(random.random()), Random(random.random())
    requests, items = Queue(chance), Queue(chance)
    database_rate = Database(terraform.database_vcpu, original_loading()).rate
    maker = GenerationFunction(requests, GENERATION, original_generation(), scenario.wait_s, items.send, chance)
    loader = LoadingFunction(items, LOADING, original_loading(), database_rate)
    watches = {"generation": _Watch(requests), "loading": _Watch(items)}
    now_s = 0
    while now_s < scenario.longest_s:
        if now_s <= scenario.last_s:
            arrived = scenario.arrivals(now_s, arriving)
            requests.send(now_s, arrived.requests, arrived.bad_requests)
            items.send(now_s, arrived.items, arrived.bad_items)
        for queue, function in ((requests, maker), (items, loader)):
            queue.tick(now_s)
            function.tick(now_s)
        for watch in watches.values():
            watch.tick(now_s)
        if look:
            look(now_s, requests, items)
        now_s += 1
        if now_s > scenario.last_s and requests.backlog == 0 and items.backlog == 0:
            break
    return [
        _original_outcome(name, queue, function, watches[name])
        for name, queue, function in (("generation", requests, maker), ("loading", items, loader))
    ]


def _original_outcome(name: str, queue: Queue, function: Function, watch: _Watch) -> Outcome:
    dollars = function.gib_s * prices.LAMBDA_GB_S + function.invocations * prices.LAMBDA_REQUEST
    return Outcome(
        stage=name,
        who="original",
        sent=queue.sent,
        done=queue.done,
        dead=queue.dead,
        good_dead=queue.good_dead,
        backlog_max=watch.backlog_max,
        longest_s=queue.longest_s,
        drained_s=watch.drained_s,
        wake_s=None,
        tasks_max=function.concurrency_max,
        task_hours=function.billed_ms / 3600e3,
        dollars=dollars,
        dollars_spot=dollars,
        extra={"invocations": function.invocations, "timeouts": function.timeouts},
    )
