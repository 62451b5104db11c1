"""The report of a real dry run: its matrix, rows, findings, and when its plan can still be applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from dashboard.pages.report_finding_rows import rail
from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Role, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import drift, findings, plan_apply, plan_effects, plan_limits, report
from sync_core.services.findings import Findings
from sync_core.services.guardrails import Level
from sync_core.services.plan_limits import Limits
from sync_core.services.report import Freshness, LineQuery, Lines, ReportView
from sync_core.services.session_views import SessionView
from sync_core.store.database import Database
from sync_core.store.plan_samples import SampleKind
from tests.conftest import make_workspace
from tests.services import actor_of, audit_actions, small_sandbox
from tests.support import config, enqueue, rows, sync

CUSTOMERS, PRICES = EntityType.CUSTOMERS, EntityType.PRICES


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


@dataclass(frozen=True)
class Disagreeing:
    """A synced workspace of which some records were edited since, and some look as if Stripe had changed."""

    stripe_only: list[str]
    both: list[str]
    ours_only: list[str]
    stay_deleted: list[str]


async def disagree(database: Database, workspace_id: UUID, sandbox: SandboxProcess) -> Disagreeing:
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, EntityType.PRODUCTS, PRICES))
    known = await rows(database, workspace_id, "SELECT external_id FROM customers WHERE deleted_at IS NULL ORDER BY 1")
    ids = [row["external_id"] for row in known]
    made = Disagreeing(ids[:6], ids[6:10], ids[10:13], ids[13:15])
    async with database.workspace(workspace_id) as session:
        # Stripe only: ours and the last sync agree on something else. Both: our name and the last sync's are two other values.
        await session.execute(
            text(
                "UPDATE customers SET name = 'Before', payment_base = jsonb_set(payment_base, '{name}', '\"Before\"')"
                " WHERE external_id = ANY(:ids)"
            ),
            {"ids": made.stripe_only},
        )
        await session.execute(
            text(
                "UPDATE customers SET name = 'Ours', payment_base = jsonb_set(payment_base, '{name}', '\"Older\"')"
                " WHERE external_id = ANY(:ids)"
            ),
            {"ids": made.both},
        )
        await session.execute(
            text(
                "UPDATE customers SET name = 'Ours', payment_sync_status = 'local_edit' WHERE external_id = ANY(:ids)"
            ),
            {"ids": made.ours_only},
        )
        # Deleted here, and somebody has said that it stays so.
        await session.execute(
            text(
                "UPDATE customers SET deleted_at = now(), payment_sync_status = 'local_edit' WHERE external_id = ANY(:ids)"
            ),
            {"ids": made.stay_deleted},
        )
        await session.execute(
            text(
                "UPDATE prices SET unit_amount_in_pennies = 1, unit_amount_decimal = 1,"
                ' payment_base = payment_base || \'{"unit_amount_in_pennies": 1, "unit_amount_decimal": "1"}\''
                " WHERE external_id IN (SELECT external_id FROM prices WHERE unit_amount_in_pennies > 1"
                " AND billing_scheme = 'per_unit' ORDER BY external_id LIMIT 2)"
            )
        )
    return made


async def dry_run(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, strategy: Strategy = Strategy.FLAG
) -> UUID:
    wanted = config(CUSTOMERS, EntityType.PRODUCTS, PRICES, strategy=strategy, dry_run=True)
    return (await sync(database, workspace_id, sandbox.url, wanted)).session_id


async def read(database: Database, workspace_id: UUID, session_id: UUID) -> ReportView:
    found = await report.summary(database, actor_of(workspace_id), session_id)
    assert isinstance(found, ReportView)
    return found


async def looked(database: Database, workspace_id: UUID, session_id: UUID) -> Findings:
    found = await findings.look(database, actor_of(workspace_id), session_id)
    assert isinstance(found, Findings)
    return found


async def page(database: Database, workspace_id: UUID, session_id: UUID, query: LineQuery) -> Lines:
    found = await report.lines(database, actor_of(workspace_id), session_id, query)
    assert isinstance(found, Lines)
    return found


async def test_a_dry_run_of_an_empty_workspace_says_what_it_would_create(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    found = await read(database, workspace_id, await dry_run(database, workspace_id, sandbox))

    assert found.freshness is Freshness.FRESH
    assert found.totals[Action.CREATE] == found.total > 0
    assert found.sentence.startswith(f"Would create {found.total:,}, change 0")
    assert {row.entity for row in found.matrix} == {CUSTOMERS, EntityType.PRODUCTS, PRICES}
    assert all(row.share is None for row in found.matrix)
    assert found.exit_code == 2

    before_stripe = replace(config(CUSTOMERS, dry_run=True), end=1_000_000_000)
    ended = await sync(database, workspace_id, sandbox.url, before_stripe)
    nothing = await read(database, workspace_id, ended.session_id)
    assert (nothing.total, nothing.exit_code) == (0, 0)
    assert nothing.sentence.startswith("Found nothing")


async def test_the_matrix_counts_what_each_record_needs(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    found = await read(database, workspace_id, await dry_run(database, workspace_id, sandbox))

    counts = next(row.counts for row in found.matrix if row.entity is CUSTOMERS)
    left = len(made.ours_only) + len(made.stay_deleted)
    expected = {Action.UPDATE: len(made.stripe_only), Action.CONFLICT: len(made.both), Action.SKIP: left}
    assert {action: counts[action] for action in expected} == expected


async def test_customers_that_share_an_email_are_listed_together_page_by_page(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await dry_run(database, workspace_id, sandbox)
    ids = sorted(
        row.external_id
        for row in (await page(database, workspace_id, session_id, LineQuery(CUSTOMERS, Action.CREATE))).items
    )
    shared = dict(
        zip(ids[:5], ("a@x.example", "b@x.example", "A@x.example", "b@x.example", "b@x.example"), strict=True)
    )
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text(
                'UPDATE payment_sync_staged_objects SET "values" = jsonb_set("values"::jsonb, \'{email}\','
                " to_jsonb(coalesce(CAST(:shared AS jsonb)->>external_id, external_id)))"
                " WHERE session_id = :id AND entity_type = 'customers'"
            ),
            {"shared": orjson.dumps(shared).decode(), "id": session_id},
        )
    warned = next(
        one for one in (await looked(database, workspace_id, session_id)).guardrails if one.name == "Duplicates"
    )
    query = LineQuery.parse({"shared": "email"})
    assert query is not None
    assert warned.shared
    assert warned.message == "2 emails are shared by several customers; b@x.example by 3."
    assert rail(str(session_id), warned).href == f"/syncs/{session_id}/report?shared=email"

    first = await page(database, workspace_id, session_id, replace(query, limit=2))
    second = await page(database, workspace_id, session_id, replace(query, limit=3, after=first.after))
    back = await page(database, workspace_id, session_id, replace(query, limit=2, before=second.before))
    listed = [(one.external_id, one.message, one.action) for one in (*first.items, *second.items)]
    assert [message.lower() for _, message, _ in listed] == ["a@x.example"] * 2 + ["b@x.example"] * 3
    assert {external_id: message for external_id, message, _ in listed} == shared
    assert {action for *_, action in listed} == {Action.CREATE}
    assert (first.before, second.after) == (None, None)
    assert back.items == first.items


async def test_rows_of_a_cell_come_with_what_changes_page_by_page(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox)
    query = LineQuery(CUSTOMERS, Action.UPDATE, limit=4)

    first = await page(database, workspace_id, session_id, query)
    second = await page(
        database, workspace_id, session_id, LineQuery(CUSTOMERS, Action.UPDATE, after=first.after, limit=4)
    )
    back = await page(
        database, workspace_id, session_id, LineQuery(CUSTOMERS, Action.UPDATE, before=second.before, limit=4)
    )

    shown = [*first.items, *second.items]
    assert {line.external_id for line in shown} == set(made.stripe_only)
    assert (first.before, second.after) == (None, None)
    assert back.items == first.items
    assert {(change.field, change.label, change.ours) for line in shown for change in line.changes} == {
        ("name", "Name", "Before")
    }
    assert all(line.label == line.changes[0].theirs for line in shown)


async def test_rows_are_narrowed_by_reason_and_by_field(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox)

    kept = LineQuery(CUSTOMERS, Action.SKIP, reason=ReasonCode.LOCAL_EDIT_KEPT)
    named = LineQuery(CUSTOMERS, Action.CONFLICT, field="name")
    others = LineQuery(CUSTOMERS, Action.CONFLICT, field="phone")

    assert len((await page(database, workspace_id, session_id, kept)).items) == len(made.ours_only)
    assert len((await page(database, workspace_id, session_id, named)).items) == len(made.both)
    assert (await page(database, workspace_id, session_id, others)).items == ()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"entity": "wallets", "action": "create"}, id="unknown entity type"),
        pytest.param({"entity": "customers", "action": "destroy"}, id="unknown action"),
        pytest.param({"entity": "customers", "action": "create", "reason": "mood"}, id="unknown reason"),
        pytest.param({"entity": "customers", "action": "create", "field": "1; DROP TABLE"}, id="unknown field"),
        pytest.param({"entity": "customers", "action": "create", "after": "-1"}, id="place before the first"),
        pytest.param({"entity": "customers", "action": "create", "after": "9" * 30}, id="place beyond all"),
        pytest.param({"entity": "customers", "action": "create", "before": "x"}, id="place that is no number"),
    ],
)
def test_words_that_name_no_rows_are_no_query(words: dict[str, str]) -> None:
    assert LineQuery.parse(words) is None


async def test_findings_name_fields_reasons_and_money(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    found = await looked(database, workspace_id, await dry_run(database, workspace_id, sandbox))

    name = next(bar for bar in found.fields if (bar.entity, bar.name) == (CUSTOMERS, "name"))
    assert (name.updates, name.conflicts, name.skips) == (len(made.stripe_only), len(made.both), len(made.ours_only))
    reasons = {(one.entity, one.action, one.code): one.count for one in found.reasons}
    assert reasons[CUSTOMERS, Action.CONFLICT, ReasonCode.BOTH_CHANGED] == len(made.both)
    money = [one for one in found.guardrails if one.name == "Money"]
    # The exact amount, which changes with it, is not told of again.
    assert {(one.entity, one.field, one.level) for one in money} == {(PRICES, "unit_amount_in_pennies", Level.WARN)}
    assert found.is_whole
    assert found.effects.is_exact


@pytest.mark.parametrize("chosen", list(Strategy))
async def test_each_strategy_is_foretold_as_it_then_turns_out(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, chosen: Strategy
) -> None:
    await disagree(database, workspace_id, sandbox)
    foretold = await looked(database, workspace_id, await dry_run(database, workspace_id, sandbox, Strategy.FLAG))
    turned_out = await read(database, workspace_id, await dry_run(database, workspace_id, sandbox, chosen))

    effect = next(one for one in foretold.effects.rows if one.strategy is chosen)
    assert (effect.updates, effect.conflicts, effect.skips) == tuple(
        turned_out.totals[action] for action in (Action.UPDATE, Action.CONFLICT, Action.SKIP)
    )
    assert effect.is_chosen == (chosen is Strategy.FLAG)


def chosen_counts(found: Findings) -> tuple[int, int, int]:
    effect = next(one for one in found.effects.rows if one.is_chosen)
    return effect.updates, effect.conflicts, effect.skips


async def test_of_a_large_plan_each_action_is_scaled_up_by_itself(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a plan of many updates and a few conflicts would be said to have as many of both."""
    monkeypatch.setattr(plan_effects, "LOOKED_AT", 2)
    await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox)
    found, totals = (
        await looked(database, workspace_id, session_id),
        (await read(database, workspace_id, session_id)).totals,
    )
    assert not found.effects.is_exact
    assert chosen_counts(found) == (totals[Action.UPDATE], totals[Action.CONFLICT], totals[Action.SKIP])


async def test_strategies_are_not_told_of_what_has_changed_since(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox)
    before = await looked(database, workspace_id, session_id)
    async with database.workspace(workspace_id) as session:
        changed = [*made.stripe_only[:1], *made.both[:2]]
        await session.execute(
            text("UPDATE customers SET name = 'Mine' WHERE external_id = ANY(:ids)"), {"ids": changed}
        )
    after = await looked(database, workspace_id, session_id)
    updates, conflicts, skips = chosen_counts(before)
    assert (before.effects.moved, after.effects.moved) == (0, 3)
    assert chosen_counts(after) == (updates - 1, conflicts - 2, skips)


async def test_a_sample_of_what_stays_is_called_by_name_and_in_order(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    """What was recognised on its way in was not staged: the record tells of it."""
    await sync(database, workspace_id, sandbox.url, config(PRICES, EntityType.PRODUCTS))
    session_id = (await sync(database, workspace_id, sandbox.url, config(PRICES))).session_id
    at = await rows(
        database, workspace_id, "SELECT external_id, provider_created_at AS at FROM prices ORDER BY external_id"
    )
    created = {row["external_id"]: row["at"] for row in at}

    oldest = (
        await page(database, workspace_id, session_id, LineQuery(PRICES, Action.UNCHANGED, sample=SampleKind.OLDEST))
    ).items
    assert [created[one.external_id] for one in oldest] == sorted(created.values())[:20]
    assert all(one.label for one in oldest)


async def test_transitions_show_the_commonest_pairs_of_values(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    made = await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox)
    found = await findings.transitions(database, actor_of(workspace_id), session_id, CUSTOMERS, "name")

    assert isinstance(found, tuple)
    assert sum(one.count for one in found) == len(made.stripe_only) + len(made.both) + len(made.ours_only)
    assert {one.ours for one in found} == {"Before", "Ours"}
    unknown = await findings.transitions(database, actor_of(workspace_id), session_id, CUSTOMERS, "shoe_size")
    assert isinstance(unknown, Refusal)

    # Amounts in their currencies, as in the rows.
    amounts = await findings.transitions(database, actor_of(workspace_id), session_id, PRICES, "unit_amount_in_pennies")
    listed = (await page(database, workspace_id, session_id, LineQuery(PRICES, Action.UPDATE))).items
    changed = [one for line in listed for one in line.changes if one.field == "unit_amount_in_pennies"]
    assert isinstance(amounts, tuple)
    assert {(one.ours, one.theirs) for one in amounts} == {(one.ours, one.theirs) for one in changed}


async def test_a_plan_expires_and_is_applied_once(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await dry_run(database, workspace_id, sandbox)
    canary = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, limit=3), source_session_id=session_id)
    after_canary = await read(database, workspace_id, session_id)
    whole = await enqueue(database, workspace_id, config(CUSTOMERS), source_session_id=session_id)
    applied = await read(database, workspace_id, session_id)

    assert after_canary.can_apply
    assert [(one.id, one.limit) for one in after_canary.applied] == [(canary.session_id, 3)]
    assert applied.freshness is Freshness.APPLIED
    assert (await looked(database, workspace_id, session_id)).effects.rows == ()
    assert {one.id for one in applied.applied} == {canary.session_id, whole}

    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("UPDATE payment_sync_sessions SET status = 'cancelled' WHERE id = :id"), {"id": whole}
        )
        await session.execute(
            text("UPDATE payment_sync_sessions SET completed_at = now() - interval '25 hours' WHERE id = :id"),
            {"id": session_id},
        )
    assert (await read(database, workspace_id, session_id)).freshness is Freshness.EXPIRED


async def test_an_applied_plans_rows_are_about_the_dry_runs_objects(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    planned = await dry_run(database, workspace_id, sandbox)
    applied = await sync(
        database, workspace_id, sandbox.url, config(CUSTOMERS, EntityType.PRODUCTS, PRICES), source_session_id=planned
    )
    found = await page(database, workspace_id, applied.session_id, LineQuery(CUSTOMERS, Action.CREATE, limit=5))

    assert len(found.items) == 5
    assert all(line.label for line in found.items)


async def test_another_workspaces_report_does_not_exist(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await dry_run(database, workspace_id, sandbox)
    stranger = actor_of(await make_workspace(database, "Other"), Role.OWNER)

    for found in (
        await report.summary(database, stranger, session_id),
        await report.lines(database, stranger, session_id, LineQuery(CUSTOMERS, Action.CREATE)),
        await findings.look(database, stranger, session_id),
        await drift.count(database, stranger, session_id),
        await drift.page(database, stranger, session_id),
    ):
        assert isinstance(found, Refusal)
        assert found.status == 404


async def levels(database: Database, workspace_id: UUID, session_id: UUID) -> dict[str, Level]:
    """The gravest of each check."""
    order = [Level.OK, Level.NOTE, Level.WARN]
    found: dict[str, Level] = {}
    for one in (await looked(database, workspace_id, session_id)).guardrails:
        found[one.name] = max(found.get(one.name, Level.OK), one.level, key=order.index)
    return found


async def test_a_workspace_says_from_where_on_its_checks_warn(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox, Strategy.OVERWRITE)
    before = await levels(database, workspace_id, session_id)
    limits = Limits(share_updated=1, money=1_000)
    saved = await plan_limits.save(database, actor_of(workspace_id), limits)
    after = await levels(database, workspace_id, session_id)

    assert saved == limits == await plan_limits.read(database, actor_of(workspace_id, Role.VIEWER))
    assert (before["Share updated"], after["Share updated"]) == (Level.OK, Level.WARN)
    assert (before["Money"], after["Money"]) == (Level.WARN, Level.NOTE)
    assert "guardrails.changed" in await audit_actions(database, workspace_id)


@pytest.mark.parametrize(
    ("limits", "role", "code"),
    [
        pytest.param(Limits(share_updated=101), Role.OWNER, "limit_out_of_range", id="more than all"),
        pytest.param(Limits(money=0), Role.OWNER, "limit_out_of_range", id="from none on"),
        pytest.param(Limits(), Role.OPERATOR, "forbidden", id="not an admin"),
    ],
)
async def test_limits_are_sound_and_an_admins(
    database: Database, workspace_id: UUID, limits: Limits, role: Role, code: str
) -> None:
    refused = await plan_limits.save(database, actor_of(workspace_id, role), limits)
    assert isinstance(refused, Refusal)
    assert refused.code == code


async def test_where_asked_for_a_plan_with_warnings_waits_for_a_confirmation(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await disagree(database, workspace_id, sandbox)
    session_id = await dry_run(database, workspace_id, sandbox, Strategy.OVERWRITE)
    actor = actor_of(workspace_id)
    await plan_limits.save(database, actor, Limits(confirm=True))

    refused = await plan_apply.apply(database, actor, session_id)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.status) == ("checks_unconfirmed", 409)
    assert isinstance(await plan_apply.apply(database, actor, session_id, confirmed=True), SessionView)


async def test_orphans_are_counted_with_what_asking_again_costs(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await dry_run(database, workspace_id, sandbox)
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text(
                "UPDATE payment_sync_plan_items SET action = 'error', reason_code = 'missing_parent',"
                ' detail = \'{"field": "product", "message": "its product could not be found or linked"}\''
                " WHERE entity_type = 'prices' AND seq <= 5"
            )
        )
        await session.execute(
            text(
                "UPDATE payment_sync_staged_objects SET \"values\" = \"values\" || jsonb_build_object('product', 'prod_' || seq % 2)"
                " WHERE entity_type = 'prices' AND seq <= 5"
            )
        )
        await session.execute(
            text("UPDATE payment_sync_entity_runs SET failed = 5, created = created - 5 WHERE entity_type = 'prices'")
        )
    (found,) = (await looked(database, workspace_id, session_id)).orphans
    assert (found.entity, found.parent) == (PRICES, EntityType.PRODUCTS)
    assert (found.objects, found.requests) == (5, 2)


_SUBSCRIPTIONS = """
INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, detail)
SELECT :w, :id, 'subscriptions', 'sub_' || action || was || n, row_number() OVER (), action,
  jsonb_build_object('changes', jsonb_build_object('status', jsonb_build_array(was, 'canceled')))
FROM (VALUES ('update', 'active', 3), ('update', 'expired', 2), ('skip', 'active', 4), ('conflict', 'trial', 1)) v(action, was, times),
  generate_series(1, times) n
"""


async def test_only_subscriptions_that_the_plan_ends_are_counted(database: Database, workspace_id: UUID) -> None:
    """Not those that had ended already, nor those that it leaves or asks about. What they were about may be forgotten by now."""
    session_id = await enqueue(database, workspace_id, config(EntityType.SUBSCRIPTIONS, dry_run=True))
    async with database.workspace(workspace_id) as session:
        await session.execute(text(_SUBSCRIPTIONS), {"w": workspace_id, "id": session_id})
        await session.execute(
            text("UPDATE payment_sync_entity_runs SET updated = 5, skipped = 4, conflicts = 1, unchanged = 50")
        )
    found = await looked(database, workspace_id, session_id)
    (told,) = [one for one in found.guardrails if one.name == "Cancellations"]
    assert (told.message, told.level) == ("3 subscriptions end (5% of those read).", Level.NOTE)
    assert found.effects.rows == ()


_WITHOUT_PRICES = """
WITH made AS (
  INSERT INTO payment_sync_staged_objects (workspace_id, session_id, entity_type, external_id, seq, observed_at, "values")
  SELECT :w, :id, 'subscriptions', 'sub_' || n, n, now(), jsonb_build_object('items', jsonb_build_array(
    jsonb_build_object('price', 'price_here'), jsonb_build_object('price', 'price_' || n % 2))) FROM generate_series(1, 5) n
  RETURNING external_id, seq
)
INSERT INTO payment_sync_plan_items (workspace_id, session_id, entity_type, external_id, seq, action, reason_code, detail)
SELECT :w, :id, 'subscriptions', external_id, seq, 'error', 'missing_parent', '{"field": "items"}'::jsonb FROM made
UNION ALL SELECT :w, :id, 'prices', 'price_here', 1, 'create', NULL, NULL
"""


async def test_prices_that_items_lack_are_counted_each_once(database: Database, workspace_id: UUID) -> None:
    session_id = await enqueue(database, workspace_id, config(dry_run=True))
    async with database.workspace(workspace_id) as session:
        await session.execute(text(_WITHOUT_PRICES), {"w": workspace_id, "id": session_id})
        await session.execute(
            text("UPDATE payment_sync_entity_runs SET failed = 5 WHERE entity_type = 'subscriptions'")
        )
    found = await looked(database, workspace_id, session_id)
    (lost,) = found.orphans
    assert (lost.entity, lost.parent, lost.objects, lost.requests) == (EntityType.SUBSCRIPTIONS, PRICES, 5, 2)
    (told,) = [one for one in found.guardrails if one.name == "Orphans"]
    assert (told.level, told.action, told.reason) == (Level.NOTE, Action.ERROR, ReasonCode.MISSING_PARENT)


_HEARD = """
INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, payload, account_id, object_id, livemode, happened_at, changes)
SELECT :w, 'evt_' || n, 'customer.updated', '{}', account, id, live, to_timestamp(CAST(:since AS bigint) + later), CAST(changes AS jsonb)
FROM (VALUES (1, CAST(:one AS text), 5, 'acct_test', false, '{"name": "Newest", "phone": "+1"}'),
  (2, :one, 4, NULL, NULL, '{"name": "Newer"}'), (3, :other, 7, NULL, NULL, NULL), (4, 'cus_elsewhere', 8, NULL, NULL, NULL),
  (5, :before, -1, NULL, NULL, NULL), (6, :before, 9, 'acct_another', false, NULL), (7, :before, 9, 'acct_test', true, NULL))
  v(n, id, later, account, live, changes)
"""


async def test_what_stripe_has_told_since_is_counted_and_listed_by_object(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    session_id = await dry_run(database, workspace_id, sandbox)
    silent = await levels(database, workspace_id, session_id)
    async with database.workspace(workspace_id) as session:
        await session.execute(text("UPDATE payment_connections SET webhook_ciphertext = 'secret'"))
    quiet = await levels(database, workspace_id, session_id)
    ids = "SELECT external_id AS id FROM payment_sync_plan_items WHERE entity_type = '{}' ORDER BY 1 LIMIT 2"
    one, before = (row["id"] for row in await rows(database, workspace_id, ids.format("customers")))
    other = (await rows(database, workspace_id, ids.format("products")))[0]["id"]
    since = (await read(database, workspace_id, session_id)).session.read_at
    assert since is not None
    async with database.workspace(workspace_id) as session:
        bound = {"w": workspace_id, "since": since, "one": one, "other": other, "before": before}
        await session.execute(text(_HEARD), bound)
    heard = (await looked(database, workspace_id, session_id)).guardrails

    assert ("Changes in Stripe" in silent, quiet["Changes in Stripe"]) == (False, Level.OK)
    (told,) = [one for one in heard if one.name == "Changes in Stripe"]
    assert (told.level, "2 objects in this plan have changed" in told.message) == (Level.NOTE, True)

    query = LineQuery.parse(dict(parse_qsl(urlsplit(rail(str(session_id), told).href).query)))
    assert query is not None
    first = await page(database, workspace_id, session_id, replace(query, limit=1))
    second = await page(database, workspace_id, session_id, replace(query, limit=1, after=first.after))
    back = await page(database, workspace_id, session_id, replace(query, limit=1, before=second.before))
    assert [row.external_id for found in (first, second, back) for row in found.items] == [one, other, one]
    assert (first.before, second.after, back.before) == (None, None, None)
    (line,) = first.items
    assert (line.told_at, line.message, line.entity) == (since + 5, "customer.updated", CUSTOMERS)
    assert [(change.field, change.theirs) for change in line.changes] == [("name", "Newest"), ("phone", "+1")]
    assert second.items[0].changes == ()
