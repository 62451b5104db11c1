"""What the demo workspace starts with: records of its own that overlap and disagree with the sandbox, in every way a sync can meet.

The first sync under "flag for review" then shows each of them: changed here only, in Stripe only, on both sides (in the same
field and in different ones), never synced before, the same email without a link, and deleted here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.events import told
from sync_core.domain.fields import Values
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint
from sync_core.sandbox.demo import DemoRecord, demo_overlap
from sync_core.settings import Settings, get_settings
from sync_core.store import inbox
from sync_core.store.database import Database
from sync_core.store.demo import SeedRecord, lock_empty, write

Shape = Callable[[SeedRecord], SeedRecord]

_OWN_CUSTOMERS = (
    ("Alder & Finch Books", "orders@alderfinch.example"),
    ("Marisol Vega", "marisol.vega@example.org"),
    ("Nordlicht Studio", "hallo@nordlicht.example"),
    ("Tomasz Zieliński", "tomasz.zielinski@example.net"),
    ("Kite Harbour Ltd", "accounts@kiteharbour.example"),
    ("Yuki Tanabe", "yuki.tanabe@example.com"),
)
_OWN_PRODUCTS = (
    ("Workshop day", "A day at your office."),
    ("Printed handbook", "One copy, delivered."),
    ("Onboarding package", None),
)
_OLD_SUFFIXES = (" GmbH", " (old)", " & Co.")
_TOLD_AFTER_DAYS = (21, 5, None)


async def seed_demo(database: Database, workspace_id: UUID, *, settings: Settings | None = None) -> int:
    """Fill an untouched workspace when this is a demo; how many records were written, 0 when there was nothing to do."""
    if not (settings or get_settings()).demo:
        return 0
    async with database.workspace(workspace_id) as session:
        wallet_id = await lock_empty(session, workspace_id)
        if wallet_id is None:
            return 0
        records = demo_records(datetime.now(UTC))
        account = Account.generated(Blueprint()).id
        await write(session, workspace_id, wallet_id, account, records)
        for place, record in enumerate(records):
            if record.told_at is not None:
                await _tell(session, workspace_id, account, f"evt_demo{place:04}", record)
    return len(records)


async def _tell(session: AsyncSession, workspace_id: UUID, account: str, event_id: str, record: SeedRecord) -> None:
    """Stripe's event of the renaming that `_changed_on_both` is about, as if a webhook had brought it."""
    assert record.told_at is not None
    assert record.base is not None
    name = str(record.base["name"])
    theirs = next(name.removesuffix(suffix) for suffix in _OLD_SUFFIXES if name.endswith(suffix))
    kind = record.entity.singular
    event = {
        "id": event_id,
        "object": "event",
        "type": f"{kind}.updated",
        "created": int(record.told_at.timestamp()),
        "livemode": False,
        "data": {
            "object": {**record.base, "id": record.external_id, "object": kind, "created": 0, "name": theirs},
            "previous_attributes": {"name": name},
        },
    }
    await inbox.put(
        session,
        workspace_id,
        event_id=event_id,
        event_type=f"{kind}.updated",
        account_id=account,
        payload=json.dumps(event),
        told=told(event),
    )


def demo_records(now: datetime) -> list[SeedRecord]:
    """The same ones always, but for their times, which count back from `now`."""
    records = [*_overlapping(now), *_own(now)]
    return [
        replace(record, created_at=now - timedelta(days=420 - 5 * place, minutes=37 * place))
        for place, record in enumerate(records)
    ]


def _overlapping(now: datetime) -> Iterator[SeedRecord]:
    shapes = {EntityType.CUSTOMERS: _spread(_CUSTOMER_SHAPES), EntityType.PRODUCTS: _spread(_PRODUCT_SHAPES)}
    for theirs in demo_overlap():
        entity = EntityType(theirs.entity)
        shape = next(shapes[entity], None)
        if shape is not None:
            yield shape(_in_sync(entity, theirs, now))


def _spread(shapes: tuple[tuple[int, Shape], ...]) -> Iterator[Shape]:
    return (shape for times, shape in shapes for _ in range(times))


def _in_sync(entity: EntityType, theirs: DemoRecord, now: datetime) -> SeedRecord:
    """Linked, with Stripe's values on all sides, last synced a month ago."""
    values: Values = {"name": theirs.name, "description": theirs.description, "metadata": dict(theirs.metadata)}
    if entity is EntityType.CUSTOMERS:
        values |= {"email": theirs.email, "phone": theirs.phone}
    else:
        values |= {"image_url": None, "url": None, "active": True}
    return SeedRecord(
        entity,
        values,
        SyncStatus.SYNCED,
        created_at=now,
        external_id=theirs.external_id,
        base=values,
        synced_at=now - timedelta(days=30),
    )


def _own(now: datetime) -> Iterator[SeedRecord]:
    for name, email in _OWN_CUSTOMERS:
        customer: Values = {"email": email, "name": name, "phone": None, "description": None, "metadata": {}}
        yield SeedRecord(EntityType.CUSTOMERS, customer, SyncStatus.PENDING, created_at=now)
    for name, description in _OWN_PRODUCTS:
        product: Values = {
            "name": name,
            "description": description,
            "image_url": None,
            "url": None,
            "active": True,
            "metadata": {"sold_by": "us"},
        }
        yield SeedRecord(EntityType.PRODUCTS, product, SyncStatus.PENDING, created_at=now)


def _edited_here(record: SeedRecord) -> SeedRecord:
    """Stripe still has what both had."""
    return replace(record, values=_by_us(record), status=SyncStatus.LOCAL_EDIT)


def _moved_in_stripe(record: SeedRecord) -> SeedRecord:
    """Ours is what both had before Stripe's was changed."""
    before = _before(record)
    return replace(record, values=before, base=before)


def _changed_on_both(record: SeedRecord) -> SeedRecord:
    """The name was changed here and in Stripe, to different ones: here first, in Stripe first, or nobody knows."""
    before = _before(record)
    ours = {**before, "name": f"{record.values['name']} and Partners"}
    assert record.synced_at is not None
    edited_at, days = record.synced_at + timedelta(days=14), _TOLD_AFTER_DAYS[len(str(record.values["name"])) % 3]
    told_at = record.synced_at + timedelta(days=days) if days else None
    return replace(record, values=ours, base=before, status=SyncStatus.LOCAL_EDIT, edited_at=edited_at, told_at=told_at)


def _changed_apart(record: SeedRecord) -> SeedRecord:
    """We changed the description, Stripe the name: both can be kept."""
    before = _before(record)
    ours = {**before, "description": "Prefers to be called in the morning"}
    return replace(record, values=ours, base=before, status=SyncStatus.LOCAL_EDIT)


def _never_synced(record: SeedRecord) -> SeedRecord:
    """Linked by hand: nobody knows what both sides last agreed on."""
    return replace(record, values=_by_us(record), base=None, synced_at=None, status=SyncStatus.PENDING)


def _same_email(record: SeedRecord) -> SeedRecord:
    email = record.values["email"]
    assert isinstance(email, str)
    ours: Values = {
        **_by_us(record),
        "email": email.title() if len(email) % 2 else email,
        "metadata": {"source": "newsletter"},
    }
    return replace(record, values=ours, external_id=None, base=None, synced_at=None, status=SyncStatus.PENDING)


def _deleted_here(record: SeedRecord) -> SeedRecord:
    return replace(record, deleted_at=record.created_at - timedelta(days=3))


def _untouched(record: SeedRecord) -> SeedRecord:
    return record


def _by_us(record: SeedRecord) -> Values:
    if record.entity is EntityType.PRODUCTS:
        return {**record.values, "description": f"{record.values['name']}, billed monthly. Ask us for volume."}
    return {
        **record.values,
        "name": f"{_first_word(record.values)} {str(record.values['name']).rpartition(' ')[2].upper()}",
        "phone": "+44 20 7946 0" + str(sum(map(ord, str(record.values["email"]))))[-3:].zfill(3),
    }


def _before(record: SeedRecord) -> Values:
    """What Stripe had at the last sync, before it was renamed there."""
    name = str(record.values["name"])
    return {**record.values, "name": name + _OLD_SUFFIXES[len(name) % len(_OLD_SUFFIXES)]}


def _first_word(values: Values) -> str:
    return str(values["name"]).split(" ", maxsplit=1)[0]


_CUSTOMER_SHAPES: tuple[tuple[int, Shape], ...] = (
    (7, _same_email),
    (7, _changed_on_both),
    (5, _edited_here),
    (5, _moved_in_stripe),
    (3, _changed_apart),
    (3, _never_synced),
    (2, _deleted_here),
    (4, _untouched),
)
_PRODUCT_SHAPES: tuple[tuple[int, Shape], ...] = (
    (3, _changed_on_both),
    (2, _edited_here),
    (2, _moved_in_stripe),
    (1, _never_synced),
    (1, _deleted_here),
    (3, _untouched),
)
