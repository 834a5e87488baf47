"""
What moto lacks of the calls that terraform's provider makes for terraform/.

What a resource's second plan compares must come back as it was sent; a call that moto does not know fails the plan.
"""

import json
import time
from collections.abc import Iterable
from typing import Any

import moto.applicationautoscaling.urls
import moto.ecs.urls
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.responses import ActionResult
from moto.ecs.models import Service
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.rds.models import DBParameterGroup


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


class TaskProtection(EC2ContainerServiceResponse):
    """Of a task against scale-in. Who asks is an ECS agent, for the task; nothing scales in here."""

    protected: dict[str, dict[str, Any]] = {}

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


def install() -> None:
    """Puts these in the place of moto's own; before the first request."""
    for urls, view in (
        (moto.applicationautoscaling.urls, ScalingTags.dispatch),
        (moto.ecs.urls, TaskProtection.dispatch),
    ):
        urls.url_paths = dict.fromkeys(urls.url_paths, view)
    Service.availability_zone_rebalancing = "DISABLED"  # type: ignore[attr-defined]
    update_parameters = DBParameterGroup.update_parameters

    def update_by_user(self: DBParameterGroup, new_parameters: Iterable[dict[str, Any]]) -> None:
        update_parameters(self, new_parameters)
        for parameter in self.parameters.values():
            parameter["Source"] = "user"  # the provider asks for these only

    DBParameterGroup.update_parameters = update_by_user  # type: ignore[method-assign]
