"""A plan to take away: every row as CSV or NDJSON, a page at a time; its head as JSON or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import orjson

from sync_core.domain.vocabulary import Action, EntityType, ReasonCode, Role
from sync_core.errors import Refusal
from sync_core.services import findings, report
from sync_core.services.actor import Actor, Permission
from sync_core.services.findings import Findings
from sync_core.services.plan_effects import Effects
from sync_core.services.report import ReportView, json_view, plan_of
from sync_core.store import reports as store
from sync_core.store.database import Database
from sync_core.store.reports import PlanRow

_PAGE: Final = 500


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"
    MARKDOWN = "md"


TYPES: Mapping[Format, str] = MappingProxyType(
    {
        Format.CSV: "text/csv; charset=utf-8",
        Format.NDJSON: "application/x-ndjson",
        Format.JSON: "application/json",
        Format.MARKDOWN: "text/markdown; charset=utf-8",
    }
)


@dataclass(frozen=True, slots=True)
class Only:
    """What rows of CSV and NDJSON are wanted: all, unless something is set."""

    entity: EntityType | None = None
    action: Action | None = None
    reason: ReasonCode | None = None
    field: str | None = None

    def has(self, entity: EntityType, action: Action) -> bool:
        return self.entity in (None, entity) and self.action in (None, action)

    def words(self) -> list[str]:
        return [str(one) for one in (self.entity, self.action, self.reason, self.field) if one]


@dataclass(frozen=True, slots=True)
class Export:
    """A file as it is made: `chunks` are read once, in order."""

    filename: str
    content_type: str
    chunks: AsyncIterator[bytes]


async def export(
    database: Database,
    actor: Actor,
    session_id: UUID,
    wanted: Format,
    *,
    only: Only | None = None,
) -> Export | Refusal:
    only = only or Only()
    if not actor.can(Permission.VIEW):
        return report.FORBIDDEN
    head = await report.summary(database, actor, session_id)
    if isinstance(head, Refusal):
        return head
    if wanted in (Format.CSV, Format.NDJSON):
        chunks = _rows(database, actor, head, wanted, only)
    else:
        found = await findings.look(database, actor, session_id)
        if isinstance(found, Refusal):
            return found
        text = _json(head, found) if wanted is Format.JSON else markdown(head, found).encode()
        chunks = _once(text)
    kind = "plan" if head.session.config.dry_run else "report"
    parts = [kind, str(head.session.number), str(session_id)[:8], *only.words()]
    return Export(f"{'-'.join(parts)}.{wanted.value}", TYPES[wanted], chunks)


async def for_shell(
    database: Database, workspace_id: UUID, session_id: UUID, wanted: Format
) -> tuple[int, Export] | Refusal:
    """With the exit code, for whoever has the machine itself."""
    actor = Actor(workspace_id, Role.VIEWER, "shell")
    head = await report.summary(database, actor, session_id)
    if isinstance(head, Refusal):
        return head
    made = await export(database, actor, session_id, wanted)
    return made if isinstance(made, Refusal) else (head.exit_code, made)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _rows(database: Database, actor: Actor, head: ReportView, wanted: Format, only: Only) -> AsyncIterator[bytes]:
    if wanted is Format.CSV:
        yield csv_lines([_COLUMNS])
    for row in head.matrix:
        for one in Action:
            if only.has(row.entity, one) and row.counts[one]:
                async for page in _pages(database, actor, head, row.entity, one, only):
                    if wanted is Format.CSV:
                        yield csv_lines([line for item in page for line in _lines(row.entity, item)])
                    else:
                        yield b"".join(orjson.dumps(_document(row.entity, item)) + b"\n" for item in page)


async def _pages(
    database: Database, actor: Actor, head: ReportView, entity: EntityType, action: Action, only: Only
) -> AsyncIterator[list[PlanRow]]:
    """Each page in a transaction of its own: a slow reader holds nothing."""
    plan, after = plan_of(head.session), 0
    while True:
        async with database.workspace(actor.workspace_id) as session:
            found = await store.rows(
                session, plan, entity, action, after=after, limit=_PAGE, reason=only.reason, field=only.field
            )
        if not found:
            return
        yield found
        after = found[-1].seq


_COLUMNS = [
    "entity_type",
    "external_id",
    "label",
    "action",
    "reason",
    "record_id",
    "field",
    "ours",
    "stripe",
    "message",
]


def _lines(entity: EntityType, row: PlanRow) -> list[list[str]]:
    """A line for each field that differs, or one when none does."""
    detail = row.detail or {}
    label = report.described(entity, row.theirs)
    head = [entity.singular, row.external_id, label, row.action, row.reason_code or "", str(row.record_id or "")]
    changes = [[name, cell(pair[0]), cell(pair[1]), ""] for name, pair in (detail.get("changes") or {}).items()]
    message = str(detail.get("message") or "")
    return [[*head, *tail] for tail in changes or [[str(detail.get("field") or ""), "", "", message]]]


def cell(value: Any) -> str:
    """A value as it is stored."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def formula_safe(cell: str) -> str:
    """A spreadsheet takes a cell that starts like this for a formula; an apostrophe makes it text."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell


def csv_lines(lines: list[list[str]]) -> bytes:
    """For a spreadsheet: no cell is taken for a formula."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([formula_safe(one) for one in line] for line in lines)
    return buffer.getvalue().encode()


def _document(entity: EntityType, row: PlanRow) -> dict[str, Any]:
    detail = row.detail or {}
    changes = {name: {"ours": pair[0], "stripe": pair[1]} for name, pair in (detail.get("changes") or {}).items()}
    return {
        "entity_type": entity.singular,
        "external_id": row.external_id,
        "action": row.action,
        "reason_code": row.reason_code,
        "record_id": None if row.record_id is None else str(row.record_id),
        "record_version": row.record_version,
        "changes": changes,
        "values": row.theirs,
        "issue": {name: detail[name] for name in ("field", "message") if name in detail} or None,
    }


def _json(head: ReportView, found: Findings) -> bytes:
    document = json_view(head) | {
        "reasons": [
            {
                "entity_type": one.entity.value,
                "action": one.action.value,
                "reason_code": one.code.value,
                "field": one.field or None,
                "count": one.count,
                "sample": list(one.sample),
            }
            for one in found.reasons
        ],
        "fields": [
            {
                "entity_type": bar.entity.value,
                "field": bar.name,
                "updates": bar.updates,
                "conflicts": bar.conflicts,
                "skips": bar.skips,
                "filled": bar.filled,
                "replaced": bar.count - bar.filled - bar.emptied,
                "emptied": bar.emptied,
            }
            for bar in found.fields
        ],
        "guardrails": [
            {
                "name": one.name,
                "level": one.level.value,
                "message": one.message,
                "entity_type": one.entity and one.entity.value,
                "action": one.action and one.action.value,
                "field": one.field,
                "reason_code": one.reason and one.reason.value,
            }
            for one in found.guardrails
        ],
        "orphans": [
            {
                "entity_type": one.entity.value,
                "field": one.field,
                "parent": one.parent and one.parent.value,
                "objects": one.objects,
                "requests": one.requests,
            }
            for one in found.orphans
        ],
        "strategies": {
            one.strategy.value: {"update": one.updates, "conflict": one.conflicts, "skip": one.skips}
            for one in found.effects.rows
        },
        "strategies_exact": found.effects.is_exact,
        "strategies_left_out": found.effects.moved,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def markdown(head: ReportView, found: Findings) -> str:
    """For a ticket: the sentence, the matrix, the warnings, what other strategies would do, orphans, the reasons."""
    lines = [
        f"# {'Plan' if head.session.config.dry_run else 'Sync'} #{head.session.number}",
        "",
        head.sentence,
        "",
        *_facts(head),
        "",
        *_table(
            ["Entity type", *(action.label for action in Action), "Total"],
            [
                [row.entity.label, *(f"{row.counts[action]:,}" for action in Action), f"{row.total:,}"]
                for row in head.matrix
            ],
        ),
        "",
        "## Checks",
        "",
        *(f"- {one.level.value.upper()}: {one.name}: {_escaped(one.message)}" for one in found.guardrails),
        *_under_each_strategy(found.effects),
        *_orphans(found),
        *_reasons(found),
    ]
    return "\n".join(lines) + "\n"


def _facts(head: ReportView) -> list[str]:
    """In UTC: a ticket is read anywhere."""
    view, made = head.session, head.session.completed_at or head.session.created_at
    plan = (
        [
            f"- Status: {head.freshness.value}"
            + (f", valid until {_utc(head.valid_until)}" if head.valid_until else ""),
            f"- Stripe's state of {_utc(view.read_at)}" if view.read_at else "",
            f"- Hash {view.plan_hash}" if view.plan_hash else "",
            f"- Adds about {head.space.bytes:,} bytes to the database." if head.space else "",
        ]
        if view.config.dry_run
        else []
    )
    made_by = f"- Made {_utc(made)} by {_escaped(view.created_by)}; requests to Stripe: {head.requests:,}"
    return [made_by, *(line for line in plan if line)]


def _utc(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _table(heads: list[str], rows: list[list[str]], *, words: int = 1) -> list[str]:
    """The first `words` columns are words, the others numbers."""
    rule = ["---" if place < words else "---:" for place in range(len(heads))]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _under_each_strategy(found: Effects) -> list[str]:
    sign = "" if found.is_exact else "~"
    rows = [
        [
            one.strategy.label + (", as planned" if one.is_chosen else ""),
            *(f"{sign}{count:,}" for count in (one.updates, one.conflicts, one.skips)),
        ]
        for one in found.rows
    ]
    heads = ["Strategy", "Updated", "To review", "Left"]
    return ["", "## Under each strategy", "", *_table(heads, rows)] if rows else []


def _orphans(found: Findings) -> list[str]:
    told = [
        f"- {one.entity.label}: {one.objects:,} without their {one.label.lower()}; requests to ask again: {one.requests:,}"
        for one in found.orphans
    ]
    return ["", "## Orphans", "", *told] if told else []


def _reasons(found: Findings) -> list[str]:
    rows = [[one.entity.label, one.action.label, one.code.label, f"{one.count:,}"] for one in found.reasons]
    heads = ["Entity type", "Action", "Reason", "Count"]
    return ["", "## Reasons", "", *_table(heads, rows, words=3)] if rows else []


def _escaped(text: str) -> str:
    """Text that may hold a customer's own words is shown, not rendered."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>|#" else sign for sign in text)
