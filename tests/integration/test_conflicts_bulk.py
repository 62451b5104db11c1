"""Many conflicts at once: what a preview promises is what is written, what changed since is left out, and all of it can be taken back."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Blend, Choice, ConflictStatus, EntityType, Ignoring, Transition
from sync_core.errors import Refusal
from sync_core.sandbox.account import Account
from sync_core.sandbox.server import SandboxServer
from sync_core.services import conflict_history, conflict_undo, conflicts, conflicts_bulk
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflict_views import Undone
from sync_core.services.conflicts import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, person
from tests.integration.test_engine_strategies import THEN, own_customer
from tests.support import config, rows, sync

ALL, TAKE = ConflictQuery(), Rule(Choice.STRIPE)


async def previewed(database: Database, actor: Actor, query: ConflictQuery = ALL, rule: Rule = TAKE) -> BulkPreview:
    preview = await conflicts_bulk.bulk_preview(database, actor, query, rule)
    assert isinstance(preview, BulkPreview)
    return preview


async def applied(database: Database, actor: Actor, preview: BulkPreview) -> BulkResult:
    result = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(result, BulkResult)
    return result


async def names(database: Database, workspace_id: UUID) -> Counter[str]:
    found = await rows(database, workspace_id, "SELECT split_part(name, ' ', 1) AS name FROM customers")
    return Counter(row["name"] for row in found)


async def snapshot(database: Database, workspace_id: UUID) -> list[dict[str, Any]]:
    """Records without what every write moves."""
    return await rows(
        database,
        workspace_id,
        "SELECT external_id, name, phone, metadata, payment_base, payment_sync_status, deleted_at FROM customers ORDER BY id",
    )


async def test_a_preview_counts_rows_and_fields_and_shows_samples(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 60)).actor
    before = await snapshot(database, workspace_id)
    preview = await previewed(database, actor)
    assert (preview.rows, preview.entities, preview.not_covered) == (60, {EntityType.CUSTOMERS: 60}, ())
    assert {one.name: (one.rows, one.transitions, one.written) for one in preview.fields} == {
        "name": (60, {Transition.OTHER: 60}, True),
        "phone": (60, {Transition.EMPTIED: 60}, True),
    }
    assert len(preview.samples) == 20
    assert {change.label: (change.before, change.after) for change in preview.samples[0].changes} == {
        "Name": ("Ours 1", "Stripe 1"),
        "Phone": ("+1 1", None),
    }
    assert await snapshot(database, workspace_id) == before


# What the twelve conflicts below differ in, besides the name; each by its number in the list.
_VARIED = {
    "keys of ours alone": (1, "local", "metadata", '{"plan": "gold", "own": "1"}'),
    "a key that both changed": (2, "theirs", "metadata", '{"plan": "free", "new": "2"}'),
    "a key that Stripe took away": (3, "theirs", "metadata", "{}"),
    "empty here": (4, "local", "description", "null"),
    "empty in Stripe": (5, "theirs", "name", "null"),
    "ours is the last sync's": (6, "local", "name", '"Base 6"'),
}
_BASES = {1: '{"plan": "gold"}', 2: '{"plan": "silver"}', 3: '{"plan": "gold"}'}
_KINDS = {
    8: ("no_base", "payment_base = NULL"),
    9: ("deleted_here", "deleted_at = now()"),
    10: (
        "email_match",
        "external_id = NULL, payment_provider = NULL, payment_account = NULL, payment_livemode = NULL, payment_base = NULL",
    ),
}


async def varied_conflicts(database: Database, workspace_id: UUID) -> Actor:
    made = await make_conflicts(database, workspace_id, 12)
    change = "UPDATE payment_sync_conflicts SET {} WHERE external_id = 'cus_{}' RETURNING id"
    for number, side, name, value in _VARIED.values():
        named = f"{side} = jsonb_set({side}, '{{{name}}}', '{value}')"
        asked = f"fields = ARRAY(SELECT DISTINCT unnest(fields || ARRAY['{name}']))"
        await rows(database, workspace_id, change.format(f"{named}, {asked}", number))
    for number, metadata in _BASES.items():
        await rows(
            database, workspace_id, change.format(f"base = jsonb_set(base, '{{metadata}}', '{metadata}')", number)
        )
    for number, (reason, sets) in _KINDS.items():
        base = "base = NULL, fields = '{name,phone}'," if "base = NULL" in sets else ""
        await rows(database, workspace_id, change.format(f"{base} reason_code = '{reason}'", number))
        await rows(
            database, workspace_id, f"UPDATE customers SET {sets} WHERE external_id = 'cus_{number}' RETURNING id"
        )
    await rows(
        database,
        workspace_id,
        "UPDATE customers t SET name = c.local->>'name', description = c.local->>'description', metadata = c.local->'metadata',"
        " payment_base = c.base FROM payment_sync_conflicts c WHERE c.record_id = t.id RETURNING t.id",
    )
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts c SET record_version = t.row_version FROM customers t WHERE t.id = c.record_id RETURNING c.id",
    )
    return made.actor


_VALUES = "SELECT id, email, name, phone, description, metadata FROM customers ORDER BY id"
COUNTED = {
    "Stripe's": Rule(Choice.STRIPE),
    "ours": Rule(Choice.LOCAL),
    "the last sync's": Rule(Choice.BASE),
    "whichever has a value": Rule(Blend.FILLED),
    "Stripe's, records as they are": Rule(Choice.STRIPE, record=Choice.LOCAL),
    "one field's, the rest by itself": Rule(fields={"name": Choice.STRIPE}, record=Choice.STRIPE),
    "keys joined": Rule(Choice.BASE, {"metadata": Blend.KEYS}, record=Choice.STRIPE),
    "a field ignored": Rule(Choice.STRIPE, {"name": Ignoring.RECORD}),
}


@pytest.mark.parametrize("rule", COUNTED.values(), ids=COUNTED)
async def test_as_many_values_are_written_as_a_preview_counts(
    database: Database, workspace_id: UUID, rule: Rule
) -> None:
    actor = await varied_conflicts(database, workspace_id)
    preview = await previewed(database, actor, rule=rule)
    assert preview.rows > 0
    before = {row["id"]: row for row in await rows(database, workspace_id, _VALUES)}
    result = await applied(database, actor, preview)
    assert (result.resolved, result.left_out_count, preview.changed) == (preview.rows, 0, 0)
    after = {row["id"]: row for row in await rows(database, workspace_id, _VALUES)}
    written = Counter(name for key, row in before.items() for name in row if after[key][name] != row[name])
    assert {one.name: one.writes for one in preview.fields if one.writes} == dict(written)
    # Seen later, it is what it was.
    shown = await conflict_history.batch(database, actor, preview.id)
    assert not isinstance(shown, Refusal)
    assert (shown.preview.fields, shown.preview.changed) == (preview.fields, 0)


async def test_a_preview_says_how_many_are_no_longer_what_it_shows(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 5)).actor
    preview = await previewed(database, actor)
    listed = await conflicts.list_conflicts(database, actor, ALL)
    assert not isinstance(listed, Refusal)
    settled, chosen, edited, touched, _ = listed.rows
    await conflicts.resolve(database, actor, settled.id, take_all=Choice.LOCAL)
    await conflicts.choose(database, actor, chosen.id, "name", Taken(Choice.LOCAL), expected_revision=chosen.revision)
    edit = "UPDATE customers SET {} WHERE id = :id RETURNING id"
    await rows(database, workspace_id, edit.format("name = 'Edited since'"), id=edited.record_id)
    await rows(database, workspace_id, edit.format("payment_observed_at = now()"), id=touched.record_id)
    shown = await conflict_history.batch(database, actor, preview.id)
    assert not isinstance(shown, Refusal)
    assert shown.preview.changed == 3
    result = await applied(database, actor, preview)
    assert (result.resolved, result.left_out_count) == (2, 3)


async def test_what_is_previewed_is_written_and_the_batch_taken_back(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 30)).actor
    before = await snapshot(database, workspace_id)
    preview = await previewed(database, actor, ConflictQuery(search="ours 1"))
    assert preview.rows == 11
    result = await applied(database, actor, preview)
    assert (result.resolved, result.left_out_count) == (11, 0)
    assert await names(database, workspace_id) == {"Stripe": 11, "Ours": 19}
    undone = await conflict_undo.undo_batch(database, actor, result.batch_id)
    assert undone == Undone(11, 0, ())
    assert await snapshot(database, workspace_id) == before
    assert (await previewed(database, actor)).rows == 30
    assert isinstance(await conflict_undo.undo_batch(database, actor, result.batch_id), Refusal)


async def test_rows_that_changed_since_the_preview_are_left_out_and_listed(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 6)).actor
    page = await conflicts.list_conflicts(database, actor, ALL)
    assert not isinstance(page, Refusal)
    preview = await previewed(database, actor)
    chosen, resolved = page.rows[0], page.rows[1]
    await conflicts.choose(database, actor, chosen.id, "name", Taken(Choice.LOCAL), expected_revision=chosen.revision)
    await conflicts.resolve(database, person(workspace_id, "Ben"), resolved.id, take_all=Choice.LOCAL)
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited 3' WHERE name = 'Ours 3' RETURNING id")
    result = await applied(database, actor, preview)
    assert (result.resolved, result.left_out_count) == (3, 3)
    assert {one.label: one.reason for one in result.left_out} == {
        "Ours 6": "This conflict has changed since you looked at it.",
        "Ours 5": "Ben has settled this already.",
        "Ours 3": "The record was changed meanwhile: look at its new values.",
    }
    assert await names(database, workspace_id) == {"Stripe": 3, "Ours": 2, "Edited": 1}


async def test_a_preview_is_applied_once_and_only_as_it_was_seen(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    preview = await previewed(database, actor)
    other = await previewed(database, actor, rule=Rule(Choice.LOCAL))
    assert preview.hash != other.hash
    wrong = await conflicts_bulk.bulk_resolve(database, actor, preview.id, other.hash)
    assert isinstance(wrong, Refusal)
    assert wrong.code == "hash_differs"
    await applied(database, actor, preview)
    again = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(again, Refusal)
    assert again.code == "already_applied"
    assert (await applied(database, actor, other)).left_out_count == 3
    assert await names(database, workspace_id) == {"Stripe": 3}


async def test_choices_that_wait_are_named_before_a_rule_takes_their_place(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    page = await conflicts.list_conflicts(database, actor, ALL)
    assert not isinstance(page, Refusal)
    ben = person(workspace_id, "Ben")
    await conflicts.choose(database, ben, page.rows[0].id, "name", Taken(Choice.LOCAL), expected_revision=1)
    preview = await previewed(database, actor)
    assert (preview.rows, preview.begun) == (3, 1)
    other = await previewed(database, actor, rule=Rule(fields={"phone": Choice.STRIPE}))
    assert (other.rows, other.begun) == (0, 0)
    shown = await conflict_history.batch(database, actor, preview.id)
    assert not isinstance(shown, Refusal)
    assert shown.preview.begun == 1


async def test_an_old_preview_is_refused(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    preview = await previewed(database, actor)
    aged = "UPDATE payment_sync_conflict_previews SET created_at = now() - interval '25 hours' RETURNING id"
    await rows(database, workspace_id, aged)
    refused = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(refused, Refusal)
    assert refused.code == "expired"


async def test_what_a_rule_does_not_settle_is_said_beforehand(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 4)).actor
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts SET reason_code = 'no_base', base = NULL WHERE label = 'Ours 1' RETURNING id",
    )
    preview = await previewed(database, actor, rule=Rule(Choice.BASE))
    assert preview.rows == 3
    assert [(one.rows, one.reason) for one in preview.not_covered] == [
        (1, "Without an earlier sync there is no value to go back to.")
    ]


RULES = {
    "an own value": (ALL, Rule(Choice.CUSTOM)),
    "nothing said": (ALL, Rule()),
    "the record back in time": (ALL, Rule(record=Choice.BASE)),
    "settled ones": (ConflictQuery(status=ConflictStatus.RESOLVED), TAKE),
}


async def test_rules_that_make_no_sense_are_refused(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1)).actor
    for name, (query, rule) in RULES.items():
        assert isinstance(await conflicts_bulk.bulk_preview(database, actor, query, rule), Refusal), name


async def test_one_row_that_the_database_refuses_does_not_stop_the_others(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 20)).actor
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE customers ADD CONSTRAINT odd CHECK (name <> 'Stripe 7')")
    result = await applied(database, actor, await previewed(database, actor))
    assert (result.resolved, result.left_out_count) == (19, 1)
    assert result.left_out[0].label == "Ours 7"
    assert "odd" in result.left_out[0].reason


async def test_undo_of_a_batch_asks_about_what_changed_since(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 5)).actor
    result = await applied(database, actor, await previewed(database, actor))
    await rows(database, workspace_id, "UPDATE customers SET name = 'Edited 3' WHERE name = 'Stripe 3' RETURNING id")
    await rows(database, workspace_id, "UPDATE customers SET deleted_at = now() WHERE name = 'Stripe 4' RETURNING id")
    undone = await conflict_undo.undo_batch(database, actor, result.batch_id)
    assert isinstance(undone, Undone)
    assert (undone.done, undone.refused_count) == (4, 1)
    assert [(one.label, one.reason) for one in undone.refused] == [
        ("Ours 4", "The record was synced, deleted or linked since.")
    ]
    assert await names(database, workspace_id) == {"Ours": 3, "Edited": 1, "Stripe": 1}
    marked = await conflicts.list_conflicts(database, actor, ConflictQuery.of(mark="reopened"))
    assert not isinstance(marked, Refusal)
    assert [row.label for row in marked.rows] == ["Ours 3"]


async def test_one_row_that_cannot_be_as_before_does_not_keep_the_others(
    database: Database, workspace_id: UUID
) -> None:
    actor = (await make_conflicts(database, workspace_id, 20)).actor
    result = await applied(database, actor, await previewed(database, actor))
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE customers ADD CONSTRAINT odd CHECK (name <> 'Ours 7')")
    undone = await conflict_undo.undo_batch(database, actor, result.batch_id)
    assert isinstance(undone, Undone)
    assert (undone.done, undone.refused_count) == (19, 1)
    assert "odd" in undone.refused[0].reason
    assert await names(database, workspace_id) == {"Ours": 19, "Stripe": 1}
    (left,) = await rows(
        database, workspace_id, "SELECT id FROM payment_sync_conflict_decisions WHERE undone_at IS NULL"
    )
    alone = await conflict_undo.undo(database, actor, left["id"])
    assert isinstance(alone, Refusal)
    assert alone.code == "undo_refused"


async def test_only_the_picked_rows_are_settled(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 5)).actor
    page = await conflicts.list_conflicts(database, actor, ALL)
    assert not isinstance(page, Refusal)
    picked = tuple(row.id for row in page.rows[:2])
    result = await applied(database, actor, await previewed(database, actor, ConflictQuery(ids=picked)))
    assert result.resolved == 2
    left = await rows(database, workspace_id, "SELECT name FROM customers WHERE name LIKE 'Ours%' ORDER BY name")
    assert [row["name"] for row in left] == ["Ours 1", "Ours 2", "Ours 3"]


async def test_a_batch_ends_when_asked_and_goes_on_later(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 2_500)).actor
    preview = await previewed(database, actor)

    async def stop(done: int, _: int) -> None:
        if done == 1_000:
            await conflicts_bulk.stop(database, actor, preview.id)

    halted = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash, progress=stop)
    assert isinstance(halted, BulkResult)
    assert (halted.resolved, halted.left_out_count, halted.waiting) == (1_000, 0, 1_500)
    done = await applied(database, actor, preview)
    assert (done.resolved, done.left_out_count, done.waiting) == (2_500, 0, 0)
    again = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(again, Refusal)


async def test_a_batch_whose_server_ended_is_gone_on_with(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 1_500)).actor
    preview = await previewed(database, actor)

    class GoneError(Exception): ...

    async def die(_done: int, _rows: int) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash, progress=die)
    early = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash)
    assert isinstance(early, Refusal)
    quiet = "UPDATE payment_sync_conflict_previews SET worked_at = now() - interval '31 seconds' RETURNING id"
    await rows(database, workspace_id, quiet)
    assert (await applied(database, actor, preview)).resolved == 1_500


async def test_a_record_that_somebody_else_is_writing_is_left_out(database: Database, workspace_id: UUID) -> None:
    actor = (await make_conflicts(database, workspace_id, 3)).actor
    preview = await previewed(database, actor)
    async with database.workspace(workspace_id) as writer:
        await writer.execute(text("SELECT id FROM customers WHERE name = 'Ours 2' FOR UPDATE"))
        result = await applied(database, actor, preview)
    assert (result.resolved, result.left_out_count) == (2, 1)
    assert result.left_out[0].label == "Ours 2"


async def test_a_thousand_rows_take_a_handful_of_statements(database: Database, workspace_id: UUID) -> None:
    """Set-based: as many statements for 2,000 rows as their batches need, whatever the rows hold."""
    batches = 2_000 // conflicts_bulk.BATCH
    actor = (await make_conflicts(database, workspace_id, 2_000)).actor
    preview = await previewed(database, actor)
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE counted (kind text)")
        await connection.exec_driver_sql("GRANT INSERT ON counted TO cyphera_app")
        await connection.exec_driver_sql(
            "CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO counted VALUES (TG_TABLE_NAME);"
            " RETURN NULL; END $$"
        )
        for table in ("customers", "payment_sync_conflicts", "payment_sync_conflict_decisions"):
            await connection.exec_driver_sql(
                f"CREATE TRIGGER counted AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION count_statement()"
            )
    seen: list[tuple[int, int]] = []

    async def progress(done: int, total: int) -> None:
        seen.append((done, total))

    result = await conflicts_bulk.bulk_resolve(database, actor, preview.id, preview.hash, progress=progress)
    assert isinstance(result, BulkResult)
    assert result.resolved == 2_000
    assert batches <= 10
    assert seen == [(conflicts_bulk.BATCH * turn, 2_000) for turn in range(1, batches + 1)]
    async with database.engine.begin() as connection:
        counted = await connection.exec_driver_sql("SELECT kind, count(*) FROM counted GROUP BY 1")
        assert {row["kind"]: row["count"] for row in counted.mappings()} == {
            "customers": batches,
            "payment_sync_conflicts": batches,
            "payment_sync_conflict_decisions": batches,
        }


@pytest.mark.parametrize(
    ("take", "resolved"), [(Choice.LOCAL, 2), (Choice.STRIPE, 1)], ids=["kept-apart", "linked-to-one"]
)
async def test_two_conflicts_about_one_record_are_settled_one_after_the_other(
    database: Database, workspace_id: UUID, take: Choice, resolved: int
) -> None:
    """Two customers of Stripe with the email of one record: both become records, or one is linked and the other's question stays."""
    account = Account("one record", {}, verbatim=True)
    for name in ("Ada", "Eva"):
        account.create("customers", {"id": f"cus_{name}", "name": name, "email": "ada@example.com"}, now=THEN)
    await own_customer(database, workspace_id, "Ours", "ada@example.com")
    async with SandboxServer(account) as server:
        await sync(database, workspace_id, server.url, config(EntityType.CUSTOMERS, match_by_email=True))
    actor, before = person(workspace_id), await snapshot(database, workspace_id)

    result = await applied(database, actor, await previewed(database, actor, rule=Rule(take)))

    assert (result.resolved, result.left_out_count) == (resolved, 2 - resolved)
    assert len(await snapshot(database, workspace_id)) == (3 if take is Choice.LOCAL else 1)
    assert await conflict_undo.undo_batch(database, actor, result.batch_id) == Undone(resolved, 0, ())
    assert await snapshot(database, workspace_id) == before
    assert (await previewed(database, actor)).rows == 2
