"""Lists everything in an account, by kind. It asks each service, not terraform."""

from collections.abc import Callable, Iterable
from typing import Any

from local.cloud import Account

Listing = Callable[[Any], Iterable[str]]


def each(operation: str, result: str, key: str | None = None, **parameters: Any) -> Listing:
    """Lists the names that an operation returns, over all pages."""

    def names(client: Any) -> Iterable[str]:
        if client.can_paginate(operation):
            pages = client.get_paginator(operation).paginate(**parameters)
        else:
            pages = [getattr(client, operation)(**parameters)]
        return [str(one[key]) if key else str(one) for page in pages for one in page.get(result) or []]

    return names


def policies_of_roles(iam: Any) -> Iterable[str]:
    roles = each("list_roles", "Roles", "RoleName")(iam)
    return [f"{role}/{name}" for role in roles for name in iam.list_role_policies(RoleName=role)["PolicyNames"]]


# Services still list deleted things for some time, in a state that says so.


def clusters(ecs: Any) -> Iterable[str]:
    arns = ecs.list_clusters()["clusterArns"]
    found = ecs.describe_clusters(clusters=arns)["clusters"] if arns else []
    return [one["clusterArn"] for one in found if one["status"] != "INACTIVE"]


def services(ecs: Any) -> Iterable[str]:
    found = []
    for cluster in clusters(ecs):
        if arns := list(each("list_services", "serviceArns", cluster=cluster)(ecs)):
            found += ecs.describe_services(cluster=cluster, services=arns)["services"]
    return [one["serviceArn"] for one in found if one["status"] != "INACTIVE"]


def instances(ec2: Any) -> Iterable[str]:
    found = ec2.describe_instances()["Reservations"]
    return [one["InstanceId"] for group in found for one in group["Instances"] if one["State"]["Name"] != "terminated"]


def nat_gateways(ec2: Any) -> Iterable[str]:
    return [one["NatGatewayId"] for one in ec2.describe_nat_gateways()["NatGateways"] if one["State"] != "deleted"]


def vpc_endpoints(ec2: Any) -> Iterable[str]:
    return [one["VpcEndpointId"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"]


LISTINGS: dict[str, list[tuple[str, Listing]]] = {
    "application-autoscaling": [
        ("scalable targets", each("describe_scalable_targets", "ScalableTargets", "ResourceId", ServiceNamespace="ecs")),
        ("scaling policies", each("describe_scaling_policies", "ScalingPolicies", "PolicyName", ServiceNamespace="ecs")),
    ],
    "autoscaling": [
        ("groups", each("describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName")),
        ("scaling policies", each("describe_policies", "ScalingPolicies", "PolicyName")),
    ],
    "cloudwatch": [
        ("alarms", each("describe_alarms", "MetricAlarms", "AlarmName")),
        ("dashboards", each("list_dashboards", "DashboardEntries", "DashboardName")),
    ],
    "ec2": [
        ("VPCs", each("describe_vpcs", "Vpcs", "VpcId")),
        ("subnets", each("describe_subnets", "Subnets", "SubnetId")),
        ("route tables", each("describe_route_tables", "RouteTables", "RouteTableId")),
        ("internet gateways", each("describe_internet_gateways", "InternetGateways", "InternetGatewayId")),
        ("NAT gateways", nat_gateways),
        ("addresses", each("describe_addresses", "Addresses", "AllocationId")),
        ("VPC endpoints", vpc_endpoints),
        ("security groups", each("describe_security_groups", "SecurityGroups", "GroupId")),
        ("security group rules", each("describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId")),
        ("flow logs", each("describe_flow_logs", "FlowLogs", "FlowLogId")),
        ("launch templates", each("describe_launch_templates", "LaunchTemplates", "LaunchTemplateName")),
        ("instances", instances),
        ("network interfaces", each("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId")),
    ],
    "ecr": [("repositories", each("describe_repositories", "repositories", "repositoryName"))],
    "ecs": [
        ("clusters", clusters),
        ("services", services),
        ("task definitions", each("list_task_definitions", "taskDefinitionArns", status="ACTIVE")),
        ("capacity providers", each("describe_capacity_providers", "capacityProviders", "name")),
    ],
    "elbv2": [
        ("load balancers", each("describe_load_balancers", "LoadBalancers", "LoadBalancerName")),
        ("target groups", each("describe_target_groups", "TargetGroups", "TargetGroupName")),
    ],
    "events": [("rules", each("list_rules", "Rules", "Name"))],
    "iam": [
        ("roles", each("list_roles", "Roles", "RoleName")),
        ("policies of roles", policies_of_roles),
        ("policies", each("list_policies", "Policies", "PolicyName", Scope="Local")),
        ("instance profiles", each("list_instance_profiles", "InstanceProfiles", "InstanceProfileName")),
    ],
    "logs": [("log groups", each("describe_log_groups", "logGroups", "logGroupName"))],
    "rds": [
        ("databases", each("describe_db_instances", "DBInstances", "DBInstanceIdentifier")),
        ("snapshots", each("describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier")),
        ("parameter groups", each("describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName")),
        ("subnet groups", each("describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName")),
    ],
    "s3": [("buckets", each("list_buckets", "Buckets", "Name"))],
    "scheduler": [("schedules", each("list_schedules", "Schedules", "Name"))],
    "secretsmanager": [("secrets", each("list_secrets", "SecretList", "Name"))],
    "servicediscovery": [("namespaces", each("list_namespaces", "Namespaces", "Name"))],
    "sns": [
        ("topics", each("list_topics", "Topics", "TopicArn")),
        ("subscriptions", each("list_subscriptions", "Subscriptions", "SubscriptionArn")),
    ],
    "sqs": [("queues", each("list_queues", "QueueUrls"))],
}


def everything(account: Account) -> set[str]:
    return {
        f"{service} {kind}: {name}"
        for service, listings in LISTINGS.items()
        for kind, listing in listings
        for name in listing(account.client(service))
    }
