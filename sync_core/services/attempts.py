"""Connecting while somebody watches: each attempt runs by itself, and the page reads how far it is.

Kept in this process only, without the key, and forgotten after a while: what came of a good key is stored with the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

import structlog

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services import connection_drafts, connections
from sync_core.services.actor import Actor
from sync_core.services.check_results import Check
from sync_core.services.checks import Report
from sync_core.services.connection_drafts import DraftView, Mode
from sync_core.services.connection_views import ConnectionView
from sync_core.settings import Settings
from sync_core.store.database import Database

log = structlog.get_logger()

_KEEP_SECONDS: Final = 600.0
_MOST: Final = 200
_BROKEN: Final = Refusal("internal_error", "Something went wrong here. It has been logged; try again.", status=500)


@dataclass(frozen=True, slots=True)
class Typed:
    """What is entered beside the key: the form that is shown after a refusal still holds it."""

    entity_types: tuple[EntityType, ...] = connections.EVERY
    label: str = ""
    mode: Mode = "test"


@dataclass(frozen=True, slots=True)
class AttemptView:
    """`checks` so far, in their order; `refusal`, `connected` or `saved` (as a draft) once it is done. `typed` is what it was begun with."""

    checks: tuple[Check, ...]
    done: bool
    refusal: Refusal | None
    connected: bool
    saved: bool
    typed: Typed


Result = ConnectionView | DraftView | Refusal


@dataclass(slots=True)
class _Attempt:
    workspace_id: UUID
    began: float
    typed: Typed
    checks: list[Check] = field(default_factory=list)
    result: Result | None = None
    task: asyncio.Task[None] | None = None


_attempts: dict[UUID, _Attempt] = {}


def begin_key(
    database: Database, actor: Actor, api_key: str, typed: Typed, *, settings: Settings | None = None
) -> UUID:
    """Examine a key and keep it if it is fit; returns at once."""

    async def connect(report: Report) -> Result:
        return await connections.connect(
            database, actor, api_key, entity_types=typed.entity_types, settings=settings, report=report
        )

    return _begin(actor, connect, typed)


def begin_sandbox(database: Database, actor: Actor, *, settings: Settings | None = None) -> UUID:
    return _begin(actor, lambda report: connections.connect_sandbox(database, actor, settings=settings, report=report))


def begin_draft(
    database: Database, actor: Actor, api_key: str, typed: Typed, *, settings: Settings | None = None
) -> UUID:
    """Keep a key for later, and examine it."""

    async def save(report: Report) -> DraftView | Refusal:
        return await connection_drafts.save(
            database,
            actor,
            api_key,
            label=typed.label,
            mode=typed.mode,
            entity_types=typed.entity_types,
            settings=settings,
            report=report,
        )

    return _begin(actor, save, typed)


def begin_take_up(database: Database, actor: Actor, *, settings: Settings | None = None) -> UUID:
    return _begin(actor, lambda report: connection_drafts.take_up(database, actor, settings=settings, report=report))


def read(actor: Actor, attempt_id: UUID) -> AttemptView | None:
    """None for another workspace's, and for one that was forgotten."""
    found = _attempts.get(attempt_id)
    if found is None or found.workspace_id != actor.workspace_id:
        return None
    result = found.result
    return AttemptView(
        checks=tuple(found.checks),
        done=result is not None,
        refusal=result if isinstance(result, Refusal) else None,
        connected=isinstance(result, ConnectionView),
        saved=isinstance(result, DraftView),
        typed=found.typed,
    )


def _begin(actor: Actor, connect: Callable[[Report], Awaitable[Result]], typed: Typed = Typed()) -> UUID:
    _forget_old()
    attempt_id = uuid4()
    attempt = _attempts[attempt_id] = _Attempt(actor.workspace_id, time.monotonic(), typed)
    attempt.task = asyncio.create_task(_run(attempt, connect))
    return attempt_id


async def _run(attempt: _Attempt, connect: Callable[[Report], Awaitable[Result]]) -> None:
    try:
        attempt.result = await connect(attempt.checks.append)
    except Exception as failure:
        log.exception("connection.attempt_failed", error=type(failure).__name__)
        attempt.result = _BROKEN


def _forget_old() -> None:
    edge = time.monotonic() - _KEEP_SECONDS
    old = [key for key, one in _attempts.items() if one.began < edge]
    crowded = list(_attempts)[: max(0, len(_attempts) - _MOST)]
    for key in {*old, *crowded}:
        del _attempts[key]
