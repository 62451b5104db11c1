"""The workspace's own records: lists to search in, each one beside its last sync, and the edits of a person."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from sync_core.domain.fields import FIELDS, JsonValue, Values, same
from sync_core.domain.newer import fingerprint
from sync_core.domain.vocabulary import EntityType, SyncStatus, Word
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.record_edits import Typed, check, editable
from sync_core.services.record_views import COLUMNS, Column, Row, pretty, row
from sync_core.services.session_views import epoch
from sync_core.store import record_details, record_lists
from sync_core.store.audit import record as audit
from sync_core.store.database import Database
from sync_core.store.record_details import RecordDetail
from sync_core.store.record_lists import COUNT_END, SORTS, Listing, Position, Sort
from sync_core.store.records import RecordState, read_states, update_values

PAGE_SIZES = (25, 50)
SEARCH_LENGTH = 200
_AUDITED_LENGTH = 200

W = TypeVar("W", bound=Word)


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """What a list shows, as its address says it. Made by `parse`, which takes anything and keeps what is known."""

    entity: EntityType = EntityType.CUSTOMERS
    sort: Sort = Sort.NEWEST
    search: str = ""
    status: SyncStatus | None = None
    deleted: bool = False
    size: int = PAGE_SIZES[0]
    after: str = ""
    before: str = ""

    @classmethod
    def parse(cls, entity: str, parameters: Mapping[str, str]) -> RecordQuery:
        kind = _member(EntityType, entity) or EntityType.CUSTOMERS
        sort = _member(Sort, parameters.get("sort", ""))
        size = parameters.get("size", "")
        status = parameters.get("status", "")
        return cls(
            entity=kind,
            sort=sort if sort in SORTS[kind] else Sort.NEWEST,
            search=writable(parameters.get("q", "")).strip()[:SEARCH_LENGTH],
            status=_member(SyncStatus, status),
            deleted=status == "deleted",
            size=int(size) if size in {str(one) for one in PAGE_SIZES} else PAGE_SIZES[0],
            after=parameters.get("after", ""),
            before=parameters.get("before", ""),
        )

    @property
    def url(self) -> str:
        """The address of this list, without what is as it is by default."""
        parts = {
            "q": self.search,
            "status": "deleted" if self.deleted else self.status.value if self.status else "",
            "sort": "" if self.sort is Sort.NEWEST else self.sort.value,
            "size": "" if self.size == PAGE_SIZES[0] else str(self.size),
            "after": self.after,
            "before": self.before,
        }
        query = urlencode({name: value for name, value in parts.items() if value})
        return f"/records/{self.entity.value}" + (f"?{query}" if query else "")

    def having(self, **changes: Any) -> RecordQuery:
        """The same from its first page on, but for these."""
        return replace(self, **{"after": "", "before": "", **changes})


def _member(words: type[W], text: str) -> W | None:
    return words(text) if text in {one.value for one in words} else None


def writable(text: str) -> str:
    """Without what PostgreSQL's text cannot hold: NUL, and halves of characters."""
    return text.replace("\x00", "").encode(errors="ignore").decode()


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """`total` is in words ("10,000+" beyond counting); `crowded` says that a search matched more than it looks at."""

    query: RecordQuery
    columns: tuple[Column, ...]
    rows: list[Row]
    total: str
    crowded: bool
    first_url: str
    previous_url: str
    next_url: str
    tabs: dict[EntityType, str]


async def list_records(database: Database, actor: Actor, query: RecordQuery) -> RecordsPage | Refusal:
    if not actor.can(Permission.VIEW):
        return NOT_ALLOWED
    listing = _listing(query)
    async with database.workspace(actor.workspace_id) as session:
        found, more = await record_lists.list_page(session, actor.workspace_id, listing)
        total, crowded = await record_lists.count(session, actor.workspace_id, listing)
        tabs = await record_lists.counts(session, actor.workspace_id, tuple(EntityType))
    back, on = (more, True) if listing.backward else (listing.at is not None, more)
    first, last = (found[0], found[-1]) if found else (None, None)
    return RecordsPage(
        query=query,
        columns=COLUMNS[query.entity],
        rows=[row(query.entity, one, actor.time_zone) for one in found],
        total=counted(total),
        crowded=crowded,
        first_url=query.having().url if listing.at is not None else "",
        previous_url=query.having(before=cursor_of(first.key, first.record_id)).url if first and back else "",
        next_url=query.having(after=cursor_of(last.key, last.record_id)).url if last and on else "",
        tabs={entity: counted(number) for entity, number in tabs.items()},
    )


def _listing(query: RecordQuery) -> Listing:
    at = position_of(query.before or query.after, by_time=query.sort in (Sort.NEWEST, Sort.OLDEST))
    return Listing(
        entity=query.entity,
        sort=query.sort,
        search=query.search,
        status=query.status,
        deleted=query.deleted,
        at=at,
        backward=at is not None and bool(query.before),
        size=query.size,
    )


def counted(number: int) -> str:
    return f"{COUNT_END:,}+" if number > COUNT_END else f"{number:,}"


def cursor_of(key: str | datetime | None, record_id: UUID) -> str:
    """A place in a list as part of an address."""
    plain = [key.isoformat() if isinstance(key, datetime) else key, str(record_id)]
    return base64.urlsafe_b64encode(json.dumps(plain, ensure_ascii=False).encode()).decode().rstrip("=")


def position_of(cursor: str, *, by_time: bool) -> Position | None:
    """None for no cursor, and for one that somebody made up: the list then starts at its beginning."""
    if not cursor:
        return None
    try:
        key, record_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if by_time:
            moment = datetime.fromisoformat(key)
            return Position(moment, UUID(record_id)) if moment.tzinfo else None
        known = key is None or (isinstance(key, str) and writable(key) == key)
        return Position(key, UUID(record_id)) if known else None
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return None


NOT_ALLOWED = Refusal("forbidden", "Your role does not allow this.", status=403)
NO_SUCH_RECORD = Refusal("not_found", "There is no such record in this workspace.", status=404)


async def read_record(database: Database, actor: Actor, entity: EntityType, record_id: UUID) -> RecordDetail | Refusal:
    """As it stands, `raw` included: callers show that on demand."""
    if not actor.can(Permission.VIEW):
        return NOT_ALLOWED
    async with database.workspace(actor.workspace_id) as session:
        found = await record_details.read_detail(session, actor.workspace_id, entity, record_id)
    return found or NO_SUCH_RECORD


class Part(Word):
    """What of a record is taken away as a file."""

    STRIPE = "stripe", "The object as Stripe sent it"
    RECORD = "record", "The record"


def raw_text(detail: RecordDetail) -> str:
    """The object that the record was last synced from, for reading."""
    return "" if detail.times.raw is None else pretty(detail.times.raw)


def whole_text(detail: RecordDetail, part: Part) -> str:
    """One part of a record as JSON: times as epoch seconds, money in minor units."""
    if part is Part.STRIPE:
        return pretty(detail.times.raw)
    state = detail.state
    return pretty(
        {
            "object": detail.entity.singular,
            "id": str(state.record_id),
            "stripe_id": state.external_id,
            "livemode": state.livemode,
            "deleted": state.deleted,
            "sync_status": state.status.value,
            "synced_at": epoch(detail.times.payment_synced_at),
            "here": state.local,
            "last_sync": state.base,
            "history": [
                {
                    "at": epoch(one.occurred_at),
                    "kind": one.kind,
                    "what": one.what,
                    "by": one.who,
                    "message": one.message,
                    "details": one.details,
                }
                for one in detail.history
            ],
        }
    )


@dataclass(frozen=True, slots=True)
class Saved:
    """`changed` is empty when nothing differed from what is stored, and nothing was written."""

    version: int
    status: SyncStatus
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else changed the record since the form was opened: what is stored now, and its version."""

    version: int
    stored: Values


async def edit_record(
    database: Database, actor: Actor, entity: EntityType, record_id: UUID, typed: Typed
) -> Saved | Overtaken | tuple[Refusal, ...]:
    """Write a person's values over a customer or product. Nothing is written unless all of them fit."""
    if not actor.can(Permission.EDIT_RECORDS):
        return (NOT_ALLOWED,)
    if not editable(entity):
        return (Refusal("not_editable", f"{entity.label} are changed in Stripe, not here.", status=409),)
    async with database.workspace(actor.workspace_id) as session:
        states = await read_states(session, actor.workspace_id, entity, [record_id], lock=True)
        state = states.get(record_id)
        if state is None:
            return (NO_SUCH_RECORD,)
        if state.deleted:
            return (Refusal("deleted", "This record is deleted: restore it before you edit it.", status=409),)
        if state.row_version != typed.version:
            return Overtaken(state.row_version, state.local)
        values, refusals = check(entity, typed, state.local)
        if refusals:
            return tuple(refusals)
        changed = tuple(name for name in editable(entity) if values[name] != state.local[name])
        status = status_after(entity, state, values)
        if not changed:
            return Saved(state.row_version, state.status, ())
        written = await update_values(session, actor.workspace_id, entity, state, values, status=status)
        assert written is not None, "the row is locked"
        details = _details(state.local, {name: values[name] for name in changed})
        where = record_details.target(entity, record_id)
        await audit(session, actor.workspace_id, actor.label, "record.edited", target=where, details=details)
    return Saved(written, status, changed)


def status_after(entity: EntityType, state: RecordState, values: Values) -> SyncStatus:
    """An open conflict stays one until it is settled; what was never synced cannot differ from its last sync."""
    if state.status is SyncStatus.CONFLICT:
        return SyncStatus.CONFLICT
    if state.base is None:
        return SyncStatus.PENDING if state.external_id is None else SyncStatus.LOCAL_EDIT
    return SyncStatus.SYNCED if same(entity, values, state.base) else SyncStatus.LOCAL_EDIT


def _details(before: Values, changed: Values) -> dict[str, Any]:
    """What was edited. A long value is noted by its beginning, and by a fingerprint by which it is known again."""
    brief = {name: _brief(value) for name, value in changed.items()}
    cut = {name: fingerprint(value) for name, value in changed.items() if brief[name] != value}
    changes = {name: [_brief(before[name]), brief[name]] for name in changed}
    return {"changes": changes, "fingerprints": cut} if cut else {"changes": changes}


def _brief(value: JsonValue) -> JsonValue:
    """Enough to recognise a change by: the audit log keeps no whole records."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _AUDITED_LENGTH else f"{text[:_AUDITED_LENGTH]}…"


def labels(entity: EntityType) -> dict[str, str]:
    return {field.name: field.label for field in FIELDS[entity]}
