"""The values that the simulation reads from terraform/ are those that terraform computes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from simulation import hcl, policy

TOP = Path(__file__).resolve().parents[2]
MODULES = TOP / "terraform" / "modules"


def console(folder: Path, expression: str, *variables: str) -> object:
    """A value of a module that needs no provider."""
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    options = [word for variable in variables for word in ("-var", variable)]
    command = ["terraform", f"-chdir={folder}", "console", *options]
    done = subprocess.run(command, input=f"jsonencode({expression})", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(json.loads(done.stdout))


@pytest.fixture(scope="module")
def declared() -> policy.Terraform:
    return policy.read()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The settings of modules/config with an empty configuration: all defaults."""
    folder = tmp_path_factory.mktemp("config")
    for file in (MODULES / "config").glob("*.tf"):
        text = file.read_text()
        shown = re.search(r'output "settings".*?value\s*=\s*(.*?)\n\n  precondition', text, re.S)
        if shown:
            text += f"\nlocals {{\n  shown = {shown[1]}\n}}\n"
        (folder / file.name).write_text(text)
    value = console(folder, "local.shown", "config={}", "given={}")
    assert isinstance(value, dict)
    return value


def test_the_default_configuration(declared: policy.Terraform, settings: dict) -> None:
    for stage in (declared.generation, declared.loading):
        daemon = settings[stage.daemon]
        assert (stage.scaling.min_tasks, stage.scaling.max_tasks) == (daemon["min_tasks"], daemon["max_tasks"])
        assert stage.scaling.tracking.target == daemon["backlog_per_task"]
        assert (stage.size.cpu_units, stage.size.memory_mib) == (daemon["cpu"], daemon["memory_mib"])
        assert stage.spot.share == daemon["spot_share"] / 100
        assert stage.architecture == settings["architecture"]
    assert declared.generation.workers == settings["itemgend"]["item_slots"]
    assert declared.database_instance == settings["db_instance_type"]


@pytest.mark.parametrize(
    ("cpu", "memory_mib"), [(256, 512), (256, 2049), (512, 1024), (2048, 4608), (2048, 20000), (4096, 61440)]
)
def test_fargate_sizes(cpu: int, memory_mib: int) -> None:
    """As modules/config chooses them, for tasks of any size."""
    locals_ = hcl.parse_folder(MODULES / "config").all("locals")
    sizes = next(block.attributes["fargate"] for block in locals_ if "fargate" in block.attributes)
    size = policy.fargate_size(sizes, cpu, memory_mib)
    rows = [{key: int(value) for key, value in hcl.object_of(row).items()} for row in hcl.list_of(sizes)]
    possible = [
        (row["cpu"], memory)
        for row in rows
        for memory in range(row["min"], row["max"] + 1, row["step"])
        if row["cpu"] >= cpu and memory >= memory_mib
    ]
    assert (size.cpu_units, size.memory_mib) == min(possible)


def test_the_metric_queries(declared: policy.Terraform) -> None:
    """The expressions, their metrics, and the one that is the result are those that modules/backlog outputs."""
    running = '{namespace="ECS/ContainerInsights", metric_name="RunningTaskCount", dimensions={}}'
    folder, scaling = MODULES / "backlog", declared.generation.scaling
    maths = {"per_task": scaling.tracking.math} | {
        {"wake": "wake", "sleep": "total"}[step.name]: step.math for step in scaling.steps
    }
    outputs = {block.labels[0]: block.attribute("value") for block in hcl.parse_folder(folder).all("output")}
    assert set(outputs) == set(maths)
    for name, math in maths.items():
        queries = console(folder, outputs[name], "queue_name=queue", f"running={running}")
        assert isinstance(queries, list)
        expressions = tuple((query["id"], query["expression"]) for query in queries if query["expression"])
        assert math.expressions == expressions and queries[-1]["return_data"]
        measured = {q["id"]: (q["metric"]["metric_name"], q["metric"]["stat"]) for q in queries if q["metric"]}
        assert math.metrics.items() <= measured.items()
        assert {word for _, text in expressions for word in re.findall(r"\w+", text)} & set(measured) == set(
            math.metrics
        )


def test_the_root_passes_the_configuration_on() -> None:
    """The simulation uses the configuration's values as those of the modules."""
    daemons = hcl.parse_folder(TOP / "terraform")
    text = next(block.attributes["daemons"] for block in daemons.all("locals") if "daemons" in block.attributes)
    for daemon, members in hcl.object_of(text).items():
        found = hcl.object_of(members)
        expected = {"min": "min_tasks", "max": "max_tasks", "backlog": "backlog_per_task"}
        expected |= {key: key for key in ("spot_share", "cpu", "memory_mib")}
        assert {key: found[key] for key in expected} == {
            key: f"local.settings.{daemon}.{name}" for key, name in expected.items()
        }
    service = daemons.one("module", "service").attributes
    assert service["backlog_per_task"] == "each.value.backlog"
    assert (service["min_tasks"], service["max_tasks"]) == ("each.value.min", "each.value.max")
    workers = re.search(r"ITEMGEND_WORKERS\s*= (.*)", (TOP / "terraform" / "daemons.tf").read_text())
    assert workers and workers[1] == "tostring(local.settings.itemgend.item_slots)"


def change(folder: Path, file: str, pattern: str, replacement: str) -> None:
    path = folder / file
    changed, n = re.subn(pattern, replacement, path.read_text())
    assert n == 1
    path.write_text(changed)


def test_a_changed_number_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(MODULES, modules)
    monkeypatch.setattr(policy, "MODULES", modules)
    change(modules, "service/scaling.tf", r"scale_out_cooldown = \d+", "scale_out_cooldown = 77")
    change(
        modules, "config/variables.tf", r"max_tasks( +)= optional\(number, 10\)", r"max_tasks\1= optional(number, 33)"
    )
    change(modules, "queues/metrics.tf", r'"rate\(\d+ hours\)"', '"rate(5 minutes)"')
    stage = policy.read().generation
    assert (stage.scaling.tracking.out_cooldown_s, stage.scaling.max_tasks, stage.scaling.keep_alive_s) == (77, 33, 300)


def test_an_expression_that_it_cannot_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(MODULES, modules)
    monkeypatch.setattr(policy, "MODULES", modules)
    change(modules, "service/scaling.tf", r"target_value +=.*", "target_value = var.backlog_per_task * 2")
    with pytest.raises(policy.PolicyError, match=r"backlog_per_task \* 2"):
        policy.read()


HCL = """
# a comment with { in it
resource "aws_thing" "one" {
  name  = "a ${var.b["x"]} \\"{" // and another
  count = 3
  list  = [1, { a = 2 }, "c, d"]

  inner {
    deep = true
  }
}
"""


def test_the_reader(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(HCL)
    block = hcl.parse_folder(tmp_path).one("resource", "aws_thing")
    assert block.labels == ("aws_thing", "one")
    assert block.attributes["name"] == '"a ${var.b["x"]} \\"{"' and block.attribute("count") == "3"
    assert hcl.list_of(block.attribute("list")) == ["1", "{ a = 2 }", '"c, d"']
    assert block.one("inner").attribute("deep") == "true"
    with pytest.raises(hcl.HclError):
        hcl.parse_folder(tmp_path).one("data")
    (tmp_path / "wrong.tf").write_text("resource {\n")
    with pytest.raises(hcl.HclError):
        hcl.parse_folder(tmp_path)
