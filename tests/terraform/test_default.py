"""terraform/ with its defaults: applied to the local AWS, and destroyed again."""

import json
from pathlib import Path

import pytest

from tests.terraform import inventory
from tests.terraform.deployment import Deployment, example
from tests.terraform.workspace import local_aws

pytestmark = pytest.mark.long


def test_apply_and_destroy(tmp_path: Path) -> None:
    with local_aws(tmp_path) as account:
        deployment = Deployment(account, tmp_path, example("default"))
        deployment.apply()
        assert deployment.second_plan() == ""
        state, outputs = deployment.workspace.state(), deployment.workspace.outputs()
        made = inventory.everything(account) - deployment.before
        assert len(made) > 60
        assert f"sqs queues: {outputs['ItemGenQueueUrl']}" in made and f"sns topics: {outputs['ItemLoadTopicArn']}" in made

        # The secret has the five keys that loaders need. The state does not contain passwords.
        answer = account.client("secretsmanager").get_secret_value(SecretId=outputs["PgstacSecret"])
        secret = json.loads(answer["SecretString"])
        assert set(secret) >= {"host", "port", "dbname", "username", "password"}
        database = state.one("aws_db_instance")
        assert (secret["host"], int(secret["port"])) == (database["address"], database["port"])
        assert secret["password"] not in (deployment.workspace.folder / "terraform.tfstate").read_text()

        deployment.destroy()
        assert deployment.difference() == []
