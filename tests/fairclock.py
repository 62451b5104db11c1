"""Seconds for promises that are made in seconds: what a busy machine keeps everybody from is taken off, and nothing that is our own doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg

from sync_core.store.database import Database
from tests import support

_EVERY = 0.005
# A turn of the probe on a machine that has nothing else to do, and some more.
_DUE = _EVERY + 0.003


@dataclass(slots=True)
class FairClock:
    """Called, the seconds since it was made, without the machine's lag.

    A probe beside the test sleeps a little and asks PostgreSQL for nothing much, again and again. What a turn of that takes above its due
    is lag: time in which the machine let neither us nor PostgreSQL go on. Time that this process computed in itself is none, nor is a wait
    for a lock, a slow statement or a long sleep, of which the probe feels nothing.
    """

    lag: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _turn: tuple[float, float] | None = None

    def __call__(self) -> float:
        return time.monotonic() - self._began - self.lag - self._late()

    def _late(self) -> float:
        """Of the turn that is under way."""
        if self._turn is None:
            return 0.0
        began, computed = self._turn
        return max(0.0, time.monotonic() - began - (time.process_time() - computed) - _DUE)

    async def probe(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            self._turn = time.monotonic(), time.process_time()
            await support.passed(_EVERY)
            await connection.execute("SELECT 1")
            self.lag += self._late()


@asynccontextmanager
async def fair_clock(database: Database) -> AsyncIterator[FairClock]:
    async with support.apart(database) as connection:
        clock = FairClock()
        probing = asyncio.create_task(clock.probe(connection))
        try:
            yield clock
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
