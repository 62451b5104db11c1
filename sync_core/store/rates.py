"""Starting times of requests, shared by all workers of a Stripe account. The clock is the database's.

The account's bucket holds the least cap that a workspace set for it (a trigger on connections keeps it there): each draw reads it under the
lock that it takes anyway, so all workers heed it at once.

Each bucket is one row that holds its calendar: the times given out, lately past and to come. Drawing locks the rows of the account and of
the endpoint in the order of their names, so that two workers never wait for each other in a circle; `domain.starts` finds the times.

A time that is given out counts as a read in the month's meter, in the same transaction; what comes back unused is taken off. So a worker
that is killed leaves no read uncounted, and at most the few that it had drawn ahead too many; one that draws no times (`RATE_UNLIMITED`)
counts some ahead all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.domain.starts import Calendar, Lot, Wish, serve
from sync_core.store.database import Database
from sync_core.store.patience import patiently

_ENSURE = text(
    "INSERT INTO payment_sync_rate_buckets (name, next_at) SELECT name, clock_timestamp() FROM unnest(CAST(:names AS text[])) AS name"
    " ON CONFLICT DO NOTHING"
)
# The clock is read when the locks are held: who waited for them must not be given times that have passed. A worker that is stopped
# while it holds them is ended by PostgreSQL, or it would stop all others.
_LOCK = text(
    "WITH limits AS (SELECT set_config('idle_in_transaction_session_timeout', '2s', true)),"
    " locked AS MATERIALIZED (SELECT name, starts, next_at, slack, slack_before, slack_at, cap FROM payment_sync_rate_buckets, limits"
    " WHERE name = ANY(:names) ORDER BY name FOR UPDATE OF payment_sync_rate_buckets)"
    " SELECT name, starts, extract(epoch FROM next_at)::float8 AS closed_until, slack, slack_before, slack_at, cap,"
    " extract(epoch FROM clock_timestamp())::float8 AS now FROM locked"
)
_SAVE = text(
    "UPDATE payment_sync_rate_buckets SET starts = CAST(:starts AS float8[]), slack = :slack, slack_before = :slack_before,"
    " slack_at = :slack_at WHERE name = :name"
)
_PUSH = text(
    "INSERT INTO payment_sync_rate_buckets (name, next_at) VALUES (:name, clock_timestamp() + make_interval(secs => :seconds))"
    " ON CONFLICT (name) DO UPDATE SET next_at = greatest(payment_sync_rate_buckets.next_at, excluded.next_at)"
)
_CAP = text("SELECT cap FROM payment_sync_rate_buckets WHERE name = :name")
_COUNT = text(
    "INSERT INTO payment_sync_read_meter (account_id, month, reads)"
    " VALUES (:account, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'), greatest(0, :reads))"
    " ON CONFLICT (account_id, month) DO UPDATE SET reads = greatest(0, payment_sync_read_meter.reads + :reads)"
)


class StoredSlots:
    """Fulfils `stripe_source.SlotStore` without knowing it. Waits while the database is away: a slot drawn twice is one unused."""

    def __init__(self, database: Database, *, meter: str | None = None) -> None:
        """`meter` is the account whose reads are counted."""
        self._database = database
        self._meter = meter
        self._known: set[str] = set()

    async def reserve(self, wish: Wish) -> Lot:
        return await patiently(lambda: self._reserve(wish), longest_delay=1.0)

    async def _reserve(self, wish: Wish) -> Lot:
        names = [wish.account[0], wish.endpoint[0]]
        async with self._database.system() as session:
            if not self._known.issuperset(names):
                await session.execute(_ENSURE, {"names": names})
            found, now, cap = await _locked(session, names)
            allowed = wish.account if cap is None else (names[0], min(wish.account[1], cap))
            lot = serve(replace(wish, account=allowed), found[names[0]], found[names[1]], now)
            await session.execute(_SAVE, [_saved(name, calendar) for name, calendar in found.items()])
            await self._count(session, wish.count - len(wish.returned))
        self._known.update(names)
        return replace(lot, cap=cap)

    async def take_back(self, account: str, endpoint: str, starts: Sequence[float]) -> None:
        async with self._database.system() as session:
            found, now, _ = await _locked(session, [account, endpoint])
            for calendar in found.values():
                calendar.forget(now, starts)
            await session.execute(_SAVE, [_saved(name, calendar) for name, calendar in found.items()])
            await self._count(session, -len(starts))

    async def count(self, reads: int) -> None:
        """As with times, only what is drawn is waited for."""
        account = self._meter
        if account is None:
            return
        if reads < 0:
            await count_reads(self._database, account, reads)
        else:
            await patiently(lambda: count_reads(self._database, account, reads), longest_delay=1.0)

    async def _count(self, session: AsyncSession, reads: int) -> None:
        if self._meter is not None:
            await session.execute(_COUNT, {"account": self._meter, "reads": reads})

    async def push_back(self, bucket: str, seconds: float) -> None:
        await patiently(lambda: self._push_back(bucket, seconds), longest_delay=1.0)

    async def _push_back(self, bucket: str, seconds: float) -> None:
        async with self._database.system() as session:
            await session.execute(_PUSH, {"name": bucket, "seconds": seconds})


async def _locked(session: AsyncSession, names: list[str]) -> tuple[dict[str, Calendar], float, int | None]:
    """The calendars, what time it is, and the cap of the first, the account's."""
    rows = (await session.execute(_LOCK, {"names": names})).all()
    found = {
        row.name: Calendar(list(row.starts), row.closed_until, row.slack, row.slack_before, row.slack_at)
        for row in rows
    }
    return found, max(row.now for row in rows), next(row.cap for row in rows if row.name == names[0])


def _saved(name: str, calendar: Calendar) -> dict[str, object]:
    return {
        "name": name,
        "starts": calendar.starts,
        "slack": calendar.slack,
        "slack_before": calendar.slack_before,
        "slack_at": calendar.slack_at,
    }


async def count_reads(database: Database, account: str, reads: int) -> None:
    """Add to the month's meter of an account (UTC)."""
    async with database.system() as session:
        await session.execute(_COUNT, {"account": account, "reads": reads})


async def cap_of(session: AsyncSession, bucket: str) -> int | None:
    """Requests a second that people allow an account, by its bucket's name; None where nobody said."""
    found: int | None = (await session.execute(_CAP, {"name": bucket})).scalar_one_or_none()
    return found
