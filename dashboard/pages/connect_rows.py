"""What the Connect page shows, as values: pure, so that it can be tested without a browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.check_results import OF_KEY, Check, CheckName, CheckStatus
from sync_core.services.connection_drafts import DraftView
from sync_core.services.connection_views import ConnectionView
from sync_core.services.read_cap import ReadCap
from sync_core.services.record_views import When

_NEVER = When()


@dataclass(frozen=True, slots=True)
class PartRow:
    label: str
    ok: bool
    permission: str


@dataclass(frozen=True, slots=True)
class CheckRow:
    """`status` is a CheckStatus or "waiting"; `aside` is small print: how long it took, Stripe's request id. `when` and `by` are of one that
    was run apart from the others.
    """

    name: str
    label: str
    status: str
    status_label: str
    message: str
    hint: str
    parts: list[PartRow]
    aside: str
    when: When = _NEVER
    by: str = ""


@dataclass(frozen=True, slots=True)
class LastRun:
    """When most of the checks were run, and by whom."""

    when: When = _NEVER
    by: str = ""


@dataclass(frozen=True, slots=True)
class TypeBox:
    """An entity type to be ticked: what the key is to read."""

    name: str
    label: str
    permission: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Card:
    """The connected account. An empty `account_id` means that there is none."""

    account_id: str = ""
    title: str = ""
    details: str = ""
    live: bool = False
    sandbox: bool = False
    masked_key: str = ""
    key_kind: str = ""
    reads: str = ""
    former: str = ""
    since: When = _NEVER
    webhook: bool = False
    confirmation: str = ""


@dataclass(frozen=True, slots=True)
class DraftCard:
    """A connection that was begun and left. An empty `title` means that there is none."""

    title: str = ""
    mode: str = ""
    masked_key: str = ""
    reads: str = ""
    by: str = ""
    saved: When = _NEVER
    expires: When = _NEVER


PERMISSIONS = {
    EntityType.CUSTOMERS: "rak_customer_read",
    EntityType.PRODUCTS: "rak_product_read",
    EntityType.PRICES: "rak_plan_read",
    EntityType.SUBSCRIPTIONS: "rak_subscription_read",
    EntityType.INVOICES: "rak_invoice_read",
}


def type_boxes(chosen: Collection[EntityType]) -> list[TypeBox]:
    """Stripe's dashboard lists the permission for prices under Plans."""
    return [
        TypeBox(entity.value, entity.label, permission, entity in chosen) for entity, permission in PERMISSIONS.items()
    ]


def reads(chosen: Collection[EntityType]) -> str:
    if len(chosen) == len(EntityType):
        return "All entity types"
    return ", ".join(entity.label for entity in EntityType if entity in chosen)


def draft_card(draft: DraftView, time_zone: str) -> DraftCard:
    return DraftCard(
        title=draft.label or "Begun, and left for later",
        mode=draft.mode,
        masked_key=draft.masked_key,
        reads=reads(draft.entity_types),
        by=draft.created_by,
        saved=When.of(draft.created_at, time_zone),
        expires=When.of(draft.expires_at, time_zone),
    )


@dataclass(frozen=True, slots=True)
class ChangeRow:
    what: str
    by: str
    when: When


@dataclass(frozen=True, slots=True)
class CapCard:
    """How fast the account is read. `entered` is what the form holds: nothing, where the default is in use; `elsewhere` what to say of
    another workspace's limit.
    """

    says: str = ""
    each: str = ""
    entered: str = ""
    default: str = ""
    hint: str = ""
    percent: int = 0
    elsewhere: str = ""
    unlimited: bool = False
    changes: list[ChangeRow] = field(default_factory=list)


def cap_card(cap: ReadCap, time_zone: str) -> CapCard:
    return CapCard(
        says=f"{cap.per_second} of the {cap.most} requests a second that Stripe allows",
        each=f"{cap.each_list} of {cap.each_list_most} for any one list",
        entered=str(cap.per_second) if cap.is_chosen else "",
        default=str(cap.default),
        hint=f"A whole number from 1 to {cap.most}. Empty: the default, {cap.default}.",
        percent=round(100 * cap.per_second / cap.most),
        elsewhere=limit_elsewhere(cap),
        unlimited=cap.unlimited,
        changes=[
            ChangeRow(f"{one.before} → {one.after} a second", one.by, When.of(one.at, time_zone)) for one in cap.changes
        ],
    )


def limit_elsewhere(cap: ReadCap) -> str:
    if not cap.set_elsewhere:
        return ""
    return f"{'A lower' if cap.lower else 'Another'} limit holds for this account, set elsewhere."


def entered_cap(word: object) -> int | Refusal | None:
    """None for nothing: the default."""
    text = word.strip() if isinstance(word, str) else ""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        return Refusal("read_cap_out_of_range", "Give a whole number, or nothing.", field="requests_per_second")
    return int(text)


_TOGETHER_SECONDS = 60


def check_rows(checks: Sequence[Check], *, running: bool, zone: str = "UTC") -> list[CheckRow]:
    """All of them, always: those to come are waiting, or were not reached."""
    found, most = {check.name: check for check in checks}, _most(checks)
    return [_row(name, found.get(name), most, running=running, zone=zone) for name in CheckName]


def _most(checks: Sequence[Check]) -> Check | None:
    """One of those that were run together: of the key, for what is known here is looked at each time."""
    of_key = [check for check in checks if check.name in OF_KEY and check.checked_at]
    if not of_key:
        return None
    together = Counter(check.checked_at // _TOGETHER_SECONDS for check in of_key).most_common(1)[0][0]
    return next(check for check in of_key if check.checked_at // _TOGETHER_SECONDS == together)


def last_run(checks: Sequence[Check], zone: str) -> LastRun:
    most = _most(checks)
    return LastRun() if most is None else LastRun(When.of(most.checked_at, zone), most.checked_by)


def _apart(check: Check, most: Check | None) -> bool:
    if most is None or check.name not in OF_KEY or not check.checked_at:
        return False
    return abs(check.checked_at - most.checked_at) > _TOGETHER_SECONDS or check.checked_by != most.checked_by


def _row(name: CheckName, check: Check | None, most: Check | None, *, running: bool, zone: str) -> CheckRow:
    if check is None:
        status, label = ("waiting", "Waiting") if running else (CheckStatus.SKIPPED.value, CheckStatus.SKIPPED.label)
        return CheckRow(name.value, name.label, status, label, "", "", [], "")
    parts = [PartRow(part.entity_type.label, part.ok, part.permission or "") for part in check.parts]
    aside = " · ".join(filter(None, (f"{check.took_ms} ms" if check.took_ms is not None else "", check.request_id)))
    return CheckRow(
        name.value,
        name.label,
        check.status.value,
        check.status.label,
        check.message,
        check.hint,
        parts,
        aside,
        *((When.of(check.checked_at, zone), check.checked_by) if _apart(check, most) else ()),
    )


def card(view: ConnectionView, time_zone: str) -> Card:
    where = [part for part in (view.country, view.default_currency and view.default_currency.upper()) if part]
    return Card(
        account_id=view.account_id,
        title=view.account_name or view.account_id,
        details=" · ".join(where),
        live=view.livemode,
        sandbox=view.is_sandbox,
        masked_key=view.masked_key,
        key_kind="Restricted key" if view.key_kind == "restricted" else "Secret key",
        reads=reads(view.entity_types),
        former=f"…{view.former_last4}" if view.former_last4 else "",
        since=When.of(view.created_at, time_zone),
        webhook=view.has_webhook_secret,
        confirmation=view.confirmation,
    )
