"""The server's end: it must not outlive the process that started it, however that one ended."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LOOK_SECONDS = 1.0


def keep_what_is_loaded() -> None:
    """Modules, components and schemas live as long as the server: to walk through them holds every event up for 150 ms, so the collector
    is told to pass over them.
    """
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def follow_parent() -> AsyncIterator[None]:
    task = asyncio.create_task(_end_with_parent(os.getppid()))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _end_with_parent(parent: int) -> None:
    """An orphan is handed to another parent: the one sign of a `kill -9` that every system gives."""
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
