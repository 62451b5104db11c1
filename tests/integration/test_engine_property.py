"""Any small account, read in any windows, changed between pages, through faults and cuts: what is stored at the end is what was there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.store.database import Database
from tests import support
from tests.conftest import make_workspace

THEN = 1_700_000_000
SHARDS = 10
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "500"))
LISTED = ("customers", "products")


@dataclass(frozen=True, slots=True)
class Change:
    """After so many pages an object goes, or one comes into a second that may have been read already."""

    entity: str
    after: int
    delete: int | None
    create: int | None


@dataclass(frozen=True, slots=True)
class Case:
    seconds: dict[str, list[int]]
    changes: list[Change]
    faults: list[dict[str, Any]]
    batch_size: int
    concurrent: int
    cuts: list[int]


SECONDS = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 400)), max_size=40)
CHANGES = st.builds(
    Change,
    entity=st.sampled_from(LISTED),
    after=st.integers(1, 12),
    delete=st.none() | st.integers(0, 39),
    create=st.none() | st.integers(0, 400),
)
FAULTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["rate_global", "rate_endpoint", "lock_timeout", "error500", "reset", "truncate", "empty_page"]
        ),
        "match": st.sampled_from(["GET /v1/customers", "GET /v1/products", "*"]),
        "nth": st.integers(1, 15),
        "count": st.just(1),
    }
)
CASES = st.builds(
    Case,
    seconds=st.fixed_dictionaries(dict.fromkeys(LISTED, SECONDS)),
    changes=st.lists(CHANGES, max_size=4),
    faults=st.lists(FAULTS, max_size=3),
    batch_size=st.integers(1, 5),
    concurrent=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 30), max_size=2),
)


def account_of(case: Case) -> Account:
    account = Account("property", {}, verbatim=True)
    for entity in LISTED:
        for number, second in enumerate(case.seconds[entity]):
            account.create(entity, {"id": f"{entity[:4]}_{number}"}, now=THEN + second)
    return account


def scripts_of(case: Case) -> list[Script]:
    found = []
    for number, change in enumerate(case.changes):
        steps: list[dict[str, Any]] = []
        if change.delete is not None and change.delete < len(case.seconds[change.entity]):
            steps.append({"op": "delete", "type": change.entity, "id": f"{change.entity[:4]}_{change.delete}"})
        if change.create is not None:
            fields = {"id": f"new_{number}", "created": THEN + change.create}
            steps.append({"op": "create", "type": change.entity, "fields": fields})
        # Each step a script of its own: one that fails, since its object is gone already, must not keep the other back.
        found += [Script(f"GET /v1/{change.entity}", change.after, [step]) for step in steps]
    return found


@pytest.fixture(scope="module")
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    from tests.conftest import database_named, on_server

    server_url, template = request.getfixturevalue("server_url"), request.getfixturevalue("template")
    on_server(server_url, f"CREATE DATABASE property TEMPLATE {template} STRATEGY FILE_COPY")
    database = Database(database_named(server_url, "property"))
    yield database
    await database.dispose()
    on_server(server_url, "DROP DATABASE property WITH (FORCE)")


async def drive_with_cuts(database: Database, session_id: UUID, server: SandboxServer, cuts: list[int]) -> None:
    """Drive the run to its end; each cut ends it at so many requests, as a crash would, and it is taken up again."""
    for cut in [*cuts, None]:
        await expire(database, session_id)
        async with support.taken(database, session_id, server.url, hurried=True) as run:
            work = asyncio.create_task(drive(run, lease_seconds=20.0))
            async with stopped_at(server, cut, work):
                await asyncio.wait([work])
            if not work.cancelled():
                assert work.result() is SessionStatus.COMPLETED
                return


async def expire(database: Database, session_id: UUID) -> None:
    async with database.system() as session:
        await session.execute(
            text("UPDATE payment_sync_leases SET lease_until = NULL WHERE session_id = :s"), {"s": session_id}
        )


@asynccontextmanager
async def stopped_at(server: SandboxServer, cut: int | None, work: asyncio.Task[Any]) -> AsyncIterator[None]:
    world = server.world
    answered, left = world.answered, [cut]

    def counted(account: str, endpoint: str) -> None:
        answered(account, endpoint)
        if left[0] is not None:
            left[0] -= 1
            if left[0] == 0:
                work.cancel()

    world.answered = counted  # type: ignore[method-assign]  # the one place that sees each answer
    try:
        yield
    finally:
        world.answered = answered  # type: ignore[method-assign]  # as it was


@pytest.mark.parametrize("shard", range(SHARDS))
@settings(
    max_examples=max(1, EXAMPLES // SHARDS),
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=CASES)
async def test_nothing_is_lost_and_nothing_is_made_up(shared: Database, shard: int, case: Case) -> None:
    del shard  # each draws examples of its own
    account = account_of(case)
    before = {entity: set(account.truth(entity)) for entity in LISTED}
    workspace_id = await make_workspace(shared)
    async with SandboxServer(account) as server:
        server.world.set_scripts(scripts_of(case))
        server.world.faults.replace(case.faults)
        wanted = support.config(
            EntityType.CUSTOMERS,
            EntityType.PRODUCTS,
            batch_size=case.batch_size,
            concurrent_batches=case.concurrent,
        )
        session_id = await support.enqueue(shared, workspace_id, wanted)
        await drive_with_cuts(shared, session_id, server, case.cuts)
        for entity in LISTED:
            kept = before[entity] & set(account.truth(entity))
            ours = await support.stored_ids(shared, workspace_id, EntityType(entity))
            new = {one for one in ours if one.startswith("new_")}
            assert kept - ours == set(), "lost"
            assert ours - before[entity] - new == set(), "made up"
