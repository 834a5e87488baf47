"""Writes the cases beside it anew, signed by botocore: python3 tests/unit/sigv4/generate.py"""

import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))

from sigv4_oracle import Case  # noqa: E402

HOST = ("Host", "sqs.eu-central-1.amazonaws.com")
S3_HOST = ("Host", "landing-zone.s3.eu-north-1.amazonaws.com")
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaDGV1LWNlbnRyYWwtMSJHMEUCIQD+x/y=="
KEYS = {"access_key_id": "AKIDTESTCASES", "secret_access_key": "tests/only+not/a/secret=="}

CASES = [
    Case(
        "sqs-receive-message",
        method="POST",
        headers=[
            HOST,
            ("Content-Type", "application/x-amz-json-1.0"),
            ("X-Amz-Target", "AmazonSQS.ReceiveMessage"),
        ],
        body=b'{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/123456789012/q","MaxNumberOfMessages":10}',
        token=TOKEN,
    ),
    Case(
        "sns-publish-form",
        method="POST",
        headers=[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), HOST],
        body="Action=Publish&Version=2010-03-31&Message=gr\u00fc\u00dfe+%7B%7D\n\nsecond".encode(),
        service="sns",
    ),
    Case("token-not-signed", headers=[HOST], token=TOKEN, omit_session_token=True),
    Case("empty-body-post", method="POST", headers=[HOST]),
    Case("s3-key-of-dots", path="/a/../b//./c", headers=[S3_HOST], normalize=False, service="s3"),
    Case(
        "s3-key-encoded-once",
        path="/2024%2F01/sch%C3%B6n%20%2B.json",
        headers=[S3_HOST],
        normalize=False,
        service="s3",
    ),
    Case(
        "s3-version-and-token",
        path="/item.json",
        query="versionId=null&x-id=GetObject&partNumber",
        params=[("versionId", "null"), ("x-id", "GetObject"), ("partNumber", "")],
        headers=[S3_HOST, ("Range", "bytes=0-1023")],
        normalize=False,
        service="s3",
        token=TOKEN,
    ),
    Case("path-encoded-twice", path="/restapis/a%20b%2Fc/%E2%82%AC", headers=[HOST], service="execute-api"),
    Case("path-above-the-root", path="/../../a/./b/../../c//", headers=[HOST]),
    Case("path-nothing-left", path="/a/b/../../", headers=[HOST]),
    Case("path-dots-that-stay", path="/.../.a/..b/%2E%2E/", headers=[HOST]),
    Case("path-not-normalized-encoded-twice", path="//a//..%20//./", headers=[HOST], normalize=False),
    Case(
        "query-one-name-begins-another",
        query="key.a=1&key-a=2&key=3&keya=4&key%3D=5&key%00=6",
        params=[("key.a", "1"), ("key-a", "2"), ("key", "3"), ("keya", "4"), ("key=", "5"), ("key\0", "6")],
        headers=[HOST],
    ),
    Case(
        "query-equal-names",
        query="b=2&a=z&b=10&a=&b=%2A&b=~&B=0",
        params=[("b", "2"), ("a", "z"), ("b", "10"), ("a", ""), ("b", "*"), ("b", "~"), ("B", "0")],
        headers=[HOST],
    ),
    Case(
        "query-spelled-otherwise",
        query="%61=%2f/%2F&b=\u20ac%e2%82%ac&c=:@!$'()*,;?&d==%3d=",
        params=[("a", "///"), ("b", "\u20ac\u20ac"), ("c", ":@!$'()*,;?"), ("d", "===")],
        headers=[HOST],
    ),
    Case(
        "headers-repeated-in-any-case",
        headers=[("X-Tag", "one"), ("b-last", "z"), HOST, ("x-tag", "  two  "), ("X-TAG", ""), ("x-ta", "shorter")],
    ),
    Case(
        "header-folded-and-blank",
        headers=[HOST, ("X-Folded", "one\n   two \t three\n\tfour"), ("X-Blank", "   "), ("X-Tabs", "\ta\t\tb\t")],
    ),
    Case(
        "headers-a-proxy-may-change",
        headers=[("User-Agent", "curl"), ("X-Amzn-Trace-Id", "Root=1"), ("Expect", "100-continue"), HOST],
    ),
    Case("last-second-of-a-century", headers=[HOST], timestamp=datetime(1999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)),
]

for case in CASES:
    shutil.rmtree(HERE / case.name, ignore_errors=True)
    for key, value in KEYS.items():
        setattr(case, key, value)
    case.write(HERE)
