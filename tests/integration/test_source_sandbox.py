"""The Stripe source against the sandbox in its own process, over a socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from sync_core.domain.vocabulary import EntityType
from sync_core.sandbox.keys import DEMO_KEY
from sync_core.sandbox.launch import SandboxProcess
from sync_core.store.database import Database
from sync_core.stripe_source import AuthRefused, CursorGone, Governor, LocalSlots, StripeSource, http_client
from sync_core.stripe_source.governor import Leave, Mode
from tests.fairclock import fair_clock
from tests.unit.test_source_governor import busiest_second

SIZES = {"customers": 730, "products": 20, "prices": 110, "subscriptions": 260, "invoices": 300}
BOTH_LISTS = [EntityType.SUBSCRIPTIONS, EntityType.INVOICES]


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[SandboxProcess]:
    sizes = [part for entity, size in SIZES.items() for part in (f"--{entity}", str(size))]
    with SandboxProcess(*sizes, "--seed", "source") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    shared_sandbox.reset_stats()
    yield shared_sandbox
    shared_sandbox.faults()
    shared_sandbox.settings(limits="off", latency_ms=0, jitter_ms=0)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


def source(sandbox: SandboxProcess, http: httpx.AsyncClient, *, key: str = DEMO_KEY, **more: Any) -> StripeSource:
    governor = more.pop("governor", None) or governor_of("test", unlimited=True)
    return StripeSource(api_key=key, base_url=sandbox.url, http=http, governor=governor, **more)


class Noting(Governor):
    """Knows when each request's first bytes went. One that was let through too late is given another time, and counts at that."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.starts: list[float] = []

    async def admit(self, endpoint: str) -> Leave | None:
        leave = await super().admit(endpoint)
        return None if leave is None else _Noted(leave, self.starts)


class _Noted(Leave):
    def __init__(self, leave: Leave, starts: list[float]) -> None:
        self._leave = leave
        self._starts = starts

    async def about_to_go(self) -> None:
        await self._leave.about_to_go()

    def gone(self) -> None:
        self._starts.append(time.monotonic())
        self._leave.gone()


def governor_of(mode: Mode, *, unlimited: bool = False) -> Governor:
    return Governor(LocalSlots(), account="acct_1", mode=mode, cap_share=1.0, unlimited=unlimited)


async def walk(stripe: StripeSource, entity: EntityType) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = await stripe.list_page(entity, starting_after=found[-1]["id"] if found else None)
        found += page.objects
        more = page.has_more
    return found


@pytest.mark.parametrize("entity", list(EntityType), ids=str)
async def test_every_object_in_as_few_requests_as_there_are_pages(
    sandbox: SandboxProcess, http: httpx.AsyncClient, entity: EntityType
) -> None:
    found = await walk(source(sandbox, http), entity)

    listed = {one["id"] for one in found}
    assert len(listed) == len(found)
    assert listed == set(sandbox.truth(entity.value))
    assert sandbox.stats()["requests"] == -(-len(found) // 100)


async def test_prices_come_with_tiers_and_currencies(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    stripe = source(sandbox, http)
    prices = await walk(stripe, EntityType.PRICES)
    tiered = [one for one in prices if one["billing_scheme"] == "tiered"]

    assert tiered
    assert all(one["tiers"] for one in tiered)
    single = await stripe.retrieve(EntityType.PRICES, tiered[0]["id"])
    assert single.object is not None
    assert single.object["tiers"] == tiered[0]["tiers"]


async def test_canceled_subscriptions_are_listed(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    found = await walk(source(sandbox, http), EntityType.SUBSCRIPTIONS)

    assert "canceled" in {one["status"] for one in found}


STORM: list[dict[str, Any]] = [
    {"kind": "rate_global", "probability": 0.15, "seed": 1},
    {"kind": "rate_endpoint", "probability": 0.15, "seed": 2},
    {"kind": "error500", "probability": 0.1, "seed": 3},
    {"kind": "lock_timeout", "probability": 0.1, "seed": 4},
    {"kind": "reset", "probability": 0.1, "seed": 5},
    {"kind": "truncate", "probability": 0.1, "seed": 6},
]


async def test_a_storm_of_faults_loses_nothing(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    async def no_nap(_: float) -> None:
        return

    calm = await walk(source(sandbox, http), EntityType.CUSTOMERS)
    for round_ in range(5):
        sandbox.faults(*({**rule, "seed": rule["seed"] + 10 * round_} for rule in STORM))
        assert await walk(source(sandbox, http, sleep=no_nap), EntityType.CUSTOMERS) == calm

    fired = sandbox.stats()["faults"]
    assert set(fired) == {rule["kind"] for rule in STORM}


@pytest.mark.parametrize("entity", BOTH_LISTS, ids=str)
async def test_nested_lists_are_whole(sandbox: SandboxProcess, http: httpx.AsyncClient, entity: EntityType) -> None:
    stripe = source(sandbox, http)
    nested = "items" if entity is EntityType.SUBSCRIPTIONS else "lines"
    long = next(one for one in await walk(stripe, entity) if one[nested]["has_more"])

    got = await stripe.nested(entity, long["id"])

    assert len(got) > len(long[nested]["data"])
    assert [one["id"] for one in got[: len(long[nested]["data"])]] == [one["id"] for one in long[nested]["data"]]
    assert len({one["id"] for one in got}) == len(got)


async def test_a_restricted_key_is_told_what_it_lacks(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    stripe = source(sandbox, http, key="rk_test_no_invoices_no_account_1234")

    probes = {entity: await stripe.probe(entity) for entity in EntityType}

    assert [entity for entity, probe in probes.items() if not probe.ok] == [EntityType.INVOICES]
    assert probes[EntityType.INVOICES].missing_permission == "rak_invoice_read"
    assert probes[EntityType.CUSTOMERS].newest_created
    account = await stripe.account()
    assert account is not None
    assert account.id.startswith("acct_")
    assert account.display_name is None


async def test_account(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    account = await source(sandbox, http).account()

    assert account is not None
    assert account.id.startswith("acct_")


@pytest.mark.parametrize("key", ["sk_test_revoked_12345678", "sk_test_expired_12345678"])
async def test_refused_keys(sandbox: SandboxProcess, http: httpx.AsyncClient, key: str) -> None:
    with pytest.raises(AuthRefused) as raised:
        await source(sandbox, http, key=key).probe(EntityType.CUSTOMERS)

    assert key not in str(raised.value)
    assert sandbox.stats()["requests"] == 1


async def test_a_cursor_that_was_deleted(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    made = sandbox.mutate({"op": "create", "type": "customers", "object": {"name": "Ada"}})[0]
    sandbox.mutate({"op": "delete", "type": "customers", "id": made["id"]})
    stripe = source(sandbox, http)

    with pytest.raises(CursorGone):
        await stripe.list_page(EntityType.CUSTOMERS, starting_after=made["id"])
    assert ((await stripe.retrieve(EntityType.CUSTOMERS, made["id"])).object or {}).get("deleted") is True
    assert (await stripe.retrieve(EntityType.CUSTOMERS, "cus_never")).object is None


async def test_events_tell_of_changes(sandbox: SandboxProcess, http: httpx.AsyncClient) -> None:
    made = sandbox.mutate({"op": "create", "type": "customers", "object": {"name": "Ada"}})[0]
    page = await source(sandbox, http).events_page(types=["customer.created"])

    assert page.objects[0]["data"]["object"]["id"] == made["id"]


@pytest.mark.parametrize(
    ("mode", "entities", "cap"),
    [
        pytest.param("test", list(EntityType), 25, id="test-mode"),
        pytest.param("live", list(EntityType), 100, id="live-mode"),
        pytest.param("live", [EntityType.CUSTOMERS], 25, id="one-endpoint"),
    ],
)
async def test_limits_are_used_and_never_hit(
    *,
    database: Database,
    sandbox: SandboxProcess,
    http: httpx.AsyncClient,
    mode: Mode,
    entities: list[EntityType],
    cap: int,
) -> None:
    sandbox.settings(limits=mode, latency_ms=100, jitter_ms=20)
    governor = Noting(LocalSlots(), account="acct_1", mode=mode, cap_share=1.0)
    stripe = source(sandbox, http, governor=governor)
    seconds = 3.0
    async with fair_clock(database) as clock:
        end = time.monotonic() + seconds

        async def read(entity: EntityType) -> None:
            while time.monotonic() < end:
                await stripe.list_page(entity, limit=1)

        await asyncio.gather(*(read(entity) for entity in entities for _ in range(8)))
        lag = clock.lag

    assert sandbox.stats()["rate_limited"] == {}
    assert governor.stats().throttled == {}
    # As they leave us. When they arrive is the machine's affair: a sandbox that had to wait finds many at once.
    assert busiest_second(governor.starts) <= cap
    # That 95 % are used is shown in virtual time.
    assert len(governor.starts) >= 0.6 * cap * (seconds - lag)
