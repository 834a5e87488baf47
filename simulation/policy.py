"""
Reads what terraform declares from terraform/, and the daemons' settings from etc/, so that each value is written once.

The configuration is the default one, with all keys left out. A test compares these values with the result of
`terraform console` on the same files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from simulation import hcl, prices
from simulation.scaling import Math, Policy, Step, StepPolicy, TargetTracking
from simulation.service import Spot
from simulation.work import Retry

TOP = Path(__file__).resolve().parent.parent
MODULES = TOP / "terraform" / "modules"


class PolicyError(Exception):
    pass


@dataclass(frozen=True)
class Size:
    cpu_units: int
    memory_mib: int

    @property
    def vcpu(self) -> float:
        return self.cpu_units / 1024


@dataclass(frozen=True)
class Stage:
    daemon: str
    workers: int
    size: Size
    architecture: str
    spot: Spot
    scaling: Policy


@dataclass(frozen=True)
class Terraform:
    generation: Stage
    loading: Stage
    retry: Retry
    database_instance: str
    database_connections: int
    database_storage_gib: int
    batch_items: int
    batch_idle_s: int
    receives: int  # receives that a worker of itemloadd runs at the same time

    @property
    def database_vcpu(self) -> float:
        return prices.RDS_INSTANCES[self.database_instance][0]


def read() -> Terraform:
    config = _config(hcl.parse_folder(MODULES / "config"))
    max_receive_count = _number(hcl.parse_folder(MODULES / "queues").one("variable", "max_receive_count").attribute("default"))
    daemon = _settings("itemgend")
    return Terraform(
        generation=_stage("itemgend", config, _number(config["itemgend.item_slots"])),
        loading=_stage("itemloadd", config, _number(_settings("itemloadd")["workers"])),
        retry=Retry(max_receive_count - 1, _seconds(daemon["backoff_min"]), _seconds(daemon["backoff_max"])),
        database_instance=config["db_instance_type"].strip('"'),
        database_connections=_number(config["db_max_connections"]),
        database_storage_gib=_number(config["db_allocated_storage"]),
        batch_items=_number(_settings("itemloadd")["batch_items"]),
        batch_idle_s=_seconds(_settings("itemloadd")["batch_idle"]),
        receives=_number(_settings("itemloadd")["receives"]),
    )


# ------------------------------------------------------------ the configuration's defaults


def _config(module: hcl.Body) -> dict[str, str]:
    """Dotted keys with the defaults of the type, as written, and with the values that the module computes."""
    type_ = hcl.object_of(hcl.call_of(module.one("variable", "config").attribute("type"), "object")[0])
    config = dict(_defaults(type_))
    for daemon in ("itemgend", "itemloadd"):
        inner = hcl.call_of(type_[daemon], "optional")[0]
        config |= {f"{daemon}.{k}": v for k, v in _defaults(hcl.object_of(hcl.call_of(inner, "object")[0]))}
    locals_ = _locals(module)
    config["itemgend.size"], config["itemloadd.size"] = _needs(locals_)
    config["fargate"] = locals_["fargate"]
    config["settings"] = module.one("output", "settings").attribute("value")
    return config


def _defaults(members: dict[str, str]) -> list[tuple[str, str]]:
    """The members of the form `optional(TYPE, DEFAULT)`."""
    calls = ((key, hcl.call_of(value, "optional")) for key, value in members.items() if value.startswith("optional("))
    return [(key, arguments[1]) for key, arguments in calls if len(arguments) == 2]


def _locals(module: hcl.Body) -> dict[str, str]:
    return {name: value for block in module.all("locals") for name, value in block.attributes.items()}


def _needs(locals_: dict[str, str]) -> tuple[str, str]:
    """The minimum size of a task of each daemon, with references to locals replaced by their values."""
    needs = []
    for name in ("itemgend_need", "itemloadd_need"):
        needs.append(re.sub(r"local\.(\w+)", lambda match: locals_[match[1]], locals_[name]))
    return needs[0], needs[1]


def fargate_size(sizes: str, cpu: int, memory_mib: int) -> Size:
    """The smallest Fargate size that is enough, as modules/config chooses it."""
    for text in hcl.list_of(sizes):
        size = {key: _number(value) for key, value in hcl.object_of(text).items()}
        if size["cpu"] >= cpu and size["max"] >= memory_mib:
            steps = -(-(memory_mib - size["min"]) // size["step"])
            return Size(size["cpu"], max(size["min"], size["min"] + steps * size["step"]))
    raise PolicyError(f"no Fargate size has {cpu} CPU units and {memory_mib} MiB")


def _size(daemon: str, config: dict[str, str]) -> Size:
    need = {key: _product(value, config) for key, value in hcl.object_of(config[f"{daemon}.size"]).items()}
    return fargate_size(config["fargate"], need["cpu"], need["memory_mib"])


def _product(text: str, config: dict[str, str]) -> int:
    """Evaluates sums of products of numbers and var.config.KEY."""
    total = 0
    for term in text.split("+"):
        product = 1
        for factor in term.split("*"):
            factor = factor.strip()
            product *= _number(config.get(factor.removeprefix("var.config."), factor))
        total += product
    return total


def _backlog_per_task(daemon: str, config: dict[str, str]) -> int:
    """The key's default; if it has none, the value that the output's coalesce(var.config...) uses."""
    key = f"{daemon}.backlog_per_task"
    if key in config:
        return _number(config[key])
    match = re.search(rf"coalesce\(var\.config\.{re.escape(key)}, ([^)]+)\)", config["settings"])
    if not match:
        raise PolicyError(f"terraform/modules/config has no default of {key}")
    return _product(match[1], config)


# ------------------------------------------------------------ scaling


def _stage(daemon: str, config: dict[str, str], workers: int) -> Stage:
    service, backlog = hcl.parse_folder(MODULES / "service"), hcl.parse_folder(MODULES / "backlog")
    maths = _Maths(service, backlog)
    min_tasks = _number(config[f"{daemon}.min_tasks"])
    tracking = service.one("resource", "aws_appautoscaling_policy", "backlog")
    configuration = tracking.one("target_tracking_scaling_policy_configuration")
    _expect(configuration.attribute("target_value"), "var.backlog_per_task")
    metrics = configuration.one("customized_metric_specification").one("dynamic", "metrics")
    return Stage(
        daemon=daemon,
        workers=workers,
        size=_size(daemon, config),
        architecture=config["architecture"].strip('"'),
        spot=Spot(_spot_base(service), _number(config[f"{daemon}.spot_share"]) / 100),
        scaling=Policy(
            min_tasks=min_tasks,
            max_tasks=_number(config[f"{daemon}.max_tasks"]),
            tracking=TargetTracking(
                math=maths.of(metrics.attribute("for_each")),
                target=_backlog_per_task(daemon, config),
                out_cooldown_s=_number(configuration.attribute("scale_out_cooldown")),
                in_cooldown_s=_number(configuration.attribute("scale_in_cooldown")),
            ),
            steps=_steps(service, maths) if min_tasks == 0 else (),
            keep_alive_s=_keep_alive_s(),
        ),
    )


class _Maths:
    """The metric queries that modules/backlog outputs, by name."""

    def __init__(self, service: hcl.Body, backlog: hcl.Body) -> None:
        self._locals = _locals(backlog)
        self._outputs = {block.labels[0]: block.attribute("value") for block in backlog.all("output")}
        running = hcl.object_of(service.one("module", "backlog").attribute("running"))
        self._metrics: dict[str, tuple[str, str]] = {}
        for id_, text in hcl.object_of(self._locals["metrics"]).items():
            if text.startswith("merge("):  # merge(var.running, { stat = "..." })
                metric = running | hcl.object_of(hcl.call_of(text, "merge")[1])
            else:
                metric = hcl.object_of(text)
            self._metrics[id_] = metric["metric_name"].strip('"'), metric["stat"].strip('"')

    def of(self, reference: str) -> Math:
        """`module.backlog.NAME`"""
        output = self._outputs[reference.removeprefix("module.backlog.")]
        queries = [
            hcl.object_of(self._locals[name]) for name in re.findall(r"local\.(\w+)", output) if name != "measured"
        ]
        expressions = tuple((query["id"].strip('"'), query["expression"].strip('"')) for query in queries)
        _expect([query["return_data"] for query in queries], ["false"] * (len(queries) - 1) + ["true"])
        used = {word for _, expression in expressions for word in re.findall(r"\w+", expression)}
        return Math({id_: metric for id_, metric in self._metrics.items() if id_ in used}, expressions)


def _steps(service: hcl.Body, maths: _Maths) -> tuple[StepPolicy, ...]:
    """Each step policy, with the alarm of the same name."""
    found = []
    for resource in service.all("resource", "aws_appautoscaling_policy"):
        if resource.attribute("policy_type") != '"StepScaling"':
            continue
        name = resource.labels[1]
        alarm = service.one("resource", "aws_cloudwatch_metric_alarm", name)
        _expect(alarm.attribute("alarm_actions"), f"[aws_appautoscaling_policy.{name}[0].arn]")
        configuration = resource.one("step_scaling_policy_configuration")
        periods = _number(alarm.attribute("evaluation_periods"))
        found.append(
            StepPolicy(
                name=name,
                math=maths.of(alarm.one("dynamic", "metric_query").attribute("for_each")),
                comparison=alarm.attribute("comparison_operator").strip('"'),
                threshold=float(alarm.attribute("threshold")),
                periods=periods,
                datapoints=_number(alarm.attributes.get("datapoints_to_alarm", str(periods))),
                missing=alarm.attributes.get("treat_missing_data", "missing").strip('"'),
                kind=configuration.attribute("adjustment_type").strip('"'),
                steps=tuple(_step(block) for block in configuration.all("step_adjustment")),
                cooldown_s=_number(configuration.attribute("cooldown")),
            )
        )
    return tuple(found)


def _step(block: hcl.Block) -> Step:
    bounds = [block.attributes.get(f"metric_interval_{side}_bound") for side in ("lower", "upper")]
    lower, upper = (None if bound is None else float(bound) for bound in bounds)
    return Step(_number(block.attribute("scaling_adjustment")), lower, upper)


def _spot_base(service: hcl.Body) -> int:
    capacity = _locals(service)["capacity"]
    match = re.search(r'name = "FARGATE", base = var\.spot_share < 100 \? (\d+) : 0', capacity)
    if not match:
        raise PolicyError(f"terraform/modules/service: the base of FARGATE is not found in {capacity}")
    return int(match[1])


def _keep_alive_s() -> int | None:
    schedules = hcl.parse_folder(MODULES / "queues").all("resource", "aws_scheduler_schedule")
    if not schedules:
        return None
    (schedule,) = schedules
    match = re.fullmatch(r'"rate\((\d+) (minute|hour)s?\)"', schedule.attribute("schedule_expression"))
    if not match:
        raise PolicyError(f"unexpected kind of schedule: {schedule.attribute('schedule_expression')}")
    return int(match[1]) * {"minute": 60, "hour": 3600}[match[2]]


# ------------------------------------------------------------ values


def _settings(daemon: str) -> dict[str, str]:
    """The defaults in etc/DAEMON.yaml, which lists every key."""
    return dict(re.findall(r"^#?([a-z_]+): (.+)$", (TOP / "etc" / f"{daemon}.yaml").read_text(), re.M))


def _number(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text.strip()):
        raise PolicyError(f"{text.strip()[:60]} is not a number")
    return int(text)


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smh])", text.strip())
    if not match:
        raise PolicyError(f"{text} is not a time")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise PolicyError(f"terraform has {found} where {expected} was expected")
