"""What a plan is called, what comes after it, and whose word it needs before it is applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.vocabulary import Action, EntityType, Role, Strategy
from sync_core.errors import Refusal
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import api_keys, plan_apply, plan_approval, plan_limits, report
from sync_core.services.actor import Actor
from sync_core.services.api_keys import KeyLevel
from sync_core.services.guardrails import FieldBar, Level, clocks, money
from sync_core.services.plan_approval import ApprovalState
from sync_core.services.plan_costs import Space, apply_seconds, space
from sync_core.services.plan_limits import Limits
from sync_core.services.report import Freshness, ReportView
from sync_core.services.session_views import SessionView
from sync_core.store.database import Database
from sync_core.store.row_sizes import row_sizes
from tests.services import actor_of, audit_actions, small_sandbox
from tests.support import config, sync

CUSTOMERS, PRODUCTS, PRICES = EntityType.CUSTOMERS, EntityType.PRODUCTS, EntityType.PRICES
RENAMED = "UPDATE customers SET name = 'Ours' WHERE external_id = (SELECT min(external_id) FROM customers)"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox() as running:
        yield running


async def dry_run(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, *entities: EntityType, start: int | None = None
) -> UUID:
    wanted = config(*(entities or (CUSTOMERS, PRODUCTS)), strategy=Strategy.OVERWRITE, dry_run=True)
    return (await sync(database, workspace_id, sandbox.url, replace(wanted, start=start))).session_id


async def execute(database: Database, workspace_id: UUID, sql: str, **bound: object) -> None:
    async with database.workspace(workspace_id) as session:
        await session.execute(text(sql), bound)


async def read(database: Database, workspace_id: UUID, session_id: UUID) -> ReportView:
    found = await report.summary(database, actor_of(workspace_id), session_id)
    assert isinstance(found, ReportView)
    return found


async def hash_of(database: Database, workspace_id: UUID, session_id: UUID) -> str:
    found = await read(database, workspace_id, session_id)
    assert (report.json_view(found)["plan_hash"] or "") == found.session.plan_hash
    return found.session.plan_hash


async def test_the_same_plan_has_the_same_hash_and_another_plan_another(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, PRODUCTS))
    first = await hash_of(database, workspace_id, await dry_run(database, workspace_id, sandbox))
    again = await hash_of(database, workspace_id, await dry_run(database, workspace_id, sandbox))
    narrower = await hash_of(database, workspace_id, await dry_run(database, workspace_id, sandbox, CUSTOMERS))
    await execute(database, workspace_id, RENAMED)
    changed = await hash_of(database, workspace_id, await dry_run(database, workspace_id, sandbox))

    assert len(first) == 64
    assert first == again
    assert len({first, narrower, changed}) == 3


async def test_a_run_that_writes_has_no_plan_hash(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    ended = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))
    assert await hash_of(database, workspace_id, ended.session_id) == ""


async def nothing(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    """Nobody does anything."""


async def same_again(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    await dry_run(database, workspace_id, sandbox)


async def more_than_that(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    await dry_run(database, workspace_id, sandbox, CUSTOMERS, PRODUCTS, PRICES)


async def less_than_that(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    await dry_run(database, workspace_id, sandbox, CUSTOMERS)


async def another_range(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    await dry_run(database, workspace_id, sandbox, start=1_600_000_000)


async def wrote(database: Database, workspace_id: UUID, sandbox: SandboxProcess, _plan: UUID) -> None:
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS))


async def canary(database: Database, workspace_id: UUID, sandbox: SandboxProcess, plan: UUID) -> None:
    await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, limit=3), source_session_id=plan)


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        pytest.param(nothing, Freshness.FRESH, id="nothing since"),
        pytest.param(same_again, Freshness.SUPERSEDED, id="a dry run of the same"),
        pytest.param(more_than_that, Freshness.SUPERSEDED, id="a dry run of that and more"),
        pytest.param(less_than_that, Freshness.FRESH, id="a dry run of a part"),
        pytest.param(another_range, Freshness.FRESH, id="a dry run of another range"),
        pytest.param(wrote, Freshness.SUPERSEDED, id="a sync that wrote"),
        pytest.param(canary, Freshness.FRESH, id="the plan's own canary"),
    ],
)
async def test_a_plan_is_superseded_by_what_came_after_it(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, meanwhile: object, expected: Freshness
) -> None:
    plan = await dry_run(database, workspace_id, sandbox)
    assert callable(meanwhile)
    await meanwhile(database, workspace_id, sandbox, plan)
    found = await read(database, workspace_id, plan)

    assert found.freshness is expected
    assert found.can_apply
    assert (found.later is not None) == (expected is Freshness.SUPERSEDED)


@pytest.mark.parametrize(
    ("rows", "rates", "expected"),
    [
        pytest.param(0, [], (1.0, 2.0), id="nothing to do"),
        pytest.param(12_000, [], (3.0, 8.0), id="never tried here"),
        pytest.param(10_000, [1_000.0], (11.0, 12.0), id="tried once"),
        pytest.param(10_000, [500.0, 5_000.0, 1_000.0], (3.0, 22.0), id="between the fastest and the slowest"),
    ],
)
def test_applying_takes_as_long_as_it_took_before(rows: int, rates: list[float], expected: tuple[float, float]) -> None:
    assert apply_seconds(rows, rates) == expected


@pytest.mark.parametrize(
    ("create", "conflict", "sizes", "expected"),
    [
        pytest.param(0, 0, {}, Space(0, True), id="nothing to add"),
        pytest.param(10, 0, {"customers": 2_000.4}, Space(20_004, True), id="by what is stored"),
        pytest.param(10, 0, {"prices": 2_000.0}, Space(18_600, False), id="as a rule"),
        pytest.param(10, 1, {"customers": 2_000.0}, Space(23_490, False), id="partly as a rule"),
        pytest.param(0, 3, {"payment_sync_conflicts": 4_000.0}, Space(12_000, True), id="conflicts"),
    ],
)
def test_a_plan_says_how_much_the_database_grows(
    create: int, conflict: int, sizes: dict[str, float], expected: Space
) -> None:
    counts = dict.fromkeys(Action, 7) | {Action.CREATE: create, Action.CONFLICT: conflict}
    assert space({CUSTOMERS: counts}, sizes) == expected


async def test_it_grows_as_much_as_the_plan_said(database: Database, workspace_id: UUID) -> None:
    """Within a third: by the rule at first, from a thousand rows on by what they take."""
    async with database.workspace(workspace_id) as session:
        before = await table_sizes(session)
    with small_sandbox(customers=1_500, products=40) as large:
        wanted = config(CUSTOMERS, dry_run=True)
        plan = (await sync(database, workspace_id, large.url, wanted)).session_id
        said = (await read(database, workspace_id, plan)).space
        await sync(database, workspace_id, large.url, config(CUSTOMERS), source_session_id=plan)
    async with database.engine.connect() as connection:
        await connection.execute(text("ANALYZE customers"))
    async with database.workspace(workspace_id) as session:
        grown, sizes = await table_sizes(session) - before, await row_sizes(session)
    assert said is not None
    assert not said.is_measured
    assert said.bytes == pytest.approx(grown, rel=0.33)
    assert sizes["customers"] * 1_500 == pytest.approx(grown, rel=0.1)


async def table_sizes(session: AsyncSession) -> int:
    found = await session.execute(text("SELECT pg_total_relation_size('customers')"))
    return int(found.scalar_one())


async def test_the_time_to_apply_is_by_what_was_applied_here(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    first = await dry_run(database, workspace_id, sandbox)
    applied = await sync(database, workspace_id, sandbox.url, config(CUSTOMERS, PRODUCTS), source_session_id=first)
    await execute(
        database,
        workspace_id,
        "UPDATE payment_sync_sessions SET started_at = completed_at - interval '10 s' WHERE id = :id",
        id=applied.session_id,
    )
    found = await read(database, workspace_id, await dry_run(database, workspace_id, sandbox))
    assert found.apply_seconds == pytest.approx((11.0, 12.0), abs=0.1)


@pytest.mark.parametrize(
    ("skew", "level", "said"),
    [
        pytest.param(None, None, "", id="not noted"),
        pytest.param(-0.9, Level.OK, "agree", id="within an answer's time"),
        pytest.param(120.0, Level.OK, "agree", id="two minutes"),
        pytest.param(600.0, Level.WARN, "10 minutes ahead of", id="ahead"),
        pytest.param(-3_700.5, Level.WARN, "62 minutes behind", id="behind"),
    ],
)
def test_clocks_that_are_apart_are_told(skew: float | None, level: Level | None, said: str) -> None:
    found = clocks(skew)
    assert [one.level for one in found] == ([] if level is None else [level])
    assert all(said in one.message for one in found)


def bar(name: str, updates: int, conflicts: int = 0) -> FieldBar:
    label = "Unit amount" if name == "unit_amount_in_pennies" else "Exact"
    return FieldBar(PRICES, name, label, True, updates, conflicts, 0, 0, 0)


@pytest.mark.parametrize(
    ("bars", "said"),
    [
        pytest.param([bar("unit_amount_in_pennies", 3)], ["unit_amount_in_pennies"], id="one alone"),
        pytest.param(
            [bar("unit_amount_in_pennies", 3), bar("unit_amount_decimal", 3)],
            ["unit_amount_in_pennies"],
            id="the same changes",
        ),
        pytest.param(
            [bar("unit_amount_decimal", 5), bar("unit_amount_in_pennies", 3)],
            ["unit_amount_decimal"],
            id="below a cent too",
        ),
        pytest.param([bar("unit_amount_decimal", 2)], ["unit_amount_decimal"], id="below a cent only"),
        pytest.param(
            [bar("unit_amount_in_pennies", 0, 2), bar("unit_amount_decimal", 0, 2), bar("currency", 1)],
            ["unit_amount_in_pennies", "currency"],
            id="to review, beside another",
        ),
    ],
)
def test_an_amount_and_its_exact_twin_warn_once(bars: list[FieldBar], said: list[str]) -> None:
    assert [one.field for one in money(bars, Limits())] == said


MAKER, OTHER = "ana@example.com", "ben@example.com"


def person(workspace_id: UUID, label: str = OTHER, role: Role = Role.OPERATOR) -> Actor:
    return replace(actor_of(workspace_id, role, label), user_id=uuid4())


async def made_by(database: Database, workspace_id: UUID, plan: UUID, label: str) -> str:
    """The plan's hash."""
    await execute(
        database, workspace_id, "UPDATE payment_sync_sessions SET created_by = :by WHERE id = :id", by=label, id=plan
    )
    return await hash_of(database, workspace_id, plan)


async def asks(database: Database, workspace_id: UUID, limits: Limits) -> None:
    assert await plan_limits.save(database, actor_of(workspace_id), limits) == limits


async def test_a_plan_waits_for_a_second_person_where_the_workspace_asks_for_one(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    await asks(database, workspace_id, Limits(approval=True))
    plan = await dry_run(database, workspace_id, sandbox)
    plan_hash = await made_by(database, workspace_id, plan, MAKER)
    maker, other = person(workspace_id, MAKER, Role.OWNER), person(workspace_id)

    needed = await read(database, workspace_id, plan)
    early = await plan_apply.apply(database, maker, plan)
    early_canary = await plan_apply.apply(database, other, plan, limit=1, confirmed=True)
    own = await plan_approval.approve(database, maker, plan, plan_hash)
    approved = await plan_approval.approve(database, other, plan, plan_hash)
    given = await read(database, workspace_id, plan)

    for refused in (early, early_canary):
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.status) == ("plan_not_approved", 409)
    assert isinstance(own, Refusal)
    assert own.code == "own_plan"
    assert isinstance(approved, SessionView)
    assert needed.approval.state is ApprovalState.NEEDED
    assert (given.approval.state, given.approval.by) == (ApprovalState.APPROVED, OTHER)
    assert "plan.approved" in await audit_actions(database, workspace_id)
    assert isinstance(await plan_apply.apply(database, maker, plan), SessionView)


@pytest.mark.parametrize(
    ("label", "role", "signed_in", "hash_seen", "code"),
    [
        pytest.param(MAKER.upper(), Role.OWNER, True, None, "own_plan", id="the maker, spelled otherwise"),
        pytest.param(OTHER, Role.VIEWER, True, None, "forbidden", id="may only look"),
        pytest.param("ci", Role.ADMIN, False, None, "approver_no_person", id="a key"),
        pytest.param(OTHER, Role.OPERATOR, True, "0" * 64, "plan_changed", id="looked at another plan"),
    ],
)
async def test_who_may_not_approve(
    database: Database,
    workspace_id: UUID,
    sandbox: SandboxProcess,
    *,
    label: str,
    role: Role,
    signed_in: bool,
    hash_seen: str | None,
    code: str,
) -> None:
    plan = await dry_run(database, workspace_id, sandbox, PRODUCTS)
    plan_hash = await made_by(database, workspace_id, plan, MAKER)
    actor = person(workspace_id, label, role) if signed_in else actor_of(workspace_id, role, label)
    refused = await plan_approval.approve(database, actor, plan, hash_seen or plan_hash)

    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert (await read(database, workspace_id, plan)).approval.state is ApprovalState.OFF


async def test_a_plan_made_with_ones_own_key_is_ones_own(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    maker = person(workspace_id, MAKER, Role.ADMIN)
    assert isinstance(await api_keys.create(database, maker, level=KeyLevel.WRITE, name="ci"), str)
    plan = await dry_run(database, workspace_id, sandbox, PRODUCTS)
    plan_hash = await made_by(database, workspace_id, plan, "ci")

    own = await plan_approval.approve(database, maker, plan, plan_hash)
    assert isinstance(own, Refusal)
    assert own.code == "own_plan"
    assert isinstance(await plan_approval.approve(database, person(workspace_id), plan, plan_hash), SessionView)


async def test_an_approval_is_of_the_plan_as_it_was(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess
) -> None:
    """A retry of its errors makes it another plan."""
    await asks(database, workspace_id, Limits(approval=True))
    plan = await dry_run(database, workspace_id, sandbox, PRODUCTS)
    plan_hash = await made_by(database, workspace_id, plan, MAKER)
    assert isinstance(await plan_approval.approve(database, person(workspace_id), plan, plan_hash), SessionView)
    await execute(
        database, workspace_id, "UPDATE payment_sync_sessions SET plan_hash = repeat('a', 64) WHERE id = :id", id=plan
    )

    refused = await plan_apply.apply(database, person(workspace_id), plan)
    assert isinstance(refused, Refusal)
    assert refused.code == "plan_not_approved"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        pytest.param(Limits(approval=True, approve_clean=True), None, id="without warnings, where that is enough"),
        pytest.param(Limits(approval=True), "plan_not_approved", id="without warnings, where it is not"),
        pytest.param(Limits(approval=True, approve_clean=True, duplicates=1), "plan_not_approved", id="with a warning"),
        pytest.param(Limits(approve_clean=True, duplicates=1), None, id="nobody asks"),
    ],
)
async def test_a_plan_without_warnings_may_need_nobody(
    database: Database, workspace_id: UUID, sandbox: SandboxProcess, limits: Limits, code: str | None
) -> None:
    await asks(database, workspace_id, limits)
    plan = await dry_run(database, workspace_id, sandbox)
    await execute(
        database,
        workspace_id,
        'UPDATE payment_sync_staged_objects SET "values" = "values" || \'{"email": "same@example.com"}\''
        " WHERE session_id = :id AND entity_type = 'customers' AND seq <= 2",
        id=plan,
    )
    found = await plan_apply.apply(database, person(workspace_id), plan)
    assert (found.code if isinstance(found, Refusal) else None) == code
