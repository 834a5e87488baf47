"""lib/http over TLS trusts only the system's certificates or the named bundle."""

import socket
import ssl
import subprocess
import threading

import pytest

from http_tool import CA_VARIABLES, Rounds, environment, get_one, refused
from odd_server import Server


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca.pem; one.pem for 127.0.0.1 and other.pem for another name, both signed by it; stranger.pem, another CA."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca in ("ca", "stranger"):
        names = ["-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}"]
        openssl(folder, "req", "-x509", "-days", "2", *key, *names)
    for name, names in (("one", "IP:127.0.0.1"), ("other", "DNS:other.example.com")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )
    return folder


def tls_server(certificates, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return Server(tls=context)


@pytest.fixture
def secure_server(certificates):
    server = tls_server(certificates, "one")
    yield server
    server.close()


def test_an_untrusted_certificate_is_rejected(secure_server, certificates):
    refused(get_one(secure_server.url("/ok")), "tls_failed", outage=True)
    env = environment(SSL_CERT_FILE=str(certificates / "stranger.pem"))
    refused(get_one(secure_server.url("/ok"), env=env), "tls_failed", outage=True)
    assert secure_server.requests == []


def test_a_certificate_of_another_host_is_rejected(certificates):
    server = tls_server(certificates, "other")
    env = environment(SSL_CERT_FILE=str(certificates / "ca.pem"))
    refused(get_one(server.url("/ok"), env=env), "tls_failed", outage=True)
    assert server.requests == []
    server.close()


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_bundle_of_the_environment(secure_server, certificates, variable):
    env = environment(**{variable: str(certificates / "ca.pem")})
    with Rounds(secure_server.url("/ok"), env=env) as rounds:
        assert [rounds.step_one()["body"] for _ in range(3)] == ["hello"] * 3
    assert secure_server.n_connections == 1


def test_the_first_variable_counts(secure_server, certificates):
    env = environment(AWS_CA_BUNDLE=str(certificates / "ca.pem"), SSL_CERT_FILE=str(certificates / "stranger.pem"))
    assert get_one(secure_server.url("/ok"), env=env)["status"] == 200
    env = environment(AWS_CA_BUNDLE="", SSL_CERT_FILE=str(certificates / "ca.pem"))
    assert get_one(secure_server.url("/ok"), env=env)["status"] == 200


def test_missing_bundle_is_named(secure_server):
    exchange = get_one(secure_server.url("/ok"), env=environment(SSL_CERT_FILE="/nonexistent/bundle.pem"))
    refused(exchange, "tls_failed", outage=True)
    assert "/nonexistent/bundle.pem" in exchange["text"]


def test_a_server_without_tls():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            with listener.accept()[0] as connection:
                connection.sendall(b"220 hello\r\n")
                connection.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        exchange = get_one(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        refused(exchange, "connection_failed", outage=True)


def test_a_tls_server_that_hangs_up_on_a_body_does_not_end_the_process(secure_server, certificates):
    """OpenSSL's default way to write to a socket would raise SIGPIPE."""
    env = environment(SSL_CERT_FILE=str(certificates / "ca.pem"))
    for _ in range(5):
        exchange = get_one("-X", "POST", "-z", "20000000", secure_server.url("/rude"), env=env)
        refused(exchange, "connection_failed", outage=True)
