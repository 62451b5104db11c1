"""Running coroutines side by side so that none outlives a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def together(*work: Coroutine[Any, Any, None], background: tuple[Coroutine[Any, Any, None], ...] = ()) -> None:
    """Until all `work` is done, or anything of it or of the background fails: then everything stops with that error."""
    main = [asyncio.create_task(one) for one in work]
    others = [asyncio.create_task(one) for one in background]
    left = set(main)
    try:
        while left:
            done, _ = await asyncio.wait({*left, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            left -= done
    finally:
        await ended((*main, *others))


async def either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended(waiting)


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what of them is still at work, and wait for the end of it."""
    some = list(tasks)
    for task in some:
        task.cancel()
    await asyncio.gather(*some, return_exceptions=True)
