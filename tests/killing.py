"""Runs whose process is killed again and again, at named places or at any moment, and taken up again each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from sync_core.domain.fields import ORDER
from sync_core.domain.vocabulary import EntityType, SessionStatus
from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Blueprint, Sizes
from sync_core.sandbox.server import SandboxServer
from sync_core.store.database import Database
from tests import child, support, truth
from tests.child import Child

KILLED = -9
SIZES = Sizes(300, 12, 60, 60, 60)

PLANNING = ("plan.before_write", "plan.before_commit", "plan.after_commit")
ENDING = (("verify.before", 1), ("verify.checked", 5), ("finish.before", 1), ("finish.before_commit", 1))
# In the order in which a run passes them: one that was killed at the first still has the others before it.
READING = (
    ("preflight.before_range", 1),
    ("fetch.page_read", 8),
    ("land.before_commit", 4),
    ("land.after_commit", 3),
    ("related.before_landing", 1),
)


def server(name: str = "kill") -> SandboxServer:
    return SandboxServer(Account.generated(Blueprint(name, SIZES)), latency_ms=5)


def at_named_places(rng: Random, kills: int, *, reading: bool = True) -> list[str]:
    """Failpoints with the passing that kills, in the order of a run."""
    places = [f"{name}:{rng.randint(1, most)}" for name, most in READING] if reading else []
    places.append(f"{rng.choice(PLANNING)}:{rng.randint(1, 3)}")
    places += [f"{name}:{rng.randint(1, most)}" for name, most in sorted(rng.sample(ENDING, k=2), key=ENDING.index)]
    chosen = sorted(rng.sample(range(len(places)), k=min(kills, len(places))))
    return [places[one] for one in chosen]


@dataclass(frozen=True, slots=True)
class Moment:
    """Any moment: after so many more requests, or so many seconds after the process has taken the run."""

    requests: int | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s" if self.requests is None else f"{self.requests} requests"


def at_any_moments(rng: Random, kills: int) -> list[Moment]:
    either = (lambda: Moment(requests=rng.randint(0, 60)), lambda: Moment(seconds=rng.uniform(0.0, 0.6)))
    return [rng.choice(either)() for _ in range(kills)]


@dataclass(frozen=True, slots=True)
class Kill:
    """`again` pages are to be read a second time; `windows` were open. None while no window was being read."""

    place: str
    phase: str
    again: int | None
    windows: int


@dataclass(slots=True)
class Victim:
    """One run under its kills. Requests are counted from the sandbox's side: what was asked and is not durable is asked again."""

    database: Database
    workspace_id: UUID
    server: SandboxServer
    session_id: UUID
    is_first: bool = True
    kills: list[Kill] = field(default_factory=list)
    _asked: int = 0
    _pages: int = 0

    @classmethod
    async def of(cls, database: Database, workspace_id: UUID, server: SandboxServer, **options: Any) -> Victim:
        wanted = support.config(batch_size=10, dry_run=options.pop("dry_run", False))
        session_id = await child.enqueue(database, workspace_id, wanted, **options)
        victim = cls(database, workspace_id, server, session_id)
        victim._asked = victim._lists_asked()
        return victim

    async def suffer(self, places: Sequence[str | Moment]) -> list[Kill]:
        """Die at each place in turn. At a moment it may have come to its end before: then that was no kill."""
        for place in places:
            before = await self._state()
            if before["status"] == "completed":
                break
            async with Child(self.database, self.server.url, self.session_id, str(place)) as process:
                if isinstance(place, Moment):
                    await self._come(place, process)
                    process.kill()
                code = await process.ended()
            if isinstance(place, str):
                assert code == KILLED, f"{place} was not reached"
            if code == KILLED:
                self.kills.append(await self._kill(str(place), before))
            await child.free(self.database, self.session_id, or_ended=True)
        return self.kills

    async def finish(self) -> None:
        """Go on to the end, and hold the result to the truth."""
        if (await self._state())["status"] != "completed":
            async with Child(self.database, self.server.url, self.session_id) as last:
                assert await last.ended() == 0
        after = await self._state()
        assert after["status"] == "completed"
        for row in (await support.counters(self.database, self.workspace_id, self.session_id)).values():
            assert row["created"] == row["fetched"] or after["applied"] or not self.is_first, row
            assert row["verified"]["verified"] is True

    async def assert_equal_to_the_account(self) -> None:
        await truth.assert_equal_to(self.database, self.workspace_id, self.server.world.account())
        assert await truth.round_trips(self.database, self.workspace_id) == []

    async def _state(self) -> dict[str, Any]:
        found = await support.rows(
            self.database,
            self.workspace_id,
            "SELECT s.status, s.phase, s.dry_run, s.source_session_id IS NOT NULL AS applied, s.ceiling IS NOT NULL AS frozen,"
            " (SELECT fence FROM payment_sync_leases l WHERE l.session_id = s.id) AS fence,"
            " (SELECT coalesce(sum(pages), 0)::int FROM payment_sync_windows w WHERE w.session_id = s.id) AS pages,"
            " (SELECT count(*)::int FROM payment_sync_windows w WHERE w.session_id = s.id AND status = 'open') AS windows"
            " FROM payment_sync_sessions s WHERE s.id = :s",
            s=self.session_id,
        )
        return found[0]

    def _lists_asked(self) -> int:
        return sum(self.server.world.statistics.requests[f"GET /v1/{entity.value}"] for entity in ORDER)

    async def _come(self, moment: Moment, process: Child) -> None:
        """Until the moment, or the process's end."""
        fence = (await self._state())["fence"]
        asked = self.server.world.statistics.requests.total() + (moment.requests or 0)

        async def taken() -> bool:
            return process.is_over or (await self._state())["fence"] != fence

        async def enough() -> bool:
            return process.is_over or self.server.world.statistics.requests.total() >= asked

        assert await support.holds(taken)
        if moment.requests is not None:
            assert await support.holds(enough, every=0.001)
        else:
            await support.passed(moment.seconds)

    async def _kill(self, place: str, before: dict[str, Any]) -> Kill:
        after = await self._state()
        asked, pages = self._lists_asked(), after["pages"]
        probes = len(ORDER) if after["frozen"] and not before["frozen"] else 0
        again = asked - self._asked - probes - (pages - self._pages)
        self._asked, self._pages = asked, pages
        kind = "dry run, " if after["dry_run"] else "plan applied, " if after["applied"] else ""
        phase = kind + ("preflight" if not (after["frozen"] or after["applied"]) else str(after["phase"]))
        if after["applied"]:
            assert again == 0, "a plan is applied without a request"
        if not after["windows"]:
            return Kill(place, phase, None, 0)
        assert 0 <= again <= after["windows"], f"{place}: {again} pages again, {after['windows']} windows open"
        return Kill(place, phase, again, after["windows"])


async def later_sync(
    database: Database, workspace_id: UUID, server: SandboxServer, places: Sequence[str | Moment], rng: Random
) -> list[Kill]:
    """A second sync under kills, of an account most of which is as it was: what is known again is not staged."""
    first = await support.sync(database, workspace_id, server.url, support.config(batch_size=100))
    assert first.status is SessionStatus.COMPLETED
    account = server.world.account()
    for entity, changed in ((EntityType.CUSTOMERS, 40), (EntityType.PRODUCTS, 3)):
        for external_id in rng.sample(sorted(account.truth(entity.value)), changed):
            account.update(entity.value, external_id, {"name": f"Renamed {external_id}"}, now=server.world.now())
    victim = await Victim.of(database, workspace_id, server)
    victim.is_first = False
    kills = await victim.suffer(places)
    await victim.finish()
    await victim.assert_equal_to_the_account()
    counted = await support.counters(database, workspace_id, victim.session_id)
    assert counted["customers"]["updated"] == 40
    return kills


async def dry_run_and_its_plan(
    database: Database,
    workspace_id: UUID,
    server: SandboxServer,
    in_dry_run: Sequence[str | Moment],
    in_applying: Sequence[str | Moment],
) -> list[Kill]:
    """Both under kills: the dry run writes no record, applying it writes them all and asks Stripe nothing."""
    planned = await Victim.of(database, workspace_id, server, dry_run=True)
    kills = await planned.suffer(in_dry_run)
    await planned.finish()
    assert all(not records for records in (await truth.stored(database, workspace_id)).values())
    applied = await Victim.of(database, workspace_id, server, source_session_id=planned.session_id)
    kills += await applied.suffer(in_applying)
    await applied.finish()
    await applied.assert_equal_to_the_account()
    return kills
