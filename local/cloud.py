"""Sets up the local AWS: topics, queues with their dead-letter queues and policies, subscriptions, the secret."""

import json
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

# A region for which aws-cli 1 has no legacy host name. For us-west-2 and similar ones, `aws sqs` goes to
# REGION.queue.amazonaws.com, whatever AWS_ENDPOINT_URL says (awscli/customizations/overridesslcommonname.py).
REGION = "eu-central-2"
RECEIVES = 6  # five attempts, and one in reserve (docs/reference/messages.md)
DEAD_LETTERS_KEPT_S = 14 * 24 * 60 * 60
VISIBILITY_S = {"ItemGen": 120, "ItemLoad": 60}


@dataclass(frozen=True)
class Account:
    """The server's address and the key of one user."""

    url: str
    access_key_id: str
    secret_access_key: str

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client. `options` are boto3's; `config` is added to ours."""
        config = Config(retries={"total_max_attempts": 1})
        return boto3.session.Session().client(
            service,
            endpoint_url=self.url,
            region_name=options.pop("region_name", REGION),
            aws_access_key_id=options.pop("aws_access_key_id", self.access_key_id),
            aws_secret_access_key=options.pop("aws_secret_access_key", self.secret_access_key),
            config=config.merge(options.pop("config", Config())),
            **options,
        )


@dataclass(frozen=True)
class Stage:
    """Generation or loading: a topic, its queue, and the queue's dead-letter queue."""

    topic_arn: str
    queue_url: str
    dlq_url: str


def make_queue(sqs: Any, name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """Creates a queue and returns its URL and ARN."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def policy_for(queue_arn: str, topic_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_stage(sqs: Any, sns: Any, prefix: str, name: str, *, enveloped: bool) -> Stage:
    dlq_url, dlq_arn = make_queue(
        sqs, f"{prefix}-{name}DeadLetterQueue", {"MessageRetentionPeriod": str(DEAD_LETTERS_KEPT_S)}
    )
    redrive = {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": RECEIVES}
    attributes = {"VisibilityTimeout": str(VISIBILITY_S[name]), "RedrivePolicy": json.dumps(redrive)}
    queue_url, queue_arn = make_queue(sqs, f"{prefix}-{name}Queue", attributes)
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [queue_arn]}
    sqs.set_queue_attributes(QueueUrl=dlq_url, Attributes={"RedriveAllowPolicy": json.dumps(allow)})
    topic_arn = sns.create_topic(Name=f"{prefix}-{name}Topic")["TopicArn"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy_for(queue_arn, topic_arn)})
    raw = {"RawMessageDelivery": "false" if enveloped else "true"}
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes=raw)
    return Stage(topic_arn, queue_url, dlq_url)


@dataclass(frozen=True)
class Cloud:
    generation: Stage
    loading: Stage
    secret_arn: str


def set_up(account: Account, prefix: str, secret: dict[str, Any], *, enveloped: bool) -> Cloud:
    """`prefix`: <project>-<stage>, at the start of every name. `secret`: host, port, dbname, username, password."""
    sqs, sns = account.client("sqs"), account.client("sns")
    secret_arn = account.client("secretsmanager").create_secret(
        Name=f"{prefix}-pgstac", SecretString=json.dumps(secret)
    )["ARN"]
    return Cloud(
        generation=make_stage(sqs, sns, prefix, "ItemGen", enveloped=enveloped),
        loading=make_stage(sqs, sns, prefix, "ItemLoad", enveloped=enveloped),
        secret_arn=secret_arn,
    )
