"""How two runs differ, to take away: every row as CSV or NDJSON, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import orjson

from sync_core.errors import Refusal
from sync_core.services import differences, history
from sync_core.services.actor import Actor
from sync_core.services.difference_views import Difference, Side
from sync_core.services.report_export import TYPES, Export, Format, cell, csv_lines
from sync_core.store.database import Database
from sync_core.store.plan_differences import Kind

FORMATS = (Format.CSV, Format.NDJSON)
_COLUMNS = [
    "entity_type",
    "external_id",
    "label",
    "record_id",
    "earlier_action",
    "earlier_reason",
    "later_action",
    "later_reason",
    "why",
    "message",
    "side",
    "field",
    "earlier",
    "later",
]


async def export(
    database: Database, actor: Actor, one_id: UUID, other_id: UUID, wanted: Format, *, only: Kind | None = None
) -> Export | Refusal:
    """`only` as the rows on the screen are narrowed."""
    if wanted not in FORMATS:
        return Refusal("format_invalid", "Differences are exported as csv or ndjson.", field="format")
    views = await history.two(database, actor, one_id, other_id)
    if isinstance(views, Refusal):
        return views
    words = [] if only is None else [only.entity, *(one or differences.NONE for one in (only.earlier, only.later))]
    name = "-".join(["differences", *(str(view.number) for view in views), *map(str, words)])
    found = differences.every(database, actor, one_id, other_id, only=only)
    return Export(f"{name}.{wanted.value}", TYPES[wanted], _chunks(found, wanted))


async def _chunks(found: AsyncIterator[list[Difference]], wanted: Format) -> AsyncIterator[bytes]:
    if wanted is Format.CSV:
        yield csv_lines([_COLUMNS])
    async for rows in found:
        if wanted is Format.CSV:
            yield csv_lines([line for one in rows for line in _lines(one)])
        else:
            yield b"".join(orjson.dumps(one.to_json()) + b"\n" for one in rows)


def _lines(one: Difference) -> list[list[str]]:
    """A line for each value that is not the same, or one where none is."""
    message = next((side.message for side in (one.later, one.earlier) if side and side.message), "")
    head = [one.entity.singular, one.external_id, one.label, str(one.record_id or ""), *_said(one.earlier)]
    head += [*_said(one.later), one.why, message]
    changes = [[each.side, each.change.label, cell(each.earlier), cell(each.later)] for each in one.changes]
    return [[*head, *tail] for tail in changes or [["", "", "", ""]]]


def _said(side: Side | None) -> list[str]:
    return ["", ""] if side is None else [side.action.value, side.reason.value if side.reason else ""]
