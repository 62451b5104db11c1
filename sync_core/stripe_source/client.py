"""Reading a Stripe account: pages, single objects, nested lists, probes."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from sync_core.domain.embedded import EMBEDDED
from sync_core.domain.vocabulary import EntityType
from sync_core.stripe_source import answers
from sync_core.stripe_source.answers import Received
from sync_core.stripe_source.errors import CursorGone, PermissionMissing, RequestRefused, StripeUnavailable
from sync_core.stripe_source.governor import Governor
from sync_core.stripe_source.retry import PATIENCE_SECONDS, Outcome, Raise, Retries, next_step
from sync_core.stripe_source.wire import ConnectionBroken, Params, Wire, path_id

_PAGE: Final = 100
_NESTED_TRIES: Final = 5

# Bare lists leave these out: canceled subscriptions, and the parts of a price that are computed.
_LIST_EXTRAS: Final[dict[EntityType, Params]] = {
    EntityType.SUBSCRIPTIONS: [("status", "all")],
    EntityType.PRICES: [("expand[]", "data.tiers"), ("expand[]", "data.currency_options")],
}
_RETRIEVE_EXTRAS: Final[dict[EntityType, Params]] = {
    EntityType.PRICES: [("expand[]", "tiers"), ("expand[]", "currency_options")],
}


@dataclass(frozen=True, slots=True)
class Page:
    """`requested_at` is the given clock when the request began, `server_date` Stripe's; both epoch seconds."""

    objects: list[dict[str, Any]]
    has_more: bool
    requested_at: float
    server_date: int
    request_id: str | None
    has_nul: bool
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`object` is None when Stripe knows no such id, and a stub with `deleted` when it once did."""

    object: dict[str, Any] | None
    requested_at: float
    server_date: int
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    display_name: str | None
    country: str | None
    default_currency: str | None
    created: int | None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """May the key list this entity, and what is its newest object's `created`?

    `skew` is by how many seconds Stripe's clock is ahead of the given one, give or take the time that the answer took.
    """

    entity: EntityType
    ok: bool
    newest_created: int | None
    missing_permission: str | None
    message: str
    server_date: int | None
    request_id: str | None
    api_version: str | None = None
    skew: float | None = None


class StripeSource:
    """One account, through one key. Every method repeats its request as `retry` says, each time through the governor.

    They raise the errors of `errors`; `StripeUnavailable` after `patience` seconds. `retries` are by the first word of an endpoint.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        http: httpx.AsyncClient,
        governor: Governor,
        patience: float = PATIENCE_SECONDS,
        roll: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire = Wire(api_key=api_key, base_url=base_url, http=http)
        self._governor = governor
        self._patience = patience
        self._roll = roll
        self._sleep = sleep
        self._clock = clock
        self.retries: defaultdict[str, Retries] = defaultdict(Retries)

    async def list_page(
        self,
        entity: EntityType,
        *,
        limit: int = _PAGE,
        gte: int | None = None,
        lt: int | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        embed: Collection[EntityType] = (),
    ) -> Page:
        """One page, newest first. `gte` and `lt` bound `created` in epoch seconds. Parents of the `embed` types come inside, for which the
        key must be allowed to read them.
        """
        params: Params = [("limit", limit), *_LIST_EXTRAS.get(entity, [])]
        params += [("expand[]", f"data.{field}") for field, parent in EMBEDDED.get(entity, ()) if parent in embed]
        params += _range(gte, lt) + _cursor(starting_after, ending_before)
        return await self._page(f"/v1/{entity.value}", params, f"{entity.value}.list")

    async def events_page(
        self,
        *,
        types: Sequence[str] = (),
        created_gte: int | None = None,
        starting_after: str | None = None,
        ending_before: str | None = None,
        limit: int = _PAGE,
    ) -> Page:
        """Stripe keeps events for 30 days and renders them in the version of their time."""
        params: Params = [("limit", limit), *(("types[]", name) for name in types)]
        params += _range(created_gte, None) + _cursor(starting_after, ending_before)
        return await self._page("/v1/events", params, "events.list")

    async def retrieve(self, entity: EntityType, external_id: str, *, tiers_in: Sequence[str] = ()) -> Retrieved:
        """`tiers_in` are the currencies in which a price's tiers are wanted besides those in its own."""
        path = f"/v1/{entity.value}/{path_id(external_id)}"
        params = [*_RETRIEVE_EXTRAS.get(entity, [])]
        params += [("expand[]", f"currency_options.{currency}.tiers") for currency in tiers_in]
        began = self._clock()
        try:
            received = await self._get(path, params, f"{entity.value}.retrieve")
        except RequestRefused as refused:
            if not refused.is_missing:
                raise
            return Retrieved(None, began, int(began), refused.request_id)
        return Retrieved(received.data, received.requested_at, received.server_date, received.request_id)

    async def nested(self, entity: EntityType, external_id: str) -> list[dict[str, Any]]:
        """All items of a subscription, or all lines of an invoice: the objects themselves hold ten at most."""
        for _ in range(_NESTED_TRIES):
            found = await self._walk(*_nested_list(entity, external_id))
            if found is not None:
                return found
        raise StripeUnavailable(f"the list in {external_id} changed each time it was read")

    async def _walk(self, path: str, params: Params, endpoint: str) -> list[dict[str, Any]] | None:
        """None when the place was lost on the way: a part of the list must not pass for the whole."""
        found: list[dict[str, Any]] = []
        while True:
            after = _cursor(found[-1]["id"], None) if found else []
            try:
                page = await self._page(path, [("limit", _PAGE), *params, *after], endpoint)
            except CursorGone:
                return None
            found += page.objects
            if not page.has_more:
                return found
            if not page.objects:
                return None

    async def account(self) -> Account | None:
        """The key's account. Of one that a restricted key may not read only the id is known, or None when Stripe hides that too."""
        try:
            received = await self._get("/v1/account", [], "account.retrieve")
        except PermissionMissing as missing:
            named = re.search(r"\bacct_\w+", missing.message)
            return None if named is None else Account(named.group(), None, None, None, None, missing.request_id)
        return replace(_account(received.data), request_id=received.request_id)

    async def probe(self, entity: EntityType) -> Probe:
        """One request that shows whether the key may list the entity. A missing permission is a result, not an error."""
        try:
            page = await self.list_page(entity, limit=1)
        except PermissionMissing as missing:
            return Probe(entity, False, None, missing.permission, missing.message, None, missing.request_id)
        newest = page.objects[0].get("created") if page.objects else None
        skew = page.server_date - page.requested_at
        return Probe(entity, True, newest, None, "", page.server_date, page.request_id, page.api_version, skew)

    async def _page(self, path: str, params: Params, endpoint: str) -> Page:
        received = await self._get(path, params, endpoint)
        return Page(
            objects=received.data.get("data") or [],
            has_more=bool(received.data.get("has_more")),
            requested_at=received.requested_at,
            server_date=received.server_date,
            request_id=received.request_id,
            has_nul=received.has_nul,
            api_version=received.api_version,
        )

    async def _get(self, path: str, params: Params, endpoint: str) -> Received:
        first_began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            result = await self._attempt(path, params, endpoint)
            if isinstance(result, Received):
                return result
            elapsed = time.monotonic() - first_began
            step = next_step(attempt, result, elapsed=elapsed, roll=self._roll(), patience=self._patience)
            if isinstance(step, Raise):
                raise step.error
            self.retries[endpoint.partition(".")[0]].note(step, time.time())
            await self._sleep(step.delay)

    async def _attempt(self, path: str, params: Params, endpoint: str) -> Received | Outcome:
        leave = await self._governor.admit(endpoint)
        requested_at = self._clock()
        status: int | None = None
        reason: str | None = None
        try:
            answer = await self._wire.get(path, params, leave)
            status, reason = answer.status, answer.headers.get("stripe-rate-limited-reason")
        except ConnectionBroken as broken:
            return broken.outcome
        finally:
            self._governor.on_response(endpoint, status, reason)
        return answers.read(answer, requested_at)


def _range(gte: int | None, lt: int | None) -> Params:
    bounds = (("created[gte]", gte), ("created[lt]", lt))
    return [(name, value) for name, value in bounds if value is not None]


def _cursor(starting_after: str | None, ending_before: str | None) -> Params:
    cursors = (("starting_after", starting_after), ("ending_before", ending_before))
    return [(name, value) for name, value in cursors if value is not None]


def _nested_list(entity: EntityType, external_id: str) -> tuple[str, Params, str]:
    if entity is EntityType.SUBSCRIPTIONS:
        return "/v1/subscription_items", [("subscription", external_id)], "subscription_items.list"
    if entity is EntityType.INVOICES:
        return f"/v1/invoices/{path_id(external_id)}/lines", [], "invoices.lines"
    raise ValueError(f"{entity.value} have no nested list")


def _account(data: dict[str, Any]) -> Account:
    dashboard = (data.get("settings") or {}).get("dashboard") or {}
    profile = data.get("business_profile") or {}
    return Account(
        id=data["id"],
        display_name=dashboard.get("display_name") or profile.get("name") or data.get("display_name"),
        country=data.get("country"),
        default_currency=data.get("default_currency"),
        created=data.get("created"),
    )
