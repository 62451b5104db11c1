"""The rule that takes whichever side changed last: from edits, decisions and Stripe's events, and only where they say so."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.events import told
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Blend, Choice, Doubt, EntityType
from sync_core.errors import Refusal
from sync_core.jobs.housekeeping import read_events
from sync_core.services import conflict_history, conflict_rules, conflict_undo, conflicts, conflicts_bulk, records
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult, NotCovered
from sync_core.services.conflict_timing import OUTDATED, said
from sync_core.services.conflicts import ConflictQuery
from sync_core.services.record_edits import Typed
from sync_core.store import inbox
from sync_core.store.database import Database
from tests.conflict_data import Made, make_conflicts
from tests.conftest import make_workspace
from tests.support import rows
from tests.unit import _stripe_objects as stripe

NEWER = Rule(Blend.NEWER)
ACCOUNT = "acct_test"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Conflicts of customers whose names were changed on both sides; hours are counted back from when the sync read them."""

    database: Database
    made: Made

    @property
    def actor(self) -> Actor:
        return self.made.actor

    @property
    def id(self) -> UUID:
        return self.made.actor.workspace_id

    async def says(self, number: int, hours: float, name: str = "Stripe {}", **over: Any) -> None:
        """An event of Stripe's that the customer's name changed to this one."""
        given = event(number, int(time.time() - hours * 3_600), name.format(number)) | over
        async with self.database.workspace(self.id) as session:
            await inbox.put(
                session,
                self.id,
                event_id=given["id"],
                event_type=given["type"],
                account_id=given.get("account"),
                payload="{}",
                told=told(given),
            )

    async def edited(self, number: int, hours: float, name: str = "Ours {}") -> None:
        async with self.database.workspace(self.id) as session:
            await session.execute(
                text(
                    "INSERT INTO audit_log (workspace_id, actor, action, target, occurred_at, details)"
                    " SELECT :w, 'ana', 'record.edited', 'customers/' || id, now() - make_interval(secs => :ago),"
                    " jsonb_build_object('changes', jsonb_build_object('name', jsonb_build_array('Base', CAST(:name AS text))))"
                    " FROM customers WHERE external_id = :id"
                ),
                {"w": self.id, "ago": hours * 3_600, "id": f"cus_{number}", "name": name.format(number)},
            )

    async def preview(self, rule: Rule = NEWER, query: ConflictQuery | None = None) -> BulkPreview:
        preview = await conflicts_bulk.bulk_preview(self.database, self.actor, query or ConflictQuery(), rule)
        assert isinstance(preview, BulkPreview)
        return preview

    async def apply(self, preview: BulkPreview) -> BulkResult:
        result = await conflicts_bulk.bulk_resolve(self.database, self.actor, preview.id, preview.hash)
        assert isinstance(result, BulkResult)
        return result

    async def names(self) -> dict[str, str]:
        found = await rows(self.database, self.id, "SELECT external_id, name FROM customers")
        return {row["external_id"]: row["name"] for row in found}


def event(number: int, at: int, name: str) -> dict[str, Any]:
    now = stripe.customer(id=f"cus_{number}", name=name)
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": "customer.updated",
        "created": at,
        "livemode": False,
        "data": {"object": now, "previous_attributes": {"name": "Former"}},
    }


async def make(database: Database, workspace_id: UUID, count: int, skew: float | None = 0.0) -> Workspace:
    made = await make_conflicts(database, workspace_id, count)
    if skew is not None:
        await rows(
            database,
            workspace_id,
            "UPDATE payment_sync_sessions SET stats = jsonb_build_object('clock_skew', CAST(:skew AS float8)) RETURNING id",
            skew=skew,
        )
    return Workspace(database, made)


async def test_the_newer_side_is_taken_where_both_times_are_known(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 4)
    for number, stripes, ours in ((1, 2, 5), (2, 5, 2), (3, 3, 3)):
        await here.says(number, stripes)
        await here.edited(number, ours)
    before = await here.names()
    preview = await here.preview()
    assert (preview.rows, {one.reason: one.rows for one in preview.not_covered}) == (
        2,
        {said(Doubt.CLOSE): 1, said(Doubt.NO_EVENT): 1},
    )
    effects = {one.name: one for one in preview.fields}
    assert effects["name"].sides == {Choice.STRIPE: 1, Choice.LOCAL: 1}
    assert effects["name"].written
    assert effects["phone"].sides == {}, "changed here alone"
    apart = [
        (one.label, time.take, round((time.there - time.here) / 3_600)) for one in preview.samples for time in one.times
    ]
    assert apart == [("Ours 1", Choice.STRIPE, 3), ("Ours 2", Choice.LOCAL, -3)]
    assert await here.names() == before, "nothing is decided by a preview"

    again = await conflict_history.batch(database, here.actor, preview.id)
    assert not isinstance(again, Refusal)
    assert (again.preview.samples, again.preview.fields) == (preview.samples, preview.fields)

    result = await here.apply(preview)
    assert (result.resolved, result.left_out_count) == (2, 0)
    assert await here.names() == before | {"cus_1": "Stripe 1"}
    phones = await rows(database, workspace_id, "SELECT phone FROM customers WHERE phone IS NULL")
    assert phones == [], "what we alone changed stays ours"
    await conflict_undo.undo_batch(database, here.actor, result.batch_id)
    assert await here.names() == before
    anew = await here.preview()
    assert (anew.rows, anew.fields) == (preview.rows, preview.fields), "a decision taken back is none"


LEFT: dict[str, tuple[float | None, list[tuple[float, str]], list[tuple[float, str]], dict[str, Any], Doubt]] = {
    "clocks not noted": (None, [(2, "Stripe 1")], [(5, "Ours 1")], {}, Doubt.NO_CLOCK),
    "clocks far apart": (9 * 3_600, [(2, "Stripe 1")], [(5, "Ours 1")], {}, Doubt.CLOSE),
    "the newest event says another value": (0, [(5, "Stripe 1"), (2, "Else")], [(9, "Ours 1")], {}, Doubt.OTHER_EVENT),
    "changed again since": (0, [(5, "Stripe 1"), (-1, "Else")], [(9, "Ours 1")], {}, Doubt.CHANGED_SINCE),
    "changed here by something else": (0, [(5, "Stripe 1")], [(2, "Else")], {}, Doubt.OTHER_EDIT),
    "an event of another account": (0, [(2, "Stripe 1")], [(5, "Ours 1")], {"account": "acct_other"}, Doubt.NO_EVENT),
    "an event of the other mode": (0, [(2, "Stripe 1")], [(5, "Ours 1")], {"livemode": True}, Doubt.NO_EVENT),
    "an event of before the last sync": (0, [(48, "Stripe 1")], [(5, "Ours 1")], {}, Doubt.NO_EVENT),
    "an edit of before the last sync": (0, [(2, "Stripe 1")], [(48, "Ours 1")], {}, Doubt.OLD_EDIT),
    "no edit": (0, [(2, "Stripe 1")], [], {}, Doubt.NO_EDIT),
}


@pytest.mark.parametrize("case", LEFT)
async def test_what_is_not_known_stays_open(database: Database, workspace_id: UUID, case: str) -> None:
    skew, events, edits, over, doubt = LEFT[case]
    here = await make(database, workspace_id, 1, skew)
    for hours, name in events:
        await here.says(1, hours, name, **over)
    for hours, name in edits:
        await here.edited(1, hours, name)
    preview = await here.preview()
    assert (preview.rows, preview.not_covered) == (0, (NotCovered(said(doubt), 1),))
    assert (await here.apply(preview)).resolved == 0
    assert await here.names() == {"cus_1": "Ours 1"}


async def test_an_applied_plan_goes_by_the_clocks_of_its_dry_run(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 1, None)
    await here.says(1, 2)
    await here.edited(1, 5)
    assert (await here.preview()).not_covered == (NotCovered(said(Doubt.NO_CLOCK), 1),)
    await rows(
        database,
        workspace_id,
        "WITH dry AS (INSERT INTO payment_sync_sessions (workspace_id, entity_types, status, phase, dry_run, stats)"
        """ VALUES (:w, '{customers}', 'completed', 'done', true, '{"clock_skew": 0.5}') RETURNING id)"""
        " UPDATE payment_sync_sessions SET source_session_id = dry.id FROM dry RETURNING 1",
        w=workspace_id,
    )
    assert (await here.preview()).rows == 1


async def test_another_workspaces_events_say_nothing_here(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 1)
    there = await make(database, await make_workspace(database, "Other"), 1)
    await there.says(1, 2)
    await there.edited(1, 5)
    await here.edited(1, 5)
    assert (await here.preview()).not_covered == (NotCovered(said(Doubt.NO_EVENT), 1),)
    assert (await there.preview()).rows == 1


async def test_of_two_events_in_one_second_one_left_what_stands(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 1)
    at = int(time.time()) - 7_200
    for name in ("Else", "Stripe {}", "More"):
        await here.says(1, 0, name, created=at)
    await here.edited(1, 5)
    assert (await here.preview()).rows == 1


async def test_a_decision_is_a_change_only_where_it_made_one(database: Database, workspace_id: UUID) -> None:
    """Both kept ours: one by what it had been, one by a value of its own. Stripe changes both before and after."""
    here = await make(database, workspace_id, 2)
    page = await conflicts.list_conflicts(database, here.actor, ConflictQuery())
    assert not isinstance(page, Refusal)
    by_id = {row.external_id: row.id for row in page.rows}
    kept = await conflicts.resolve(database, here.actor, by_id["cus_1"], choices={"name": Taken(Choice.LOCAL)})
    own = await conflicts.resolve(database, here.actor, by_id["cus_2"], choices={"name": Taken(Choice.CUSTOM, "Own")})
    assert not isinstance(kept, Refusal)
    assert not isinstance(own, Refusal)
    await _found_again(database, workspace_id)
    for number in (1, 2):
        await here.says(number, 2, "Again {}")
    preview = await here.preview()
    assert {one.label: one.times[0].take for one in preview.samples} == {"Own": Choice.LOCAL}
    assert preview.not_covered == (NotCovered(said(Doubt.KEPT), 1),)


async def _found_again(database: Database, workspace_id: UUID) -> None:
    """Both customers as a later sync finds them, with another name in Stripe. The records were read before anybody decided."""
    await rows(
        database, workspace_id, "UPDATE customers SET payment_observed_at = now() - interval '1 day' RETURNING id"
    )
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts c SET status = 'open', revision = revision + 1, resolved_by = NULL, resolved_at = NULL,"
        " local = local || jsonb_build_object('name', t.name), label = t.name, record_version = t.row_version, observed_at = now(),"
        " theirs = theirs || jsonb_build_object('name', 'Again ' || substr(t.external_id, 5)), base = t.payment_base"
        " FROM customers t WHERE t.id = c.record_id RETURNING c.id",
    )


async def test_an_edit_of_a_persons_is_known_by_its_time(database: Database, workspace_id: UUID) -> None:
    """A long value too, of which the log keeps the beginning only."""
    here = await make(database, workspace_id, 2)
    long = "L" * 240
    found = await rows(
        database, workspace_id, "SELECT id, row_version, external_id FROM customers ORDER BY external_id"
    )
    for row in found:
        typed = Typed(row["row_version"], {"name": long}, [("plan", "gold")])
        done = await records.edit_record(database, here.actor, EntityType.CUSTOMERS, row["id"], typed)
        assert isinstance(done, records.Saved)
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts c SET local = local || jsonb_build_object('name', t.name || CASE WHEN t.external_id = 'cus_2'"
        " THEN '!' ELSE '' END), label = t.external_id, record_version = t.row_version FROM customers t WHERE t.id = c.record_id RETURNING c.id",
    )
    for number in (1, 2):
        await here.says(number, 2)
    preview = await here.preview()
    assert [(one.label, one.times[0].take, one.times[0].by) for one in preview.samples] == [
        ("cus_1", Choice.LOCAL, "Ann")
    ]
    assert preview.not_covered == (NotCovered(said(Doubt.OTHER_EDIT), 1),)


async def test_what_changed_since_the_preview_is_left_out(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 2)
    for number in (1, 2):
        await here.says(number, 2)
        await here.edited(number, 5)
    preview = await here.preview()
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited' WHERE name = 'Ours 1' RETURNING id")
    result = await here.apply(preview)
    assert (result.resolved, result.left_out_count) == (1, 1)
    assert await here.names() == {"cus_1": "Edited", "cus_2": "Stripe 2"}


async def test_an_event_that_comes_after_the_preview_is_heard_of(database: Database, workspace_id: UUID) -> None:
    """One says that Stripe's has changed again, one that it changed later than was known; one says the same once more."""
    here = await make(database, workspace_id, 3)
    for number in (1, 2, 3):
        await here.says(number, 9)
        await here.edited(number, 5)
    preview = await here.preview()
    assert (preview.rows, preview.samples[0].times[0].take) == (3, Choice.LOCAL)
    await here.says(1, 2, "Again")
    await here.says(2, 2)
    await here.says(3, 7)
    result = await here.apply(preview)
    assert (result.resolved, result.left_out_count) == (1, 2)
    assert {(one.label, one.reason) for one in result.left_out} == {
        ("Ours 1", OUTDATED.message),
        ("Ours 2", OUTDATED.message),
    }


async def test_the_choices_of_some_fields_alone_are_asked_for_times(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 2)
    await here.says(1, 2)
    await here.edited(1, 5)
    named = Rule(Choice.STRIPE, {"name": Blend.NEWER})
    preview = await here.preview(named)
    assert (preview.rows, preview.by_rule) == (1, True)
    await here.apply(preview)
    found = await rows(database, workspace_id, "SELECT name, phone FROM customers ORDER BY external_id")
    assert [(row["name"], row["phone"]) for row in found] == [("Stripe 1", None), ("Ours 2", "+1 2")]


async def test_choices_that_wait_are_counted_as_replaced(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 2)
    await here.says(1, 2)
    await here.edited(1, 5)
    page = await conflicts.list_conflicts(database, here.actor, ConflictQuery())
    assert not isinstance(page, Refusal)
    for row in page.rows:
        await conflicts.choose(database, here.actor, row.id, "name", Taken(Choice.BASE), expected_revision=row.revision)
    preview = await here.preview()
    assert (preview.rows, preview.begun) == (1, 1)


async def test_a_saved_rule_settles_what_is_known_of_a_runs_conflicts(database: Database, workspace_id: UUID) -> None:
    here = await make(database, workspace_id, 3)
    await here.says(1, 2)
    await here.edited(1, 5)
    rule_id = await conflict_rules.save(database, here.actor, "Newer", ConflictQuery(), replace(NEWER, money=False))
    assert isinstance(rule_id, UUID)
    assert await conflict_rules.apply_to_run(database, workspace_id, here.made.session_id) == 0, (
        "it begins switched off"
    )
    await conflict_rules.switch(database, here.actor, rule_id, enabled=True)
    preview = await conflict_rules.preview(database, here.actor, rule_id)
    assert isinstance(preview, BulkPreview)
    assert preview.rows == 1
    assert await conflict_rules.apply_to_run(database, workspace_id, here.made.session_id) == 1
    assert await here.names() == {"cus_1": "Stripe 1", "cus_2": "Ours 2", "cus_3": "Ours 3"}


async def test_events_that_came_before_are_read_by_the_timer(database: Database, workspace_id: UUID) -> None:
    """Such that this database's JSON functions refuse, too; and nothing is read twice."""
    here = await make(database, workspace_id, 2)
    for number in (1, 2):
        given = event(number, int(time.time()) - 7_200, f"Stripe {number}")
        given["data"]["object"]["description"] = "nul \0"
        async with database.workspace(workspace_id) as session:
            await session.execute(
                text(
                    "INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, account_id, payload)"
                    " VALUES (:w, :id, 'customer.updated', :account, CAST(:payload AS json))"
                ),
                {
                    "w": workspace_id,
                    "id": given["id"],
                    "account": None if number == 1 else "acct_other",
                    "payload": json.dumps(given),
                },
            )
        await here.edited(number, 5)
    assert (await here.preview()).rows == 0
    await asyncio.gather(read_events(database), read_events(database))
    assert [one.label for one in (await here.preview()).samples] == ["Ours 1"], "the other one is another account's"
    assert await rows(database, workspace_id, "SELECT event_id FROM payment_webhook_inbox WHERE changes IS NULL") == []
