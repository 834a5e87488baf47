"""up, down and status: what they start, what they leave behind, and how they end when they are interrupted."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from places import fake_programs, left_in, open_ports, run, wait_until

from local.process import is_alive
from local.stack import TOOLS, Stack

# --- the running stack


def test_queues_as_designed(stack: Stack, sqs: Any) -> None:
    for stage, visibility in ((stack.cloud.generation, "120"), (stack.cloud.loading, "60")):
        queue = sqs.get_queue_attributes(QueueUrl=stage.queue_url, AttributeNames=["All"])["Attributes"]
        dlq = sqs.get_queue_attributes(QueueUrl=stage.dlq_url, AttributeNames=["All"])["Attributes"]
        assert queue["VisibilityTimeout"] == visibility
        assert json.loads(queue["RedrivePolicy"]) == {"deadLetterTargetArn": dlq["QueueArn"], "maxReceiveCount": 6}
        assert dlq["MessageRetentionPeriod"] == "1209600"
        assert json.loads(dlq["RedriveAllowPolicy"])["sourceQueueArns"] == [queue["QueueArn"]]
        assert stage.topic_arn in queue["Policy"]


def test_a_shell_needs_only_env(stack: Stack) -> None:
    """Even in a shell that is set up for another account and another database."""
    script = """
        . "$1"
        aws sts get-caller-identity --query Arn --output text
        aws sqs get-queue-attributes --queue-url "$ITEM_LOAD_DLQ_URL" --attribute-names QueueArn \\
            --query Attributes.QueueArn --output text
        psql -XAt -c 'SELECT pgstac.get_version() IS NOT NULL'
        curl -sf "$ASSET_URL/v2/2000.txt" | head -n 1
        command -v uvx pypgstac
    """
    foreign = {
        "AWS_PROFILE": "other",
        "AWS_SESSION_TOKEN": "x",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1",
        "PGSERVICE": "none",
        "PGSSLMODE": "verify-full",
    }
    arguments = ["bash", "-euc", script, "-", str(stack.directory / "env")]
    done = subprocess.run(arguments, env=os.environ | foreign, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "arn:aws:iam::123456789012:user/stack",
        stack.cloud.loading.topic_arn.replace(":sns:", ":sqs:").replace("Topic", "DeadLetterQueue"),
        "t",
        f"{stack.asset_url}/v2/2000/50N_090W.tif",
        str(TOOLS / "uvx"),
        str(TOOLS / "pypgstac"),
    ]


def test_env_is_complete_and_private(stack: Stack) -> None:
    path = stack.directory / "env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    names = {
        line.removeprefix("export ").partition("=")[0]
        for line in path.read_text().splitlines()
        if line.startswith("export")
    }
    assert names >= {
        *("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("ITEM_GEN_TOPIC_ARN", "ITEM_LOAD_TOPIC_ARN", "ITEM_GEN_QUEUE_URL", "ITEM_GEN_DLQ_URL"),
        *("ITEM_LOAD_QUEUE_URL", "ITEM_LOAD_DLQ_URL", "PGSTAC_SECRET_ARN", "PGHOST", "PGPORT", "PGDATABASE"),
        *("PGUSER", "PGPASSWORD", "ASSET_URL", "PATH"),
    }


COLLECTION = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "stack-test",
    "description": "x",
    "license": "CC0-1.0",
    "links": [],
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}},
}
ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "one",
    "collection": "stack-test",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "bbox": [1, 2, 1, 2],
    "properties": {"datetime": "2021-01-01T00:00:00Z"},
    "links": [],
    "assets": {},
}


def test_the_secrets_role_can_only_load(stack: Stack, tmp_path: Path, database: psycopg.Connection[Any]) -> None:
    answer = stack.account.client("secretsmanager").get_secret_value(SecretId=stack.cloud.secret_arn)
    secret = json.loads(answer["SecretString"])
    assert set(secret) == {"host", "port", "dbname", "username", "password"}
    env = {
        "PGHOST": secret["host"],
        "PGPORT": str(secret["port"]),
        "PGDATABASE": secret["dbname"],
        "PGUSER": secret["username"],
        "PGPASSWORD": secret["password"],
    }
    for kind, document in (("collections", COLLECTION), ("items", ITEM)):
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(document))
        arguments = [TOOLS / "pypgstac", "load", kind, str(path), "--method=upsert"]
        subprocess.run(arguments, env=os.environ | env, check=True, capture_output=True, timeout=60)
    assert database.execute("SELECT id FROM items WHERE collection = 'stack-test'").fetchall() == [("one",)]
    with psycopg.connect(**stack.postgres.dsn(stack.postgres.loader), autocommit=True) as loader:
        assert loader.execute("SHOW search_path").fetchone() == ("pgstac, public",)
        for statement in ("CREATE ROLE x", "DROP TABLE items", "ALTER TABLE items ADD COLUMN x int", "CREATE SCHEMA x"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                loader.execute(statement)
    database.execute("SELECT pgstac.delete_collection('stack-test')")


@pytest.mark.parametrize("user", ["stac_owner", "stac_loader"])
def test_the_database_asks_for_the_password(stack: Stack, user: str) -> None:
    login = stack.postgres.dsn(stack.postgres.owner) | {"user": user}
    for wrong in ({"password": "wrong"}, {"password": ""}, {"host": str(stack.postgres.directory), "password": ""}):
        if wrong.get("host") and user == "stac_owner" and os.geteuid() != 0:
            continue  # the owner's own account, on its own socket
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**(login | wrong))


# --- up and down


def test_down_leaves_nothing(place: Path) -> None:
    stack = Stack(place / "stack", programs=fake_programs(place), fsync=False)
    with stack:
        processes, ports = stack.processes, open_ports(stack)
        endpoints = dict(stack.state.endpoints)
        assert [p.name for p in processes] == ["aws", "assets", "postgres", "itemgend", "itemloadd"]
        assert all(is_alive(p) for p in processes) and len(ports) == 3
    assert not any(is_alive(p) for p in processes)
    stack.state.endpoints = endpoints
    assert open_ports(stack) == []
    assert left_in(place) == [] and list((place / "tmp").iterdir()) == []
    logs = ["assets.log", "aws.log", "itemgend.log", "itemloadd.log", "postgres.log"]
    assert sorted(path.name for path in (place / "stack").iterdir()) == logs
    assert stack.down() is False


def test_the_commands(place: Path) -> None:
    assert run("status", place=place) == (3, "down\n")
    status, output = run("up", "--no-daemons", place=place)
    assert status == 0 and "aws, assets, postgres" in output
    before = run("status", place=place)
    assert before[0] == 0
    status, output = run("up", "--no-daemons", place=place)
    assert status == 0 and output.startswith("already up")
    assert run("status", place=place) == before
    assert run("down", place=place) == (0, "down\n")
    assert run("down", place=place) == (0, "nothing is up\n")
    assert left_in(place) == []


def test_two_side_by_side(place: Path, stack: Stack) -> None:
    with Stack(place / "stack", run_daemons=False, fsync=False, enveloped=True) as other:
        assert not set(other.state.endpoints.values()) & set(stack.state.endpoints.values())
        other.account.client("sns").publish(TopicArn=other.cloud.loading.topic_arn, Message="only here")
        received = other.account.client("sqs").receive_message(QueueUrl=other.cloud.loading.queue_url)["Messages"]
        assert json.loads(received[0]["Body"])["Message"] == "only here", "--enveloped"
        here = stack.account.client("sqs").receive_message(QueueUrl=stack.cloud.loading.queue_url)
        assert "Messages" not in here
    assert stack.problems() == []


def test_up_after_a_part_has_died(place: Path) -> None:
    with Stack(place / "stack", run_daemons=False, fsync=False) as stack:
        os.kill(stack.process("aws").pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(stack.process("aws")))
        assert any("aws" in problem for problem in stack.problems())
        assert run("status", place=place)[0] == 1
        again = Stack(place / "stack", run_daemons=False, fsync=False)
        assert again.up() is True
        assert again.problems() == []


def test_a_strangers_pid_is_left_alone(place: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        (place / "stack").mkdir()
        state = {
            "processes": [
                {"name": name, "pid": stranger.pid, "started": 1} for name in ("aws", "itemgend", "postgres")
            ],
            "temporary": str(place),
            "endpoints": {},
        }
        (place / "stack" / "state.json").write_text(json.dumps(state))
        assert run("down", place=place) == (0, "down\n")
        assert stranger.poll() is None
        assert place.exists(), "`down` removes only a directory that `up` recorded"
    finally:
        stranger.kill()
        stranger.wait()
