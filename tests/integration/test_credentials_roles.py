"""Credentials from STS and from SSO's portal: roles, web identity, SSO."""

import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timezone
from email.utils import formatdate
from pathlib import Path

import boto3
import pytest
from creds_fixtures import (  # noqa: F401 (pytest finds fixtures by name)
    ROLE,
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
from credential_server import SECRET, TOKEN, Answer, CredentialServer, in_minutes, keys, sso, sts, sts_error, sts_keys

# STS: roles


KEYS = "aws_access_key_id = BASE\naws_secret_access_key = base-secret\n"


def with_role(aws, server, settings="", **changes):
    config = f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n{settings}\n[profile base]\n{KEYS}"
    return aws(config, AWS_ENDPOINT_URL_STS=server.url, **changes)


def test_assumed_role(aws, server):
    server.steps(sts_keys("ROLE"))
    env = with_role(aws, server, "external_id = e/1\nrole_session_name = me@here\nduration_seconds = 1800")
    answer = found(ask_once(env), "ROLE", "assumed role")
    assert (answer["secret_access_key"], answer["session_token"]) == (SECRET, TOKEN)
    assert 3500 < seconds_left(answer) < 3660
    (request,) = server.requests
    assert (request.method, request.path, request.signer) == ("POST", "/", "BASE")
    assert request.form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "me@here",
        "ExternalId": "e/1",
        "DurationSeconds": "1800",
    }
    assert f"/{env['AWS_REGION']}/sts/aws4_request" in request.headers["authorization"]


def test_credentials_of_a_role_last_as_long_as_required(aws, server):
    """creds_get at 0, 15, 30, 45 and 60 minutes, for 10 minutes of lifetime: a refresh is due 25 minutes before expiry."""
    server.steps(sts_keys("A"), sts_keys("B", minutes=68), sts_keys("C", minutes=65))
    env = aws("[default]\n" + KEYS, AWS_ENDPOINT_URL_STS=server.url)
    answers = ask(env, "-r", ROLE, "-l", 600, "-a", 900, "-g", 5)
    assert [answer.get("access_key_id") for answer in answers] == ["A", "A", "A", "B", None]
    assert (answers[4]["error"], answers[4]["outage"]) == ("role_unavailable", True)
    assert [(request.signer, request.form["RoleSessionName"]) for request in server.requests] == [("BASE", "test")] * 3
    # If the refresh fails, the old credentials are used as long as they last.
    server.steps(sts_keys("A"), sts_error("AccessDenied"))
    answers = ask(env, "-r", ROLE, "-l", 600, "-a", 1500, "-g", 3)
    assert [answer.get("access_key_id") for answer in answers] == ["A", "A", None]
    server.steps(sts_keys("A"), sts_error("AccessDenied", "not any more"))
    answers = ask(env, "-r", ROLE, "-l", 600, "-a", 1200, "-g", 4)
    assert [answer.get("access_key_id") for answer in answers] == ["A", "A", "A", None]
    assert "AccessDenied: not any more" in answers[3]["text"]


def test_assumed_role_names_its_session(aws, server):
    server.steps(sts_keys("ROLE"))
    ask(with_role(aws, server), "-n", 1700000000)
    assert server.requests[0].form["RoleSessionName"] == "stactools-ingest-1700000000"


def test_role_of_a_role(aws, server):
    config = f"""[default]
role_arn = {ROLE}2
source_profile = middle
[profile middle]
role_arn = {ROLE}1
source_profile = base
[profile base]
{KEYS}"""
    server.steps(sts)
    found(ask_once(aws(config, AWS_ENDPOINT_URL_STS=server.url)), "loader2.loader1.BASE", "assumed role")
    assert [request.headers.get("x-amz-security-token") for request in server.requests] == [None, TOKEN]


ROLE_FAILURES = [
    ("mfa_serial = arn:aws:iam::1:mfa/me", "its role needs an MFA code"),
    ("credential_source = Environment", "role_arn needs either source_profile or credential_source; the profile has both"),
    ("duration_seconds = 10", "10 is not in the range 900 to 43200"),
]


@pytest.mark.parametrize("settings, said", ROLE_FAILURES)
def test_bad_settings_of_a_role(aws, server, settings, said):
    refused(ask_once(with_role(aws, server, settings)), 'profile "default"', said)
    assert server.requests == []


ROLE_CHAINS = [
    ("[default]\nrole_arn = r\n", "needs either source_profile or credential_source; the profile has neither"),
    ("[default]\nrole_arn = r\nsource_profile = gone\n", "its source_profile does not exist: gone"),
    ("[default]\nrole_arn = r\nsource_profile = default\n", "circle back to default"),
    (
        "[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nrole_arn = r\nsource_profile = b\n"
        "[profile b]\nrole_arn = r\nsource_profile = a\n",
        'profile "b": source_profile leads in a circle back to a',
    ),
    ("[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nregion = x\n", "its source_profile has no credentials: a"),
    ("[default]\nrole_arn = r\ncredential_source = Sun\n", "credential_source must be Environment, Ec2InstanceMetadata or EcsContainer"),
    ("[default]\nrole_arn = r\ncredential_source = Environment\n", "its credential_source has no credentials: Environment"),
]


@pytest.mark.parametrize("config, said", ROLE_CHAINS)
def test_role_without_source_credentials(aws, server, config, said):
    refused(ask_once(aws(config, AWS_ENDPOINT_URL_STS=server.url)), said)
    assert server.requests == []


def test_too_many_roles(aws, server):
    profiles = [f"[profile p{i}]\nrole_arn = r\nsource_profile = p{i + 1}\n" for i in range(20)]
    config = "[default]\nrole_arn = r\nsource_profile = p0\n" + "".join(profiles) + f"[profile p20]\n{KEYS}"
    refused(ask_once(aws(config, AWS_ENDPOINT_URL_STS=server.url)), "too many roles in a row")
    assert server.requests == []


def test_credential_sources(aws, server):
    container = CredentialServer()
    try:
        server.steps(sts)
        container.steps(keys("TASK"))
        config = f"[default]\nrole_arn = {ROLE}\ncredential_source = "
        uri = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url + SECRET_PATH}
        env = aws(config + "EcsContainer\n", AWS_ENDPOINT_URL_STS=server.url, **uri)
        found(ask_once(env), "loader.TASK", "assumed role")
        container.steps(*imds_of(keys("EC2")))
        env = with_imds(lambda **changes: aws(config + "Ec2InstanceMetadata\n", **changes), container.url, AWS_ENDPOINT_URL_STS=server.url)
        found(ask_once(env), "loader.EC2", "assumed role")
        # credential_source reads the environment, although an explicit profile otherwise skips it.
        pair = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "default"}
        found(ask_once(aws(config + "Environment\n", AWS_ENDPOINT_URL_STS=server.url, **pair)), "loader.ENV", "assumed role")
    finally:
        container.end()


def test_sts_is_retried(aws, server):
    server.steps(Answer(500, "busy"), sts_error("Throttling", status=400), sts_keys("ROLE"))
    found(ask_once(with_role(aws, server)), "ROLE", "assumed role")
    assert len(server.requests) == 3


def test_an_error_that_quotes_the_request(aws, server):
    """After its first line, the message of a SignatureDoesNotMatch has the whole request, also the token."""
    server.steps(sts_error("SignatureDoesNotMatch", f"It does not match.\n\nx-amz-security-token:{TOKEN}"))
    no_secret(refused(ask_once(with_role(aws, server)), "SignatureDoesNotMatch: It does not match."))


STS_FAILURES = [
    (sts_error("AccessDenied", "BASE is not authorized"), f"STS refused role {ROLE} with status 403: AccessDenied: BASE is not authorized"),
    (Answer(400, "no XML"), "with status 400: no reason given"),
    (Answer(200, "no XML"), "no access key id"),
    (Answer(200, "<a><b><Credentials><AccessKeyId>A</AccessKeyId></Credentials></b></a>"), "no secret access key"),
    (sts_keys("ROLE", minutes=-1), "the credentials expired"),
]


@pytest.mark.parametrize("answer, said", STS_FAILURES)
def test_failing_sts(aws, server, answer, said):
    server.steps(answer)
    text = refused(ask_once(with_role(aws, server)), said)
    assert "base-secret" not in text
    assert len(server.requests) == 1


def test_unreachable_sts(aws, server):
    env = {**with_role(aws, server), "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{closed_port()}"}
    refused(ask_once(env), f'profile "default": asking STS for role {ROLE}')


def test_wrong_clock(aws, server):
    """If an error has a Date far from our clock, the request is signed again with that date, but only once."""
    wrong = int(time.time()) - 3600
    server.steps(sts_error("RequestExpired"), sts_keys("ROLE"))
    found(ask_once(with_role(aws, server), "-n", wrong), "ROLE", "assumed role")
    dates = [datetime.strptime(r.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc) for r in server.requests]
    assert abs(dates[0].timestamp() - wrong) < 2 and abs(dates[1].timestamp() - time.time()) < 60
    server.steps(sts_error("RequestExpired"))
    refused(ask_once(with_role(aws, server), "-n", wrong), "RequestExpired")
    assert len(server.requests) == 2
    server.steps(sts_error("SignatureDoesNotMatch", Date=formatdate(time.time() + 60, usegmt=True)))
    refused(ask_once(with_role(aws, server)), "SignatureDoesNotMatch")
    assert len(server.requests) == 1


# Web identity


def test_web_identity(aws, server, tmp_path):
    token_file = tmp_path / "jwt"
    token_file.write_text("first.to.ken\n")

    def renew(request):
        token_file.write_text("second.to.ken")
        return sts(request)

    server.steps(renew, sts)
    identity = {"AWS_WEB_IDENTITY_TOKEN_FILE": token_file, "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "me"}
    answers = ask(aws(AWS_ENDPOINT_URL_STS=server.url, **identity), "-g", 2, "-e")
    found(answers[0], "loader.me.first.to.ken", "web identity")
    found(answers[1], "loader.me.second.to.ken", "web identity")
    for request in server.requests:
        assert "authorization" not in request.headers and "x-amz-date" not in request.headers
        assert request.form["Action"] == "AssumeRoleWithWebIdentity"


def test_web_identity_of_a_profile(aws, server, tmp_path):
    (tmp_path / "jwt").write_text("to.ken")
    server.steps(sts)
    config = f"""[profile p]
role_arn = {ROLE}
web_identity_token_file = ~/jwt
[profile on-top]
role_arn = {ROLE}2
source_profile = p
"""
    found(ask_once(aws(config, AWS_PROFILE="p", AWS_ENDPOINT_URL_STS=server.url)), "loader.to.ken", "web identity")
    env = aws(config, AWS_PROFILE="on-top", AWS_ENDPOINT_URL_STS=server.url)
    found(ask_once(env), "loader2.loader.to.ken", "assumed role")


def test_failing_web_identity(aws, server, tmp_path):
    token_file = tmp_path / "jwt"
    env = aws(AWS_WEB_IDENTITY_TOKEN_FILE=token_file, AWS_ENDPOINT_URL_STS=server.url)
    refused(ask_once(env), "neither AWS_ROLE_ARN nor role_arn")
    env["AWS_ROLE_ARN"] = ROLE
    refused(ask_once(env), f"web identity: cannot read {token_file}")
    token_file.write_text("\n")
    refused(ask_once(env), "is empty")
    token_file.write_text(TOKEN)
    server.steps(sts_error("InvalidIdentityToken", "No provider found", 400))
    no_secret(refused(ask_once(env), "web identity: STS refused role", "InvalidIdentityToken: No provider found"))


# SSO


def sign_in(home, name, minutes=60, **changes):
    """Writes the file that `aws sso login` stores."""
    folder = Path(home) / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    token = {"accessToken": "sso-token", "expiresAt": in_minutes(minutes), **changes}
    (folder / (hashlib.sha1(name.encode()).hexdigest() + ".json")).write_text(json.dumps(token))


SSO_PROFILE = "sso_account_id = 123456789012\nsso_role_name = My+Role\n"
START = "https://example.awsapps.com/start"
SESSION = f"[sso-session company]\nsso_start_url = {START}\nsso_region = eu-west-1\n"
SESSION_CONFIG = f"[profile p]\n{SSO_PROFILE}sso_session = company\n{SESSION}"
OLD_CONFIG = f"[profile p]\n{SSO_PROFILE}sso_start_url = {START}\nsso_region = eu-west-1\n"


def with_sso(aws, server, config=SESSION_CONFIG):
    return aws(config, AWS_PROFILE="p", AWS_ENDPOINT_URL_SSO=server.url)


@pytest.mark.parametrize("config, name", [(SESSION_CONFIG, "company"), (OLD_CONFIG, START)])
def test_sso(aws, server, tmp_path, config, name):
    server.steps(Answer(503), sso)
    sign_in(tmp_path, name)
    answer = found(ask_once(with_sso(aws, server, config)), "sso.123456789012.My+Role.sso-token", "SSO")
    assert (answer["secret_access_key"], answer["session_token"]) == (SECRET, TOKEN)
    assert 3500 < seconds_left(answer) < 3660
    request = server.requests[-1]
    assert (request.method, request.signer, len(server.requests)) == ("GET", None, 2)
    assert request.path == "/federation/credentials?role_name=My%2BRole&account_id=123456789012"


def test_sso_token_in_the_older_form_of_time(aws, server, tmp_path):
    server.steps(sso)
    sign_in(tmp_path, "company", expiresAt=in_minutes(5).replace("Z", "UTC"))
    found(ask_once(with_sso(aws, server)), "sso.123456789012.My+Role.sso-token", "SSO")


SIGN_INS = [
    (None, "not signed in"),
    ({"minutes": -1}, "the sign-in has expired"),
    ({"accessToken": None}, "the cached sign-in is incomplete"),
    ({"expiresAt": "soon"}, "the cached sign-in is incomplete"),
]


@pytest.mark.parametrize("token, said", SIGN_INS)
def test_sso_needs_a_sign_in(aws, server, tmp_path, token, said):
    if token is not None:
        sign_in(tmp_path, "company", **token)
    refused(ask_once(with_sso(aws, server)), f'SSO of profile "p": {said}; run `aws sso login --profile p`')
    assert server.requests == []


SSO_ANSWERS = [
    (Answer(401, json.dumps({"message": "Session token not found or invalid"})), "not valid any more; run `aws sso login --profile p`"),
    (Answer(403, json.dumps({"message": "No access"})), "access denied: status 403, No access"),
    (Answer(200, SECRET), "the answer is not JSON"),
    (Answer(200, "{}"), "no roleCredentials"),
]


@pytest.mark.parametrize("answer, said", SSO_ANSWERS)
def test_failing_sso(aws, server, tmp_path, answer, said):
    sign_in(tmp_path, "company", accessToken=TOKEN)
    server.steps(answer)
    no_secret(refused(ask_once(with_sso(aws, server)), said))


SSO_CONFIGS = [
    (f"[profile p]\n{SSO_PROFILE}sso_session = gone\n", "no section [sso-session] exists for its sso_session gone"),
    (f"[profile p]\n{SSO_PROFILE}", "it needs sso_role_name, sso_account_id, sso_start_url and sso_region"),
    (f"[profile p]\nsso_account_id = 1\nsso_session = company\n{SESSION}", "it needs sso_role_name"),
    (f"[profile p]\n{SSO_PROFILE}sso_region = us-east-1\nsso_session = company\n{SESSION}", "sso_region differs from that of"),
    (OLD_CONFIG.replace("eu-west-1", "x.example/"), "its sso_region is not an AWS region: x.example/"),
]


@pytest.mark.parametrize("config, said", SSO_CONFIGS)
def test_sso_settings(aws, server, config, said):
    refused(ask_once(with_sso(aws, server, config)), 'SSO of profile "p"', said)
    assert server.requests == []


def test_login_session(aws):
    config = "[profile p]\nlogin_session = arn:aws:iam::1:user/me\n"
    refused(ask_once(aws(config, AWS_PROFILE="p")), "aws configure export-credentials --profile p --format process")


# moto, which checks our signatures


class Moto:
    """A moto_server with one user, who may assume roles. It accepts no other keys."""

    def __init__(self):
        port = closed_port()
        self.url = f"http://127.0.0.1:{port}"
        program = Path(sys.executable).parent / "moto_server"
        self.process = subprocess.Popen(
            [str(program), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self.await_answer()
            self.make_user()
            self.check_signatures()
        except BaseException:
            self.end()
            raise

    def await_answer(self):
        for _ in range(300):
            assert self.process.poll() is None, "moto_server ended"
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("moto_server does not answer")

    def make_user(self):
        iam = boto3.client(
            "iam", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.create_user(UserName="tester")
        iam.put_user_policy(UserName="tester", PolicyName="all", PolicyDocument=json.dumps(everything))
        trust = {**everything["Statement"][0], "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        del trust["Resource"]
        role = iam.create_role(RoleName="loader", AssumeRolePolicyDocument=json.dumps({**everything, "Statement": [trust]}))
        iam.put_role_policy(RoleName="loader", PolicyName="all", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName="tester")["AccessKey"]
        self.key, self.secret, self.role = key["AccessKeyId"], key["SecretAccessKey"], role["Role"]["Arn"]

    def check_signatures(self):
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=10).close()

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def moto():
    server = Moto()
    yield server
    server.end()


def test_a_role_of_moto(aws, moto):
    config = f"[default]\nrole_arn = {moto.role}\nsource_profile = b\n[profile b]\naws_access_key_id = {moto.key}\n"
    env = aws(config + f"aws_secret_access_key = {moto.secret}\n", AWS_ENDPOINT_URL=moto.url)
    answer = ask_once(env)
    assert answer["source"] == "assumed role" and 3500 < seconds_left(answer) < 3660
    sts_client = boto3.client(
        "sts",
        endpoint_url=moto.url,
        region_name=env["AWS_REGION"],
        aws_access_key_id=answer["access_key_id"],
        aws_secret_access_key=answer["secret_access_key"],
        aws_session_token=answer["session_token"],
    )
    assert ":assumed-role/loader/stactools-ingest-" in sts_client.get_caller_identity()["Arn"]
    # The credentials of this role can assume the next one.
    on_top = f"[profile top]\nrole_arn = {moto.role}\nsource_profile = default\n"
    env = aws(config + f"aws_secret_access_key = {moto.secret}\n" + on_top, AWS_ENDPOINT_URL=moto.url, AWS_PROFILE="top")
    assert ask_once(env)["source"] == "assumed role"


def test_moto_rejects_a_wrong_secret(aws, moto):
    config = f"[default]\nrole_arn = {moto.role}\nsource_profile = b\n[profile b]\naws_access_key_id = {moto.key}\n"
    env = aws(config + "aws_secret_access_key = wrong\n", AWS_ENDPOINT_URL=moto.url)
    refused(ask_once(env), f"STS refused role {moto.role} with status 403")
