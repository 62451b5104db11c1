"""Stripe's read API: who asks, what for, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import orjson

from sync_core.sandbox import errors, query
from sync_core.sandbox.account import ENTITIES, Account, singular
from sync_core.sandbox.account_object import account_object
from sync_core.sandbox.blueprint import Json
from sync_core.sandbox.collection import Entry, Key
from sync_core.sandbox.errors import ApiError
from sync_core.sandbox.faults import FaultKind, FaultRule
from sync_core.sandbox.http import Request, Response
from sync_core.sandbox.keys import Caller, caller_of
from sync_core.sandbox.present import View, expand_paths, read_by
from sync_core.sandbox.shapes import NEWEST, is_version, nested_to_version
from sync_core.sandbox.world import World

# Lists that exist at Stripe and are empty in every account here.
_EMPTY = frozenset(
    {
        "charges",
        "coupons",
        "credit_notes",
        "disputes",
        "payment_intents",
        "payment_methods",
        "plans",
        "refunds",
        "reviews",
        "setup_intents",
        "subscription_schedules",
        "tax_ids",
        "checkout/sessions",
        "radar/early_fraud_warnings",
        "entitlements/features",
    }
)
_REFUSALS = {
    FaultKind.RATE_GLOBAL: lambda: errors.rate_limited("global-rate"),
    FaultKind.RATE_ENDPOINT: lambda: errors.rate_limited("endpoint-rate"),
    FaultKind.LOCK_TIMEOUT: errors.lock_timeout,
    FaultKind.ERROR500: errors.server_error,
}
_ON_THE_WIRE = frozenset({FaultKind.RESET, FaultKind.TRUNCATE, FaultKind.SLOW, FaultKind.BLACK_HOLE})


@dataclass(frozen=True, slots=True)
class _Call:
    """A request whose key and version are known to be good."""

    request: Request
    endpoint: str
    parts: tuple[str, ...]
    caller: Caller
    account: Account
    version: str
    fault: FaultRule | None

    def pairs(self) -> list[tuple[str, str]]:
        return query.parameters(self.request.query)

    def view(self, expansions: tuple[str, ...], *, listed: bool) -> View:
        broken = self.fault.breaks if self.fault and self.fault.kind is FaultKind.MALFORMED_OBJECT else None
        paths = expand_paths(expansions, listed=listed)
        for entity in read_by(paths):
            self.caller.check(entity, self.account.id)
        return View(self.account, self.caller.live, self.version, paths, broken)


class StripeApi:
    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: Request) -> Response:
        """Never raises for what a client sends."""
        parts = tuple(unquote(part) for part in request.path.strip("/").split("/")[1:])
        endpoint = f"{request.method} {endpoint_of(parts)}"
        statistics = self._world.statistics
        statistics.note(endpoint, request.at)
        version: str | None = None
        fault: FaultRule | None = None
        try:
            caller = caller_of(request.headers.get("authorization", ""))
            version = self._version(request)
            self._within_limits(caller, endpoint, request.at)
            fault = self._fault(endpoint)
            account = self._world.account(caller.account)
            call = _Call(request, endpoint, parts, caller, account, version, fault)
            response = Response(body=self._answer(call))
            self._world.answered(caller.account, endpoint)
        except ApiError as error:
            if version is None and error.status != 401:
                version = NEWEST
            response = Response(error.status, orjson.dumps({"error": error.error}), dict(error.headers))
            if fault is not None and fault.kind in _REFUSALS:
                response.headers |= fault.headers
        return self._finished(response, version, fault)

    def _finished(self, response: Response, version: str | None, fault: FaultRule | None) -> Response:
        world = self._world
        world.serial += 1
        response.headers |= {
            "Content-Type": "application/json",
            "Date": formatdate(world.now(), usegmt=True),
            "Request-Id": f"req_{world.serial:014d}",
        }
        if version:
            response.headers["Stripe-Version"] = version
        response.delay = world.latency.seconds()
        if fault is not None:
            self._spoil(response, fault)
        world.statistics.statuses[str(response.status)] += 1
        world.statistics.bytes += len(response.body)
        return response

    def _spoil(self, response: Response, fault: FaultRule) -> None:
        if fault.kind in _ON_THE_WIRE:
            response.fault = fault.kind
        if fault.kind is FaultKind.SLOW:
            response.slow_seconds = fault.delay_ms / 1000
        else:
            response.delay += fault.delay_ms / 1000

    def _version(self, request: Request) -> str:
        version = request.headers.get("stripe-version", NEWEST)
        if not is_version(version):
            raise ApiError(400, f"Invalid Stripe API version: {version}")
        return version

    def _within_limits(self, caller: Caller, endpoint: str, at: float) -> None:
        reason = self._world.limiter.refusal(caller.account, endpoint, at)
        if reason:
            self._world.statistics.refused[reason] += 1
            raise errors.rate_limited(reason)

    def _fault(self, endpoint: str) -> FaultRule | None:
        fault = self._world.faults.for_request(endpoint)
        if fault is None:
            return None
        self._world.statistics.faults[fault.kind.value] += 1
        return fault

    # -- what is asked for

    def _answer(self, call: _Call) -> bytes:
        if call.fault and call.fault.kind in _REFUSALS:
            refusal = _REFUSALS[call.fault.kind]()
            raise refusal
        if call.request.method != "GET":
            raise ApiError(400, "The sandbox is read only; its objects are changed through /_sandbox/mutations.")
        match call.parts:
            case ("account",):
                return self._account(call)
            case ("accounts", account_id) if account_id == call.account.id:
                return self._account(call)
            case ("events",):
                return self._events(call)
            case ("events", object_id):
                return self._event(call, object_id)
            case ("subscription_items",):
                return self._items(call)
            case ("invoices", invoice_id, "lines"):
                return self._nested(call, "invoices", invoice_id, "lines")
            case (entity,) if entity in ENTITIES:
                return self._list(call, entity)
            case (entity, object_id) if entity in ENTITIES:
                return self._retrieve(call, entity, object_id)
        return self._elsewhere(call)

    def _account(self, call: _Call) -> bytes:
        call.caller.check("account", call.account.id)
        return orjson.dumps(account_object(call.account))

    def _list(self, call: _Call, entity: str) -> bytes:
        call.caller.check(entity, call.account.id)
        wanted = query.list_query(call.pairs(), query.FILTERS[entity])
        if entity == "subscriptions" and wanted.filters.get("status", "all") not in query.STATUSES:
            raise ApiError(400, f"Invalid status: must be one of {', '.join(sorted(query.STATUSES))}", param="status")
        view = call.view(wanted.expand, listed=True)
        if "test_clock" in wanted.filters:
            return self._clocked(view, entity, wanted)
        entries, more = self._page(call, entity, wanted)
        texts = self._broken_texts(view, call, entity, entries) if view.broken else view.texts(entity, entries)
        self._world.statistics.objects += len(texts)
        return list_body(texts, more, f"/v1/{entity}")

    def _broken_texts(self, view: View, call: _Call, entity: str, entries: list[Entry]) -> list[str]:
        """All whole but those that the rule names, or the first."""
        collection = call.account.collections[entity]
        ids = call.fault.ids if call.fault else []
        chosen = [entry for entry in entries if collection.id_of(entry) in ids] if ids else entries[:1]
        whole = View(view.account, view.live, view.version, view.expand)
        return [(view if entry in chosen else whole).texts(entity, [entry])[0] for entry in entries]

    def _page(self, call: _Call, entity: str, wanted: query.ListQuery) -> tuple[list[Entry], bool]:
        collection = call.account.collections[entity]
        keep = call.account.keep_for(entity, wanted.filters)
        if call.fault and call.fault.kind is FaultKind.EMPTY_PAGE:
            return [], True
        if wanted.ending_before is not None:
            above = self._cursor(call, entity, "ending_before", wanted.ending_before)
            found = collection.take(wanted.limit + 1, wanted.window, above=above, ascending=True, keep=keep)
            return found[: wanted.limit][::-1], len(found) > wanted.limit
        below = None
        if wanted.starting_after is not None:
            below = self._cursor(call, entity, "starting_after", wanted.starting_after)
            if not wanted.window.holds(below[0]):
                # Stripe's own: a cursor from outside the window gives an empty page that still promises more.
                return [], bool(collection.take(1, wanted.window, below=below, keep=keep))
        found = collection.take(wanted.limit + 1, wanted.window, below=below, keep=keep)
        return found[: wanted.limit], len(found) > wanted.limit

    def _cursor(self, call: _Call, entity: str, param: str, object_id: str) -> Key:
        key = call.account.collections[entity].key(object_id)
        if key is None:
            raise errors.missing(singular(entity), object_id, param, status=400)
        return key

    def _clocked(self, view: View, entity: str, wanted: query.ListQuery) -> bytes:
        clock = wanted.filters["test_clock"]
        hidden = view.account.collections[entity].hidden(live=view.live)
        bodies = [view.show(entity, body) for body in hidden if body.get("test_clock") == clock]
        return list_body([orjson.dumps(body).decode() for body in bodies], False, f"/v1/{entity}")

    def _retrieve(self, call: _Call, entity: str, object_id: str) -> bytes:
        call.caller.check(entity, call.account.id)
        view = call.view(query.expansions(call.pairs()), listed=False)
        body = call.account.retrieve(entity, object_id, live=call.caller.live)
        if body is None:
            raise errors.missing(singular(entity), object_id)
        self._world.statistics.objects += 1
        return orjson.dumps(view.show(entity, body))

    def _items(self, call: _Call) -> bytes:
        subscription = dict(call.pairs()).get("subscription")
        if not subscription:
            raise ApiError(400, "Missing required param: subscription.", code="parameter_missing", param="subscription")
        return self._nested(call, "subscriptions", subscription, "items")

    def _nested(self, call: _Call, entity: str, object_id: str, name: str) -> bytes:
        call.caller.check(entity, call.account.id)
        wanted = query.list_query(call.pairs(), ("subscription",))
        body = call.account.retrieve(entity, object_id, live=call.caller.live)
        if body is None or body.get("deleted"):
            raise errors.missing(singular(entity), object_id, "subscription" if name == "items" else "invoice")
        view = call.view((), listed=True)
        nested = body.get(name) or {}
        members: list[Json] = nested.get("data") or []
        if not call.account.verbatim:
            members = [nested_to_version(name, member, call.version, view.price) for member in members]
        shown, more = _slice(members, wanted)
        return list_body([orjson.dumps(member).decode() for member in shown], more, call.request.path)

    def _events(self, call: _Call) -> bytes:
        call.caller.check("events", call.account.id)
        types = {value for name, value in call.pairs() if name.startswith("types[")}
        pairs = [(name, value) for name, value in call.pairs() if not name.startswith("types[")]
        wanted = query.list_query(pairs, query.FILTERS["events"])
        types |= {wanted.filters["type"]} if "type" in wanted.filters else set()
        events = call.account.events
        window = call.account.event_window(wanted.window, now=self._world.now())
        newest_first = events.walk(window)
        members = [events.full(entry, live=False) for entry in newest_first]
        members = [event for event in members if not types or event["type"] in types]
        shown, more = _slice(members, wanted)
        return list_body([orjson.dumps(event).decode() for event in shown], more, "/v1/events")

    def _event(self, call: _Call, object_id: str) -> bytes:
        call.caller.check("events", call.account.id)
        event = call.account.events.retrieve(object_id, live=False)
        if event is None:
            raise errors.missing("event", object_id)
        return orjson.dumps(event)

    def _elsewhere(self, call: _Call) -> bytes:
        path = call.request.path
        if "/".join(call.parts) in _EMPTY:
            return list_body([], False, path)
        message = f"Unrecognized request URL ({call.request.method}: {path}). Please see https://stripe.com/docs or "
        raise ApiError(404, f"{message}we can help at https://support.stripe.com/.")


def endpoint_of(parts: tuple[str, ...]) -> str:
    """The named operation: limits, faults and statistics know requests by it."""
    match parts:
        case (resource, _) if "/".join(parts) not in _EMPTY:
            return f"/v1/{resource}/:id"
        case (resource, _, nested):
            return f"/v1/{resource}/:id/{nested}"
    return f"/v1/{'/'.join(parts)}"


def list_body(texts: list[str], more: bool, url: str) -> bytes:
    data, address = ",".join(texts), orjson.dumps(url).decode()
    return f'{{"object":"list","data":[{data}],"has_more":{"true" if more else "false"},"url":{address}}}'.encode()


def _slice(members: list[Any], wanted: query.ListQuery) -> tuple[list[Any], bool]:
    """One page of a short list that is at hand as a whole."""
    places = {member["id"]: place for place, member in enumerate(members)}
    if wanted.ending_before is not None:
        end = _place(places, "ending_before", wanted.ending_before)
        start = max(0, end - wanted.limit)
        return members[start:end], start > 0
    start = 0
    if wanted.starting_after is not None:
        start = _place(places, "starting_after", wanted.starting_after) + 1
    return members[start : start + wanted.limit], len(members) > start + wanted.limit


def _place(places: dict[str, int], param: str, object_id: str) -> int:
    if object_id not in places:
        raise errors.missing("object", object_id, param, status=400)
    return places[object_id]
