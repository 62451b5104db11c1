"""The demo's own records through a real sync of the sandbox's default account, and every record as its page shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import Blend, Choice, Doubt, EntityType, ReasonCode, Role, SessionStatus
from sync_core.engine.drive import drive
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import conflicts_bulk, records
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview
from sync_core.services.conflict_timing import said
from sync_core.services.demo import seed_demo
from sync_core.services.record_cards import Card, card
from sync_core.services.record_views import NOTHING
from sync_core.services.records import RecordQuery, RecordsPage
from sync_core.settings import Settings
from sync_core.store import runs
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import Database
from sync_core.store.record_details import RecordDetail
from tests import support

DEMO = Settings(demo=True, _env_file=None)


@pytest.fixture(scope="module")
def default_account() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
async def synced(database: Database, workspace_id: UUID, default_account: SandboxProcess) -> Actor:
    """The demo workspace after its first sync under "flag for review"."""
    assert await seed_demo(database, workspace_id, settings=DEMO) > 0
    connection_id = await support.make_connection(database, workspace_id, Account.generated(Blueprint()).id)
    async with database.workspace(workspace_id) as session:
        session_id = await runs.enqueue(
            session,
            workspace_id,
            support.config(match_by_email=True),
            connection_id=connection_id,
            created_by="test",
        )
    assert session_id is not None
    async with support.taken(database, session_id, default_account.url) as run:
        status = await drive(run, lease_seconds=20.0)
    assert status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL)
    return Actor(workspace_id, Role.ADMIN, "ana@example.com", time_zone="Europe/Berlin")


async def test_the_first_sync_opens_every_kind_of_conflict(database: Database, synced: Actor) -> None:
    found = await support.rows(
        database,
        synced.workspace_id,
        "SELECT entity_type, reason_code FROM payment_sync_conflicts WHERE status = 'open'",
    )
    counts = Counter((row["entity_type"], row["reason_code"]) for row in found)
    assert counts == {
        ("customers", ReasonCode.EMAIL_MATCH): 7,
        ("customers", ReasonCode.BOTH_CHANGED): 7,
        ("customers", ReasonCode.NO_BASE): 3,
        ("customers", ReasonCode.DELETED_HERE): 2,
        ("products", ReasonCode.BOTH_CHANGED): 3,
        ("products", ReasonCode.NO_BASE): 1,
        ("products", ReasonCode.DELETED_HERE): 1,
    }


async def test_which_side_changed_last_is_known_of_some_conflicts_and_not_of_others(
    database: Database, synced: Actor
) -> None:
    renamed = ConflictQuery.of(reason=ReasonCode.BOTH_CHANGED.value)
    preview = await conflicts_bulk.bulk_preview(database, synced, renamed, Rule(Blend.NEWER))
    assert isinstance(preview, BulkPreview)
    sides = Counter(time.take for one in preview.samples for time in one.times)
    assert min(sides[Choice.STRIPE], sides[Choice.LOCAL]) >= 2
    assert preview.rows == sides.total()
    assert [one.reason for one in preview.not_covered] == [said(Doubt.NO_EVENT)]
    assert preview.rows + preview.not_covered[0].rows == 10


async def test_fields_changed_on_different_sides_are_merged(database: Database, synced: Actor) -> None:
    merged = await support.rows(
        database,
        synced.workspace_id,
        "SELECT name, description, payment_base->>'description' AS theirs, payment_sync_status FROM customers"
        " WHERE description = 'Prefers to be called in the morning'",
    )
    assert len(merged) == 3
    for row in merged:
        assert row["payment_sync_status"] == "local_edit"
        assert row["theirs"] != row["description"]
        assert not row["name"].endswith((" GmbH", "(old)", "& Co."))


@pytest.mark.parametrize("entity", list(EntityType))
async def test_every_record_has_a_row_and_a_page(database: Database, synced: Actor, entity: EntityType) -> None:
    shown = await records.list_records(database, synced, RecordQuery(entity, size=100))
    assert isinstance(shown, RecordsPage)
    assert shown.rows
    for row in shown.rows:
        assert row.title not in ("", NOTHING)
        assert len(row.cells) == len(shown.columns) - 1
        assert row.created.endswith(tuple("0123456789"))
    cards = [await card_of(database, synced, entity, UUID(row.record_id)) for row in shown.rows[:25]]
    for one in cards:
        assert one.title not in ("", NOTHING)
        assert one.fields
        assert one.history
    described = {one.label for one in cards[0].fields}
    assert {"Metadata"}.isdisjoint(described), "metadata is shown key by key"
    if entity in (EntityType.SUBSCRIPTIONS, EntityType.INVOICES):
        assert all(one.lines for one in cards)
        assert all(one.parents for one in cards)


async def card_of(database: Database, actor: Actor, entity: EntityType, record_id: UUID) -> Card:
    detail = await records.read_record(database, actor, entity, record_id)
    assert isinstance(detail, RecordDetail)
    return card(detail, actor.time_zone)


async def test_a_conflict_is_part_of_its_records_history(database: Database, synced: Actor) -> None:
    async with database.workspace(synced.workspace_id) as session:
        found = await session.execute(
            text(
                "SELECT id, record_id FROM payment_sync_conflicts WHERE reason_code = 'both_changed' AND entity_type = 'customers'"
            )
        )
        conflict_id, record_id = found.first() or (None, None)
        await session.execute(
            text(
                "INSERT INTO payment_sync_conflict_decisions (workspace_id, batch_id, conflict_id, entity_type, record_id, actor,"
                " choices, before, after, record_version_after) VALUES (:w, new_id(), :c, 'customers', :r, 'ben@example.com',"
                """ '{"name": {"take": "local"}}', '{}', '{}', 2)"""
            ),
            {"w": synced.workspace_id, "c": conflict_id, "r": record_id},
        )
    assert isinstance(record_id, UUID)
    one = await card_of(database, synced, EntityType.CUSTOMERS, record_id)
    entries = {entry.title: entry for entry in one.history}
    settled = entries["Conflict settled"]
    assert (settled.who, settled.note) == ("ben@example.com", f"Name: {Choice.LOCAL.label}")
    assert entries["Conflict: changed here and in Stripe"].note == "Name"
    assert settled.href.endswith(str(conflict_id))
    assert one.differing == 1
