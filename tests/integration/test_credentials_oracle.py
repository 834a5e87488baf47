"""With the same files and variables, botocore and lib/aws must find the same key, or both none."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from creds_fixtures import no_real_metadata  # noqa: F401 (a fixture, found by name)
from credential_server import Answer, CredentialServer, in_minutes, keys, sso, sts
from creds_tool import ask, ask_once, environment

KEYS = "aws_access_key_id = {0}\naws_secret_access_key = s\n"
FILE = KEYS.format("FILE")
CONF = KEYS.format("CONF")
ENV = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
ROLE = "arn:aws:iam::123456789012:role/"
SSO = "sso_account_id = 1\nsso_role_name = r\n"
SESSION = "[sso-session company]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n"
PROC = "credential_process = {process} one 'two  three'\n"


def role(name, source, more=""):
    return f"role_arn = {ROLE}{name}\n{source}\n{more}"


# name: (config, credentials, variables, the key that both must find; None: neither may find one)
# The test replaces {process}, {token}, {container} and {imds}.
ROWS = {
    "nothing": ("", "", {}, None),
    "environment": ("", "", ENV, "ENV"),
    "environment before files": (f"[default]\n{CONF}", f"[default]\n{FILE}", ENV, "ENV"),
    "only a secret in the environment": ("", f"[default]\n{FILE}", {"AWS_SECRET_ACCESS_KEY": "s"}, "FILE"),
    "only a key in the environment": ("", f"[default]\n{FILE}", {"AWS_ACCESS_KEY_ID": "ENV"}, None),
    "empty variables": ("", f"[default]\n{FILE}", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "FILE"),
    "credentials file": ("", f"[default]\n{FILE}", {}, "FILE"),
    "config file": (f"[default]\n{CONF}", "", {}, "CONF"),
    "credentials before config": (f"[default]\n{CONF}", f"[default]\n{FILE}", {}, "FILE"),
    "keys spread over both": ("[default]\naws_secret_access_key = s\n", "[default]\naws_access_key_id = A\n", {}, None),
    "a key without a secret": ("", "[default]\naws_access_key_id = A\n", {}, None),
    "a secret without a key": ("", "[default]\naws_secret_access_key = s\n", {}, None),
    "profile": (f"[profile p]\n{CONF}", f"[default]\n{FILE}", {"AWS_PROFILE": "p"}, "CONF"),
    "profile in the credentials": ("", f"[p]\n{FILE}", {"AWS_PROFILE": "p"}, "FILE"),
    "profile in the older variable": ("", f"[p]\n{FILE}", {"AWS_DEFAULT_PROFILE": "p"}, "FILE"),
    "profile before environment": ("", f"[p]\n{FILE}", {"AWS_PROFILE": "p", **ENV}, "FILE"),
    "explicit default": ("", f"[default]\n{FILE}", {"AWS_PROFILE": "default", **ENV}, "FILE"),
    "unknown profile": ("", f"[default]\n{FILE}", {"AWS_PROFILE": "p"}, None),
    "no prefix in config": (f"[p]\n{CONF}", "", {"AWS_PROFILE": "p"}, None),
    "prefix in credentials": ("", f"[profile p]\n{FILE}", {"AWS_PROFILE": "p"}, None),
    "quoted name": (f'[profile "a b"]\n{CONF}', "", {"AWS_PROFILE": "a b"}, "CONF"),
    "single quotes": (f"[profile 'a b']\n{CONF}", "", {"AWS_PROFILE": "a b"}, "CONF"),
    "unquoted blank": (f"[profile a b]\n{CONF}", "", {"AWS_PROFILE": "a b"}, None),
    "two defaults": (f"[default]\n{FILE}[profile default]\n{CONF}", "", {}, "CONF"),
    "two defaults the other way": (f"[profile default]\n{FILE}[default]\n{CONF}", "", {}, "CONF"),
    "CRLF": ("", f"[default]\n{FILE}".replace("\n", "\r\n"), {}, "FILE"),
    "indented": ("", f"[default]\n  {FILE.replace(chr(10), chr(10) + '  ')}", {}, "FILE"),
    "no line end": ("", f"[default]\n{FILE}".rstrip(), {}, "FILE"),
    "colons": ("", f"[default]\n{FILE}".replace(" =", ":"), {}, "FILE"),
    "upper case keys": ("", f"[default]\n{FILE.upper()}", {}, "FILE"),
    "comments": ("", f"# a\n[default] ; b\n# c\n{FILE} # d\n;e\n", {}, "FILE"),
    "comment after a value": ("", "[default]\naws_access_key_id = A#x\naws_secret_access_key = s ; x\n", {}, "A#x"),
    "nested sections": (f"[default]\ns3 =\n  max = 1\n\n  style = path\n{CONF}", "", {}, "CONF"),
    "keys in a nested section": (f"[default]\ns3 =\n  {CONF.replace(chr(10), chr(10) + '  ')}", "", {}, None),
    "other sections": (f"[plugins]\nx = 1\n[preview]\n[default]\n{CONF}", "", {}, "CONF"),
    "not INI": ("", f"[default]\n{FILE}nonsense\n", {}, None),
    "repeated key": ("", f"[default]\n{FILE}aws_access_key_id = B\n", {}, None),
    "repeated section": ("", f"[default]\n{FILE}[default]\n", {}, None),
    "key without a section": ("", FILE, {}, None),
    "nested line without =": (f"[default]\n{CONF}s3 =\n  max\n", "", {}, None),
    "process": (f"[default]\n{PROC}", "", {}, "PROC.one.two__three"),
    "process before config keys": (f"[default]\n{PROC}{CONF}", "", {}, "PROC.one.two__three"),
    "credentials before process": (f"[default]\n{PROC}", f"[default]\n{FILE}", {}, "FILE"),
    "process in credentials": ("", f"[default]\n{PROC}", {}, "PROC.one.two__three"),
    "failing process before config keys": (f"[default]\ncredential_process = false\n{CONF}", "", {}, None),
    "role": (f"[default]\n{role('r1', 'source_profile = b')}[profile b]\n{CONF}", "", {}, "r1.CONF"),
    "role of a profile in the credentials": (f"[default]\n{role('r1', 'source_profile = b')}", f"[b]\n{FILE}", {}, "r1.FILE"),
    "role set in the credentials": ("", f"[default]\n{role('r1', 'source_profile = b')}[b]\n{FILE}", {}, "r1.FILE"),
    "role before keys": (f"[default]\n{role('r1', 'source_profile = b')}[profile b]\n{CONF}", f"[default]\n{FILE}", {}, "r1.CONF"),
    "environment before role": (f"[default]\n{role('r1', 'source_profile = b')}[profile b]\n{CONF}", "", ENV, "ENV"),
    "role of its own keys": ("[default]\n" + role("r1", "source_profile = default"), f"[default]\n{FILE}", {}, "r1.FILE"),
    "role of itself": ("[default]\n" + role("r1", "source_profile = default"), "", {}, None),
    "roles in a circle": (
        f"[default]\n{role('r1', 'source_profile = a')}[profile a]\n{role('r2', 'source_profile = default')}",
        "",
        {},
        None,
    ),
    "role of a role": (
        f"[default]\n{role('r2', 'source_profile = a')}[profile a]\n{role('r1', 'source_profile = b')}[profile b]\n{CONF}",
        "",
        {},
        "r2.r1.CONF",
    ),
    "source profile with keys and a role": (
        f"[default]\n{role('r2', 'source_profile = a')}[profile a]\n{role('r1', 'source_profile = b')}{CONF}[profile b]\n{CONF}",
        "",
        {},
        "r2.CONF",
    ),
    "role with all settings": (
        f"[default]\n{role('r1', 'source_profile = b', 'external_id = x1' + chr(10) + 'role_session_name = me' + chr(10) + 'duration_seconds = 900' + chr(10))}"
        f"[profile b]\n{CONF}",
        "",
        {},
        "r1.ExternalId-x1.DurationSeconds-900.me.CONF",
    ),
    "role without a source": (f"[default]\n{role('r1', '')}", "", {}, None),
    "role and keys without a source": (f"[default]\n{role('r1', '')}{CONF}", "", {}, None),
    "role with two sources": (
        f"[default]\n{role('r1', 'source_profile = b', 'credential_source = Environment' + chr(10))}[profile b]\n{CONF}",
        "",
        {},
        None,
    ),
    "role of a missing profile": (f"[default]\n{role('r1', 'source_profile = b')}", "", {}, None),
    "role of a profile with nothing": (f"[default]\n{role('r1', 'source_profile = b')}[profile b]\nregion = x\n", "", {}, None),
    "role of a process": (f"[default]\n{role('r1', 'source_profile = b')}[profile b]\n{PROC}", "", {}, "r1.PROC.one.two__three"),
    "role of the environment": (
        f"[profile p]\n{role('r1', 'credential_source = Environment')}",
        "",
        {"AWS_PROFILE": "p", **ENV},
        "r1.ENV",
    ),
    "role of an empty environment": (f"[default]\n{role('r1', 'credential_source = Environment')}", "", {}, None),
    "role of the container": (
        f"[default]\n{role('r1', 'credential_source = EcsContainer')}",
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{container}"},
        "r1.TASK",
    ),
    "role of the instance": (f"[default]\n{role('r1', 'credential_source = Ec2InstanceMetadata')}", "", {"imds": "on"}, "r1.EC2"),
    "role of an unknown source": (f"[default]\n{role('r1', 'credential_source = Sun')}", "", ENV, "ENV"),
    "profile's role of an unknown source": (
        f"[profile p]\n{role('r1', 'credential_source = Sun')}",
        "",
        {"AWS_PROFILE": "p", **ENV},
        None,
    ),
    "web identity": ("", "", {"AWS_WEB_IDENTITY_TOKEN_FILE": "{token}", "AWS_ROLE_ARN": ROLE + "w"}, "w.to.ken"),
    "web identity with a session name": (
        "",
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "{token}", "AWS_ROLE_ARN": ROLE + "w", "AWS_ROLE_SESSION_NAME": "me"},
        "w.me.to.ken",
    ),
    "web identity before files": (
        "",
        f"[default]\n{FILE}",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "{token}", "AWS_ROLE_ARN": ROLE + "w"},
        "w.to.ken",
    ),
    "web identity without a role": ("", f"[default]\n{FILE}", {"AWS_WEB_IDENTITY_TOKEN_FILE": "{token}"}, None),
    "web identity with the profile's role": (
        f"[default]\nrole_arn = {ROLE}w\nsource_profile = b\n[profile b]\n{CONF}",
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "{token}"},
        "w.CONF",
    ),
    "profile before web identity": (
        f"[profile p]\n{CONF}",
        "",
        {"AWS_PROFILE": "p", "AWS_WEB_IDENTITY_TOKEN_FILE": "{token}", "AWS_ROLE_ARN": ROLE + "w"},
        "CONF",
    ),
    "web identity of a profile": (f"[default]\nrole_arn = {ROLE}w\nweb_identity_token_file = {{token}}\n", "", {}, "w.to.ken"),
    "role of a web identity": (
        f"[default]\n{role('r1', 'source_profile = b')}"
        f"[profile b]\nrole_arn = {ROLE}w\nweb_identity_token_file = {{token}}\n",
        "",
        {},
        "r1.w.to.ken",
    ),
    "web identity before SSO": (
        f"[default]\nrole_arn = {ROLE}w\nweb_identity_token_file = {{token}}\n{SSO}sso_session = company\n{SESSION}",
        "",
        {},
        "w.to.ken",
    ),
    "SSO": (f"[default]\n{SSO}sso_session = company\n{SESSION}", "", {}, "sso.1.r.sso-token"),
    "SSO before keys": (f"[default]\n{SSO}sso_session = company\n{SESSION}", f"[default]\n{FILE}", {}, "sso.1.r.sso-token"),
    "SSO in the older form": (
        f"[default]\n{SSO}sso_start_url = https://old.awsapps.com/start\nsso_region = eu-west-1\n",
        "",
        {},
        "sso.1.r.sso-token",
    ),
    "SSO without a sign-in": (
        f"[default]\n{SSO}sso_start_url = https://never.awsapps.com/start\nsso_region = eu-west-1\n",
        f"[default]\n{FILE}",
        {},
        None,
    ),
    "missing SSO session": (f"[default]\n{SSO}sso_session = company\n", "", {}, None),
    "SSO with two regions": (f"[default]\n{SSO}sso_session = company\nsso_region = us-east-1\n{SESSION}", "", {}, None),
    "SSO without a role name": (f"[default]\nsso_account_id = 1\nsso_session = company\n{SESSION}{CONF}", "", {}, None),
    "only the session": (f"[default]\nsso_session = company\n{CONF}{SESSION}", "", {}, "CONF"),
    "role of SSO": (
        f"[default]\n{role('r1', 'source_profile = b')}[profile b]\n{SSO}sso_session = company\n{SESSION}",
        "",
        {},
        "r1.sso.1.r.sso-token",
    ),
    "container": ("", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{container}"}, "TASK"),
    "files before container": ("", f"[default]\n{FILE}", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{container}"}, "FILE"),
    "container elsewhere": ("", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}, None),
    "instance": ("", "", {"imds": "on"}, "EC2"),
    "container before instance": ("", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{container}", "imds": "on"}, "TASK"),
    "instance behind an empty profile": ("[profile p]\nregion = x\n", "", {"AWS_PROFILE": "p", "imds": "on", **ENV}, "EC2"),
}


def serve(request):
    """All endpoints that return credentials, each at its path."""
    if request.path == "/container":
        return keys("TASK")
    if request.path.startswith("/federation/"):
        return sso(request)
    if request.path.startswith("/latest/"):
        answers = {"token": Answer(body="imds-token"), "": Answer(body="role"), "role": keys("EC2")}
        return answers[request.path.rsplit("/", 1)[-1]]
    return sts(request)


class World:
    """A home, the servers, and a botocore process that uses both."""

    def __init__(self, home):
        self.home = home
        self.server = CredentialServer()
        self.server.steps(serve)
        self.process = home / "give keys"
        self.process.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            "name = '.'.join(['PROC', *sys.argv[1:]]).replace(' ', '_')\n"
            "print(json.dumps({'Version': 1, 'AccessKeyId': name, 'SecretAccessKey': 's'}))\n"
        )
        self.process.chmod(0o700)
        self.token = home / "token"
        self.token.write_text("to.ken")
        for name in ("company", "https://old.awsapps.com/start"):
            self.sign_in(name)
        self.botocore = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("botocore_oracle.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(home),
        )

    def sign_in(self, name):
        cache = self.home / ".aws" / "sso" / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        token = {"accessToken": "sso-token", "expiresAt": in_minutes(60)}
        (cache / (hashlib.sha1(name.encode()).hexdigest() + ".json")).write_text(json.dumps(token))

    def fill(self, text):
        places = {"process": f"'{self.process}'", "token": str(self.token), "container": self.server.url + "/container"}
        for name, place in places.items():
            text = text.replace("{" + name + "}", place)
        return text

    def environment(self, folder, config, credentials, variables):
        (folder / "config").write_bytes(self.fill(config).encode())
        (folder / "credentials").write_bytes(self.fill(credentials).encode())
        own = {"AWS_CONFIG_FILE": folder / "config", "AWS_SHARED_CREDENTIALS_FILE": folder / "credentials"}
        own |= {"AWS_ENDPOINT_URL_STS": self.server.url, "AWS_ENDPOINT_URL_SSO": self.server.url}
        if "imds" in variables:
            own |= {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.server.url}
        return environment(self.home, **own, **{k: self.fill(v) for k, v in variables.items() if k != "imds"})

    def oracle(self, env, **more):
        # lib/aws treats AWS_PROFILE as `aws` treats --profile: it takes precedence over the environment's keys.
        profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
        row = {"env": {k: v for k, v in env.items() if "PROFILE" not in k}, "profile": profile, **more}
        self.botocore.stdin.write(json.dumps(row) + "\n")
        self.botocore.stdin.flush()
        return json.loads(self.botocore.stdout.readline())

    def end(self):
        self.botocore.communicate(timeout=30)
        self.server.end()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.end()


@pytest.mark.parametrize("name", ROWS)
def test_the_same_key(world, tmp_path, name):
    config, credentials, variables, expected = ROWS[name]
    env = world.environment(tmp_path, config, credentials, variables)
    theirs = world.oracle(env)
    ours = ask_once(env)
    assert theirs.get("access_key_id") == expected, theirs
    assert ours.get("access_key_id") == expected, ours
    assert expected or ours["text"]


SERVICES = "[services s]\nsqs =\n  endpoint_url = http://127.0.0.1:2\nsecrets_manager =\n  endpoint_url = http://127.0.0.1:3\n"
ENDPOINTS = [
    ("[default]\nservices = s\nendpoint_url = http://127.0.0.1:4\n", {}),
    ("[default]\nservices = s\n", {"AWS_ENDPOINT_URL": "http://127.0.0.1:5"}),
    ("[default]\nservices = s\n", {"AWS_ENDPOINT_URL": "http://127.0.0.1:5", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:6"}),
    ("[default]\n", {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:6"}),
    ("[default]\n", {"AWS_ENDPOINT_URL_SECRETSMANAGER": "http://127.0.0.1:6"}),
    ("[default]\nservices = s\nignore_configured_endpoint_urls = true\n", {"AWS_ENDPOINT_URL": "http://127.0.0.1:5"}),
    ("[default]\nservices = s\n", {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
    ("[profile p]\nservices = s\n", {"AWS_PROFILE": "p"}),
]


@pytest.mark.parametrize("service", ["sqs", "sns", "s3", "secretsmanager"])
def test_the_same_endpoint(world, tmp_path, service):
    for config, variables in ENDPOINTS:
        env = world.environment(tmp_path, config + SERVICES, "", {**ENV, **variables})
        (ours,) = ask(env, "-s", service)
        theirs = world.oracle(env, service=service)["endpoint"]
        assert ours["endpoint"] == (theirs if theirs.startswith("http://127.0.0.1:") else None), (config, variables, theirs)
