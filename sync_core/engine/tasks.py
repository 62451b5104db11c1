"""Running coroutines side by side so that none outlives a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
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
        for task in (*main, *others):
            task.cancel()
        await asyncio.gather(*main, *others, return_exceptions=True)
