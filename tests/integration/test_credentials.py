"""The sources of credentials that need no STS. A server on loopback answers and fails as the real endpoints do."""

import json
import os
import stat
import time

import pytest
from creds_fixtures import (  # noqa: F401 (pytest finds fixtures by name)
    SECRET_PATH,
    aws,
    closed_port,
    imds_of,
    no_real_metadata,
    no_secret,
    seconds_left,
    server,
    with_imds,
)
from creds_tool import ask, ask_once, found, refused
from credential_server import HANG, SECRET, TOKEN, Answer, in_minutes, keys

# The environment, and the text when no source has credentials.


def test_environment(aws):
    env = aws(AWS_ACCESS_KEY_ID="ENV", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN="t")
    answer = found(ask_once(env), "ENV", "environment")
    assert (answer["secret_access_key"], answer["session_token"], answer["expires_at_ms"]) == ("s", "t", None)
    answer = found(ask_once({**env, "AWS_CREDENTIAL_EXPIRATION": in_minutes(30)}), "ENV", "environment")
    assert 1700 < seconds_left(answer) < 1860


def test_incomplete_environment(aws):
    refused(ask_once(aws(AWS_ACCESS_KEY_ID="ENV")), "AWS_SECRET_ACCESS_KEY is not; set both or neither")
    refused(ask_once(aws(AWS_SECRET_ACCESS_KEY=SECRET)), "AWS_ACCESS_KEY_ID is not set, though AWS_SECRET_ACCESS_KEY is")
    env = aws(AWS_ACCESS_KEY_ID="ENV", AWS_SECRET_ACCESS_KEY=SECRET, AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z")
    no_secret(refused(ask_once(env), "environment: the credentials expired at 2020-01-01T00:00:00.000Z"))


def test_no_source_has_credentials(aws, tmp_path):
    text = refused(ask_once(aws("[profile other]\nregion = x\n")))
    assert text == (
        "no AWS credentials: environment: AWS_ACCESS_KEY_ID is not set; "
        "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; "
        f'profile "default": {tmp_path}/.aws/credentials (has no such profile), '
        f"{tmp_path}/.aws/config (has no such profile); "
        "container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set; "
        "instance metadata: AWS_EC2_METADATA_DISABLED is true. "
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or give this host or task a role"
    )
    refused(ask_once(aws("[default]\nregion = x\n")), 'profile "default": no keys, role_arn,')
    env = aws("[profile p]\nregion = x\n", AWS_PROFILE="p", AWS_ACCESS_KEY_ID="ENV", AWS_SECRET_ACCESS_KEY=SECRET)
    no_secret(refused(ask_once(env), "environment: skipped, because AWS_PROFILE names a profile"))


def test_the_next_step_is_not_cut_off(aws, tmp_path):
    env = aws(AWS_CONFIG_FILE=tmp_path / ("long" * 60), AWS_SHARED_CREDENTIALS_FILE=tmp_path / ("name" * 60))
    refused(ask_once(env), "or give this host or task a role")


def test_bad_files(aws, tmp_path):
    answer = ask_once(aws(credentials=f"[default]\naws_access_key_id = A\n{SECRET.replace('=', '')}\n"))
    assert (answer["result"], answer["error"]) == (2, "bad_aws_config")
    assert f"{tmp_path}/.aws/credentials, line 3" in answer["text"] and SECRET.replace("=", "") not in answer["text"]
    answer = ask_once(aws(AWS_PROFILE="nobody"))
    assert answer["error"] == "unknown_profile" and '"nobody"' in answer["text"]
    for section in ("[default]\naws_access_key_id = A\n", "[default]\naws_access_key_id = A\naws_secret_access_key =\n"):
        refused(ask_once(aws(credentials=section)), 'profile "default" in', "secret")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(aws, tmp_path):
    env = aws("[default]\n")
    (tmp_path / ".aws" / "config").chmod(0)
    refused(ask_once(env), "config (not readable for this user)")
    answer = ask_once({**env, "AWS_CONFIG_FILE": str(tmp_path / ".aws" / "config")})
    assert answer["error"] == "bad_aws_config" and "Permission denied" in answer["text"]


# credential_process


def script(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def process_answer(**changes):
    answer = {"Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": SECRET, **changes}
    return json.dumps({k: v for k, v in answer.items() if v is not None})


def with_process(aws, command, **changes):
    return aws(f"[default]\ncredential_process = {command}\n", **changes)


def test_process(aws, tmp_path):
    program = script(tmp_path, "give keys", f"echo \"$1|$2\" > '{tmp_path}/seen'; echo '{process_answer()}'")
    answer = found(ask_once(with_process(aws, f'"{program}" \'a  b\' c\\ $HOME')), "PROC", "credential_process")
    assert (answer["secret_access_key"], answer["session_token"], answer["expires_at_ms"]) == (SECRET, None, None)
    assert (tmp_path / "seen").read_text() == "a  b|c $HOME\n"


def test_process_is_found_on_path_and_inherits_the_environment(aws, tmp_path):
    script(tmp_path, "give-keys", f"""echo '{process_answer(AccessKeyId="%s")}' | sed "s/%s/$MINE/" """)
    env = with_process(aws, "give-keys", MINE="FROM-ENV", PATH=f"/nonexistent:{tmp_path}:{os.environ['PATH']}")
    found(ask_once(env), "FROM-ENV", "credential_process")


def test_process_with_expiration(aws, tmp_path):
    given = process_answer(SessionToken=TOKEN, Expiration=in_minutes(20))
    answer = found(ask_once(with_process(aws, script(tmp_path, "p", f"echo '{given}'"))), "PROC", "credential_process")
    assert answer["session_token"] == TOKEN and 1100 < seconds_left(answer) < 1260


PROCESS_FAILURES = [
    ("exit 7", "ended with status 7 and printed no message"),
    ("echo first >&2; echo 'Sign in again' >&2; exit 255", "ended with status 255: Sign in again"),
    ("kill -9 $$", "ended by signal 9"),
    (f"echo '{SECRET}'", "the answer is not JSON"),
    (f"echo '{process_answer(Version=2)}'", 'its answer needs "Version": 1'),
    (f"echo '{process_answer(Version='1')}'", 'its answer needs "Version": 1'),
    (f"echo '{process_answer(Version=None)}'", 'its answer needs "Version": 1'),
    (f"echo '{process_answer(AccessKeyId=None)}'", "no access key id"),
    (f"echo '{process_answer(SecretAccessKey=None)}'", "no secret access key"),
    (f"echo '{process_answer(Expiration='soon')}'", 'the expiration "soon" is not an RFC 3339 time'),
    (f"echo '{process_answer(Expiration='2020-01-01T00:00:00Z')}'", "expired at 2020-01-01T00:00:00.000Z"),
    ("yes | head -c 100000", "printed more than 65536 bytes"),
]


@pytest.mark.parametrize("text, said", PROCESS_FAILURES)
def test_failing_process(aws, tmp_path, text, said):
    no_secret(refused(ask_once(with_process(aws, script(tmp_path, "p", text))), "credential_process", said))


@pytest.mark.parametrize(
    "command, said",
    [("/no/such/program x", "cannot run /no/such/program: No such file"), ("'unclosed", "a quotation is not closed"), ("''", "cannot run")],
)
def test_process_that_cannot_run(aws, command, said):
    refused(ask_once(with_process(aws, command)), 'credential_process of profile "default": ', said)


# The container endpoint


def test_container(aws, server):
    server.steps(keys("TASK"))
    answer = found(ask_once(aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH)), "TASK", "container")
    assert (answer["secret_access_key"], answer["session_token"]) == (SECRET, TOKEN)
    assert 3500 < seconds_left(answer) < 3660
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", SECRET_PATH)
    assert "authorization" not in request.headers and request.headers["accept"] == "application/json"


def test_container_authorization(aws, server, tmp_path):
    """The file is read each time and may end in a line break. It takes precedence over the variable."""
    token_file = tmp_path / "token"
    token_file.write_text("Basic first\n")

    def renew(_):
        token_file.write_text("Basic second")
        return keys("TASK")

    server.steps(renew, keys("TASK"))
    env = aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH, AWS_CONTAINER_AUTHORIZATION_TOKEN="Basic variable")
    ask({**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file)}, "-g", 2, "-e")
    assert [request.headers["authorization"] for request in server.requests] == ["Basic first", "Basic second"]
    server.steps(keys("TASK"))
    ask(env)
    assert server.requests[0].headers["authorization"] == "Basic variable"

    token_file.write_text("two\r\nX-Lines: yes")
    env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(token_file)
    refused(ask_once(env), "the authorization token has line breaks or NULs")
    token_file.unlink()
    refused(ask_once(env), f"cannot read {token_file}")


def test_container_endpoint_is_reached_without_a_proxy(aws, server):
    server.steps(keys("TASK"))
    proxy = f"http://127.0.0.1:{closed_port()}"
    env = aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH, http_proxy=proxy, HTTP_PROXY=proxy, ALL_PROXY=proxy)
    found(ask_once(env), "TASK", "container")


def test_container_is_tried_three_times(aws, server):
    env = aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH)
    server.steps(HANG, Answer(500), keys("TASK"))
    started = time.monotonic()
    found(ask_once(env), "TASK", "container")
    assert len(server.requests) == 3 and 2 < time.monotonic() - started < 8
    server.steps(Answer(503, SECRET))
    no_secret(refused(ask_once(env), "container: the credentials endpoint answered with status 503"))
    assert len(server.requests) == 3


CONTAINER_FAILURES = [
    (Answer(404, json.dumps({"code": "NoIdInRequest", "message": SECRET_PATH})), "status 404, NoIdInRequest", 1),
    (Answer(403, SECRET), "status 403", 1),
    (Answer(302, "", {"Location": "http://127.0.0.1:1/"}), "status 302", 1),
    (Answer(200, SECRET), "the answer is not JSON", 1),
    (Answer(200, json.dumps({"Token": TOKEN})), "no access key id", 1),
    (keys("TASK", minutes=-1), "the credentials expired at", 1),
]


@pytest.mark.parametrize("answer, said, requests", CONTAINER_FAILURES)
def test_failing_container(aws, server, answer, said, requests):
    server.steps(answer)
    no_secret(refused(ask_once(aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH)), "container: ", said))
    assert len(server.requests) == requests


def test_container_endpoint_that_does_not_exist(aws):
    url = f"http://127.0.0.1:{closed_port()}{SECRET_PATH}"
    text = refused(ask_once(aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=url)), "did not answer (connection_failed)")
    no_secret(text)


@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://elsewhere.example", "ftp://127.0.0.1", "http://127.0.0.1@192.0.2.1"])
def test_container_endpoint_on_another_host(aws, url):
    no_secret(refused(ask_once(aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=url + SECRET_PATH)), "AWS_CONTAINER_CREDENTIALS_FULL_URI"))


def test_a_configured_source_that_fails_ends_the_search(aws, server):
    """The container's role does not replace the profile's, nor the instance's role the container's."""
    server.steps(keys("TASK"))
    env = with_process(aws, "false", AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH)
    refused(ask_once(env), "ended with status 1", "tried before: environment: AWS_ACCESS_KEY_ID is not set")
    assert server.requests == []


# Instance metadata


def test_imds(aws, server):
    server.steps(*imds_of(keys("EC2", Code="Success")))
    proxy = f"http://127.0.0.1:{closed_port()}"
    answer = found(ask_once(with_imds(aws, server.url + "/", http_proxy=proxy, ALL_PROXY=proxy)), "EC2", "instance metadata")
    assert (answer["secret_access_key"], answer["session_token"]) == (SECRET, TOKEN)
    assert 3500 < seconds_left(answer) < 3660
    put, role, credentials = server.requests
    assert (put.method, put.path) == ("PUT", "/latest/api/token")
    assert put.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
    assert role.path == "/latest/meta-data/iam/security-credentials/"
    assert credentials.path == "/latest/meta-data/iam/security-credentials/my-role"
    assert role.headers["x-aws-ec2-metadata-token"] == credentials.headers["x-aws-ec2-metadata-token"] == "imds-token"


def test_imds_disabled(aws, server):
    env = aws(AWS_EC2_METADATA_DISABLED="TRUE", AWS_EC2_METADATA_SERVICE_ENDPOINT=server.url)
    refused(ask_once(env), "AWS_EC2_METADATA_DISABLED is true")
    assert server.requests == []


def test_imds_returns_credentials_near_their_expiry(aws, server):
    """IMDS does so while it cannot renew them. They stay in use, and are fetched again in 2 to 10 minutes."""
    for minutes in (5, -5):
        server.steps(*imds_of(keys("EC2", minutes=minutes)))
        assert 17 * 60 - 5 < seconds_left(found(ask_once(with_imds(aws, server.url)), "EC2", "instance metadata")) < 25 * 60 + 5


IMDS_FAILURES = [
    ([Answer(403)], "status 403", 1),
    ([HANG], "hop limit to 2", 1),
    ([Answer(body="imds-token"), Answer(404)], "the instance has no role", 2),
    (imds_of(Answer(), role="\n"), "the instance has no role", 2),
    (imds_of(Answer(500)), "status 500", 3),
    (imds_of(Answer(200, SECRET)), "the answer is not JSON", 3),
    (imds_of(Answer(200, json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume"}))), "EC2 cannot assume", 3),
]


@pytest.mark.parametrize("steps, said, requests", IMDS_FAILURES)
def test_failing_imds(aws, server, steps, said, requests):
    server.steps(*steps)
    no_secret(refused(ask_once(with_imds(aws, server.url)), f"instance metadata at {server.url}: ", said))
    assert len(server.requests) == requests


def test_imds_attempts_and_timeout(aws, server):
    server.steps(Answer(500), *imds_of(keys("EC2")))
    found(ask_once(with_imds(aws, server.url, AWS_METADATA_SERVICE_NUM_ATTEMPTS=2)), "EC2", "instance metadata")
    refused(ask_once(with_imds(aws, server.url, AWS_METADATA_SERVICE_TIMEOUT="x")), "AWS_METADATA_SERVICE_TIMEOUT")
    refused(ask_once(with_imds(aws, f"http://127.0.0.1:{closed_port()}")), "instance metadata at http://127.0.0.1:")


# The cache, with the real clock


def test_credentials_are_fetched_once(aws, server):
    server.steps(*imds_of(keys("EC2")))
    assert [answer["access_key_id"] for answer in ask(with_imds(aws, server.url), "-g", 3)] == ["EC2"] * 3
    assert len(server.requests) == 3


def test_rejected_keys_are_fetched_again(aws, server):
    server.steps(keys("FIRST"), keys("SECOND"))
    answers = ask(aws(AWS_CONTAINER_CREDENTIALS_FULL_URI=server.url + SECRET_PATH), "-g", 2, "-e")
    assert [answer["access_key_id"] for answer in answers] == ["FIRST", "SECOND"]
