"""Permissions in the local AWS: users, roles, who may assume them, and the log of requests."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Account
from local.stack import Stack

numbers = itertools.count()


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def make_role(stack: Stack, principal: Any, **allowed: Any) -> str:
    """Creates a role. Returns its ARN."""
    iam = stack.account.client("iam")
    name = f"access-{next(numbers)}"
    trust = document(Principal=principal, Action="sts:AssumeRole")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if allowed:
        iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=document(**allowed))
    return arn


def assume(account: Account, arn: str, session: dict[str, str] | None = None) -> Callable[..., Any]:
    """Returns a function that makes clients with the role's own credentials."""
    key = account.client("sts", **(session or {})).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    own = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
        "aws_session_token": key["SessionToken"],
    }
    return lambda service: account.client(service, **own)


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(ClientError) as caught:
        call()
    code = caught.value.response["Error"]["Code"]
    return "AccessDenied" in code or code == "403"  # a bucket's policy; moto's message has no details


def test_users(stack: Stack) -> None:
    assert refused(lambda: stack.account.client("ec2").describe_vpcs()), "the stack's user"
    assert "Vpcs" in stack.accounts["deployer"].client("ec2").describe_vpcs()
    assert refused(lambda: stack.accounts["ecs-tasks.amazonaws.com"].client("sqs").list_queues())


@pytest.mark.parametrize("service", ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"])
def test_a_role_of_a_service(stack: Stack, service: str) -> None:
    arn = make_role(stack, {"Service": service})
    assert assume(stack.accounts[service], arn)
    for other in {"ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "stack", "deployer"} - {service}:
        assert refused(lambda other=other: assume(stack.accounts[other], arn)), other


def test_a_role_of_roles_and_users(stack: Stack) -> None:
    user = "arn:aws:iam::123456789012:user/stack"
    first = make_role(stack, {"AWS": user}, Action="sts:AssumeRole", Resource="*")
    second = make_role(stack, {"AWS": [first]})
    own = assume(stack.account, first)
    assert own("sts").assume_role(RoleArn=second, RoleSessionName="test")["Credentials"]
    assert refused(lambda: assume(stack.account, second))
    assert refused(lambda: assume(stack.accounts["deployer"], first))
    for principal in ("123456789012", "arn:aws:iam::123456789012:root"):
        assert assume(stack.account, make_role(stack, {"AWS": principal}))


def test_batches_need_what_a_single_one_needs(stack: Stack) -> None:
    """IAM has no action sqs:SendMessageBatch or similar: a policy that names one allows nothing."""
    trust, loading = {"AWS": "123456789012"}, stack.cloud.loading
    entries = [{"Id": "1", "MessageBody": "{}"}]
    single = make_role(stack, trust, Action="sqs:SendMessage", Resource="arn:aws:sqs:*:*:*-ItemLoadQueue")
    sent = assume(stack.account, single)("sqs").send_message_batch(QueueUrl=loading.queue_url, Entries=entries)
    assert len(sent["Successful"]) == 1
    batch = assume(stack.account, make_role(stack, trust, Action="sqs:SendMessageBatch", Resource="*"))("sqs")
    assert refused(lambda: batch.send_message_batch(QueueUrl=loading.queue_url, Entries=entries))
    publisher = assume(stack.account, make_role(stack, trust, Action="sns:Publish", Resource=loading.topic_arn))("sns")
    requests = [{"Id": "1", "Message": "{}"}]
    published = publisher.publish_batch(TopicArn=loading.topic_arn, PublishBatchRequestEntries=requests)
    assert len(published["Successful"]) == 1
    stack.account.client("sqs").purge_queue(QueueUrl=loading.queue_url)


def test_queues_by_name_and_by_arn(stack: Stack) -> None:
    """A statement on one queue covers requests that name the queue without its URL."""
    queue = stack.cloud.loading.queue_url.rpartition("/")[2]
    only = {"Resource": f"arn:aws:sqs:eu-central-2:123456789012:{queue}"}
    actions = ["sqs:GetQueueUrl", "sqs:ListMessageMoveTasks"]
    sqs = assume(stack.account, make_role(stack, {"AWS": "123456789012"}, Action=actions, **only))("sqs")
    assert sqs.get_queue_url(QueueName=queue)["QueueUrl"] == stack.cloud.loading.queue_url
    assert sqs.list_message_move_tasks(SourceArn=only["Resource"])["Results"] == []
    assert refused(lambda: sqs.get_queue_url(QueueName=stack.cloud.loading.dlq_url.rpartition("/")[2]))


def test_the_request_log(stack: Stack) -> None:
    arn = make_role(stack, {"AWS": "123456789012"}, Action="sqs:DeleteMessage", Resource="*")
    sqs = assume(stack.account, arn)("sqs")
    queue = stack.cloud.loading.queue_url
    sqs.delete_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "ReceiptHandle": "x"}])
    assert refused(lambda: sqs.purge_queue(QueueUrl=queue))
    who = f"arn:aws:sts::123456789012:assumed-role/{arn.rpartition('/')[2]}/test"
    resource = f"arn:aws:sqs:eu-central-2:123456789012:{queue.rpartition('/')[2]}"
    lines = [json.loads(line) for line in (stack.directory / "requests.log").read_text().splitlines()]
    assert [line for line in lines if line["who"] == who] == [
        {"who": who, "action": "sqs:DeleteMessage", "resource": resource, "allowed": True},
        {"who": who, "action": "sqs:PurgeQueue", "resource": resource, "allowed": False},
    ]
    assert all(line["allowed"] for line in lines if line["who"].endswith(":user/stack") and line["action"].startswith("sqs:"))


def test_a_bucket_that_requires_tls(stack: Stack) -> None:
    """Requests on loopback count as encrypted; a policy that denies unencrypted ones does not affect them."""
    s3 = stack.account.client("s3")
    s3.create_bucket(Bucket="tls-alone", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    deny = {"Sid": "Deny", "Effect": "Deny", "Principal": "*", "Resource": "arn:aws:s3:::tls-alone/*"}
    tls = deny | {"Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket="tls-alone", Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls]}))
    s3.put_object(Bucket="tls-alone", Key="x", Body=b"x")
    get = deny | {"Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket="tls-alone", Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls, get]}))
    s3.put_object(Bucket="tls-alone", Key="x", Body=b"x")
    assert refused(lambda: s3.get_object(Bucket="tls-alone", Key="x"))


def test_a_call_that_is_not_supported(stack: Stack) -> None:
    """It answers 501, which is not an outage that a client would retry."""
    with pytest.raises(ClientError) as caught:
        stack.accounts["deployer"].client("sns").get_data_protection_policy(ResourceArn=stack.cloud.loading.topic_arn)
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
