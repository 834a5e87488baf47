"""
The computed cost of items at an even rate: messages, task hours, logs, database; and the cost of the same work on
Lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulation import prices, requests
from simulation.functions import GENERATION, LOADING
from simulation.policy import Terraform
from simulation.rates import measured, original_generation, original_loading, ours_generation, ours_loading
from simulation.work import Database, GenerationTask, LoadingTask

DAY_S = 86400
# Log bytes for each item: one line of itemgend, one line of itemloadd (tests/simulation/test_simulation_requests.py).
LOG_BYTES = {"itemgend": 380, "itemloadd": 280}
GIB, GB = 2**30, 1e9


@dataclass(frozen=True)
class Bill:
    """Costs and quantities for one day, in dollars unless the name says otherwise."""

    items: float
    rate: float
    itemgend_tasks: int
    itemloadd_tasks: int
    publishes: float  # in millions
    sqs_requests: float  # in millions
    task_hours: float
    sns: float
    sqs: float
    itemgend: float
    itemloadd: float
    logs: float
    database: float  # its instance
    database_vcpu: float  # number of vCPUs that are always busy
    storage_gb: float  # added each day
    wal_mb_s: float  # the database's write-ahead log
    storage_month: float  # monthly cost of one day's items from then on
    lambda_generation: float
    lambda_loading: float

    @property
    def together(self) -> float:
        return self.sns + self.sqs + self.itemgend + self.itemloadd + self.logs + self.database


def day(terraform: Terraform, items: float, wait_s: float = 0.0) -> Bill:
    rate = items / DAY_S
    gen, load = terraform.generation, terraform.loading
    maker = GenerationTask(gen.workers, gen.size.vcpu, wait_s, ours_generation())
    loader = LoadingTask(load.workers, load.size.vcpu, terraform.batch_items, terraform.batch_idle_s, ours_loading())
    gen_tasks, load_tasks = math.ceil(rate / maker.rate), math.ceil(rate / loader.rate)
    loading = requests.loading(
        rate / load_tasks, load.workers, terraform.receives, terraform.batch_idle_s, is_flood=False
    )
    publishes = requests.GENERATION.publishes + loading.publishes
    sqs_requests = requests.GENERATION.sqs + loading.sqs
    storage_gb = items * measured("storage", "60 months", "together") / GB
    return Bill(
        items=items,
        rate=rate,
        itemgend_tasks=gen_tasks,
        itemloadd_tasks=load_tasks,
        publishes=items * publishes / 1e6,
        sqs_requests=items * sqs_requests / 1e6,
        task_hours=24.0 * (gen_tasks + load_tasks),
        sns=items * publishes * prices.SNS_PUBLISH,
        sqs=items * sqs_requests * prices.SQS_REQUEST,
        itemgend=24 * gen_tasks * prices.fargate_task_hour(gen.size.cpu_units, gen.size.memory_mib, gen.architecture),
        itemloadd=24
        * load_tasks
        * prices.fargate_task_hour(load.size.cpu_units, load.size.memory_mib, load.architecture),
        logs=items * sum(LOG_BYTES.values()) / GB * prices.LOGS_GB,
        database=24 * prices.RDS_INSTANCES[terraform.database_instance][1],
        database_vcpu=rate * ours_loading().database_cpu_s,
        storage_gb=storage_gb,
        wal_mb_s=rate * measured("storage", "60 months", "log") / 1e6,
        storage_month=storage_gb * GB / GIB * prices.RDS_GB_MONTH,
        lambda_generation=_lambda(items, original_generation().seconds(GENERATION.vcpu, wait_s), 1),
        lambda_loading=_lambda(
            items, _original_loading_s(), LOADING.window_s * min(rate, LOADING.batch / LOADING.window_s)
        ),
    )


def _lambda(items: float, item_s: float, batch: float) -> float:
    """The price on Lambda. A batch shares the price of one invocation, which is small beside that of the time."""
    gib = GENERATION.memory_mib / 1024
    return items * item_s * gib * prices.LAMBDA_GB_S + items / batch * prices.LAMBDA_REQUEST


def _original_loading_s() -> float:
    loading = original_loading()
    return 1 / loading.connection_rate + loading.cpu_s * (1 / LOADING.vcpu - 1)


@dataclass(frozen=True)
class Capacity:
    """The highest load of the default configuration, in items a second."""

    itemgend_task: float
    itemgend_most: float
    itemloadd_task: float
    itemloadd_most: float
    database: float
    requests_held: int  # limit from the messages in flight, for all tasks together
    items_held: int
    vcpu: float  # for all tasks together
    connections: int
    stored: float  # items that fit into the database's storage


def capacity(terraform: Terraform, wait_s: float = 0.0) -> Capacity:
    gen, load = terraform.generation, terraform.loading
    maker = GenerationTask(gen.workers, gen.size.vcpu, wait_s, ours_generation())
    loader = LoadingTask(load.workers, load.size.vcpu, terraform.batch_items, terraform.batch_idle_s, ours_loading())
    return Capacity(
        itemgend_task=maker.rate,
        itemgend_most=maker.rate * gen.scaling.max_tasks,
        itemloadd_task=loader.rate,
        itemloadd_most=loader.rate * load.scaling.max_tasks,
        database=Database(terraform.database_vcpu, ours_loading()).rate,
        requests_held=gen.scaling.max_tasks * gen.workers,
        items_held=load.scaling.max_tasks * load.workers * terraform.batch_items,
        vcpu=gen.scaling.max_tasks * gen.size.vcpu + load.scaling.max_tasks * load.size.vcpu,
        connections=load.scaling.max_tasks * load.workers,
        stored=terraform.database_storage_gib * GIB / measured("storage", "60 months", "together"),
    )
