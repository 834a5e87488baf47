"""One PostgreSQL with pgstac for the run, and a database for each test."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from pgstac_support import ROLES, VERSIONS, Database, Server

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    started = Server()
    try:
        started.start()
        started.execute(ROLES)
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="session")
def template(server: Server) -> Callable[[str | None], str]:
    """template(version) returns the name of a database with that pgstac, to be copied."""
    made: dict[str | None, str] = {}

    def make(version: str | None) -> str:
        if version not in made:
            name = f"pgstac_{(version or 'installed').replace('.', '_')}"
            server.migrate(name, version)
            made[version] = name
        return made[version]

    return make


def made_databases(server: Server, template: Callable[[str | None], str]) -> Iterator[Callable[..., Database]]:
    made: list[Database] = []

    def make(version: str | None = None) -> Database:
        database = Database(server, f"test_{next(NUMBERS)}")
        server.execute(f"CREATE DATABASE {database.name} TEMPLATE {template(version)}")
        made.append(database)
        return database

    yield make
    for database in made:
        server.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


make_db = pytest.fixture(made_databases, name="make_db")
make_shared_db = pytest.fixture(made_databases, name="make_shared_db", scope="module")


@pytest.fixture(params=VERSIONS, ids=lambda version: version or "installed")
def db(request: pytest.FixtureRequest, make_db: Callable[..., Database]) -> Database:
    """A database for each of VERSIONS in turn."""
    return make_db(request.param)
