"""Any small account, read in any windows, changed between pages, through faults and cuts: what is stored at the end is what was there.

Of objects that nothing touches on the way, every field; of those that come or go, that they are there once or not at all.
"""

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

from sync_core.domain.fields import ORDER, Values
from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.sandbox.world import Script
from sync_core.store.database import Database
from tests import support, truth
from tests.conftest import make_workspace

THEN = 1_700_000_000
SHARDS = 10
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "500"))
LISTED = ("customers", "products")


@dataclass(frozen=True, slots=True)
class Change:
    """After so many pages an object goes, one comes into a second that may have been read already, one gets another name."""

    entity: str
    after: int
    delete: int | None
    create: int | None
    rename: int | None


@dataclass(frozen=True, slots=True)
class Case:
    seconds: dict[str, list[int]]
    changes: list[Change]
    faults: list[dict[str, Any]]
    batch_size: int
    concurrent: int
    cuts: list[int]
    family: dict[str, list[int]] | None


FAMILY = ("prices", "subscriptions", "invoices")
CHILDREN = st.fixed_dictionaries(dict.fromkeys(FAMILY, st.lists(st.integers(0, 400), max_size=4)))
SECONDS = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 400)), max_size=40)
CHANGES = st.builds(
    Change,
    entity=st.sampled_from(LISTED),
    after=st.integers(1, 12),
    delete=st.none() | st.integers(0, 39),
    create=st.none() | st.integers(0, 400),
    rename=st.none() | st.integers(0, 39),
)
FAULTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["rate_global", "rate_endpoint", "lock_timeout", "error500", "reset", "truncate", "empty_page"]
        ),
        "match": st.sampled_from(["GET /v1/customers", "GET /v1/products", "GET /v1/subscriptions", "*"]),
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
    # A run of five entity types costs three times one of two.
    family=st.sampled_from([False, False, False, True]).flatmap(lambda whole: CHILDREN if whole else st.none()),
)


def account_of(case: Case) -> Account:
    account = Account("property", {}, verbatim=True)
    for entity in LISTED:
        for number, second in enumerate(case.seconds[entity]):
            account.create(entity, {"id": f"{entity[:4]}_{number}"}, now=THEN + second)
    if case.family is not None:
        add_family(account, case.family)
    return account


def add_family(account: Account, family: dict[str, list[int]]) -> None:
    """Prices of the products, subscriptions of customers to them, and their invoices; as far as there are parents for them."""
    parents = {entity: list(account.truth(entity)) for entity in LISTED}
    for number, second in enumerate(family["prices"] if parents["products"] else ()):
        product = parents["products"][number % len(parents["products"])]
        account.create("prices", {"id": f"pric_{number}", "product": product}, now=THEN + second)
    prices = list(account.truth_objects("prices"))
    for number, second in enumerate(family["subscriptions"] if prices and parents["customers"] else ()):
        customer = parents["customers"][number % len(parents["customers"])]
        fields = {"id": f"subs_{number}", "customer": customer, "prices": [prices[number % len(prices)]]}
        account.create("subscriptions", fields, now=THEN + second)
    subscriptions = list(account.truth_objects("subscriptions"))
    for number, second in enumerate(family["invoices"] if subscriptions else ()):
        of = subscriptions[number % len(subscriptions)]
        details = {"metadata": {}, "subscription": of["id"]}
        parent = {"type": "subscription_details", "quote_details": None, "subscription_details": details}
        invoice: dict[str, Any] = {"id": f"invo_{number}", "customer": of["customer"], "parent": parent}
        account.create("invoices", invoice, now=THEN + second)


def scripts_of(case: Case) -> list[Script]:
    found = []
    for number, change in enumerate(case.changes):
        steps: list[dict[str, Any]] = []
        if change.delete is not None and change.delete < len(case.seconds[change.entity]):
            steps.append({"op": "delete", "type": change.entity, "id": f"{change.entity[:4]}_{change.delete}"})
        if change.create is not None:
            fields = {"id": f"new_{number}", "created": THEN + change.create}
            steps.append({"op": "create", "type": change.entity, "fields": fields})
        if change.rename is not None and change.rename < len(case.seconds[change.entity]):
            named = {"type": change.entity, "id": f"{change.entity[:4]}_{change.rename}"}
            # And back, should it be renamed twice.
            steps.append({"op": "update", "fields": {"name": f"Renamed {number % 2}"}, **named})
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
    database=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=CASES)
async def test_nothing_is_lost_and_nothing_is_made_up(shared: Database, shard: int, case: Case) -> None:
    del shard  # each draws examples of its own
    account = account_of(case)
    entities = ORDER if case.family is not None else (EntityType.CUSTOMERS, EntityType.PRODUCTS)
    before = truth.truth_of(account, entities)
    workspace_id = await make_workspace(shared)
    async with SandboxServer(account) as server:
        server.world.set_scripts(scripts_of(case))
        server.world.faults.replace(case.faults)
        wanted = support.config(*entities, batch_size=case.batch_size, concurrent_batches=case.concurrent)
        session_id = await support.enqueue(shared, workspace_id, wanted)
        await drive_with_cuts(shared, session_id, server, case.cuts)
        counters = await support.counters(shared, workspace_id, session_id)
    after = truth.truth_of(account, entities)
    ours = await truth.stored(shared, workspace_id)
    untouched = unchanged(before, after)
    for entity in entities:
        there, stored = before[entity].keys() & after[entity].keys(), ours[entity]
        came = {one for one in stored if one.startswith("new_")}
        assert there - stored.keys() == set(), "lost"
        assert stored.keys() - before[entity].keys() == came, "made up"
        # What was deleted on the way is as it was, or a tombstone, as the moment at which it was asked for would have it; what was renamed
        # has one of its names.
        touched = stored.keys() - came - untouched[entity].keys()
        assert all(stored[one].values in (None, *views_of(before[entity][one].values)) for one in touched)
        verified = counters[entity.value]["verified"]
        assert (verified["verified"], verified["missing"], verified["unread"]) == (True, 0, [])
        assert set(verified.get("late", [])) <= came, (
            "what was there all along was read, not only found by asking again"
        )
        assert counters[entity.value]["created"] == counters[entity.value]["fetched"] == len(stored)
    mine = {entity: {one: ours[entity][one] for one in records} for entity, records in untouched.items()}
    assert truth.differences(mine, untouched) == []


def views_of(values: Values | None) -> list[Values]:
    """As it was, and under every name that it may have got."""
    if values is None or "name" not in values:
        return [] if values is None else [values]
    return [{**values, "name": name} for name in (values["name"], "Renamed 0", "Renamed 1")]


def unchanged(before: truth.Side, after: truth.Side) -> truth.Side:
    """What stayed as it was from the beginning to the end. A parent that went meanwhile is still there, as a tombstone."""
    return {
        entity: {one: record for one, record in records.items() if after[entity].get(one) == record}
        for entity, records in before.items()
    }
