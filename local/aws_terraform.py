"""
The calls of terraform's provider that moto lacks or gets wrong, as far as terraform/ needs them.

A resource must be returned as it was sent, because terraform's second plan compares it. A plan fails on a call that
moto does not know.
"""

import json
import time
import uuid
from collections.abc import Iterable
from typing import Any

import moto.applicationautoscaling.urls
import moto.ecs.urls
import moto.scheduler.urls
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.models import Service
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.rds.models import DBInstance, DBParameterGroup
from moto.scheduler.responses import EventBridgeSchedulerResponse

SERVICE_SETTINGS = ("capacityProviderStrategy", "deploymentConfiguration")


class ScalingTags(ApplicationAutoScalingResponse):
    """Tags of scalable targets."""

    tags: dict[str, dict[str, str]] = {}

    def register_scalable_target(self) -> str:
        answer = super().register_scalable_target()
        if tags := self._get_param("Tags"):
            self.tags.setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(tags)
        return answer

    def list_tags_for_resource(self) -> str:
        return json.dumps({"Tags": self.tags.get(self._get_param("ResourceARN"), {})})

    def tag_resource(self) -> str:
        self.tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self) -> str:
        for name in self._get_param("TagKeys"):
            self.tags.get(self._get_param("ResourceARN"), {}).pop(name, None)
        return "{}"


class Containers(EC2ContainerServiceResponse):
    """
    Services with everything that they were created with, and the protection of a task against scale-in, which an ECS
    agent asks for. This server never scales in.
    """

    protected: dict[str, dict[str, Any]] = {}

    def _determine_resource(self) -> str:
        """For a policy check: a task's ARN, if the request is about one."""
        tasks: list[str] = self._get_param("tasks") or ["*"]
        return tasks[0]

    def create_service(self) -> ActionResult:
        answer = super().create_service()
        service = answer.result["service"]  # type: ignore[index]
        for name in SERVICE_SETTINGS:
            if (value := self._get_param(name)) is not None:
                setattr(service, camelcase_to_underscores(name), value)
        if self._get_param("capacityProviderStrategy"):
            service.launch_type = None
        return answer

    def describe_capacity_providers(self) -> ActionResult:
        if self._get_param("capacityProviders"):
            return super().describe_capacity_providers()
        return ActionResult({"capacityProviders": list(self.ecs_backend.capacity_providers.values()), "failures": []})

    def update_task_protection(self) -> ActionResult:
        is_enabled = self._get_param("protectionEnabled")
        until = time.time() + 60 * int(self._get_param("expiresInMinutes") or 120)
        for task in self._get_param("tasks"):
            self.protected[task] = {"taskArn": task, "protectionEnabled": is_enabled}
            if is_enabled:
                self.protected[task]["expirationDate"] = until
        return self.get_task_protection()

    def get_task_protection(self) -> ActionResult:
        tasks: Iterable[str] = self._get_param("tasks") or []
        found = [self.protected.get(task, {"taskArn": task, "protectionEnabled": False}) for task in tasks]
        return ActionResult({"protectedTasks": found, "failures": []})


class Schedules(EventBridgeSchedulerResponse):
    """
    A second request with the first one's client token returns the first one's resource: clients repeat a request that
    got no answer.
    """

    answers: dict[str, str] = {}

    def create_schedule(self) -> str:
        token = self._get_param("ClientToken")
        if token not in self.answers:
            self.answers[token] = super().create_schedule()
        return self.answers[token]


def install() -> None:
    """Replaces moto's own operations. Call it before the first request."""
    for urls, view in (
        (moto.applicationautoscaling.urls, ScalingTags.dispatch),
        (moto.ecs.urls, Containers.dispatch),
        (moto.scheduler.urls, Schedules.dispatch),
    ):
        urls.url_paths = dict.fromkeys(urls.url_paths, view)
    Service.availability_zone_rebalancing = "DISABLED"  # type: ignore[attr-defined]
    SecurityGroupRule.description = property(  # type: ignore[method-assign, assignment]
        lambda self: self.ip_range.get("Description") or self.source_group.get("Description")
    )
    update_parameters = DBParameterGroup.update_parameters

    def update_by_user(self: DBParameterGroup, new_parameters: Iterable[dict[str, Any]]) -> None:
        update_parameters(self, new_parameters)
        for parameter in self.parameters.values():
            parameter["Source"] = "user"  # the provider asks for no others

    DBParameterGroup.update_parameters = update_by_user  # type: ignore[method-assign]
    make_database = DBInstance.__init__

    def make_one_of_several(self: DBInstance, *arguments: Any, **named: Any) -> None:
        make_database(self, *arguments, **named)
        self.dbi_resource_id = f"db-{uuid.uuid4().hex[:26].upper()}"  # the provider finds it by this name; moto has one for all

    DBInstance.__init__ = make_one_of_several  # type: ignore[method-assign]
