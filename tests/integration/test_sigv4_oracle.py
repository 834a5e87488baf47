"""lib/sigv4 against botocore on random requests, and sigv4-suite on good and bad folders."""

import json
import os
import random
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from sigv4_oracle import Case

TOOL = str(Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "sigv4-suite")
OWN_CASES = Path(__file__).parents[1] / "unit" / "sigv4"
N_CASES = 600

UNRESERVED = "ABCxyz019-._~"
ODD = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}\u00e4\u00df\u20ac\u1234\U0001f30d"
# Characters that a query may have unencoded: RFC 3986's pchar without '&', '=', '+' and '%', with '/' and '?'.
RAW_IN_QUERY = UNRESERVED + "!$'()*,;:@/?"
RAW_IN_PATH = UNRESERVED + "!$&'()*+,;=:@"
HEADER_VALUE = UNRESERVED + "!\"#$%&'()*+,/:;<=>?@[]{|}\u00e4\u20ac"


def text(rng, characters, longest, shortest=0):
    return "".join(rng.choice(characters) for _ in range(rng.randint(shortest, longest)))


def percent(rng, character):
    return "".join(f"%{b:02{rng.choice('xX')}}" for b in character.encode())


def spelled(rng, decoded, raw):
    """A random spelling of a text in a URL: sometimes encodes more than needed, or with lower-case hex digits."""
    keeps = raw + "\u00e4\u1234" if rng.random() < 0.1 else raw  # also bytes that are not ASCII
    return "".join(c if c in keeps and rng.random() < 0.8 else percent(rng, c) for c in decoded)


def random_path(rng):
    if rng.random() < 0.1:
        return "/"
    pieces = [rng.choice(["/", "/", "/", "//", "/./", "/../", "///"])]
    for _ in range(rng.randint(1, 6)):
        decoded = rng.choice([text(rng, UNRESERVED + ODD.replace("/", ""), 8, 1), ".", "..", "...", "a b"])
        pieces.append(spelled(rng, decoded, RAW_IN_PATH))
        pieces.append(rng.choice(["/", "/", "/", "//", "/./", "/../"]))
    if rng.random() < 0.7:
        pieces.pop()
    return "".join(pieces)


def random_query(rng):
    """A random query, as sent and decoded."""
    if rng.random() < 0.3:
        return None, []
    names = [text(rng, UNRESERVED + ODD, 6, 1) for _ in range(rng.randint(1, 4))]
    params = [(rng.choice(names), text(rng, UNRESERVED + ODD, 8)) for _ in range(rng.randint(1, 8))]
    sent = []
    for name, value in params:
        equals = "" if not value and rng.random() < 0.5 else "="
        sent.append(spelled(rng, name, RAW_IN_QUERY) + equals + spelled(rng, value, RAW_IN_QUERY + "="))
    return "&".join(sent), params


def random_value(rng):
    words = [text(rng, HEADER_VALUE, 8, 1) for _ in range(rng.randint(0, 4))]
    blanks = [" ", " ", "  ", "\t", "   \t "]
    if rng.random() < 0.15:
        blanks.append("\n  ")
    value = rng.choice(["", " "])
    for word in words:
        value += word + rng.choice(blanks)
    # In request.txt a line of only blanks would end the head.
    return value.rstrip() + rng.choice(["", " ", "\t"]) if rng.random() < 0.5 else value.strip()


def random_headers(rng):
    headers = [("Host", rng.choice(["example.com", "queue.example.com:8443", "[::1]:4566"]))]
    names = ["X-" + text(rng, "abcXYZ09-_", 8, 1) for _ in range(3)] + ["Content-Type", "X-Amz-Target", "Range", "A"]
    for _ in range(rng.randint(0, 7)):
        name = rng.choice(names)
        headers.append((rng.choice([name, name, name.lower(), name.upper()]), random_value(rng)))
    if rng.random() < 0.2:
        headers.append((rng.choice(["User-Agent", "expect", "X-Amzn-Trace-Id", "Transfer-Encoding"]), "left out"))
    rng.shuffle(headers)
    return headers


def random_case(rng, number):
    service = rng.choice(["sqs", "sns", "secretsmanager", "s3", "s3", "sts", "execute-api"])
    query, params = random_query(rng)
    token = text(rng, UNRESERVED + "/+=", 300, 1) if rng.random() < 0.4 else None
    has_body = rng.random() < 0.5
    return Case(
        name=f"{number:04}-{service}",
        method=rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]),
        path=random_path(rng),
        query=query,
        params=params,
        headers=random_headers(rng),
        body=rng.randbytes(rng.randint(1, 400)) if has_body else b"",
        normalize=service != "s3" and rng.random() < 0.7,
        omit_session_token=token is not None and rng.random() < 0.3,
        access_key_id="AKID" + text(rng, "ABC234", 16, 12),
        secret_access_key=text(rng, UNRESERVED + "/+=", 60, 1),
        token=token,
        region=rng.choice(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]),
        service=service,
        timestamp=datetime(2000, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rng.randrange(80 * 365 * 86400)),
    )


def run_suite(folder):
    return subprocess.run([TOOL, folder], stdout=subprocess.PIPE, timeout=60)


def test_random_requests(tmp_path):
    seed = int(os.environ.get("SIGV4_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SIGV4_SEED={seed}")
    rng = random.Random(seed)
    for number in range(N_CASES):
        random_case(rng, number).write(tmp_path)
    done = run_suite(tmp_path)
    output = done.stdout.decode(errors="replace")
    assert output.splitlines()[-1] == f"{N_CASES} passed, 0 failed", f"SIGV4_SEED={seed}\n{output[:5000]}"
    assert done.returncode == 0


def test_own_cases():
    done = run_suite(OWN_CASES)
    assert done.returncode == 0, done.stdout.decode()


# sigv4-suite itself


@pytest.fixture
def folder(tmp_path):
    """Two cases, one of them in nested folders."""
    Case("plain", headers=[("Host", "example.com")]).write(tmp_path)
    Case("deep", headers=[("Host", "example.com")], body=b"x\ny\n").write(tmp_path / "a" / "b")
    return tmp_path


def outcome(folder):
    done = run_suite(folder)
    return done.returncode, done.stdout.decode()


def test_nested_cases_are_run(folder):
    assert outcome(folder) == (0, "2 passed, 0 failed\n")
    assert outcome(folder / "plain") == (0, "1 passed, 0 failed\n")


def test_a_folder_without_cases_is_a_failure(tmp_path):
    assert outcome(tmp_path) == (1, "0 passed, 0 failed\n")
    code, output = outcome(tmp_path / "missing")
    assert code == 1 and output.endswith("0 passed, 1 failed\n")


@pytest.mark.parametrize("stage", ["canonical-request", "string-to-sign", "signature", "signed-request"])
def test_each_stage_is_compared(folder, stage):
    file = folder / "plain" / f"header-{stage}.txt"
    content = file.read_text()
    file.write_text(content[:-3] + ("x" if content[-3] != "x" else "y") + content[-2:])
    code, output = outcome(folder)
    assert code == 1
    assert f"plain: header-{stage}.txt differs" in output
    assert file.read_text() in output and content in output
    assert output.endswith("1 passed, 1 failed\n")


def test_only_the_first_difference_is_shown(folder):
    for file in (folder / "plain").glob("header-*"):
        file.write_text("nonsense")
    _, output = outcome(folder)
    assert output.count("differs") == 1 and "header-canonical-request.txt differs" in output


def test_line_ends_at_the_end_do_not_count(folder):
    for file in (folder / "plain").glob("header-*"):
        file.write_bytes(file.read_bytes().rstrip(b"\n") + b"\n\n\n")
    assert outcome(folder)[0] == 0


@pytest.mark.parametrize("name", ["context.json", "request.txt", "header-signed-request.txt", "header-signature.txt"])
def test_a_missing_file_is_a_failure(folder, name):
    (folder / "plain" / name).unlink()
    code, output = outcome(folder)
    assert code == 1
    assert f"plain: {name}: No such file" in output
    assert output.endswith("1 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("name", "content", "story"),
    [
        ("context.json", "{", "context.json"),
        ("context.json", "{}", "access_key_id is missing"),
        ("request.txt", "", "request.txt"),
        ("request.txt", "GET /\nHost:a\n", "request.txt"),
        ("request.txt", "GET / HTTP/1.1\nno header\n", "request.txt"),
        ("request.txt", "GET / HTTP/1.1\n folded under nothing\n", "request.txt"),
        ("request.txt", "GET / HTTP/1.1\nHost:a\nX-Amz-Date:today\n", "X-Amz-Date"),
        ("request.txt", "GET /?a=%2 HTTP/1.1\nHost:a\n", "query"),
    ],
)
def test_a_broken_file_is_a_failure(folder, name, content, story):
    (folder / "plain" / name).write_text(content)
    code, output = outcome(folder)
    assert code == 1
    assert story in output and "FAIL" in output
    assert output.endswith("1 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("key", "value"), [("timestamp", "yesterday"), ("region", None), ("normalize", "yes"), ("sign_body", 1)]
)
def test_a_context_of_the_wrong_kind_is_a_failure(folder, key, value):
    file = folder / "plain" / "context.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    code, output = outcome(folder)
    assert code == 1 and key in output


def test_a_folder_with_only_query_signing_is_skipped(folder):
    for file in (folder / "plain").glob("header-*"):
        file.rename(file.with_name(file.name.replace("header", "query")))
    code, output = outcome(folder)
    assert code == 0
    assert "SKIP" in output and "plain: no header-*.txt" in output
    assert output.endswith("1 passed, 0 failed\n")


def test_files_for_query_signing_are_ignored(folder):
    shutil.copy(folder / "plain" / "header-signature.txt", folder / "plain" / "query-signature.txt")
    (folder / "plain" / "query-canonical-request.txt").write_text("nonsense")
    assert outcome(folder) == (0, "2 passed, 0 failed\n")
