"""
Resources that a user already has: a VPC, a database's secret and security group, buckets. For configurations that name
them.
"""

import json
from dataclasses import dataclass
from typing import Any

from local.cloud import Account


@dataclass(frozen=True)
class Existing:
    vpc_id: str
    public_subnet_ids: list[str]
    private_subnet_ids: list[str]
    isolated_subnet_ids: list[str]
    security_group_id: str
    secret_arn: str
    bucket: str

    def put_into(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """Replaces the ids that an example invents with those of these resources."""
        changed = dict(configuration)
        if vpc := configuration.get("vpc"):
            changed["vpc"] = {name: getattr(self, name if name != "id" else "vpc_id") for name in vpc}
        if "database_secret_arn" in configuration:
            changed["database_secret_arn"] = self.secret_arn
            changed["database_security_group_id"] = self.security_group_id
        if notifications := configuration.get("bucket_notifications"):
            changed["bucket_notifications"] = [{**one, "bucket": self.bucket} for one in notifications]
        return changed


def make(account: Account, secret: dict[str, Any], bucket: str) -> Existing:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]

    def subnets(third: int) -> list[str]:
        return [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{third + index}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for index, zone in enumerate(zones[:2])
        ]

    group = ec2.create_security_group(GroupName="catalog", Description="a database", VpcId=vpc)["GroupId"]
    stored = account.client("secretsmanager").create_secret(Name="catalog/pgstac", SecretString=json.dumps(secret))
    location = {"LocationConstraint": account.client("s3").meta.region_name}
    account.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    return Existing(vpc, subnets(0), subnets(10), subnets(20), group, stored["ARN"], bucket)
