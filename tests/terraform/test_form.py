"""
The form of terraform/: terraform's own checks, tflint, and each module's README, which must list its inputs and
outputs.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from simulation import hcl
from tests.terraform.workspace import ROOT, SOURCE, Workspace

MODULES = [SOURCE, *sorted(path.parent for path in SOURCE.glob("modules/*/versions.tf"))]
TFLINT = "github.com/terraform-linters/tflint@v0.55.1"
STANDARD = ("versions.tf", "variables.tf", "main.tf", "outputs.tf", "README.md")  # the Terraform Registry's

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)


def one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def unquoted(text: str) -> str:
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")


# ----------------------------------------------------- terraform's own checks


def test_format(workspace: Workspace) -> None:
    done = workspace.run("fmt", "-check", "-recursive", "-diff", check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_validate(workspace: Workspace) -> None:
    done = workspace.run("validate", check=False)
    assert done.returncode == 0 and "Warning" not in done.stdout, done.stdout + done.stderr


def test_terraform_test(workspace: Workspace) -> None:
    done = workspace.run("test", "-no-color", check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert (passed := re.search(r"(\d+) passed, 0 failed", done.stdout)) and int(passed[1]) > 0


@pytest.fixture(scope="session")
def tflint() -> str:
    """tflint from PATH or build/tools. A long run builds it there, which takes minutes."""
    tools = ROOT / "build" / "tools"
    if program := shutil.which("tflint", path=f"{tools}:{os.environ['PATH']}"):
        return program
    if not shutil.which("go"):
        pytest.skip("neither tflint nor go is installed")
    if not os.environ.get("LONG"):
        pytest.skip(f"tflint is not installed: LONG=1, or GOBIN={tools} go install {TFLINT}")
    done = subprocess.run(["go", "install", TFLINT], env=os.environ | {"GOBIN": str(tools)}, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"go install {TFLINT}: {done.stderr[-500:]}")
    return str(tools / "tflint")


def test_tflint(tflint: str, workspace: Workspace) -> None:
    configuration = f"--config={workspace.folder}/.tflint.hcl"
    env = workspace.env | {"TF_VAR_config_file": "examples/default/config.yaml"}
    command = [tflint, "--recursive", configuration, "--format=compact"]
    done = subprocess.run(command, cwd=workspace.folder, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ----------------------------------------------------- modules and versions


@each_module
def test_files(module: Path) -> None:
    assert [name for name in STANDARD if not (module / name).is_file()] == []


@each_module
def test_everything_is_described_and_used(module: Path) -> None:
    body = hcl.parse_folder(module)
    text = "\n".join(path.read_text() for path in module.glob("*.tf"))
    wrong = []
    for variable in body.all("variable"):
        name = variable.labels[0]
        wrong += [f"variable {name} has no {part}" for part in ("description", "type") if part not in variable.attributes]
        if not re.search(rf"\bvar\.{name}\b", text):
            wrong.append(f"variable {name} is not used")
    wrong += [f"output {one.labels[0]} has no description" for one in body.all("output") if "description" not in one.attributes]
    for block in body.all("locals"):
        wrong += [f"local {name} is not used" for name in block.attributes if not re.search(rf"\blocal\.{name}\b", text)]
    for one in body.all("data"):
        if not re.search(rf"\bdata\.{one.labels[0]}\.{one.labels[1]}\b", text):
            wrong.append(f"data {' '.join(one.labels)} is not used")
    assert wrong == []


@pytest.mark.parametrize("module", MODULES[1:], ids=lambda path: path.name)
def test_no_module_configures_a_provider(module: Path) -> None:
    """The caller of a module decides where; a module that configures a provider can be neither counted nor removed."""
    body = hcl.parse_folder(module)
    assert body.all("provider") == []
    (terraform,) = body.all("terraform")
    assert "required_version" in terraform.attributes
    assert terraform.all("backend") == []


def test_the_root_leaves_the_backend_to_its_user() -> None:
    (terraform,) = hcl.parse_folder(SOURCE).all("terraform")
    assert terraform.all("backend") == [] and terraform.all("cloud") == []
    assert "hashicorp/aws" in terraform.one("required_providers").attributes["aws"]


# ------------------------------------------------------------ README.md


def tables(readme: Path, heading: str) -> dict[str, dict[str, str]]:
    """The rows of the table below a heading, by the first column: {column: cell}."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", readme.read_text(), re.M | re.S)
    if not section:
        return {}
    cells = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section[1].splitlines()
        if line.startswith("|")
    ]
    columns = [column.lower() for column in cells[0]]
    return {row[0].strip("`"): dict(zip(columns, row, strict=True)) for row in cells[2:]}


@each_module
def test_readme_has_each_input(module: Path) -> None:
    variables = {one.labels[0]: one.attributes for one in hcl.parse_folder(module).all("variable")}
    rows = tables(module / "README.md", "Inputs")
    assert list(rows) == list(variables)
    for name, attributes in variables.items():
        assert one_line(rows[name]["description"]) == one_line(unquoted(attributes["description"])), name
        default = attributes.get("default")
        assert rows[name]["default"].strip("`") == (one_line(default) if default is not None else "required"), name


@each_module
def test_readme_has_each_output(module: Path) -> None:
    outputs = {one.labels[0]: one.attributes for one in hcl.parse_folder(module).all("output")}
    rows = tables(module / "README.md", "Outputs")
    assert list(rows) == list(outputs)
    for name, attributes in outputs.items():
        assert one_line(rows[name]["description"]) == one_line(unquoted(attributes["description"])), name


def test_readme_of_the_examples_has_each() -> None:
    text = (SOURCE / "examples" / "README.md").read_text()
    examples = sorted(path.parent.name for path in SOURCE.glob("examples/*/config.yaml"))
    assert sorted(set(re.findall(r"`?\b([a-z0-9-]+)/config\.yaml", text))) == examples
