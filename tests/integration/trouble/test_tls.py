"""TLS to the database, with certificates from our own authority."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.postgres import LOADER, account
from tests.integration.trouble.conftest import Site


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_authority(place: Path, name: str) -> Path:
    certificate = place / f"{name}.crt"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", place / f"{name}.key"]
    openssl("req", "-x509", "-subj", f"/CN={name}", "-days", "2", *key, "-out", certificate)
    return certificate


@dataclass(frozen=True)
class Certificates:
    good: Path
    other: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The server's certificate is for "localhost", signed by `good`."""
    place = tmp_path_factory.mktemp("tls")
    made = Certificates(make_authority(place, "good"), make_authority(place, "other"))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", place / "server.key"]
    openssl("req", "-subj", "/CN=server", *key, "-out", place / "server.csr")
    (place / "names").write_text("subjectAltName=DNS:localhost\n")
    signer = ["-CA", made.good, "-CAkey", place / "good.key", "-CAcreateserial", "-days", "2"]
    openssl("x509", "-req", "-in", place / "server.csr", *signer, "-extfile", place / "names", "-out", place / "server.crt")
    return made


@pytest.fixture
def tls(site: Site, certificates: Certificates) -> Iterator[Site]:
    for name in ("server.crt", "server.key"):
        target = Path(site.server.directory) / name
        shutil.copyfile(certificates.good.parent / name, target)
        if user := account():
            shutil.chown(target, user, user)
        target.chmod(0o600)
        site.db.execute(f"ALTER SYSTEM SET {'ssl_cert_file' if name.endswith('crt') else 'ssl_key_file'} TO '{target}'")
    with site.setting("ssl", "on"):
        yield site
        site.stop_all()
    site.db.execute("ALTER SYSTEM RESET ssl_cert_file")
    site.db.execute("ALTER SYSTEM RESET ssl_key_file")


@pytest.mark.parametrize("mode", ["verify-full", *(pytest.param(mode, marks=pytest.mark.long) for mode in ("verify-ca", "require"))])
def test_encrypted(tls: Site, certificates: Certificates, mode: str) -> None:
    """The certificate is not for 127.0.0.1, which only verify-full checks."""
    tls.put_secret(host="localhost" if mode == "verify-full" else "127.0.0.1")
    root = "" if mode == "require" else str(certificates.good)
    tls.publish_numbers(1)
    tls.run(ITEMLOADD_DB_SSLMODE=mode, ITEMLOADD_DB_SSLROOTCERT=root)
    tls.wait_loaded()
    encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = %s"
    assert tls.query(encrypted, LOADER) == [(True,)]
    tls.check_outages(0)


REFUSED = {
    "another name": ("127.0.0.1", "good", 'does not match host name "127.0.0.1"'),
    "another authority": ("localhost", "other", "certificate verify failed"),
    "no such file": ("localhost", "missing", "does not exist"),
}


@pytest.mark.parametrize("name", ["another name", *(pytest.param(name, marks=pytest.mark.long) for name in list(REFUSED)[1:])])
def test_refused(tls: Site, certificates: Certificates, name: str) -> None:
    """It reports the error, receives nothing, and does not log in."""
    host, root, words = REFUSED[name]
    tls.put_secret(host=host)
    tls.publish_numbers(1)
    place = certificates.good.parent
    tls.run(ITEMLOADD_DB_SSLMODE="verify-full", ITEMLOADD_DB_SSLROOTCERT=str(place / f"{root}.crt"))
    assert words in tls.wait_down()
    assert tls.counts(tls.load_queue) == (1, 0), "nothing is received"
    tls.stop_all()
    assert tls.query("SELECT 1 FROM pg_stat_activity WHERE usename = %s", LOADER) == []


@pytest.mark.long
def test_server_without_tls(site: Site) -> None:
    """itemloadd does not use an unencrypted connection."""
    site.publish_numbers(1)
    site.run(ITEMLOADD_DB_SSLMODE="require")
    assert "server does not support SSL, but SSL was required" in site.wait_down()
    assert site.counts(site.load_queue) == (1, 0)
