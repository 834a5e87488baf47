"""The simulation's figures as tables: for a terminal, and in Markdown for docs/explanation/scaling.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simulation import bill, prices, rates, requests
from simulation.functions import GENERATION, LOADING
from simulation.metrics import ACTIVE_S, RETURN_S, MetricTimes
from simulation.policy import Stage, Terraform
from simulation.prices import GP3_MB_S
from simulation.queue import IN_FLIGHT_MAX
from simulation.rates import measured
from simulation.scaling import HIGH_PERIODS, LOW_PERIODS, LOW_SHARE
from simulation.service import TaskTimes
from simulation.work import Database, GenerationTask, LoadingTask
from simulation.world import STAGES, Outcome, Run


@dataclass(frozen=True)
class Table:
    """`name`: names its place in the document."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1  # number of columns from the left that are not numbers

    def text(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        cells = [
            [cell.ljust(w) if i < self.words else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))]
            for line in lines
        ]
        return "\n".join([f"{self.name}:", *("  " + "  ".join(line).rstrip() for line in cells)])

    def markdown(self) -> str:
        rule = ["---" if i < self.words else "---:" for i in range(len(self.head))]
        return "\n".join("| " + " | ".join(line) + " |" for line in (self.head, rule, *self.rows))


def update(document: str, tables: Iterable[Table]) -> str:
    """Replaces each table in its place: between `<!-- simulation: NAME -->` and `<!-- end -->`."""
    by_name = {table.name: table for table in tables}

    def fresh(match: re.Match[str]) -> str:
        return f"<!-- simulation: {match[1]} -->\n{by_name[match[1]].markdown()}\n<!-- end -->"

    return re.sub(r"<!-- simulation: (\w+) -->\n.*?<!-- end -->", fresh, document, flags=re.S)


def clock(seconds: int | None) -> str:
    """A duration in minutes and seconds."""
    return "never" if seconds is None else f"{seconds // 60}:{seconds % 60:02}"


def dollars(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


# --------------------------------------------------------------------- assumptions


def policy(terraform: Terraform) -> Table:
    stages = (terraform.generation, terraform.loading)
    keep_alive_s = terraform.generation.scaling.keep_alive_s

    def row(name: str, value: Callable[[Stage], str]) -> list[str]:
        return [name, *(value(stage) for stage in stages)]

    def steps(stage: Stage) -> str:
        return "; ".join(
            f"{step.name}: {step.datapoints} of {step.periods} min, cooldown {step.cooldown_s} s"
            for step in stage.scaling.steps
        )

    rows = [
        row("task", lambda s: f"{s.size.vcpu:g} vCPU, {s.size.memory_mib:,} MiB, {s.architecture}"),
        row("workers in a task", lambda s: str(s.workers)),
        row("tasks", lambda s: f"{s.scaling.min_tasks} to {s.scaling.max_tasks}"),
        row("backlog per task, the target", lambda s: f"{s.scaling.tracking.target:,}"),
        row("scale-out alarm, cooldown", lambda s: f"{HIGH_PERIODS} min, {s.scaling.tracking.out_cooldown_s} s"),
        row(
            "scale-in alarm, cooldown",
            lambda s: f"{LOW_PERIODS} min below {LOW_SHARE:.0%}, {s.scaling.tracking.in_cooldown_s} s",
        ),
        row("steps", steps),
        row("tasks on Spot, beside the first", lambda s: f"{s.spot.share:.0%}"),
        row("schedule", lambda s: "none" if keep_alive_s is None else f"each {keep_alive_s // 60} min"),
    ]
    return Table("policy", ["", "itemgend", "itemloadd"], rows, words=3)


def formulas(terraform: Terraform) -> Table:
    scaling = terraform.generation.scaling
    rows = [["target tracking", f"`{id_} = {text}`"] for id_, text in scaling.tracking.math.expressions]
    for step in scaling.steps:
        rows += [[step.name, f"`{id_} = {text}`"] for id_, text in step.math.expressions]
    return Table("formulas", ["", "metric math"], rows, words=2)


def service_rates(terraform: Terraform, wait_s: float) -> Table:
    gen, load = terraform.generation, terraform.loading
    ours, original = rates.ours_generation(), rates.original_generation()
    maker = GenerationTask(gen.workers, gen.size.vcpu, wait_s, ours)
    loader = LoadingTask(
        load.workers, load.size.vcpu, terraform.batch_items, terraform.batch_idle_s, rates.ours_loading()
    )
    database = Database(terraform.database_vcpu, rates.ours_loading())
    theirs = Database(terraform.database_vcpu, rates.original_loading())
    loaded, by_original = rates.ours_loading(), rates.original_loading()
    instance = terraform.database_instance
    rows = [
        [
            "itemgend",
            f"{maker.rate:.1f}",
            f"{ours.cpu_s * 1000:.1f} ms of a vCPU (`generation_glclu`, sandbox: limits)",
        ],
        [
            "the original's handler, a function",
            f"{1 / original.seconds(GENERATION.vcpu, wait_s):.2f}",
            f"{original.cpu_s * 1000:.0f} ms (`generation_glclu`), on {GENERATION.vcpu:.2f} vCPU",
        ],
        ["itemloadd", f"{loader.rate:,.0f}", f"{loaded.cpu_s * 1e6:.0f} µs of a vCPU (`end_to_end`, 2 workers)"],
        [
            f"{instance}, by itemloadd",
            f"{database.rate:,.0f}",
            f"{loaded.database_cpu_s * 1e6:.0f} µs (`months`, ours)",
        ],
        [
            f"{instance}, by the original",
            f"{theirs.rate:,.0f}",
            f"{by_original.database_cpu_s * 1e6:.0f} µs (`months`, the original's path)",
        ],
    ]
    return Table("rates", ["one", "items/s", "by the processor time of an item"], rows, words=1)


def assumptions(wait_s: float) -> Table:
    times, metrics = TaskTimes(), MetricTimes()
    ours, original = rates.ours_generation().cold_s, rates.original_generation().cold_s
    rows = [
        ["a task from its launch to its first receive", f"{times.start_s[0]} to {times.start_s[1]} s", "assumed"],
        [
            "an environment, ours and the original's",
            f"{ours[0]} to {ours[1]} s, {original[0]} to {original[1]} s",
            "`generation_cold`",
        ],
        ["a stop, with the open long polls", f"{times.stop_s} s", "wait_time"],
        ["a metric, after its minute", f"{metrics.delay_s} s", "assumed"],
        ["metrics of a queue stop after, return after", f"{ACTIVE_S // 3600} h, {RETURN_S // 60} min", "SQS's most"],
        ["an item waits for its files beside the processor", f"{wait_s:g} s", "0 s: as measured, on loopback"],
        ["Lambda: batches of requests at once", str(GENERATION.concurrency), "the original's max_concurrency"],
        ["Lambda: batches of items at once", f"{LOADING.concurrency:,}", "Lambda's most"],
    ]  # fmt: skip
    return Table("assumptions", ["", "", "from"], rows, words=3)


# ------------------------------------------------------------------ results


def scenarios(runs: Sequence[Run]) -> Table:
    return Table("scenarios", ["", "what happens"], [[run.scenario.name, run.scenario.title] for run in runs], words=2)


def outcome_row(name: str, ours: Outcome, original: Outcome) -> list[str]:
    lost = f"{original.dead:,} ({original.good_dead:,} good ones)" if original.good_dead else f"{original.dead:,}"
    return [
        name,
        f"{ours.backlog_max:,}",
        clock(ours.wake_s) if ours.wake_s is not None or ours.tasks_max == 0 else "",
        clock(ours.longest_s if ours.done else None),
        clock(original.longest_s if original.done else None),
        clock(ours.drained_s),
        clock(original.drained_s),
        str(ours.tasks_max),
        str(original.tasks_max),
        f"{ours.task_hours:.2f}",
        dollars(ours.dollars),
        dollars(ours.dollars_spot),
        dollars(original.dollars),
        f"{ours.dead:,}",
        lost,
    ]


def stage(runs: Sequence[Run], name: str) -> Table:
    head = [
        *("", "backlog, most", "first task", "oldest", "Lambda", "drained", "Lambda", "tasks", "functions"),
        *("task hours", "$", "$ with Spot", "$ Lambda", "dead", "Lambda"),
    ]
    rows = []
    for run in runs:
        ours, original = run.of("ours", name), run.of("original", name)
        if ours.sent or original.sent:
            rows.append(outcome_row(run.scenario.name, ours, original))
    return Table(name, head, rows)


def lateness(runs: Sequence[tuple[int, Run]]) -> Table:
    rows = []
    for later_s, run in runs:
        ours = run.of("ours", "generation")
        rows.append([f"{later_s // 60}", clock(ours.wake_s), clock(ours.drained_s), str(ours.tasks_max)])
    return Table("lateness", ["minutes later", "first task", "drained", "tasks"], rows, words=0)


# ------------------------------------------------------------ computed


def request_table(terraform: Terraform, bills: Sequence[bill.Bill]) -> Table:
    load = terraform.loading
    columns = [("generation", requests.GENERATION)]
    columns += [
        (
            "loading, a flood",
            requests.loading(0, load.workers, terraform.receives, terraform.batch_idle_s, is_flood=True),
        )
    ]
    for day in bills:
        rate = day.rate / day.itemloadd_tasks
        each = requests.loading(rate, load.workers, terraform.receives, terraform.batch_idle_s, is_flood=False)
        columns.append((f"loading, {day.rate:,.1f} items/s", each))
    names = (("published", "publishes"), ("received", "receives"), ("deleted", "deletes"))
    rows = [[label, *(f"{getattr(each, name):.2f}" for _, each in columns)] for label, name in names]
    rows.append(["heartbeats", *("0" for _ in columns)])
    return Table("requests", ["requests of an item", *(name for name, _ in columns)], rows)


def bill_table(bills: Sequence[bill.Bill]) -> Table:
    def row(label: str, form: Callable[[bill.Bill], str]) -> list[str]:
        return [label, *(form(day) for day in bills)]

    rows = [
        row("items a second", lambda d: f"{d.rate:,.1f}"),
        row("SNS, millions published", lambda d: f"{d.publishes:,.0f}"),
        row("$", lambda d: dollars(d.sns)),
        row("SQS, millions of requests", lambda d: f"{d.sqs_requests:,.1f}"),
        row("$", lambda d: dollars(d.sqs)),
        row("tasks of itemgend, of itemloadd", lambda d: f"{d.itemgend_tasks}, {d.itemloadd_tasks}"),
        row("task hours", lambda d: f"{d.task_hours:,.0f}"),
        row("$ of itemgend", lambda d: dollars(d.itemgend)),
        row("$ of itemloadd", lambda d: dollars(d.itemloadd)),
        row("$ of logs taken in", lambda d: dollars(d.logs)),
        row("$ of the database's instance", lambda d: dollars(d.database)),
        row("$ together", lambda d: dollars(d.together)),
        row("database: vCPUs busy", lambda d: f"{d.database_vcpu:.4f}"),
        row("database: GB more", lambda d: f"{d.storage_gb:,.1f}"),
        row("$ a month for these GB, from then on", lambda d: dollars(d.storage_month)),
        row("the same work by Lambda: $ of generation", lambda d: dollars(d.lambda_generation)),
        row("$ of loading", lambda d: dollars(d.lambda_loading)),
    ]
    return Table("bill", ["a day", *(f"{day.items / 1e6:,.0f} million items" for day in bills)], rows)


def capacity(terraform: Terraform, wait_s: float) -> Table:
    most = bill.capacity(terraform, wait_s)
    gen, load = terraform.generation, terraform.loading
    rows = [
        [
            f"itemgend, {gen.scaling.max_tasks} tasks",
            f"{most.itemgend_most:,.0f}",
            f"{most.itemgend_most * 86400 / 1e6:,.0f}",
        ],
        [
            f"itemloadd, {load.scaling.max_tasks} tasks",
            f"{most.itemloadd_most:,.0f}",
            f"{most.itemloadd_most * 86400 / 1e6:,.0f}",
        ],
        [
            f"the processors of {terraform.database_instance}",
            f"{most.database:,.0f}",
            f"{most.database * 86400 / 1e6:,.0f}",
        ],
    ]
    baseline = prices.RDS_BASELINE.get(terraform.database_instance)
    if baseline:
        rows.append([f"and for ever, at {baseline:.0%} of each", f"{most.database * baseline:,.0f}",
                     f"{most.database * baseline * 86400 / 1e6:,.0f}"])  # fmt: skip
    return Table("capacity", ["by default at most", "items/s", "million a day"], rows)


def limits(terraform: Terraform, bills: Sequence[bill.Bill], wait_s: float) -> Table:
    most = bill.capacity(terraform, wait_s)
    gen, load = terraform.generation, terraform.loading

    def vcpu(day: bill.Bill) -> float:
        return day.itemgend_tasks * gen.size.vcpu + day.itemloadd_tasks * load.size.vcpu

    rows = [
        [
            "SQS: messages in flight, a queue",
            f"{IN_FLIGHT_MAX:,}",
            f"{most.requests_held:,} requests, {most.items_held:,} items",
            *("" for _ in bills),
        ],
        ["SNS: published a second", "by region", "", *(f"{2 * day.rate:,.0f}" for day in bills)],
        ["Fargate: vCPUs", "by account", f"{most.vcpu:g}", *(f"{vcpu(day):g}" for day in bills)],
        [
            "RDS: connections",
            f"{terraform.database_connections}",
            f"{most.connections}",
            *(f"{day.itemloadd_tasks * load.workers}" for day in bills),
        ],
        [
            "RDS: storage",
            f"{terraform.database_storage_gib} GiB",
            f"{most.stored / 1e6:,.1f} million items",
            *(f"{day.storage_gb:,.1f} GB a day" for day in bills),
        ],
        [
            "RDS, gp3: MB/s",
            f"{GP3_MB_S}",
            f"{most.database * measured('storage', '60 months', 'log') / 1e6:,.0f}",
            *(f"{day.wal_mb_s:.2f}" for day in bills),
        ],
    ]
    head = [
        "limit",
        "",
        "the default configuration at most",
        *(f"{day.items / 1e6:,.0f} million a day" for day in bills),
    ]
    return Table("limits", head, rows)


def price_table() -> Table:
    rows = [
        [
            "Fargate, a vCPU and a GB, an hour, x86_64",
            f"{prices.FARGATE_VCPU_HOUR['x86_64']}, {prices.FARGATE_GB_HOUR['x86_64']}",
        ],
        ["the same, arm64", f"{prices.FARGATE_VCPU_HOUR['arm64']}, {prices.FARGATE_GB_HOUR['arm64']}"],
        ["Fargate Spot, off at most", f"{prices.FARGATE_SPOT_DISCOUNT_MOST:.0%}"],
        ["a public IPv4 address, an hour", f"{prices.PUBLIC_IPV4_HOUR}"],
        [
            "Lambda, a GB and second; a million requests",
            f"{prices.LAMBDA_GB_S:.10f}; {prices.LAMBDA_REQUEST * 1e6:.2f}",
        ],
        [
            "SNS, a million published; SQS, a million requests",
            f"{prices.SNS_PUBLISH * 1e6:.2f}; {prices.SQS_REQUEST * 1e6:.2f}",
        ],
        ["CloudWatch Logs, a GB taken in", f"{prices.LOGS_GB:.2f}"],
        [
            "RDS, an hour of " + ", ".join(prices.RDS_INSTANCES),
            ", ".join(str(hour) for _, hour in prices.RDS_INSTANCES.values()),
        ],
        ["RDS, a GB of gp3, a month", f"{prices.RDS_GB_MONTH}"],
    ]
    return Table("prices", ["", "$"], rows)


def all_tables(
    terraform: Terraform,
    runs: Sequence[Run],
    late: Sequence[tuple[int, Run]],
    bills: Sequence[bill.Bill],
    wait_s: float,
) -> list[Table]:
    return [
        policy(terraform),
        formulas(terraform),
        service_rates(terraform, wait_s),
        assumptions(wait_s),
        scenarios(runs),
        *(stage(runs, name) for name in STAGES),
        lateness(late),
        request_table(terraform, bills),
        bill_table(bills),
        capacity(terraform, wait_s),
        limits(terraform, bills, wait_s),
        price_table(),
    ]
