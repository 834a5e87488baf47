"""
List prices in US dollars, us-east-1, Linux, without free tier and savings plans.

AWS's own pricing pages are the authority, and they change. These prices come from copies of public pages of 2024 to
2026. Each names its page. UNCONFIRMED lists those that no copy confirmed; docs/explanation/scaling.md prints that list.
"""

from __future__ import annotations

# Fargate, Linux/x86 and Linux/ARM, by the second from the image pull on, at least one minute:
# aws.amazon.com/fargate/pricing, copied in vantage.sh/blog/fargate-pricing.
FARGATE_VCPU_HOUR = {"x86_64": 0.04048, "arm64": 0.03238}
FARGATE_GB_HOUR = {"x86_64": 0.004445, "arm64": 0.00356}
# The Spot price changes; AWS says "up to 70 %" off: aws.amazon.com/fargate/pricing, copied in
# wring.co/blog/aws-fargate-pricing-guide.
FARGATE_SPOT_DISCOUNT_MOST = 0.70

# Any public IPv4 address, including a task's, since 1 February 2024: aws.amazon.com/vpc/pricing, copied in
# doit.com/aws-public-ipv4-price-increase-the-complete-guide.
PUBLIC_IPV4_HOUR = 0.005

# Lambda x86, by the millisecond: aws.amazon.com/lambda/pricing, here after
# docs.aws.amazon.com/whitepapers/latest/how-aws-pricing-works/lambda.html and cloudchipr.com/blog/aws-lambda-pricing.
LAMBDA_GB_S = 0.0000166667
LAMBDA_REQUEST = 0.20 / 1e6

# Each request with up to 64 KB: aws.amazon.com/sqs/pricing, copied in cloudburn.io/blog/amazon-sqs-pricing (standard
# queues, the first 100 billion a month) and factualminds.com/blog/amazon-sqs-pricing-64kb-rule-fifo-vs-standard.
SQS_REQUEST = 0.40 / 1e6
# Each published 64 KB: aws.amazon.com/sns/pricing, copied in
# factualminds.com/blog/amazon-sns-pricing-publishes-fanout-protocols.
SNS_PUBLISH = 0.50 / 1e6

# RDS for PostgreSQL, one availability zone, vCPUs and dollars an hour: aws.amazon.com/rds/postgresql/pricing, copied in
# infratally.com/articles/aws-rds-pricing-explained-2026.html. Two zones cost twice as much.
RDS_INSTANCES = {"db.t4g.micro": (2, 0.016), "db.t4g.small": (2, 0.032), "db.t4g.medium": (2, 0.065)}
# The share of each vCPU that a T4g instance may use without limit: EC2 User Guide, "Key concepts for burstable
# performance instances".
RDS_BASELINE = {"db.t4g.micro": 0.10, "db.t4g.small": 0.20, "db.t4g.medium": 0.20}
# gp3, with 3,000 IOPS and 125 MB/s: usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator.
RDS_GB_MONTH = 0.115
GP3_MB_S = 125

# CloudWatch Logs ingestion: aws.amazon.com/cloudwatch/pricing, copied in
# factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards.
LOGS_GB = 0.50

# Values that are used here, and that no copy of a page confirmed.
UNCONFIRMED = (
    "that us-west-2 has the same prices",
    "that a delivery from SNS into SQS is not charged as a request of SQS",
    "the share of a vCPU that T4g instances have for ever",
    "how much SNS lets an account publish a second in a region, and how many vCPUs Fargate lets it run",
)


def fargate_task_hour(
    cpu_units: int, memory_mib: int, architecture: str = "x86_64", *, public_address: bool = True
) -> float:
    vcpu_hour, gb_hour = FARGATE_VCPU_HOUR[architecture], FARGATE_GB_HOUR[architecture]
    return cpu_units / 1024 * vcpu_hour + memory_mib / 1024 * gb_hour + PUBLIC_IPV4_HOUR * public_address
