"""A run in a process of its own, as the server starts it, to be killed, stopped and continued."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy import text

from sync_core.store import runs
from sync_core.store.crypto import KeyRing, Purpose
from sync_core.store.database import Database
from tests import support

RING = b64encode(bytes(range(32))).decode()
_ROOT = Path(__file__).parents[1]
LEASE_SECONDS = 1.0
_OPEN = text("SELECT 1 FROM payment_sync_leases WHERE session_id = :session")


def environment(
    database: Database, stripe_url: str, *, lease_seconds: float | None = None, limited: bool = False
) -> dict[str, str]:
    """What a child needs to find its database, its Stripe and the ring that opens its key. None: the lease of the product."""
    lease = {} if lease_seconds is None else {"LEASE_SECONDS": str(lease_seconds)}
    return lease | {
        "DATABASE_URL": database.url,
        "STRIPE_API_BASE": stripe_url,
        "ENCRYPTION_KEYS": RING,
        "RATE_UNLIMITED": "false" if limited else "true",
    }


async def enqueue(
    database: Database, workspace_id: UUID, wanted: runs.RunConfig, *, source_session_id: UUID | None = None
) -> UUID:
    """Queue a run whose connection holds a key that a child can open."""
    connection_id = await support.make_connection(database, workspace_id)
    sealed = KeyRing.parse(RING).seal(
        support.KEY, workspace_id=workspace_id, connection_id=connection_id, purpose=Purpose.API_KEY
    )
    async with database.workspace(workspace_id) as session:
        await session.execute(
            text("UPDATE payment_connections SET key_ciphertext = :key, is_sandbox = false WHERE id = :id"),
            {"key": sealed, "id": connection_id},
        )
        session_id = await runs.enqueue(
            session,
            workspace_id,
            wanted,
            connection_id=connection_id,
            created_by="test",
            source_session_id=source_session_id,
        )
    assert session_id is not None
    return session_id


@dataclass(slots=True)
class Child:
    """`async with Child(...)`: killed at the end of the block, if it still lives."""

    database: Database
    stripe_url: str
    session_id: UUID
    failpoint: str = ""
    lease_seconds: float = LEASE_SECONDS
    limited: bool = False
    process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        made = environment(self.database, self.stripe_url, lease_seconds=self.lease_seconds, limited=self.limited)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sync_core", "run", "--session", str(self.session_id)),
            cwd=_ROOT,
            env=os.environ | made | {"CYPHERA_FAILPOINT": self.failpoint},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    @property
    def is_over(self) -> bool:
        assert self.process is not None
        return self.process.returncode is not None

    def kill(self) -> None:
        """As a power cut would, unless it has ended."""
        if not self.is_over:
            self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, negative for a signal."""
        assert self.process is not None
        return await self.process.wait()


async def free(database: Database, session_id: UUID, *, or_ended: bool = False) -> None:
    """Wait until the lease has run out by itself; `or_ended`, or the run needs none any more."""

    async def is_due() -> bool:
        async with database.system() as session:
            if or_ended and not (await session.execute(_OPEN, {"session": session_id})).all():
                return True
            return session_id in {one.session_id for one in await runs.due(session)}

    assert await support.holds(is_due, within=120)


async def driven_to_its_end(database: Database, stripe_url: str, session_id: UUID) -> None:
    """By as many children as it takes, as the timer starts them: one stopped in the middle of a transaction keeps the run from the
    next until PostgreSQL ends it, after ten seconds.
    """

    async def is_over() -> bool:
        await free(database, session_id, or_ended=True)
        async with Child(database, stripe_url, session_id) as heir:
            assert await heir.ended() == 0
        async with database.system() as session:
            return not (await session.execute(_OPEN, {"session": session_id})).all()

    assert await support.holds(is_over, within=240)
