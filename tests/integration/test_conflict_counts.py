"""What the filters count is kept as conflicts are written: at every moment the sum is what a real count finds, whoever writes beside whom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus, Facet, Snooze
from sync_core.errors import Refusal
from sync_core.jobs.housekeeping import prune
from sync_core.services import conflict_facets, conflict_handling, conflict_undo, conflicts
from sync_core.services.actor import Actor
from sync_core.services.conflict_views import Facets, Resolved
from sync_core.store import conflict_counts
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, miscounted, person
from tests.conftest import make_workspace, plain_url
from tests.support import rows

_MOVED = "created_at = created_at - interval '1 day', reason_code = 'no_base'"
HANDS, STEPS, AT_FIRST = 4, 40, 30


class RegrettedError(Exception):
    """Ends a transaction that is to leave nothing."""


@dataclass(slots=True)
class Hand:
    """Somebody who does anything that may be done to conflicts, one thing after the other."""

    database: Database
    actor: Actor
    chance: random.Random
    number: int
    made: int = 0
    batches: list[UUID] = field(default_factory=list)

    async def act(self) -> None:
        ways = [self.add, self.settle, self.settle, self.undo, self.assign, self.snooze, self.choose, self.refresh]
        await self.chance.choice([*ways, self.move, self.regret, self.fold])()

    async def one(self) -> UUID:
        found = await rows(self.database, self.actor.workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY id")
        return UUID(str(self.chance.choice(found)["id"]))

    async def add(self) -> None:
        self.made += 3
        start = 1_000 * (self.number + 1) + self.made
        await make_conflicts(self.database, self.actor.workspace_id, 3, start=start)

    async def settle(self) -> None:
        settled = await conflicts.resolve(self.database, self.actor, await self.one(), take_all=Choice.STRIPE)
        if isinstance(settled, Resolved):
            self.batches.append(settled.batch_id)

    async def undo(self) -> None:
        if self.batches:
            await conflict_undo.undo_batch(self.database, self.actor, self.batches.pop())

    async def assign(self) -> None:
        whom = ConflictQuery(ids=(await self.one(),))
        await conflict_handling.assign(self.database, self.actor, whom, self.chance.choice([None, self.actor.label]))

    async def snooze(self) -> None:
        until = self.chance.choice(
            [None, Snooze.RUN, datetime.now(UTC) + timedelta(seconds=self.chance.choice([-1, 9_000]))]
        )
        which = ConflictQuery(ids=(await self.one(),), snoozed=None)
        await conflict_handling.snooze(self.database, self.actor, which, until)

    async def choose(self) -> None:
        found = await conflicts.get(self.database, self.actor, which := await self.one())
        assert not isinstance(found, Refusal)
        revision = found.row.revision
        await conflicts.choose(
            self.database, self.actor, which, "name", Taken(Choice.LOCAL), expected_revision=revision
        )

    async def refresh(self) -> None:
        """As a later run finds it: other fields, other values, and choices made before."""
        await self.write("fields = '{name,phone}', theirs = theirs || '{\"phone\": \"1\"}', reopened_at = now()")

    async def move(self) -> None:
        """Into another day and cell."""
        await self.write(_MOVED)

    async def regret(self) -> None:
        with pytest.raises(RegrettedError):
            await self.write(_MOVED, then=RegrettedError)

    async def write(self, change: str, then: type[Exception] | None = None) -> None:
        which = {"id": await self.one()}
        async with self.database.workspace(self.actor.workspace_id) as session:
            await session.execute(text(f"UPDATE payment_sync_conflicts SET {change} WHERE id = :id"), which)
            if then is not None:
                raise then

    async def fold(self) -> None:
        async with self.database.workspace(self.actor.workspace_id) as session:
            await conflict_counts.fold(session, self.actor.workspace_id, self.chance.choice(list(ConflictStatus)))


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_sum_is_what_there_is_at_every_moment(database: Database, workspace_id: UUID, seed: int) -> None:
    await make_conflicts(database, workspace_id, AT_FIRST)
    hands = [
        Hand(database, person(workspace_id, f"Hand {number}"), random.Random(f"{seed} {number}"), number)
        for number in range(HANDS)
    ]

    async def work(hand: Hand) -> None:
        for _ in range(STEPS):
            await hand.act()

    async with asyncio.TaskGroup() as group:
        working = [group.create_task(work(hand)) for hand in hands]
        while not all(one.done() for one in working):
            assert await miscounted(database, workspace_id) == []
            await asyncio.sleep(0)
    assert await miscounted(database, workspace_id) == []
    assert await seen(database, workspace_id) == await counted(database, workspace_id)


async def seen(database: Database, workspace_id: UUID) -> dict[str, tuple[int, int]]:
    """Open and settled as the screen has them: those that differ in a phone, and all."""
    found = {}
    for status in ConflictStatus:
        query = ConflictQuery(chosen={Facet.FIELD: ("phone",)}, status=status, snoozed=None)
        facets = await conflict_facets.facets(database, person(workspace_id), query)
        assert isinstance(facets, Facets)
        found[status.value] = facets.matching, facets.total
    return found


async def counted(database: Database, workspace_id: UUID) -> dict[str, tuple[int, int]]:
    sql = "SELECT status, count(*) FILTER (WHERE 'phone' = ANY (fields)) AS phones, count(*) AS total FROM payment_sync_conflicts GROUP BY 1"
    found = {row["status"]: (row["phones"], row["total"]) for row in await rows(database, workspace_id, sql)}
    return {status.value: found.get(status.value, (0, 0)) for status in ConflictStatus}


@asynccontextmanager
async def patient(database: Database, workspace_id: UUID) -> AsyncIterator[AsyncSession]:
    """A transaction in which whatever waits for another's lock fails."""
    async with database.workspace(workspace_id) as session:
        await session.execute(text("SET LOCAL lock_timeout = '1ms'"))
        yield session


_SNOOZED = "UPDATE payment_sync_conflicts SET snoozed_for = 'run' WHERE external_id = :id"


async def test_nobody_who_writes_or_folds_waits_for_another(database: Database, workspace_id: UUID) -> None:
    """Three that write into and out of the same cells, and two that fold them, each while all before it are still open."""
    await make_conflicts(database, workspace_id, 3)
    async with patient(database, workspace_id) as first, patient(database, workspace_id) as folding:
        await first.execute(text(_SNOOZED), {"id": "cus_1"})
        await conflict_counts.fold(folding, workspace_id, ConflictStatus.OPEN)
        async with patient(database, workspace_id) as second:
            await second.execute(text(_SNOOZED), {"id": "cus_2"})
        async with patient(database, workspace_id) as third:
            await conflict_counts.fold(third, workspace_id, ConflictStatus.OPEN)
            await third.execute(text(_SNOOZED), {"id": "cus_3"})
        assert await miscounted(database, workspace_id) == []
    assert await miscounted(database, workspace_id) == []


async def kept(database: Database, workspace_id: UUID) -> int:
    (found,) = await rows(database, workspace_id, "SELECT count(*) AS kept FROM payment_sync_conflict_counts")
    return int(found["kept"])


@pytest.mark.parametrize("folded_by", ["reader", "timer"])
async def test_many_rows_are_folded(database: Database, workspace_id: UUID, folded_by: str) -> None:
    await make_conflicts(database, workspace_id, 2)
    back_and_forth = "UPDATE payment_sync_conflicts SET assignee = CASE WHEN assignee IS NULL THEN 'ana' END WHERE external_id = 'cus_1'"
    async with database.workspace(workspace_id) as session:
        for _ in range(120):
            await session.execute(text(back_and_forth))
    assert await kept(database, workspace_id) > 200
    if folded_by == "timer":
        await prune(database)
        assert await kept(database, workspace_id) == 1
    assert await seen(database, workspace_id) == await counted(database, workspace_id)
    assert await kept(database, workspace_id) == 1
    assert await miscounted(database, workspace_id) == []


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        pytest.param(
            "DELETE FROM payment_sync_conflicts WHERE workspace_id = %(gone)s AND external_id <> 'cus_1'",
            1,
            id="most-conflicts",
        ),
        pytest.param("DELETE FROM payment_sync_sessions WHERE workspace_id = %(gone)s", 0, id="their-run"),
        pytest.param("DELETE FROM workspaces WHERE id = %(gone)s", 0, id="their-workspace"),
    ],
)
async def test_what_is_deleted_is_no_longer_counted(
    database: Database, database_url: str, workspace_id: UUID, statement: str, left: int
) -> None:
    other = await make_workspace(database, "Other")
    for one in (workspace_id, other):
        await make_conflicts(database, one, 5)
    with psycopg.connect(plain_url(database_url), autocommit=True) as owner:
        owner.execute("UPDATE workspaces SET settlement_wallet_id = NULL")
        owner.execute(statement, {"gone": workspace_id})
    assert await counted(database, workspace_id) == {"open": (0, left), "resolved": (0, 0)}
    for one in (workspace_id, other):
        assert await miscounted(database, one) == []
    assert (await counted(database, other))["open"] == (0, 5)


async def test_all_can_be_counted_anew(database: Database, database_url: str, workspace_id: UUID) -> None:
    """What the migration did with the conflicts that there were, and what one does that changes by what is counted."""
    await make_conflicts(database, workspace_id, 5)
    before = await seen(database, workspace_id)
    with psycopg.connect(plain_url(database_url), autocommit=True) as owner:
        owner.execute("DELETE FROM payment_sync_conflict_counts")
        assert await miscounted(database, workspace_id) != []
        owner.execute("SELECT recount_conflicts()")
    assert await miscounted(database, workspace_id) == []
    assert await seen(database, workspace_id) == before
