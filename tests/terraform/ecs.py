"""
Runs the daemons as ECS would: from a service of the cluster to its task definition's environment, with an agent that
gives out the task role's credentials, and forwards the task's requests to ECS.

Source: the ECS developer guide, "Task IAM role" and "Amazon ECS task scale-in protection endpoint".
"""

import json
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.cloud import Account


@dataclass(frozen=True)
class Task:
    """A task of a service. `environment`: the variables that terraform gave its container."""

    arn: str
    daemon: str
    role_arn: str
    environment: dict[str, str]
    container: dict[str, Any]


def task_of(account: Account, cluster: str, service: str) -> Task:
    ecs = account.client("ecs")
    (described,) = ecs.describe_services(cluster=cluster, services=[service])["services"]
    definition = ecs.describe_task_definition(taskDefinition=described["taskDefinition"])["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    arn = f"{described['clusterArn'].replace(':cluster/', ':task/')}/{uuid.uuid4().hex}"
    environment = {one["name"]: one["value"] for one in container["environment"]}
    return Task(arn, container["name"], definition["taskRoleArn"], environment, container)


class Agent:
    """The agent of one task, on loopback. `service`: ECS, which may assume the roles that trust it."""

    def __init__(self, task: Task, service: Account) -> None:
        self._task = task
        self._service = service
        self._token = uuid.uuid4().hex
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.protected: list[bool] = []  # the requests of the task

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._token,
            "ECS_AGENT_URI": f"{url}/api",
        }

    def credentials(self) -> dict[str, str]:
        sts = self._service.client("sts")
        session = self._task.arn.rpartition("/")[2]
        key = sts.assume_role(RoleArn=self._task.role_arn, RoleSessionName=session)["Credentials"]
        return {
            "RoleArn": self._task.role_arn,
            "AccessKeyId": key["AccessKeyId"],
            "SecretAccessKey": key["SecretAccessKey"],
            "Token": key["SessionToken"],
            "Expiration": key["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def protect(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Calls ECS with the task's credentials, so its role's policy decides."""
        key = self.credentials()
        own = {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
            "aws_session_token": key["Token"],
        }
        minutes = {"expiresInMinutes": asked["ExpiresInMinutes"]} if "ExpiresInMinutes" in asked else {}
        answer = self._service.client("ecs", **own).update_task_protection(
            cluster=self._task.arn.split("/")[1],
            tasks=[self._task.arn],
            protectionEnabled=asked["ProtectionEnabled"],
            **minutes,
        )
        self.protected.append(asked["ProtectionEnabled"])
        return {"protection": {"TaskArn": self._task.arn, "ProtectionEnabled": answer["protectedTasks"][0]["protectionEnabled"]}}

    def _handler(agent: "Agent") -> type[BaseHTTPRequestHandler]:  # noqa: N805 # self is the request's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                if self.path == "/credentials" and self.headers.get("Authorization") == agent._token:
                    self._answer(200, agent.credentials())
                else:
                    self._answer(404, {"code": "InvalidRequest"})

            def do_PUT(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/task-protection/v1/state":
                    self._answer(200, agent.protect(asked))
                else:
                    self._answer(404, {"code": "InvalidRequest"})

        return Handler
