"""Conflict review as a client drives it: list, choose, apply, undo, many at once, and what a client makes up."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dashboard.pages.conflict_batches import BatchState, HistoryState
from dashboard.pages.conflict_bulk import BulkState
from dashboard.pages.conflict_detail import ConflictState
from dashboard.pages.conflict_ignored import IgnoredState
from dashboard.pages.conflict_ignoring import IgnoringState
from dashboard.pages.conflict_keys import KeysState
from dashboard.pages.conflict_mentions import MentionsState
from dashboard.pages.conflict_presence import PresenceState
from dashboard.pages.conflict_standing_rules import RulesState
from dashboard.pages.conflicts import ConflictsState
from dashboard.state import PageState, ShellState
from dashboard.undo import UndoState
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, Role
from sync_core.services import conflict_handling, conflict_presence, conflicts, standing
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, member, person
from tests.events._browser import Browser, browser
from tests.support import rows


@pytest.fixture(autouse=True)
def _one_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_database", database)


@pytest.fixture
async def listing(database: Database, workspace_id: UUID) -> AsyncIterator[Browser]:
    """The list of 60 conflicts, opened."""
    await make_conflicts(database, workspace_id, 60)
    async with browser(database, workspace_id, "/conflicts") as client:
        await client.send(ConflictsState, "load")
        yield client


async def first_id(database: Database, workspace_id: UUID) -> str:
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at DESC LIMIT 1")
    return str(found[0]["id"])


async def record_names(database: Database, workspace_id: UUID) -> set[str]:
    return {row["name"] for row in await rows(database, workspace_id, "SELECT name FROM customers")}


MARKED = {
    "upper and lower case": ("Ada.Marin@Mail.Example", "ada.marin@mail.example", "[A]da.[M]arin@[M]ail.[E]xample"),
    "two sentences": ("Old and rare books", "New or read looks", "[Old and rare books]"),
}


@pytest.mark.parametrize(("ours", "theirs", "shown"), MARKED.values(), ids=MARKED)
async def test_what_differs_is_marked_by_letters_where_these_mean_something(
    database: Database, workspace_id: UUID, ours: str, theirs: str, shown: str
) -> None:
    await make_conflicts(database, workspace_id, 1)
    only = await first_id(database, workspace_id)
    named = "UPDATE payment_sync_conflicts SET local = local || CAST(:ours AS jsonb), base = base || CAST(:theirs AS jsonb) RETURNING id"
    sides = {side: json.dumps({"name": name}) for side, name in (("ours", ours), ("theirs", theirs))}
    await rows(database, workspace_id, named, **sides)
    async with browser(database, workspace_id, f"/conflicts/{only}") as client:
        await client.send(ConflictState, "load")
        (name,) = (one for one in client.of(ConflictState, "choices") if one["key"] == "name")
    assert "".join(one["text"] if one["op"] == "same" else f"[{one['text']}]" for one in name["local"]) == shown


async def test_a_page_of_the_list_is_one_small_message(listing: Browser) -> None:
    listed = listing.of(ConflictsState, "rows")
    assert len(listed) == 25
    assert listing.of(ConflictsState, "headline") == "60 open conflicts · 60 records"
    assert listing.of(ConflictsState, "next_url").startswith("/conflicts?at=")
    assert len(json.dumps([listed, listing.of(ConflictsState, "groups")], default=str)) < 16_000


async def test_a_search_becomes_an_address(listing: Browser) -> None:
    await listing.send(ConflictsState, "find", form={"q": " ours 1 "})
    await listing.send(ConflictsState, "find", form={"q": "ours", "delta": " 12.50 "})
    await listing.send(ConflictsState, "find", form={"q": "", "delta": "much"})
    assert listing.redirects == ["/conflicts?q=ours+1", "/conflicts?q=ours&delta=12.50", "/conflicts"]
    listing.at("/conflicts", delta="12.50")
    await listing.send(ConflictsState, "load")
    assert listing.of(ConflictsState, "rows") == []
    assert [chip["label"] for chip in listing.of(ConflictsState, "chosen")] == ["Amounts differ by 12.50 or more"]


async def test_choosing_applying_and_undoing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    only = await first_id(database, workspace_id)
    freed = 'UPDATE payment_sync_conflicts SET theirs = theirs || \'{"metadata": {"plan": "free"}}\' RETURNING id'
    await rows(database, workspace_id, freed)
    async with browser(database, workspace_id, f"/conflicts/{only}") as client:

        def plan() -> tuple[str, bool]:
            return next((one["result"], one["settled"]) for one in client.of(ConflictState, "choices") if one["nested"])

        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "to_choose") == "Choose a value for name."
        # Stripe alone has changed it: it merges by itself, until it is chosen for as a part of all.
        assert plan() == ("free", True)
        await client.send(ConflictState, "take", key="metadata", side="local")
        assert plan() == ("gold", True)
        await client.send(ConflictState, "take", key="metadata", side="local")
        await client.send(ConflictState, "take", key="name", side="local")
        assert client.of(ConflictState, "to_choose") == ""
        await client.send(ConflictState, "take", key="name", side="local")
        assert client.of(ConflictState, "to_choose") == "Choose a value for name."
        await client.send(ConflictState, "edit", key="name")
        await client.send(ConflictState, "keep_own", form={"value": "Third"})
        await client.send(ConflictState, "apply")
        assert client.of(ConflictState, "status") == "resolved"
        assert await record_names(database, workspace_id) == {"Third"}
        client.at("/conflicts", status="resolved")
        await client.send(ConflictsState, "load")
        # What was chosen is applied, not to be applied.
        assert "Marked" not in {one["label"] for one in client.of(ConflictsState, "groups")}
        client.at("/conflicts/history")
        await client.send(HistoryState, "load")
        assert [one["href"] for one in client.of(HistoryState, "rows")] == [f"/conflicts/{only}"]
        client.at(f"/conflicts/{only}")
        (decision,) = client.of(ConflictState, "decisions")
        await client.send(ConflictState, "undo", decision_id=decision["id"])
        assert client.of(ConflictState, "status") == "open"
        assert await record_names(database, workspace_id) == {"Ours 1"}


async def test_the_later_of_two_sees_what_the_other_decided(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    chosen = await first_id(database, workspace_id)
    async with browser(database, workspace_id, f"/conflicts/{chosen}") as late:
        await late.send(ConflictState, "load")
        await conflicts.resolve(database, person(workspace_id, "Ben"), UUID(chosen), take_all=Choice.STRIPE)
        await late.send(ConflictState, "take_all", side="local")
        assert late.of(ConflictState, "overtaken") == "Ben has settled this already."
        assert late.of(ConflictState, "status") == "resolved"
        assert late.of(ConflictState, "theirs_said").startswith("Ben chose Name: Stripe")
        assert late.of(ConflictState, "theirs_at")["utc"].endswith(" UTC")
        assert late.of(ConflictState, "mine_said").startswith("Name: Ours")
        assert await record_names(database, workspace_id) == {"Stripe 1"}
        await late.send(ConflictState, "reopen_with_mine")
        assert late.of(ConflictState, "status") == "open"
        assert late.of(ConflictState, "choices")[0]["take"] == "local"
        assert await record_names(database, workspace_id) == {"Ours 1"}
        await late.send(ConflictState, "apply")
        assert late.of(ConflictState, "status") == "resolved"


async def test_the_later_of_two_may_leave_it_at_that(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    chosen = await first_id(database, workspace_id)
    async with browser(database, workspace_id, f"/conflicts/{chosen}") as late:
        await late.send(ConflictState, "load")
        await conflicts.resolve(database, person(workspace_id, "Ben"), UUID(chosen), take_all=Choice.STRIPE)
        await late.send(ConflictState, "take", key="name", side="local")
        assert late.of(ConflictState, "mine_said") == "Name: Ours"
        await late.send(ConflictState, "keep_theirs")
        assert (late.of(ConflictState, "overtaken"), late.of(ConflictState, "mine_said")) == ("", "")
    assert await record_names(database, workspace_id) == {"Stripe 1"}


async def test_who_looks_goes_with_the_page(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 2)
    ben = await member(database, workspace_id, "ben")
    newer, older = [row["id"] for row in await rows(database, workspace_id, _NEWEST_FIRST)]
    async with browser(database, workspace_id, f"/conflicts/{newer}") as ana:
        await ana.send(ConflictState, "load")
        assert await conflict_presence.look(database, ben, newer) == ("owner@example.com",)
        await ana.send(PresenceState, "beat")
        assert ana.of(PresenceState, "others") == "ben@example.com is viewing"
        ana.messages.clear()
        await ana.send(PresenceState, "beat")
        assert [message.names for message in ana.messages if "others" in message.names] == []
        ana.at(f"/conflicts/{older}")
        await ana.send(PresenceState, "beat")
        assert ana.of(PresenceState, "others") == ""
        assert await conflict_presence.look(database, ben, newer) == ()
        assert await conflict_presence.look(database, ben, older) == ("owner@example.com",)
        ana.at("/records")
        await ana.send(PresenceState, "leave")
        assert await conflict_presence.look(database, ben, older) == ()


async def test_who_looks_is_seen_in_the_list(listing: Browser, database: Database, workspace_id: UUID) -> None:
    ben = await member(database, workspace_id, "ben")
    first, second = [UUID(row["id"]) for row in listing.of(ConflictsState, "rows")[:2]]
    assert listing.of(PresenceState, "viewing") == {}
    await conflict_presence.look(database, ben, first)
    await listing.send(PresenceState, "beat")
    assert listing.of(PresenceState, "viewing") == {str(first): "ben@example.com is viewing"}
    # What is unfolded in its row is open, for the others.
    await listing.send(ConflictState, "unfold", row_id=str(second))
    assert await conflict_presence.look(database, ben, second) == ("owner@example.com",)
    await listing.send(ConflictState, "unfold", row_id=str(second))
    assert await conflict_presence.look(database, ben, second) == ()
    await conflict_presence.leave(database, ben, first)
    await conflict_presence.leave(database, ben, second)
    await listing.send(ConflictsState, "load")
    assert listing.of(PresenceState, "viewing") == {}


_NEWEST_FIRST = "SELECT id FROM payment_sync_conflicts ORDER BY created_at DESC"


async def test_a_conflict_is_decided_in_its_row(listing: Browser, database: Database, workspace_id: UUID) -> None:
    chosen = await first_id(database, workspace_id)
    await listing.send(ConflictState, "unfold", row_id=chosen)
    assert listing.of(ConflictState, "title") == "Ours 60"
    below = listing.of(ConflictsState, "rows")[1]["id"]
    await listing.send(ConflictState, "take_all", side="stripe")
    assert "Stripe 60" in await record_names(database, workspace_id)
    # The row below is unfolded in its place.
    assert (listing.of(ConflictState, "inline_id"), listing.of(ConflictState, "title")) == (below, "Ours 59")
    assert listing.of(ConflictsState, "headline") == "59 open conflicts · 59 records"
    # The toast that tells of it takes it back, from whichever page its reader has gone to.
    assert listing.of(PageState, "notice") == "Ours 60: settled."
    await listing.send(UndoState, "take_back")
    assert listing.of(PageState, "notice") == "1 decision taken back."
    assert listing.of(PageState, "notice_undo") == ""
    assert "Ours 60" in await record_names(database, workspace_id)
    assert listing.of(ConflictsState, "headline") == "60 open conflicts · 60 records"


async def test_picked_rows_and_then_all_that_match(listing: Browser, database: Database, workspace_id: UUID) -> None:
    ids = [row["id"] for row in listing.of(ConflictsState, "rows")]
    await listing.send(ConflictsState, "pick", row_id=ids[0])
    await listing.send(ConflictsState, "pick_everything")
    assert listing.of(ConflictsState, "everything") is False
    await listing.send(BulkState, "open")
    assert listing.of(BulkState, "scope") == "1 conflict"
    await listing.send(ConflictsState, "pick_page")
    await listing.send(ConflictsState, "pick_everything")
    await listing.send(BulkState, "open")
    assert listing.of(BulkState, "scope") == "60 conflicts"
    await listing.send(ConflictsState, "unpick")
    await listing.send(ConflictsState, "pick", row_id=ids[1])
    await listing.send(ConflictsState, "assign_picked", assignee="owner@example.com")
    await listing.send(ConflictsState, "pick", row_id=ids[2])
    await listing.send(ConflictsState, "snooze_picked", until="change")
    found = await rows(
        database,
        workspace_id,
        "SELECT label, assignee, snoozed_for FROM payment_sync_conflicts WHERE assignee IS NOT NULL OR snoozed_for IS NOT NULL ORDER BY label",
    )
    assert [(row["label"], row["assignee"], row["snoozed_for"]) for row in found] == [
        ("Ours 58", None, "change"),
        ("Ours 59", "owner@example.com", None),
    ]


async def test_rows_are_ticked_and_put_off_until_a_day(
    listing: Browser, database: Database, workspace_id: UUID
) -> None:
    first, second = [row["id"] for row in listing.of(ConflictsState, "rows")[:2]]
    await listing.send(ConflictsState, "review", row_id=first)
    await listing.send(ConflictsState, "review", row_id=second)
    await listing.send(ConflictsState, "review", row_id=second)
    assert listing.of(ConflictsState, "reviewed") == [first]
    await listing.send(ConflictState, "unfold", row_id=first)
    assert listing.of(ConflictState, "reviewed") is True
    await listing.send(ConflictState, "review")
    await listing.send(ConflictsState, "load")
    assert listing.of(ConflictsState, "reviewed") == []

    await listing.send(ConflictsState, "pick", row_id=second)
    await listing.send(ConflictsState, "snooze_picked", until="day")
    assert listing.of(ConflictsState, "choosing_day") is True
    one_day, another = ((datetime.now(UTC) + timedelta(days=days)).date().isoformat() for days in (400, 432))
    await listing.send(ConflictsState, "snooze_until", form={"until": "2020-01-01"})
    assert listing.of(ConflictsState, "day_problem").startswith("Choose a day from tomorrow on")
    await listing.send(ConflictsState, "snooze_until", form={"until": one_day})
    assert (listing.of(ConflictsState, "choosing_day"), listing.of(ConflictsState, "day_problem")) == (False, "")
    await listing.send(ConflictState, "snooze", until="day")
    await listing.send(ConflictState, "snooze_until", form={"until": another})
    found = await rows(
        database,
        workspace_id,
        "SELECT id::text, (snoozed_until AT TIME ZONE 'UTC')::date::text AS day FROM payment_sync_conflicts WHERE snoozed_until IS NOT NULL ORDER BY 2",
    )
    assert [(row["id"], row["day"]) for row in found] == [(second, one_day), (first, another)]


async def test_who_is_called_sees_it_until_they_have_been_there(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    chosen = await first_id(database, workspace_id)
    ben = await member(database, workspace_id, "ben")
    async with browser(database, workspace_id, "/conflicts/mentions") as owner:
        await conflict_handling.add_comment(database, ben, UUID(chosen), "@owner: which is it?")
        await owner.send(MentionsState, "load")
        await owner.send(ShellState, "load")
        assert owner.of(ShellState, "mentions") == "1"
        (row,) = owner.of(MentionsState, "rows")
        assert (row["label"], row["href"], row["new"]) == ("Ours 1", f"/conflicts/{chosen}", True)
        owner.at(f"/conflicts/{chosen}")
        await owner.send(ConflictState, "load")
        assert {"email": "ben@example.com", "name": ""} in owner.of(ConflictState, "people")
        (comment,) = owner.of(ConflictState, "comments")
        assert comment["body"] == [
            {"text": "@owner", "called": True},
            {"text": ": which is it?", "called": False},
        ]
        await owner.send(ShellState, "load")
        assert owner.of(ShellState, "mentions") == ""
        await owner.send(ConflictState, "comment", form={"comment": "@ben: ours"})
        await conflict_handling.add_comment(database, ben, UUID(chosen), "@owner thanks")
        await owner.send(ShellState, "load")
        assert owner.of(ShellState, "mentions") == "1"
        owner.at("/conflicts/mentions")
        await owner.send(MentionsState, "put_aside")
        assert (owner.of(ShellState, "mentions"), owner.of(MentionsState, "new")) == ("", False)
    assert (await standing.read(database, ben)).mentions == 1


@pytest.mark.parametrize(
    ("strategy", "said"),
    [("skip", "It was to skip records that exist here"), ("flag", "It was to flag what both sides changed")],
)
async def test_an_empty_list_says_what_the_last_sync_was_to_do(
    database: Database, workspace_id: UUID, strategy: str, said: str
) -> None:
    made = await make_conflicts(database, workspace_id, 0)
    config = "jsonb_build_object('strategies', jsonb_build_object('default', CAST(:strategy AS text)))"
    await rows(
        database,
        workspace_id,
        f"UPDATE payment_sync_sessions SET config = config || {config} RETURNING id",
        strategy=strategy,
    )
    async with browser(database, workspace_id, "/conflicts") as client:
        await client.send(ConflictsState, "load")
        assert client.of(ConflictsState, "run_said").startswith(said)
        assert client.of(ConflictsState, "run_url") == f"/syncs/{made.session_id}"


async def test_a_dialog_that_was_left_open_does_not_greet_the_next_visit(listing: Browser) -> None:
    await listing.send(BulkState, "open")
    assert listing.of(BulkState, "opened") is True
    await listing.send(ConflictsState, "visit")
    assert listing.of(BulkState, "opened") is False


_TOLD = """
WITH told AS (INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, account_id, payload, object_id, happened_at, livemode, changes)
  SELECT workspace_id, 'evt_' || external_id, 'customer.updated', 'acct_test', '{}', external_id, now() - interval '2 hours', false,
    jsonb_build_object('name', theirs->'name') FROM payment_sync_conflicts WHERE label IN ('Ours 60', 'Ours 59') RETURNING object_id),
edited AS (INSERT INTO audit_log (workspace_id, actor, action, target, occurred_at, details)
  SELECT workspace_id, 'ana', 'record.edited', 'customers/' || record_id, now() - interval '5 hours',
    jsonb_build_object('changes', jsonb_build_object('name', jsonb_build_array('Base', local->'name')))
  FROM payment_sync_conflicts WHERE label <> 'Ours 59' RETURNING target),
noted AS (UPDATE payment_sync_sessions SET stats = '{"clock_skew": 0}' RETURNING id)
SELECT count(*) FROM told, edited, noted
"""


async def test_the_newer_side_is_shown_with_both_times(
    listing: Browser, database: Database, workspace_id: UUID
) -> None:
    await rows(database, workspace_id, _TOLD)
    await listing.send(BulkState, "open")
    await listing.send(BulkState, "choose_take", take="newer")
    await listing.send(BulkState, "look")
    shown = listing.of(BulkState, "preview")
    assert (shown["count"], shown["missing"]) == (1, [])
    assert shown["unknown_said"] == "59 conflicts stay open. Which side changed last is not known."
    assert shown["unknown"] == [
        "58: No event from Stripe says when it changed there.",
        "1: No edit here says when it changed here.",
    ]
    about = {
        one["label"]: (
            one["becomes"],
            one["written"],
            one["kept"],
            [(way["label"], way["count"]) for way in one["ways"]],
        )
        for one in shown["effects"]
    }
    assert about["Name"] == ("The newer", "1", "0", [("Another value", "1")])
    assert about["Phone"] == ("Merged by itself", "0", "1", [("Empty in Stripe", "1")])
    (sample,) = shown["samples"]
    assert sample["changes"] == ["Name: Ours 60 → Stripe 60"]
    assert re.fullmatch(
        r"Name: Stripe's is the newer\. Here .+ by ana, in Stripe .+ by evt_cus_60\.", sample["times"][0]["said"]
    )
    assert sample["times"][0]["utc"].count("UTC") == 2

    for place, here, there, newest in (
        (0, r"changed .+ by ana", r"changed .+ by evt_cus_60", "Name: Stripe's is the newer."),
        (1, "time not known", r"changed .+ by evt_cus_59", "Name: not known. No edit here says when it changed here."),
    ):
        listing.at(f"/conflicts/{listing.of(ConflictsState, 'rows')[place]['id']}")
        await listing.send(ConflictState, "load")
        name = next(one for one in listing.of(ConflictState, "choices") if one["key"] == "name")
        assert re.fullmatch(here, name["here"])
        assert re.fullmatch(there, name["there"])
        assert listing.of(ConflictState, "newest") == [newest]
        assert listing.of(ConflictState, "event_id").startswith("evt_cus_")


async def test_a_previewed_rule_is_kept_tried_and_switched_on(listing: Browser) -> None:
    await listing.send(BulkState, "open")
    await listing.send(BulkState, "choose_field", name="name", take="local")
    await listing.send(BulkState, "look")
    await listing.send(BulkState, "keep_rule", form={"rule-name": ""})
    assert listing.of(BulkState, "keep_problem")
    await listing.send(BulkState, "keep_rule", form={"rule-name": "Names stay"})
    listing.at("/conflicts/rules")
    await listing.send(RulesState, "load")
    (row,) = listing.of(RulesState, "rows")
    assert (row["name"], row["enabled"], row["money"]) == ("Names stay", False, False)
    assert row["test"] == "Would settle 60 of 60 open conflicts"
    await listing.send(RulesState, "switch", rule_id=row["id"])
    assert listing.of(RulesState, "rows")[0]["enabled"] is True
    await listing.send(RulesState, "preview", rule_id=row["id"])
    assert listing.redirects[-1].startswith("/conflicts/batches/")


async def test_a_field_is_ignored_with_a_second_word_where_money_is_meant(
    database: Database, workspace_id: UUID
) -> None:
    async with browser(database, workspace_id, "/conflicts/rules") as client:
        await client.send(IgnoredState, "load")
        await client.send(IgnoringState, "ask", path="invoices.amount_due")
        assert (client.of(IgnoringState, "label"), client.of(IgnoringState, "money")) == ("Invoices: Amount due", True)
        assert client.of(IgnoringState, "foreseen") == ["Nothing is open about it."]
        await client.send(IgnoringState, "ignore", form={})
        assert client.of(IgnoringState, "problem").startswith("It says what somebody pays")
        await client.send(IgnoringState, "ignore", form={"money": True})
        assert [(row["label"], row["open"]) for row in client.of(IgnoredState, "rows")] == [
            ("Invoices: Amount due", "")
        ]
        assert client.of(IgnoringState, "asking") == ""
        await client.send(IgnoredState, "heed", path="invoices.amount_due", record_id="")
        assert client.of(IgnoredState, "rows") == []


async def test_a_field_is_ignored_from_a_row_here_or_everywhere(
    listing: Browser, database: Database, workspace_id: UUID
) -> None:
    """What is settled with it is said before, and the list is without it then."""
    await listing.send(ConflictState, "unfold", row_id=await first_id(database, workspace_id))
    await listing.send(IgnoringState, "ask_from", path="customers.name")
    assert (listing.of(IgnoringState, "scope"), listing.of(IgnoringState, "count")) == ("here", 1)
    assert listing.of(IgnoringState, "foreseen")[0].startswith("1 open conflict is settled by it")
    await listing.send(IgnoringState, "ignore", form={})
    assert listing.of(ConflictsState, "headline") == "59 open conflicts · 59 records"
    assert listing.of(ConflictState, "inline_id") == ""
    await listing.send(ConflictState, "unfold", row_id=listing.of(ConflictsState, "rows")[0]["id"])
    await listing.send(IgnoringState, "ask_from", path="customers.name")
    await listing.send(IgnoringState, "choose_scope", scope="everywhere")
    assert listing.of(IgnoringState, "count") == 59
    await listing.send(IgnoringState, "ignore", form={})
    assert listing.of(ConflictsState, "rows") == []
    await listing.send(IgnoredState, "load")
    found = [(row["label"], row["record"]) for row in listing.of(IgnoredState, "rows")]
    assert found == [("Customers: Name", ""), ("Customers: Name", "Ours 60")]
    assert await record_names(database, workspace_id) == {f"Ours {number}" for number in range(1, 61)}


async def test_a_batch_has_an_address_and_the_history_leads_to_it(
    listing: Browser, database: Database, workspace_id: UUID
) -> None:
    await listing.send(BulkState, "open")
    await listing.send(BulkState, "look")
    preview = listing.of(BulkState, "preview")["id"]
    listing.at(f"/conflicts/batches/{preview}")
    await listing.send(BatchState, "load")
    assert (listing.of(BatchState, "stage"), listing.of(BatchState, "preview")["count"]) == ("preview", 60)
    await listing.send(BatchState, "apply")
    await listing.send(BatchState, "load")
    assert listing.of(BatchState, "outcome") == "60 conflicts settled."
    listing.at("/conflicts/history")
    await listing.send(HistoryState, "load")
    (row,) = listing.of(HistoryState, "rows")
    assert (row["what"], row["href"], row["undoable"]) == ("60 conflicts", f"/conflicts/batches/{preview}", True)
    await listing.send(HistoryState, "undo", batch_id=row["id"])
    assert listing.of(HistoryState, "rows")[0]["outcome"] == "60 taken back"
    assert "Stripe 1" not in await record_names(database, workspace_id)


async def test_the_switch_of_single_keys_is_remembered(listing: Browser) -> None:
    await listing.send(KeysState, "load")
    await listing.send(KeysState, "toggle")
    assert listing.of(KeysState, "single") is False
    await listing.send(KeysState, "load")
    assert listing.of(KeysState, "single") is False


async def test_many_at_once_and_all_of_them_back(listing: Browser, database: Database, workspace_id: UUID) -> None:
    await listing.send(BulkState, "open")
    await listing.send(BulkState, "choose_take", take="stripe")
    await listing.send(BulkState, "look")
    said = "60 conflicts would be settled: 60 customers. 120 values would be written."
    assert listing.of(BulkState, "preview")["said"] == said
    await listing.send(BulkState, "apply")
    assert listing.of(BulkState, "outcome") == "60 conflicts settled."
    assert "Ours 1" not in await record_names(database, workspace_id)
    await listing.send(BulkState, "undo")
    assert listing.of(BulkState, "opened") is False
    assert "Stripe 1" not in await record_names(database, workspace_id)
    for take_back in ((UndoState, "take_back"), (ConflictsState, "undo_last")):
        for step in ("open", "look", "apply", "close"):
            await listing.send(BulkState, step)
        assert listing.of(PageState, "notice") == "60 conflicts settled."
        assert listing.of(ConflictsState, "rows") == []
        await listing.send(*take_back)
        assert len(listing.of(ConflictsState, "rows")) == 25
    assert "Stripe 1" not in await record_names(database, workspace_id)


async def test_choices_on_several_records_are_applied_or_discarded_together(
    listing: Browser, database: Database, workspace_id: UUID
) -> None:
    newest = [row["id"] for row in await rows(database, workspace_id, _NEWEST_FIRST)]
    owner = person(workspace_id, "owner@example.com")
    for number, row_id in enumerate(newest[:3]):
        actor = person(workspace_id, "ben@example.com") if number == 2 else owner
        await conflicts.choose(database, actor, row_id, "name", Taken(Choice.STRIPE), expected_revision=1)
    await conflicts.choose(database, owner, newest[0], "phone", Taken(Choice.LOCAL), expected_revision=2)
    await listing.send(ConflictsState, "load")
    assert listing.of(ConflictsState, "pending") == "3 choices of yours on 2 records"
    await listing.send(ConflictsState, "look_at_pending")
    listing.at(listing.redirects[-1])
    await listing.send(BatchState, "load")
    assert listing.of(BatchState, "preview")["said"] == (
        "2 conflicts would be settled: 2 customers. 2 values would be written, 2 are so already."
    )
    await listing.send(BatchState, "apply")
    named = await record_names(database, workspace_id)
    assert ("Stripe 60" in named, "Stripe 59" in named, "Stripe 58" in named) == (True, True, False)

    await conflicts.choose(database, owner, newest[3], "name", Taken(Choice.STRIPE), expected_revision=1)
    listing.at("/conflicts")
    await listing.send(ConflictsState, "load")
    await listing.send(ConflictsState, "ask_to_discard")
    assert listing.of(ConflictsState, "discarding") is True
    await listing.send(ConflictsState, "discard_pending")
    assert (listing.of(ConflictsState, "pending"), listing.of(ConflictsState, "discarding")) == ("", False)
    left = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts WHERE pending AND status = 'open'")
    assert [row["id"] for row in left] == [newest[2]]


async def test_decisions_come_back_in_from_a_file(database: Database, workspace_id: UUID, listing: Browser) -> None:
    chosen = await first_id(database, workspace_id)
    await listing.send(BulkState, "open_import")
    await listing.send(
        BulkState, "look_at_import", form={"decisions": f"id,revision,field,choice\n{chosen},1,name,stripe"}
    )
    await listing.send(BulkState, "apply")
    assert listing.of(BulkState, "outcome") == "1 conflict settled."
    assert "Stripe 60" in await record_names(database, workspace_id)


FORGED: list[tuple[type[Any], str, dict[str, Any]]] = [
    (ConflictState, "take", {"key": "name", "side": "everything"}),
    (ConflictState, "take", {"key": "name", "side": "custom"}),
    (ConflictState, "take", {"key": "__class__", "side": "stripe"}),
    (ConflictState, "take_all", {"side": "custom"}),
    (ConflictState, "take_all", {"side": "' OR 1=1"}),
    (ConflictState, "undo", {"decision_id": "nonsense"}),
    (ConflictState, "keep_own", {"form": {"value": ["a"]}}),
    (ConflictState, "snooze", {"until": "-1"}),
    (ConflictState, "assign", {"assignee": "eve@example.com"}),
    (ConflictState, "unfold", {"row_id": "nonsense"}),
    (ConflictState, "reopen_with_mine", {}),
    (PresenceState, "beat", {}),
    (PresenceState, "leave", {}),
    (IgnoringState, "ignore", {"form": {"money": True}}),
    (IgnoringState, "ask", {"path": "__class__"}),
    (IgnoringState, "ask_from", {"path": "customers.name"}),
    (IgnoringState, "choose_scope", {"scope": "here"}),
    (IgnoredState, "heed", {"path": "__class__", "record_id": "nonsense"}),
    (ConflictsState, "pick", {"row_id": "nonsense"}),
    (ConflictsState, "pick_everything", {}),
    (ConflictsState, "review", {"row_id": "nonsense"}),
    (ConflictsState, "snooze_until", {"form": {"until": 5}}),
    (ConflictState, "snooze_until", {"form": {}}),
    (ConflictsState, "look_at_pending", {}),
    (ConflictsState, "discard_pending", {}),
    (ConflictsState, "assign_picked", {"assignee": "nobody"}),
    (ConflictsState, "snooze_picked", {"until": "7"}),
    (ConflictState, "comment", {"form": {}}),
    (MentionsState, "load", {}),
    (BulkState, "apply", {}),
    (BulkState, "choose_take", {"take": "custom"}),
    (BulkState, "choose_field", {"name": "name", "take": "custom"}),
    (BulkState, "stop", {}),
    (BulkState, "undo", {}),
    (UndoState, "take_back", {}),
    (BatchState, "apply", {}),
    (BatchState, "undo", {}),
    (HistoryState, "undo", {"batch_id": "nonsense"}),
    (RulesState, "switch", {"rule_id": "nonsense"}),
    (RulesState, "move", {"rule_id": "nonsense", "by": 5}),
    (RulesState, "bring_in", {"form": {"rules": 5}}),
    (RulesState, "remove", {}),
    (BulkState, "look_at_import", {"form": {"decisions": 5}}),
]


async def test_what_a_client_makes_up_changes_nothing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    before = await rows(database, workspace_id, "SELECT choices, revision, status FROM payment_sync_conflicts")
    async with browser(database, workspace_id, f"/conflicts/{await first_id(database, workspace_id)}") as client:
        await client.send(ConflictState, "load")
        for state, handler, payload in FORGED:
            await client.send(state, handler, **payload)
    assert await rows(database, workspace_id, "SELECT choices, revision, status FROM payment_sync_conflicts") == before
    assert await record_names(database, workspace_id) == {"Ours 1"}


async def test_a_viewer_sees_but_decides_nothing(database: Database, workspace_id: UUID) -> None:
    await make_conflicts(database, workspace_id, 1)
    path = f"/conflicts/{await first_id(database, workspace_id)}"
    async with browser(database, workspace_id, path, role=Role.VIEWER) as client:
        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "may_resolve") is False
        await client.send(ConflictState, "take_all", side="stripe")
        await client.send(BulkState, "look")
        assert client.of(BulkState, "problem") == "Your role does not allow this."
    assert await record_names(database, workspace_id) == {"Ours 1"}


@pytest.mark.parametrize("path", ["/conflicts/nonsense", "/conflicts/00000000-0000-0000-0000-000000000000"])
async def test_an_address_of_no_conflict_says_so(database: Database, workspace_id: UUID, path: str) -> None:
    async with browser(database, workspace_id, path) as client:
        await client.send(ConflictState, "load")
        assert client.of(ConflictState, "problem") == "There is no such conflict in this workspace."
