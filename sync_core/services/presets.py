"""Configurations of syncs kept under a name: made, used again, renamed, deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.start_request import StartRequest, checked
from sync_core.store import presets as store
from sync_core.store.audit import record
from sync_core.store.database import Database
from sync_core.store.presets import NameTaken, StoredPreset
from sync_core.store.sessions import lock_workspace

LONGEST_NAME: Final = 60
MOST_PRESETS: Final = 50
_FORBIDDEN = Refusal("forbidden", "Your role may use presets, but not change them.", status=403)
NOT_FOUND = Refusal("preset_not_found", "There is no such preset in this workspace.", status=404)


@dataclass(frozen=True, slots=True)
class Preset:
    """`days` is a range that ends now, counted back from today; None for a fixed one, or for everything."""

    id: UUID
    name: str
    request: StartRequest
    days: int | None
    created_by: str
    created_at: int


async def every(database: Database, actor: Actor) -> tuple[Preset, ...]:
    """By name."""
    async with database.workspace(actor.workspace_id) as session:
        found = await store.every(session, actor.workspace_id)
    return tuple(_preset(one) for one in found)


async def get(database: Database, actor: Actor, preset_id: UUID) -> Preset | Refusal:
    async with database.workspace(actor.workspace_id) as session:
        found = await store.read(session, actor.workspace_id, preset_id)
    return NOT_FOUND if found is None else _preset(found)


async def save(
    database: Database, actor: Actor, name: str, request: StartRequest, *, days: int | None = None
) -> Preset | Refusal:
    """Under a name that is free. Whether it is a dry run is chosen when it is used."""
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    named = _named(name)
    if isinstance(named, Refusal):
        return named
    sound = checked(request, now=int(time.time()))
    if isinstance(sound, Refusal):
        return sound
    async with database.workspace(actor.workspace_id) as session:
        await lock_workspace(session, actor.workspace_id)
        if len(await store.every(session, actor.workspace_id)) >= MOST_PRESETS:
            return Refusal("presets_full", f"A workspace keeps {MOST_PRESETS} presets. Delete one first.", status=409)
        try:
            found = await store.add(
                session, actor.workspace_id, name=named, config=_config(request, days), created_by=actor.label
            )
        except NameTaken:
            return _taken(named)
        details = {"name": named}
        await record(session, actor.workspace_id, actor.label, "preset.created", target=str(found.id), details=details)
    return _preset(found)


async def rename(database: Database, actor: Actor, preset_id: UUID, name: str) -> Preset | Refusal:
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    named = _named(name)
    if isinstance(named, Refusal):
        return named
    async with database.workspace(actor.workspace_id) as session:
        try:
            found = await store.rename(session, actor.workspace_id, preset_id, named)
        except NameTaken:
            return _taken(named)
        if found is None:
            return NOT_FOUND
        details = {"name": named}
        await record(session, actor.workspace_id, actor.label, "preset.renamed", target=str(preset_id), details=details)
    return _preset(found)


async def delete(database: Database, actor: Actor, preset_id: UUID) -> Refusal | None:
    if not actor.can(Permission.RUN_SYNC):
        return _FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        name = await store.delete(session, actor.workspace_id, preset_id)
        if name is None:
            return NOT_FOUND
        details = {"name": name}
        await record(session, actor.workspace_id, actor.label, "preset.deleted", target=str(preset_id), details=details)
    return None


def _named(name: str) -> str | Refusal:
    wanted = " ".join(name.split())
    if not wanted or "\0" in wanted:
        return Refusal("preset_name_empty", "Give the preset a name.", field="name")
    if len(wanted) > LONGEST_NAME:
        return Refusal("preset_name_long", f"A name has at most {LONGEST_NAME} characters.", field="name")
    return wanted


def _taken(name: str) -> Refusal:
    return Refusal("preset_name_taken", f"There is a preset named “{name}” already.", field="name", status=409)


def _config(request: StartRequest, days: int | None) -> dict[str, Any]:
    return {
        "entity_types": list(request.entity_types),
        "batch_size": request.batch_size,
        "concurrent_batches": request.concurrent_batches,
        "conflict_strategy": request.conflict_strategy,
        "strategies": dict(request.strategies),
        "start": None if days is not None else request.start,
        "end": None if days is not None else request.end,
        "days": days,
    }


def _preset(stored: StoredPreset) -> Preset:
    config = dict(stored.config)
    days = config.pop("days", None)
    known = {name: config[name] for name in StartRequest.__dataclass_fields__ if name in config}
    return Preset(
        id=stored.id,
        name=stored.name,
        request=replace(StartRequest(), **known),
        days=days,
        created_by=stored.created_by,
        created_at=int(stored.created_at.timestamp()),
    )
