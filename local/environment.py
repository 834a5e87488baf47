"""
Selects what of the caller's environment reaches the stack: not the caller's AWS account, database or service manager.
"""

import os

_FOREIGN = ("AWS_", "PG", "MOTO_", "LISTEN_")
_FOREIGN_NAMES = {"BOTO_CONFIG", "INVOCATION_ID", "JOURNAL_STREAM", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN) or name in _FOREIGN_NAMES


def no_proxy() -> dict[str, str]:
    """Keeps a proxy of the caller from being asked for loopback addresses."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    hosts = [os.environ.get(name) for name in ("no_proxy", "NO_PROXY")]
    listed = ",".join([host for host in hosts if host] + ["127.0.0.1", "localhost"])
    return {"no_proxy": listed, "NO_PROXY": listed}


def for_tools() -> dict[str, str]:
    """The caller's environment without foreign settings. PATH, HOME, certificates, PIP_*, UV_* and proxies stay."""
    return {name: value for name, value in os.environ.items() if not _is_foreign(name)} | no_proxy()


def scrub() -> None:
    """Does the same for this process, because its libraries (boto3, libpq) read the environment themselves."""
    for name in [name for name in os.environ if _is_foreign(name)]:
        del os.environ[name]
    os.environ.update(no_proxy())


def daemon_settings() -> dict[str, str]:
    """The caller's settings of the daemons, which override the stack's."""
    return {name: value for name, value in os.environ.items() if name.startswith(("ITEMGEND_", "ITEMLOADD_"))}
