"""
terraform/ with an existing database, applied to the local AWS. The daemons run as the tasks that it declares, with the
permissions that it gives them. Then it is destroyed.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local import daemons, environment, postgres
from local.daemons import Daemon
from local.stack import ROOT, TOOLS, Stack
from tests.integration.pipeline.conftest import item, wait_until
from tests.integration.pipeline.probe import make_wheel
from tests.terraform import existing, iam
from tests.terraform.deployment import Deployment, example
from tests.terraform.ecs import Agent, Task, task_of
from tests.terraform.existing import Existing
from tests.terraform.iam import Call, Row, Statement

pytestmark = pytest.mark.long

BUCKET = "partner-stac-items"
# Settings of itemgend and itemloadd that replace terraform's, so that tests wait less.
QUICK = {
    "itemgend": {"ITEMGEND_WAIT_TIME": "1s", "ITEMGEND_VISIBILITY_TIMEOUT": "4s", "ITEMGEND_MEMORY_LIMIT": "300MiB"},
    "itemloadd": {"ITEMLOADD_WAIT_TIME": "1s", "ITEMLOADD_BATCH_IDLE": "500ms", "ITEMLOADD_BACKOFF_MIN": "2s", "ITEMLOADD_BACKOFF_MAX": "10s"},
}
# The items of a run, and their collections.
LOADED = {
    **dict.fromkeys(("from-a-request", "held-for-long", "probe", "item-ready", "item-from-a-bucket", "item-of-a-version"), "test"),
    "item-early": "late",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, build: Path) -> Iterator[Stack]:
    """A local AWS, a private PostgreSQL with pgstac, a bucket of assets; nothing of terraform's."""
    directory = tmp_path_factory.mktemp("stack")
    programs = build / "bin"
    with Stack(directory, fsync=False, run_daemons=False, programs=programs, log_requests=True, for_terraform=True) as started:
        yield started


@pytest.fixture(scope="module")
def had(stack: Stack) -> Existing:
    """An existing catalog: the stack's PostgreSQL, by its secret."""
    login = stack.postgres.loader
    secret = {"host": "127.0.0.1", "port": stack.postgres.port, "dbname": postgres.DATABASE, "username": login.user, "password": login.password}
    made = existing.make(stack.accounts["deployer"], secret, BUCKET)
    s3 = stack.accounts["deployer"].client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return made


@pytest.fixture(scope="module")
def package_role(stack: Stack) -> str:
    """A role for package code, which may read a bucket of imagery."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = stack.accounts["deployer"].client("iam").create_role(RoleName="imagery-reader", AssumeRolePolicyDocument=document)
    return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def deployment(stack: Stack, had: Existing, package_role: str, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Applies the example of an existing database, with every option that makes the daemons call something."""
    configuration = had.put_into(example("existing-database")) | {
        "overflow_bucket": True,
        "package_role_arn": package_role,
        "bucket_notifications": [{"bucket": BUCKET, "prefix": "items/", "suffix": ".json"}],
        "database_secret_kms_key_arn": "arn:aws:kms:eu-central-2:123456789012:key/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        "itemgend": {"item_slots": 2, "environment": QUICK["itemgend"]},
        "itemloadd": {"environment": QUICK["itemloadd"]},
    }
    deployment = Deployment(stack.accounts["deployer"], tmp_path_factory.mktemp("deployment"), configuration)
    deployment.apply()
    return deployment


@pytest.fixture(scope="module")
def tasks(stack: Stack, deployment: Deployment) -> dict[str, Task]:
    outputs = deployment.workspace.outputs()
    return {
        daemon: task_of(stack.accounts["deployer"], outputs["cluster_name"], service)
        for daemon, service in outputs["services"].items()
    }


class Run:
    """Both daemons as the tasks that terraform declared, with the actions of a publisher and an operator."""

    def __init__(self, stack: Stack, deployment: Deployment, tasks: dict[str, Task], wheels: Path) -> None:
        self.stack = stack
        self.outputs = deployment.workspace.outputs()
        self.tasks = tasks
        self.sqs = stack.accounts["deployer"].client("sqs")
        self.agents: dict[str, Agent] = {}
        self.healthy: dict[str, int] = {}
        self._wheels = wheels
        self._ports = (postgres.free_port(), postgres.free_port())
        self._exit = ExitStack()
        self.db = self._exit.enter_context(
            psycopg.connect(**stack.postgres.dsn(stack.postgres.owner), autocommit=True, options="-c search_path=pgstac,public")
        )

    def start(self) -> None:
        for daemon, task in self.tasks.items():
            self.agents[daemon] = self._exit.enter_context(Agent(task, self.stack.accounts["ecs-tasks.amazonaws.com"]))
            program = Daemon(daemon, self.stack.programs / daemon, ROOT / "etc" / f"{daemon}.yaml", self.stack.directory / f"{daemon}.log")
            daemons.start(program, self._environment(task), 60, self.stack.state.add)

    def _environment(self, task: Task) -> dict[str, str]:
        """
        The container's environment, with the agent of the task, and changes where this machine differs from the
        image.
        """
        work = self.stack.directory / "work"
        work.mkdir(exist_ok=True)
        here = {
            "AWS_ENDPOINT_URL": self.stack.account.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ITEMGEND_UV": str(TOOLS / "uv"),
            "ITEMGEND_UVX": str(TOOLS / "uvx"),
            "ITEMGEND_CACHE_DIR": str(self.stack.cache / "uv"),
            "ITEMGEND_WORK_DIR": str(work),
            "ITEMGEND_CONSTRAINTS": str(ROOT / "etc" / "constraints.txt"),
            "ITEMLOADD_DB_SSLMODE": "disable",
            "ITEMGEND_METRICS_ADDRESS": f"127.0.0.1:{self._ports[0]}",  # each task has its own loopback
            "ITEMLOADD_METRICS_ADDRESS": f"127.0.0.1:{self._ports[1]}",
            "UV_FIND_LINKS": str(self._wheels),
        }
        return environment.for_tools() | task.environment | self.agents[task.daemon].environment | here

    def health(self, daemon: str) -> int:
        """Runs the health check of ECS; 0: healthy."""
        command = [self.stack.programs / daemon, *self.tasks[daemon].container["healthCheck"]["command"][2:]]
        return subprocess.run(command, env=self._environment(self.tasks[daemon]), capture_output=True).returncode

    def stop(self) -> None:
        for daemon in self.tasks:
            self.stack.stop_daemon(daemon)

    def close(self) -> None:
        self._exit.close()

    def log(self, daemon: str, event: str) -> list[dict[str, Any]]:
        lines = (self.stack.directory / f"{daemon}.log").read_text().splitlines()
        return [line for line in (json.loads(text) for text in lines if text[:1] + text[-1:] == "{}") if line["event"] == event]

    def publish(self, output: str, body: Any) -> None:
        """Publishes with the AWS CLI, to the topic of an output."""
        message = body if isinstance(body, str) else json.dumps(body)
        command = [TOOLS / "aws", "sns", "publish", "--topic-arn", self.outputs[output], "--message", message]
        user = self.stack.accounts["deployer"]
        env = self.stack.env | {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}
        done = subprocess.run(command, env=environment.for_tools() | env, capture_output=True, text=True)
        assert done.returncode == 0 and "MessageId" in done.stdout, done.stderr

    def dead_letter(self, output: str) -> dict[str, str]:
        """Receives the next dead letter. Returns its attributes."""
        receive = {"QueueUrl": self.outputs[output], "MessageAttributeNames": ["All"], "WaitTimeSeconds": 1}
        messages = wait_until("a dead letter", lambda: self.sqs.receive_message(**receive).get("Messages"))
        self.sqs.delete_message(QueueUrl=self.outputs[output], ReceiptHandle=messages[0]["ReceiptHandle"])
        return {name: value["StringValue"] for name, value in messages[0]["MessageAttributes"].items()}

    def item(self, item_id: str) -> dict[str, Any] | None:
        row = self.db.execute("SELECT get_item(%s, %s)", (item_id, LOADED[item_id])).fetchone()
        return row[0] if row else None

    def is_idle(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = [
            self.sqs.get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)["Attributes"].values()
            for output in ("ItemGenQueueUrl", "ItemLoadQueueUrl")
        ]
        return {int(count) for queue in counts for count in queue} == {0}


def event(key: str, version: str) -> dict[str, Any]:
    """An event of S3 about an object in a bucket with versions."""
    s3 = {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET}, "object": {"key": key, "versionId": version, "sequencer": "0A"}}
    times = {"eventVersion": "2.1", "eventTime": "2024-05-06T07:08:09.123Z"}
    return {"Records": [times | {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


def request(behaviour: str, *args: str, **changes: Any) -> dict[str, Any]:
    return {"package_name": "stactools-probe", "group_name": "probe", "create_item_args": [behaviour, *args]} | changes


@pytest.fixture(scope="module")
def finished(
    stack: Stack, deployment: Deployment, tasks: dict[str, Task], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """A complete run, finished: the daemons have used every feature that calls AWS."""
    run = Run(stack, deployment, tasks, make_wheel(tmp_path_factory.mktemp("wheels")))
    collection = {"type": "Collection", "stac_version": "1.0.0", "id": "test", "description": "x", "license": "other", "links": []}
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}}
    run.publish("ItemLoadTopicArn", collection | {"extent": extent})
    run.publish("ItemGenSNSTopicArn", request("ok", "from-a-request"))
    run.start()
    try:
        run.publish("ItemGenSNSTopicArn", request("sleep", "6", "held-for-long"))  # past the visibility timeout
        run.publish("ItemGenSNSTopicArn", request("large"))
        run.publish("ItemLoadTopicArn", item("ready"))
        s3 = stack.accounts["deployer"].client("s3")
        put = s3.put_object(Bucket=BUCKET, Key="items/one.json", Body=json.dumps(item("from-a-bucket")).encode())
        assert "VersionId" in put
        put = s3.put_object(Bucket=BUCKET, Key="other/two.json", Body=json.dumps(item("of-a-version")).encode())
        run.publish("ItemLoadTopicArn", event("other/two.json", put["VersionId"]))
        run.publish("ItemLoadTopicArn", item("early", "late"))
        wait_until("it is tried again", lambda: run.log("itemloadd", "MESSAGE_LATER"))
        run.publish("ItemLoadTopicArn", collection | {"extent": extent, "id": "late"})
        for wanted in LOADED:
            wait_until(wanted, lambda wanted=wanted: run.item(wanted), timeout_s=120)
        run.publish("ItemGenSNSTopicArn", request("ok", package_name="not-allowed"))
        run.publish("ItemLoadTopicArn", item("bad", geometry=None))
        wait_until("nothing is left to do", run.is_idle)
        run.healthy = {daemon: run.health(daemon) for daemon in tasks}
        run.stop()
    except pytest.fail.Exception as failure:
        refused = {call for call in iam.calls(stack.directory / "requests.log", deployment.prefix) if not call.was_allowed}
        run.close()
        pytest.fail(f"{failure}; refused: {refused}")
    yield run
    run.close()


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    assert deployment.second_plan() == ""


def test_tasks_get_the_values_that_terraform_made(deployment: Deployment, tasks: dict[str, Task]) -> None:
    outputs = deployment.workspace.outputs()
    generation, loading = tasks["itemgend"], tasks["itemloadd"]
    assert generation.environment["ITEMGEND_QUEUE_URL"] == outputs["ItemGenQueueUrl"]
    assert generation.environment["ITEMGEND_LOAD_TOPIC_ARN"] == outputs["ItemLoadTopicArn"]
    assert loading.environment["ITEMLOADD_QUEUE_URL"] == outputs["ItemLoadQueueUrl"]
    assert loading.environment["ITEMLOADD_SECRET_ARN"] == outputs["PgstacSecret"]
    assert {name: task.role_arn for name, task in tasks.items()} == outputs["task_role_arns"]
    for task in tasks.values():
        container = task.container
        assert container["readonlyRootFilesystem"] and container["stopTimeout"] == 120
        assert container["user"].partition(":")[0] not in ("", "0", "root")
        assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
        assert container["healthCheck"]["command"] == ["CMD", f"/usr/local/bin/{task.daemon}", "--health"]


def test_items_are_in_the_catalog(finished: Run) -> None:
    for item_id, collection in LOADED.items():
        found = finished.item(item_id)
        assert found and found["collection"] == collection, item_id
    large = finished.item("probe")
    assert large and len(large["properties"]["padding"]) == 400_000, "through the overflow bucket"


def test_dead_letters_say_why(finished: Run) -> None:
    assert finished.dead_letter("ItemGenDLQUrl")["error_code"] == "package_not_allowed"
    assert finished.dead_letter("ItemLoadDLQUrl")["error_code"] == "invalid_item"


def test_tasks_are_healthy_and_protect_themselves(finished: Run) -> None:
    assert finished.healthy == {"itemgend": 0, "itemloadd": 0}
    for daemon, agent in finished.agents.items():
        assert True in agent.protected and agent.protected[-1] is False, (daemon, agent.protected)


def test_messages_that_sns_cannot_deliver_are_kept(finished: Run) -> None:
    """The deployment lost no message; a message that its topic's queue does not accept is kept in a queue."""
    for url in finished.outputs["delivery_dead_letter_queue_urls"].values():
        answer = finished.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert answer["Attributes"]["ApproximateNumberOfMessages"] == "0"


# -------------------------------------------------------------------------------- permissions and calls


@pytest.fixture(scope="module")
def documented() -> list[Row]:
    return iam.rows(iam.DOCUMENT.read_text())


@pytest.fixture(scope="module")
def allowed(deployment: Deployment) -> list[Statement]:
    return iam.statements(deployment.workspace.state(), deployment.prefix)


@pytest.fixture(scope="module")
def called(finished: Run, deployment: Deployment) -> list[Call]:
    """The calls from the daemons' start to their end."""
    return iam.calls(finished.stack.directory / "requests.log", deployment.prefix)


def test_each_action_is_documented(documented: list[Row], allowed: list[Statement]) -> None:
    assert iam.undocumented(documented, allowed) == []


def test_each_call_is_allowed(allowed: list[Statement], called: list[Call]) -> None:
    assert {call.role for call in called} == {"itemgend-task", "itemloadd-task"}
    assert iam.refused(allowed, called) == []


def test_each_action_is_called_or_has_a_reason(documented: list[Row], allowed: list[Statement], called: list[Call]) -> None:
    assert iam.uncalled(documented, allowed, called, ["itemgend-task", "itemloadd-task"]) == []


# ------------------------------------------------------------ the end


def test_destroy(deployment: Deployment, finished: Run) -> None:
    """With an object in the overflow bucket."""
    deployment.destroy()
    assert deployment.difference() == []
    assert finished.item("from-a-request"), "an existing database keeps its content"
