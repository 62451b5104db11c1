"""A start body as the service wants it: dates to epoch seconds."""

from __future__ import annotations

from datetime import UTC, datetime

from dashboard.api.models import DateRange, StartBody
from sync_core.errors import Refusal
from sync_core.services.start_request import StartRequest


def start_request(body: StartBody) -> StartRequest | Refusal:
    span = _range(body.date_range)
    if isinstance(span, Refusal):
        return span
    return StartRequest(
        entity_types=body.entity_types,
        batch_size=body.batch_size,
        concurrent_batches=body.concurrent_batches,
        conflict_strategy=body.conflict_strategy,
        strategies={"entities": body.strategies.entities, "fields": body.strategies.fields},
        dry_run=body.dry_run,
        start=span[0],
        end=span[1],
    )


def _range(given: DateRange | None) -> tuple[int | None, int | None] | Refusal:
    if given is None:
        return None, None
    if given.start is None and given.end is None:
        return _refused("date_range_empty", "The date range is empty: give a start or an end, or leave it out.")
    try:
        return _epoch(given.start), _epoch(given.end)
    except (ValueError, OverflowError):
        message = "A date is epoch seconds, or RFC 3339 such as 2025-01-31T00:00:00Z."
        return _refused("date_range_invalid", message)


def _epoch(given: int | str | None) -> int | None:
    """A date without a zone is UTC."""
    if given is None or isinstance(given, int):
        return given
    moment = datetime.fromisoformat(given.strip())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _refused(code: str, message: str) -> Refusal:
    return Refusal(code, message, field="date_range")
