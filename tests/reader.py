"""One of several processes that read a Stripe account at once: `python -m tests.reader`, its orders as a line of JSON on standard input.

It says when it is ready, reads when it is told for how long, and then prints when each request began, by the clock that all processes of
a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sync_core.domain.vocabulary import EntityType
from sync_core.store.database import Database
from sync_core.store.rates import StoredSlots
from sync_core.stripe_source import Governor, StripeSource, http_client
from sync_core.stripe_source.governor import Leave, Mode

READERS = 8


@dataclass(frozen=True, slots=True)
class Orders:
    database_url: str
    stripe_url: str
    key: str
    mode: Mode
    share: float
    entities: list[str]

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


class _Noting(Governor):
    starts: list[tuple[str, float]]

    async def admit(self, endpoint: str) -> Leave | None:
        leave = await super().admit(endpoint)
        assert leave is not None
        return _Noted(leave, lambda: self.starts.append((endpoint, time.monotonic())))


class _Noted(Leave):
    def __init__(self, leave: Leave, note: Callable[[], None]) -> None:
        self._leave = leave
        self._note = note

    async def about_to_go(self) -> None:
        await self._leave.about_to_go()

    def gone(self) -> None:
        self._note()
        self._leave.gone()


async def main() -> None:
    orders = Orders(**json.loads(sys.stdin.readline()))
    database = Database(orders.database_url, pool_size=4)
    governor = _Noting(StoredSlots(database), account="acct_shared", mode=orders.mode, cap_share=orders.share)
    governor.starts = []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    until = float(sys.stdin.readline())
    async with http_client() as http:
        source = StripeSource(api_key=orders.key, base_url=orders.stripe_url, http=http, governor=governor)

        async def read(entity: EntityType) -> None:
            while time.monotonic() < until:
                await source.list_page(entity, limit=1)

        await asyncio.gather(*(read(EntityType(entity)) for entity in orders.entities for _ in range(READERS)))
    await database.dispose()
    json.dump({"starts": governor.starts, "throttled": dict(governor.stats().throttled)}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
