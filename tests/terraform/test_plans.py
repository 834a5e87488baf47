"""Plans each variant of the deployment, and checks the properties that matter to its owner."""


import pytest
import yaml

from tests.terraform import iam
from tests.terraform.conftest import EXAMPLES
from tests.terraform.existing import Existing
from tests.terraform.workspace import SOURCE, Resources

# Attributes that name a resource in its account and region.
NAMES = ("alarm_name", "bucket", "cluster_name", "dashboard_name", "identifier", "name", "name_prefix")
# Names that need to be unique only within something else, or that belong to somebody else.
WITHIN = {
    "aws_iam_role_policy": "a role",
    "aws_s3_bucket_notification": "an existing bucket",
    "aws_service_discovery_service": "a namespace",
}
# Names of at most 32 characters: the prefix is cut, and its hash added.
SHORT = ("aws_lb", "aws_lb_target_group")


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plan(plans: dict[str, Resources], example: str) -> Resources:
    return plans[example]


def prefix_of(example: str) -> str:
    given = yaml.safe_load((SOURCE / "examples" / example / "config.yaml").read_text())
    return f"{given['project_id']}-{given['stage']}"


# -------------------------------------------- checks of all variants


def test_the_variants() -> None:
    """One example for each decision of a configuration."""
    wanted = {"default", "existing-vpc", "existing-database", "enveloped", "ecs-ec2", "ec2-systemd", "no-api", "pgbouncer"}
    assert wanted <= set(EXAMPLES)


def test_names(plan: Resources, example: str) -> None:
    prefix = prefix_of(example)
    wrong, seen = [], 0
    for one in plan:
        for attribute in NAMES:
            value = one.values.get(attribute)
            if isinstance(value, str) and one.type not in WITHIN:
                seen += 1
                shown = prefix[:22] if one.type in SHORT else prefix
                if not value.removeprefix("/aws/rds/instance/").startswith(shown):
                    wrong.append(f"{one.address}: {attribute} = {value}")
    assert wrong == []
    assert seen >= 30
    assert all(one.values["family"].startswith(prefix) for one in plan.of("aws_ecs_task_definition"))


def test_tags(plan: Resources, example: str) -> None:
    """Everything that can have tags names its owner, including what an Auto Scaling group starts."""
    project, _, stage = prefix_of(example).rpartition("-")
    own = {"Project": project, "Stage": stage}
    can = [one for one in plan if "tags_all" in one.values or "tags_all" in one.unknown]
    assert len(can) >= 30
    assert [one.address for one in can if not own.items() <= (one.values.get("tags_all") or {}).items()] == []
    for group in plan.of("aws_autoscaling_group"):
        started = {tag["key"]: tag["value"] for tag in group.values["tag"] if tag["propagate_at_launch"]}
        assert own.items() <= started.items(), group.address
    for service in plan.of("aws_ecs_service"):
        assert service.values["propagate_tags"] == "SERVICE", service.address


def test_queues(plan: Resources) -> None:
    """The numbers of the design, and nothing unencrypted."""
    queues = {one.values["name"].split("-")[-1]: one.values for one in plan.of("aws_sqs_queue")}
    visibility = {"ItemGenQueue": 120, "ItemLoadQueue": 60}
    for stage in ("ItemGen", "ItemLoad"):
        assert queues[f"{stage}Queue"]["visibility_timeout_seconds"] == visibility[f"{stage}Queue"]
        for kind in ("DeadLetterQueue", "DeliveryDeadLetterQueue"):
            assert queues[f"{stage}{kind}"]["message_retention_seconds"] == 14 * 24 * 60 * 60
    assert len(queues) == 6
    for name, queue in queues.items():
        assert queue.get("sqs_managed_sse_enabled") or queue["kms_master_key_id"], name
        assert queue["max_message_size"] == 256 * 1024
    for topic in plan.of("aws_sns_topic"):
        assert "kms_master_key_id" in topic.values


def test_logs_are_kept_for_some_time(plan: Resources, example: str) -> None:
    days = {"pgbouncer": 30}.get(example, 7)
    groups = plan.of("aws_cloudwatch_log_group")
    assert len(groups) >= 2 and {one.values["retention_in_days"] for one in groups} == {days}


def test_each_stage_scales_between_its_limits(plan: Resources, example: str) -> None:
    limits = {"ec2-systemd": (1, 6, 0, 4), "pgbouncer": (0, 60, 1, 16)}.get(example, (0, 10, 0, 4))
    if example == "ec2-systemd":
        found = [plan.one("aws_autoscaling_group", name) for name in ("itemgend", "itemloadd")]
        assert [value for one in found for value in (one["min_size"], one["max_size"])] == list(limits)
    else:
        found = [plan.one("aws_appautoscaling_target", name) for name in ("itemgend", "itemloadd")]
        assert [value for one in found for value in (one["min_capacity"], one["max_capacity"])] == list(limits)


def test_alarms(plan: Resources, example: str) -> None:
    alarms = {one.values["alarm_name"].removeprefix(prefix_of(example) + "-") for one in plan.of("aws_cloudwatch_metric_alarm")}
    assert len(alarms) >= 8
    has_database = example != "existing-database"
    assert any("database" in alarm.lower() for alarm in alarms) == has_database
    assert plan.one("aws_cloudwatch_dashboard")


def test_each_role_is_documented(plans: dict[str, Resources]) -> None:
    """The document lists every role, and no others."""
    planned = {
        one.values["name"].removeprefix(f"{prefix_of(example)}-")
        for example, plan in plans.items()
        for one in plan.of("aws_iam_role")
    }
    assert {row.role for row in iam.rows(iam.DOCUMENT.read_text())} == planned


# ----------------------------------------------------- checks of one variant


def containers(plan: Resources) -> list[str]:
    """Daemons that run as containers."""
    names = [one.values["name"] for one in plan.of("aws_ecs_service", 'module.service["')]
    return sorted(name.rpartition("-")[2] for name in names)


def test_default(plans: dict[str, Resources]) -> None:
    plan = plans["default"]
    assert containers(plan) == ["itemgend", "itemloadd"]
    for daemon, share in (("itemgend", {"FARGATE": 25, "FARGATE_SPOT": 75}), ("itemloadd", {"FARGATE": 100})):
        service = plan.one("aws_ecs_service", f'"{daemon}"')
        strategy = {one["capacity_provider"]: one["weight"] for one in service["capacity_provider_strategy"]}
        assert strategy == share
        assert service["desired_count"] == 0
        assert service["deployment_circuit_breaker"] == [{"enable": True, "rollback": True}]
        assert service["network_configuration"][0]["assign_public_ip"], "no NAT gateway: tasks reach the internet themselves"
    assert len(plan.of("aws_nat_gateway")) == 0
    assert all(one.values["raw_message_delivery"] for one in plan.of("aws_sns_topic_subscription") if one.values["protocol"] == "sqs")
    database = plan.one("aws_db_instance")
    assert database["storage_encrypted"] and database["deletion_protection"] and database["backup_retention_period"] > 0
    assert database["engine_version"].startswith("16") and not database["publicly_accessible"]
    assert plan.of("aws_lb") and plan.of("aws_ecs_service", "stac_api")
    generation = plan.one("aws_ecs_task_definition", '"itemgend"')
    assert int(generation["memory"]) >= 4 * 1024 + 512, "four item slots, and the daemon's share"


def test_existing_vpc(plans: dict[str, Resources], had: Existing) -> None:
    plan = plans["existing-vpc"]
    for kind in ("aws_vpc", "aws_subnet", "aws_internet_gateway", "aws_nat_gateway", "aws_route_table"):
        assert plan.of(kind) == [], kind
    for daemon in ("itemgend", "itemloadd"):
        network = plan.one("aws_ecs_service", f'"{daemon}"')["network_configuration"][0]
        assert set(network["subnets"]) == set(had.private_subnet_ids) and not network["assign_public_ip"]
    assert set(plan.one("aws_db_subnet_group")["subnet_ids"]) == set(had.isolated_subnet_ids)
    assert {one.values["vpc_id"] for one in plan.of("aws_security_group")} == {had.vpc_id}


def test_existing_database(plans: dict[str, Resources], had: Existing) -> None:
    plan = plans["existing-database"]
    for kind in ("aws_db_instance", "aws_db_subnet_group", "aws_secretsmanager_secret", "aws_lb"):
        assert plan.of(kind) == [], kind
    assert plan.of("aws_ecs_task_definition", "module.database") == [], "nobody migrates it"
    rule = plan.one("aws_vpc_security_group_ingress_rule", "module.database")
    assert rule["security_group_id"] == had.security_group_id and rule["from_port"] == 5432


def test_enveloped(plans: dict[str, Resources]) -> None:
    subscriptions = [one.values for one in plans["enveloped"].of("aws_sns_topic_subscription") if one.values["protocol"] == "sqs"]
    assert [one["raw_message_delivery"] for one in subscriptions] == [False, False]


def test_ecs_on_ec2(plans: dict[str, Resources]) -> None:
    plan = plans["ecs-ec2"]
    assert containers(plan) == ["itemgend", "itemloadd"]
    for daemon in ("itemgend", "itemloadd"):
        definition = plan.one("aws_ecs_task_definition", f'"{daemon}"')
        assert definition["requires_compatibilities"] == ["EC2"]
        assert definition["runtime_platform"][0]["cpu_architecture"] == "ARM64"
        strategy = plan.one("aws_ecs_service", f'"{daemon}"')["capacity_provider_strategy"]
        assert [one["capacity_provider"] for one in strategy] == ["stactools-ingest-containers-instances"]
    template = plan.one("aws_launch_template", "cluster")
    assert template["instance_type"] == "m7g.xlarge" and template["metadata_options"][0]["http_tokens"] == "required"
    assert len(plan.of("aws_nat_gateway")) == 1
    group = plan.one("aws_autoscaling_group")
    assert (group["min_size"], group["max_size"], group["protect_from_scale_in"]) == (0, 4, True)


def test_ec2_under_systemd(plans: dict[str, Resources]) -> None:
    plan = plans["ec2-systemd"]
    assert containers(plan) == [] and len(plan.of("aws_autoscaling_group")) == 2
    for daemon in ("itemgend", "itemloadd"):
        template = plan.one("aws_launch_template", f'"{daemon}"')
        options = template["metadata_options"][0]
        assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)
        assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    buckets = {one.values["bucket"] for one in plan.of("aws_s3_bucket")}
    assert buckets == {f"stactools-ingest-machines-{kind}-123456789012" for kind in ("overflow", "packages")}
    assert len(plan.of("aws_s3_bucket_public_access_block")) == 2


def test_no_api(plans: dict[str, Resources], had: Existing) -> None:
    plan = plans["no-api"]
    assert plan.of("aws_lb") == [] and len(plan.of("aws_ecs_service")) == 2
    notification = plan.one("aws_s3_bucket_notification")
    assert notification["bucket"] == had.bucket
    topic = notification["topic"][0]
    assert (topic["events"], topic["filter_prefix"], topic["filter_suffix"]) == (["s3:ObjectCreated:*"], "items/", ".json")
    keys = {one.values["kms_master_key_id"] for one in plan.of("aws_sqs_queue")}
    assert len(keys) == 1 and str(keys.pop()).startswith("arn:aws:kms:")


def test_pgbouncer(plans: dict[str, Resources]) -> None:
    plan = plans["pgbouncer"]
    assert plan.one("aws_ecs_service", "pgbouncer")["desired_count"] >= 1
    assert plan.one("aws_db_instance")["multi_az"]
    assert len(plan.of("aws_nat_gateway")) == 2
    names = {one.values["service_name"].split(".", 3)[3] for one in plan.of("aws_vpc_endpoint")}
    assert {"s3", "sqs", "sns", "secretsmanager", "logs", "ecr.api", "ecr.dkr"} <= names
    emails = [one.values["endpoint"] for one in plan.of("aws_sns_topic_subscription") if one.values["protocol"] == "email"]
    assert emails == ["operations@example.com"]
