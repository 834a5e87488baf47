"""
The steps of terraform/deploy.sh and their order, and its messages if something is missing or fails. terraform, aws and
the builder are stand-ins.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.stack import ROOT

STAND_IN = Path(__file__).with_name("stand_in.py")
REGISTRY = "123456789012.dkr.ecr.eu-central-2.amazonaws.com"
PROGRAMS = ("terraform", "aws", "builder")
TASK = "arn:aws:ecs:eu-central-2:123456789012:task/stac-test/0a1b2c"
OUTPUTS = {
    "region": "eu-central-2",
    "cluster_name": "stac-test",
    "release": "0.1.0-before",
    "repositories": {name: f"{REGISTRY}/stac-test-{name}" for name in ("itemgend", "itemloadd", "migrate")},
    "package_uri": None,
    "migration": {
        "task_definition_arn": "arn:aws:ecs:eu-central-2:123456789012:task-definition/stac-test-migrate:3",
        "container_name": "migrate",
        "cluster_arn": "arn:aws:ecs:eu-central-2:123456789012:cluster/stac-test",
        "subnet_ids": ["subnet-1", "subnet-2"],
        "security_group_ids": ["sg-1"],
        "assign_public_ip": True,
        "log_group_name": "stac-test-migrate",
    },
    "ItemGenSNSTopicArn": "arn:aws:sns:eu-central-2:123456789012:stac-test-ItemGenTopic",
    "ItemGenLogGroup": "stac-test-itemgend",
}


def task(status: str, code: int | None = None, **more: Any) -> str:
    return json.dumps({"tasks": [{"taskArn": TASK, "lastStatus": status, "containers": [{"exitCode": code}]} | more], "failures": []})


class Deployer:
    """Runs the script in a copy of its files, so that terraform/ and build/ stay as they are."""

    def __init__(self, folder: Path) -> None:
        self.top = folder / "project"
        context = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        for path in (*context, ".dockerignore", "terraform/deploy.sh"):
            source, target = ROOT / path, self.top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        self.config = self.top / "config.yaml"
        self.config.write_text("project_id: stac\n")
        self.bin = folder / "bin"
        self.bin.mkdir()
        for program in PROGRAMS:
            shutil.copy(STAND_IN, self.bin / program)
        for program in ("bash", "cat", "cut", "date", "dirname", "env", "find", "grep", "head", "jq", "mkdir", "realpath", "rm"):
            self.link(program)
        (self.bin / "python3").symlink_to(sys.executable)
        for program in ("sed", "sha256sum", "sleep", "sort", "tr", "uname", "xargs"):
            self.link(program)
        self.calls_file, self.answers_file = folder / "calls", folder / "answers"
        self.outputs = dict(OUTPUTS)
        self.images = False  # whether ECR has the images
        self.answers: list[tuple[list[str], str, int]] = [
            (["terraform", "version"], '{\n  "terraform_version": "1.11.4"\n}\n', 0),
            (["terraform", "console"], '"x86_64 eu-central-2"\n', 0),
            (["aws", "get-caller-identity"], "123456789012\n", 0),
            (["aws", "get-login-password"], "secret\n", 0),
            (["aws", "run-task"], task("PROVISIONING"), 0),
            (["aws", "describe-tasks"], task("PENDING"), 0),
            (["aws", "describe-tasks"], task("STOPPED", 0), 0),
            (["aws", "get-log-events"], json.dumps({"events": [{"message": "pgstac 0.9.12"}]}), 0),
            (["aws", "s3", "ls"], "", 1),
        ]

    def link(self, program: str) -> None:
        (self.bin / program).symlink_to(shutil.which(program) or pytest.fail(program))

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        outputs = {name: {"value": value} for name, value in self.outputs.items()}
        more = [(["terraform", "output", "-json"], json.dumps(outputs), 0), (["aws", "describe-images"], "", 0 if self.images else 254)]
        self.answers_file.write_text(json.dumps(self.answers + more))
        self.calls_file.unlink(missing_ok=True)
        env = {"PATH": str(self.bin), "CALLS": str(self.calls_file), "ANSWERS": str(self.answers_file), "BUILDER": "builder"}
        env |= {"MIGRATION_POLL_S": "0.01", "CONFIRM": "yes"} | environment
        command = [self.top / "terraform" / "deploy.sh", *options]
        return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def calls(self, *words: str) -> list[list[str]]:
        """The calls with these words, in their order."""
        all_of = [json.loads(line) for line in self.calls_file.read_text().splitlines()]
        return [call for call in all_of if set(words) <= set(call)]

    def steps(self) -> list[str]:
        """The calls that change something, as short names."""
        steps = []
        for program, *words in self.calls():
            if program == "terraform" and (verb := {"apply", "destroy", "plan"} & set(words)):
                targets = sorted(word.removeprefix("-target=") for word in words if word.startswith("-target="))
                steps.append(" ".join([*verb, *(target for target in targets if "ecr" not in target)]) + (" ecr" if "ecr" in str(targets) else ""))
            elif program == "builder" and words[0] in ("build", "push"):
                steps.append(f"{words[0]} {words[-2 if words[0] == 'build' else -1].split('-test-')[-1].split(':')[0]}")
            elif program == "aws" and words[1] in ("run-task", "cp"):
                steps.append(words[1])
        return steps


@pytest.fixture
def deployer(tmp_path: Path) -> Deployer:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed: make deps")
    return Deployer(tmp_path)


BUILT = ["build itemgend", "push itemgend", "build itemloadd", "push itemloadd", "build migrate", "push migrate"]


def test_the_order(deployer: Deployer) -> None:
    done = deployer.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert deployer.steps() == ["apply module.packages ecr", *BUILT, "apply module.cluster module.database", "run-task", "apply"]
    (run,) = deployer.calls("run-task")
    network = {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}
    assert json.loads(run[run.index("--network-configuration") + 1]) == {"awsvpcConfiguration": network}
    release = next(word.removeprefix("-var=release=") for word in deployer.calls("terraform", "apply")[0] if word.startswith("-var=release="))
    assert all(f":{release}" in push[-1] for push in deployer.calls("builder", "push"))
    assert all("-auto-approve" in apply and f"-var=release={release}" in apply for apply in deployer.calls("terraform", "apply"))
    assert "aws sns publish --region eu-central-2 --topic-arn arn:aws:sns:eu-central-2:123456789012:stac-test-ItemGenTopic" in done.stdout
    assert release in done.stdout and "pgstac 0.9.12" in done.stdout


def test_the_password_is_not_an_argument(deployer: Deployer) -> None:
    deployer.run()
    logins = deployer.calls("builder", "login")
    assert logins and all(login[1:] == ["login", "--username", "AWS", "--password-stdin", REGISTRY] for login in logins)
    assert "secret" not in deployer.calls_file.read_text()


def test_existing_images_are_not_built_again(deployer: Deployer) -> None:
    deployer.images = True
    done = deployer.run()
    assert done.returncode == 0, done.stderr
    assert deployer.steps() == ["apply module.packages ecr", "apply module.cluster module.database", "run-task", "apply"]


def test_a_release_depends_only_on_its_content(deployer: Deployer) -> None:
    def release(**environment: str) -> str:
        assert deployer.run("--plan", **environment).returncode == 0
        return next(word for word in deployer.calls("terraform", "plan")[0] if word.startswith("-var=release="))

    first = release()
    assert release() == first
    (deployer.top / "terraform" / "main.tf").write_text("# no part of an image\n")
    assert release() == first
    assert release(WARM="stactools-landsat") != first
    source = deployer.top / "daemons" / "itemgend" / "main.c"
    source.write_text(source.read_text() + "\n")
    assert release() != first


def test_warm_packages_are_the_configurations(deployer: Deployer) -> None:
    deployer.answers[1] = (["terraform", "console"], '"x86_64 eu-central-2 stactools-landsat==0.5.0 stactools-naip"\n', 0)
    for environment, warm in ({}, "stactools-landsat==0.5.0 stactools-naip"), ({"WARM": ""}, ""):
        assert deployer.run(**environment).returncode == 0
        build = next(call for call in deployer.calls("container/itemgend/Dockerfile"))
        assert f"WARM={warm}" in build
    assert not [build for build in deployer.calls("container/itemloadd/Dockerfile") if "WARM" in str(build)]


def test_an_earlier_release(deployer: Deployer) -> None:
    deployer.images = True
    assert deployer.run(RELEASE="0.1.0-before").returncode == 0
    assert all("-var=release=0.1.0-before" in apply for apply in deployer.calls("terraform", "apply"))
    deployer.images = False
    done = deployer.run(RELEASE="0.1.0-never")
    assert done.returncode == 1 and "image itemgend 0.1.0-never does not exist" in done.stderr
    assert not deployer.calls("builder", "build")


def test_an_existing_database_is_not_migrated(deployer: Deployer) -> None:
    deployer.outputs["migration"] = None
    deployer.outputs["repositories"] = {"itemgend": f"{REGISTRY}/stac-test-itemgend"}
    assert deployer.run().returncode == 0
    assert deployer.steps() == ["apply module.packages ecr", *BUILT[:2], "apply module.cluster module.database", "apply"]


def test_instances_get_a_package(deployer: Deployer) -> None:
    deployer.outputs["package_uri"] = "s3://stac-test-packages/1/stactools-ingest_amd64.deb"
    deployer.outputs["repositories"] = {"migrate": f"{REGISTRY}/stac-test-migrate"}
    folder = deployer.top / "build" / "package"
    builder = deployer.bin / "builder"  # which also creates the package
    builder.write_text(builder.read_text() + f"\nif 'container/deb/Dockerfile' in call:\n    Path({str(folder)!r}).mkdir(parents=True)\n")
    builder.write_text(builder.read_text() + f"    Path({str(folder)!r}, 'stactools-ingest_0.1.0_amd64.deb').touch()\n")
    done = deployer.run()
    assert done.returncode == 0, done.stderr
    assert deployer.steps()[-4:] == ["cp", "apply module.cluster module.database", "run-task", "apply"]
    (copy,) = deployer.calls("aws", "s3", "cp")
    assert copy[-2:] == [str(folder / "stactools-ingest_0.1.0_amd64.deb"), deployer.outputs["package_uri"]]
    deployer.answers = [answer for answer in deployer.answers if answer[0] != ["aws", "s3", "ls"]]
    assert deployer.run().returncode == 0
    assert not deployer.calls("aws", "s3", "cp")


# ------------------------------------------------------------ the migration


def migration(deployer: Deployer, *answers: tuple[list[str], str, int]) -> str:
    """Runs a migration that fails; returns the error output. Nothing is applied after the failure."""
    deployer.answers = [*answers, *deployer.answers]
    done = deployer.run()
    assert done.returncode == 1
    assert deployer.steps()[-1] == "run-task"
    return done.stdout + done.stderr


def test_a_migration_that_fails_is_reported_with_its_log(deployer: Deployer) -> None:
    said = migration(
        deployer,
        (["describe-tasks"], task("STOPPED", 3, stoppedReason="Essential container in task exited"), 0),
        (["get-log-events"], json.dumps({"events": [{"message": "ERROR: no such role"}]}), 0),
    )
    assert "  ERROR: no such role\n" in said and "exit code 3, Essential container in task exited" in said
    (log,) = deployer.calls("get-log-events")
    assert log[log.index("--log-stream-name") + 1] == "migrate/migrate/0a1b2c"


def test_a_migration_that_never_ran_is_reported(deployer: Deployer) -> None:
    said = migration(
        deployer,
        (["describe-tasks"], task("STOPPED", None, stoppedReason="CannotPullContainerError"), 0),
        (["get-log-events"], "ResourceNotFoundException", 254),
    )
    assert "exit code none, CannotPullContainerError" in said and "no log: stac-test-migrate migrate/migrate/0a1b2c" in said


def test_a_migration_that_cannot_be_started_is_reported(deployer: Deployer) -> None:
    failures = {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time"}]}
    assert "Capacity is unavailable" in migration(deployer, (["run-task"], json.dumps(failures), 0))


def test_a_migration_that_is_lost_is_reported(deployer: Deployer) -> None:
    lost = {"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]}
    assert '"reason":"MISSING"' in migration(deployer, (["describe-tasks"], json.dumps(lost), 0))


# ----------------------------------------------------------- plan, destroy, missing programs


def test_a_plan_changes_nothing(deployer: Deployer) -> None:
    done = deployer.run("--plan", CONFIRM="")
    assert done.returncode == 0 and "image migrate:0.1.0-" in done.stdout and "would be built and pushed" in done.stdout
    assert deployer.steps() == ["plan"]
    deployer.outputs = {}  # nothing exists yet
    assert deployer.run("--plan", CONFIRM="").returncode == 0


def test_without_a_terminal_it_does_not_ask(deployer: Deployer) -> None:
    for options in ([], ["--destroy"]):
        done = deployer.run(*options, CONFIRM="")
        assert done.returncode == 1 and "CONFIRM=yes" in done.stderr
        assert deployer.steps() == []


def test_destroying_needs_the_name(deployer: Deployer) -> None:
    for wrong in ("yes", "stac-production"):
        done = deployer.run("--destroy", CONFIRM=wrong)
        assert done.returncode == 1 and "nothing was destroyed" in done.stderr
        assert deployer.steps() == []
    assert deployer.run("--destroy", CONFIRM="stac-test").returncode == 0
    assert deployer.steps() == ["apply", "destroy"]
    for call in deployer.calls("-var=force_delete=true"):
        assert "-var=release=0.1.0-before" in call and "-auto-approve" in call
    assert len(deployer.calls("-var=force_delete=true")) == 2
    deployer.outputs = {}
    done = deployer.run("--destroy", CONFIRM="stac-test")
    assert done.returncode == 1 and "nothing is deployed" in done.stderr


def test_everything_missing_is_reported_together(deployer: Deployer) -> None:
    for name in ("terraform", "aws", "jq", "builder"):
        (deployer.bin / name).unlink()
    deployer.config.unlink()
    done = deployer.run(BUILDER="")
    assert done.returncode == 1
    for words in ("terraform 1.11", "aws, the command line", "jq", "docker with its engine running, podman or buildah", "copy config.example.yaml to config.yaml"):
        assert words in done.stderr
    assert not deployer.calls_file.exists()


def test_an_old_terraform_and_no_credentials(deployer: Deployer) -> None:
    deployer.answers[0] = (["terraform", "version"], '{"terraform_version": "1.9.8"}', 0)
    done = deployer.run()
    assert done.returncode == 1 and "1.11 or newer: found version 1.9.8" in done.stderr
    deployer.answers[0] = (["terraform", "version"], '{"terraform_version": "1.20.0"}', 0)
    deployer.answers[2] = (["aws", "get-caller-identity"], "Unable to locate credentials\n", 253)
    done = deployer.run()
    assert done.returncode == 1 and "AWS does not accept your credentials" in done.stderr and deployer.steps() == []


def test_the_region_is_the_configurations_or_that_of_aws(deployer: Deployer) -> None:
    deployer.answers[1] = (["terraform", "console"], '"arm64 -"\n', 0)
    assert "region eu-north-1\n" in deployer.run("--plan", AWS_REGION="eu-north-1").stdout
    deployer.answers.append((["aws", "configure", "get", "region"], "eu-south-1\n", 0))
    assert "region eu-south-1\n" in deployer.run("--plan").stdout
    deployer.answers[-1] = (["aws", "configure", "get", "region"], "", 1)
    done = deployer.run("--plan")
    assert done.returncode == 1 and "no AWS region" in done.stderr
    deployer.answers[1] = (["terraform", "console"], "Error: itemgend.max_task is an unknown key\n", 1)
    done = deployer.run()
    assert done.returncode == 1 and "max_task is an unknown key" in done.stderr and deployer.steps() == []


def test_another_architecture(deployer: Deployer) -> None:
    deployer.answers[1] = (["terraform", "console"], '"s390x eu-central-2"\n', 0)  # no test machine has this architecture
    assert deployer.run().returncode == 0
    builds = [call for call in deployer.calls("builder") if call[1] == "build"]
    assert builds and all("linux/s390x" in build for build in builds)


def test_errors_are_reported(deployer: Deployer) -> None:
    done = deployer.run("--nonsense")
    assert done.returncode == 64 and "deploy.sh --destroy" in done.stderr
    deployer.answers = [(["terraform", "init"], "no such provider\n", 1), *deployer.answers]
    done = deployer.run()
    assert done.returncode == 1 and "no such provider" in done.stderr and deployer.steps() == []


def test_it_stops_where_a_build_fails(deployer: Deployer) -> None:
    deployer.answers = [(["builder", "container/itemloadd/Dockerfile"], "gcc: error\n", 2), *deployer.answers]
    done = deployer.run()
    assert done.returncode != 0 and "gcc: error" in done.stderr
    assert deployer.steps() == ["apply module.packages ecr", *BUILT[:3]]


def test_git_is_not_needed(deployer: Deployer) -> None:
    assert not (deployer.bin / "git").exists()
    done = deployer.run()
    assert done.returncode == 0 and "git" not in done.stderr
    assert all("SOURCE_DATE_EPOCH=0" in build for build in deployer.calls("builder", "build"))


