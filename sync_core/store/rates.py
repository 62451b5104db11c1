"""Starting times of requests, shared by all workers of a Stripe account. The clock is the database's.

Each bucket is one row: the next free slot. Reserving takes the rows in the order of their names, so that two workers never wait for
each other in a circle, and moves them on by as many evenly spaced slots as are wanted (GCRA without a burst).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from sync_core.store.database import Database
from sync_core.store.patience import patiently

_ENSURE = text(
    "INSERT INTO payment_sync_rate_buckets (name, next_at) SELECT name, clock_timestamp() FROM unnest(CAST(:names AS text[])) AS name"
    " ON CONFLICT DO NOTHING"
)
_LOCK = text("SELECT name FROM payment_sync_rate_buckets WHERE name = ANY(:names) ORDER BY name FOR UPDATE")
_RESERVE = text(
    "WITH began AS (SELECT greatest(max(next_at), clock_timestamp()) AS at, clock_timestamp() AS now"
    " FROM payment_sync_rate_buckets WHERE name = ANY(:names))"
    " UPDATE payment_sync_rate_buckets b SET next_at = began.at + make_interval(secs => :count / w.rate)"
    " FROM began, unnest(CAST(:names AS text[]), CAST(:rates AS float8[])) AS w(name, rate) WHERE b.name = w.name"
    " RETURNING extract(epoch FROM began.at - began.now)::float8"
)
_PUSH = text(
    "INSERT INTO payment_sync_rate_buckets (name, next_at) VALUES (:name, clock_timestamp() + make_interval(secs => :seconds))"
    " ON CONFLICT (name) DO UPDATE SET next_at = greatest(payment_sync_rate_buckets.next_at, excluded.next_at)"
)
_COUNT = text(
    "INSERT INTO payment_sync_read_meter (account_id, month, reads)"
    " VALUES (:account, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'), :reads)"
    " ON CONFLICT (account_id, month) DO UPDATE SET reads = payment_sync_read_meter.reads + excluded.reads"
)


class StoredSlots:
    """Fulfils `stripe_source.SlotStore` without knowing it. Waits while the database is away: a slot drawn twice is one unused."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    async def reserve(self, buckets: Sequence[tuple[str, float]], count: int) -> Sequence[float]:
        return await patiently(lambda: self._reserve(buckets, count), longest_delay=1.0)

    async def _reserve(self, buckets: Sequence[tuple[str, float]], count: int) -> Sequence[float]:
        names = [name for name, _ in buckets]
        async with self._database.system() as session:
            if not self._known.issuperset(names):
                await session.execute(_ENSURE, {"names": names})
            await session.execute(_LOCK, {"names": names})
            first = (
                await session.execute(
                    _RESERVE, {"names": names, "rates": [rate for _, rate in buckets], "count": float(count)}
                )
            ).scalars()
            wait = max(0.0, float(first.all()[0]))
        self._known.update(names)
        spacing = max(1.0 / rate for _, rate in buckets)
        return [wait + spacing * one for one in range(count)]

    async def push_back(self, bucket: str, seconds: float) -> None:
        await patiently(lambda: self._push_back(bucket, seconds), longest_delay=1.0)

    async def _push_back(self, bucket: str, seconds: float) -> None:
        async with self._database.system() as session:
            await session.execute(_PUSH, {"name": bucket, "seconds": seconds})


async def count_reads(database: Database, account: str, reads: int) -> None:
    """Add to the month's meter of an account (UTC)."""
    async with database.system() as session:
        await session.execute(_COUNT, {"account": account, "reads": reads})
