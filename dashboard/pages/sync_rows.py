"""A run's progress as rows for the screen: short words, few bytes, the same each time nothing has moved."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from dashboard.formatting import plural
from dashboard.pages import run_parts as parts
from sync_core.domain.vocabulary import Action, Phase, ReasonCode, SessionStatus
from sync_core.services.guardrails import Reason
from sync_core.services.pace import Retried
from sync_core.services.progress_view import EntityLine, ProgressView, Pulse, Verified
from sync_core.services.quota import Quota
from sync_core.services.record_views import When
from sync_core.services.run_outcome import Outcome
from sync_core.services.run_windows import Lane, Lanes
from sync_core.services.session_views import EventView


@dataclass(frozen=True, slots=True)
class EntityRow:
    """`counts` are in the order of `COUNTED`; `proof` is `ok`, `bad` or empty, `proven` says what it rests on. `pace` is empty while
    there is nothing to say.

    Each of these is sent once a second, names and all: they are few.
    """

    entity: str
    label: str
    phase: str
    tone: str
    done: str
    percent: int
    counts: list[str]
    pace: str
    windows: str
    proof: str
    verified: str
    proven: str


@dataclass(frozen=True, slots=True)
class LaneRow:
    span: str
    left: str
    width: str
    read: str
    about: str
    request: str


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """Errors of one reason. Its words are the page's own: many of these come in one message."""

    entity: str
    reason: str
    count: str
    field: str
    message: str
    sample: str


@dataclass(frozen=True, slots=True)
class EventRow:
    key: str
    at: str
    utc: str
    kind: str
    tone: str
    about: str
    message: str
    external_id: str


def beside_plan(found: Outcome | None) -> str:
    """How what came of an applied plan differs from it: in how many of each, and in how many of all rows, where these are counted."""
    if found is None or found.beside_plan is None:
        return ""
    differ = [
        f"{abs(count):,} {'more' if count > 0 else 'fewer'} {_OUTCOMES[action]}"
        for action, count in found.beside_plan.items()
        if count
    ]
    if found.otherwise is None:
        return f"Otherwise than planned: {', '.join(differ)}." if differ else "As many of each as planned."
    count, rows = found.otherwise
    if not count:
        return f"All {rows:,} rows came out as planned."
    how = f": {', '.join(differ)}" if differ else ", though as many of each" if found.beside_plan else ""
    return f"{count:,} of {rows:,} rows came out otherwise than planned{how}."


_OUTCOMES = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.UNCHANGED: "unchanged",
    Action.SKIP: "skipped",
    Action.CONFLICT: "to review",
    Action.ERROR: "failed",
}


COUNTED = ("Created", "Updated", "Unchanged", "Skipped", "To review", "Failed")

FORETOLD = {"Created": "To create", "Updated": "To update"}
"""What a dry run says instead."""


def _counts(line: EntityLine) -> tuple[int, ...]:
    return line.created, line.updated, line.unchanged, line.skipped, line.conflicts, line.failed


def entity_row(line: EntityLine, *, is_open: bool) -> EntityRow:
    fraction = line.fraction or 0.0
    phase, tone = _phase(line, is_open=is_open)
    verified = line.verified
    proof, said = "", ""
    if verified is not None and verified.is_complete:
        proof, said = (
            ("ok", f"verified: {verified.found:,} of {verified.expected:,}") if verified.expected else ("", "")
        )
    elif verified is not None and verified.unread:
        proof, said = "bad", "not all of the date range was read"
    elif verified is not None and verified.found >= verified.expected:
        proof, said = "bad", f"{verified.differing:,} of {verified.values:,} compared not as planned"
    elif verified is not None:
        lost = verified.expected - verified.found
        proof, said = "bad", f"{lost:,} of {verified.expected:,} missing"
    total = f"{line.processed:,}" if line.is_done else _so_far(line, is_open=is_open)
    return EntityRow(
        entity=line.entity.value,
        label=line.entity.label if line.requested else f"{line.entity.label} (came along)",
        phase=phase,
        tone=tone,
        done=total if line.total else "nothing" if line.is_done else "nothing yet",
        percent=int(fraction * 100),
        counts=[f"{count:,}" for count in _counts(line)],
        pace=_pace(line) if is_open else "",
        windows=plural(line.open_windows, "open window") if line.open_windows else "",
        proof=proof,
        verified=said,
        proven="" if verified is None else proven(verified),
    )


def proven(verified: Verified) -> str:
    """What the pill rests on, and the ids that are missing."""
    said = []
    if verified.asked:
        times = "once" if verified.asked == 1 else f"{verified.asked:,} times, at both ends and in between"
        lot = f"Stripe was asked again {times}: {plural(verified.compared, 'id')} compared"
        late = f"{verified.late:,} had not landed and were fetched" if verified.late else "all had landed"
        said.append(f"{lot}, {late}.")
    if verified.differing:
        differing = verified.differing_ids[:10]
        further = f" and {verified.differing - len(differing):,} more" if verified.differing > len(differing) else ""
        said.append(f"Stored otherwise than planned: {', '.join(differing)}{further}.")
    elif verified.values:
        said.append(f"All values of {plural(verified.values, 'record')} were compared: as planned.")
    if verified.missing_ids:
        shown, lost = verified.missing_ids[:10], verified.expected - verified.found
        more = f" and {lost - len(shown):,} more" if lost > len(shown) else ""
        said.append(f"Missing here: {', '.join(shown)}{more}.")
    return " ".join(said)


def _pace(line: EntityLine) -> str:
    """How fast it goes and how long it may still take, as far as either can be told."""
    if line.is_done or line.rate is None or not line.processed:
        return ""
    left = f", {parts.about(line.eta)}" if line.eta is not None else ""
    return f"{parts.rate(line.rate)}{left}"


_CAUSES = {
    "rate": "rate limit",
    "concurrency": "too many at once",
    "lock": "object locked",
    "server": "Stripe's error",
    "network": "network",
    "body": "broken answer",
}


def retried_text(retried: Retried) -> str:
    if not retried.count:
        return ""
    causes = ", ".join(f"{_CAUSES.get(cause, cause)} {count:,}" for cause, count in retried.causes)
    word = "retry" if retried.count == 1 else "retries"
    soon = "" if retried.again_in is None else f"; again in {ceil(retried.again_in)} s"
    return f"{retried.count:,} {word}: {causes}{soon}"


def _so_far(line: EntityLine, *, is_open: bool) -> str:
    """Reading runs ahead of deciding: both are said while they differ."""
    read = f"{line.fetched:,} read, " if line.fetched > line.processed else ""
    if not line.is_counted:
        return f"{read}{line.processed:,} done"
    return f"{read}{line.processed:,} of {'~' if is_open else ''}{line.total:,}"


def _phase(line: EntityLine, *, is_open: bool) -> tuple[str, str]:
    if line.is_done:
        return "Done", "success"
    if not is_open:
        return "Stopped", "neutral"
    if line.phase is Phase.PREFLIGHT:
        return "Waiting", "neutral"
    return line.phase.label, "info"


def pulse_text(view: ProgressView) -> tuple[str, str]:
    """What the run does now, and the tone to say it in."""
    page = "" if view.page_age is None else f"last page {view.page_age:.0f} s ago"
    if view.trouble and view.pulse in (Pulse.WAITING, Pulse.LIVE, Pulse.SLOW):
        return f"Waits and tries again. {view.trouble}", "warn"
    match view.pulse:
        case Pulse.WAITING:
            return "Waiting for a worker to take it up", "neutral"
        case Pulse.LIVE:
            reading = page if view.phase in (Phase.PREFLIGHT, Phase.FETCH) else ""
            who = "Another worker took over" if view.is_taken_over else "At work"
            return (f"{who}, {reading}" if reading else who), "success"
        case Pulse.SLOW:
            return f"Slow: {page}", "warn"
        case Pulse.PAUSED:
            return _paused(view), "warn"
        case Pulse.LOST:
            again = f" (attempt {view.attempts + 1})" if view.attempts else ""
            return f"The worker is lost; another takes over{again}", "warn"
        case Pulse.STOPPING:
            return "Stopping", "neutral"
        case Pulse.ENDED:
            return _ended(view), _TONES[view.status]


def _paused(view: ProgressView) -> str:
    """Of one list, where it is only that which Stripe has said so of."""
    soon = ceil(view.quota.resume_in or 1)
    if not view.quota.limited:
        return f"Stripe could not answer: asks again in {soon} s"
    held = view.quota.held
    names = f" for {', '.join(one.label for one in held)}" if held else ""
    others = any(line.rate is not None and line.entity not in held for line in view.entities)
    rest = ", the other lists go on" if held and others else ""
    return f"Rate limited{names}: goes on in {soon} s{rest}"


_TONES = {
    SessionStatus.PENDING: "neutral",
    SessionStatus.RUNNING: "info",
    SessionStatus.COMPLETED: "success",
    SessionStatus.PARTIAL: "warn",
    SessionStatus.FAILED: "danger",
    SessionStatus.CANCELLED: "neutral",
}
_LIMITS = {
    "global-rate": "account's rate",
    "endpoint-rate": "endpoint's rate",
    "global-concurrency": "account's concurrency",
    "endpoint-concurrency": "endpoint's concurrency",
    "resource-specific": "one resource",
    "unknown": "no reason given",
}


def _ended(view: ProgressView) -> str:
    return f"{view.status.label} after {parts.duration(view.elapsed)}"


def quota_text(quota: Quota) -> str:
    """Empty when nothing is asked any more, or not known how much may be."""
    if quota.rate is None or quota.cap is None:
        return ""
    return f"{quota.rate:.0f} of {quota.cap:.0f} a second"


def quota_percent(quota: Quota) -> int:
    if quota.rate is None or not quota.cap:
        return 0
    return min(100, round(100 * quota.rate / quota.cap))


def allowed_text(quota: Quota) -> str:
    """What our own limit is taken from, and what for."""
    if quota.allowed is None or quota.cap is None:
        return ""
    if quota.cap >= quota.allowed:
        return f"Stripe allows {quota.allowed}"
    return f"Stripe allows {quota.allowed}: the rest is left to your own traffic"


def full_text(quota: Quota) -> str:
    """The account's limit is not all that holds a run up: each list has one of its own."""
    if not quota.full:
        return ""
    caps = ", ".join(f"{entity.label} {cap:.0f} a second" for entity, cap in quota.full)
    return f"At the limit of {'its list' if len(quota.full) == 1 else 'their lists'}: {caps}"


def throttled_text(quota: Quota) -> str:
    total = sum(count for _, count in quota.throttled)
    if not total:
        return "No 429 so far"
    reasons = ", ".join(f"{_LIMITS.get(reason, reason)} {count:,}" for reason, count in quota.throttled)
    return f"{plural(total, 'answer')} 429: {reasons}"


def lanes_text(found: Lanes) -> str:
    """Who reads them."""
    if found.heard is None or not found.worker:
        return ""
    return f"Read by worker {found.worker}, whose last sign of life came {found.heard:.0f} s ago."


def lane_row(lane: Lane, zone: str) -> LaneRow:
    since, until = When.of(lane.gte, zone).text, When.of(lane.lt, zone).text
    about = "waits"
    if lane.pages:
        about = f"{plural(lane.pages, 'page')}, {plural(lane.objects, 'object')}"
    if lane.at is not None:
        about += f", down to {When.of(lane.at, zone).text}"
    return LaneRow(
        span=f"{since} to {until}",
        left=f"{lane.left * 100:.2f}%",
        width=f"{lane.width * 100:.2f}%",
        read=f"{lane.read * 100:.0f}%",
        about=about,
        request=lane.request_id,
    )


def problem_row(reason: Reason) -> ProblemRow:
    return ProblemRow(
        entity=reason.entity.value,
        reason=reason.code.value,
        count=f"{reason.count:,}" if reason.is_whole else f"{reason.count:,}+",
        field=reason.field,
        message=parts.clipped(reason.message),
        sample=", ".join(reason.sample[:3]),
    )


_EVENT_TONES = {
    "sync_started": "info",
    "sync_completed": "success",
    "sync_failed": "danger",
    "sync_skipped": "neutral",
    "sync_conflict": "conflict",
}


_REASONS = {one.value: one.label for one in ReasonCode}


def _event_text(message: str) -> str:
    """A reason in words; else what was noted, as a sentence begins."""
    return _REASONS.get(message) or parts.clipped(message[:1].upper() + message[1:])


def event_row(event: EventView, zone: str) -> EventRow:
    at = When.of(event.occurred_at, zone)
    return EventRow(
        key=str(event.id),
        at=at.text,
        utc=at.utc,
        kind=event.event_type.label,
        tone=_EVENT_TONES[event.event_type.value],
        about=event.entity_type.capitalize(),
        message=_event_text(event.message),
        external_id=event.external_id or "",
    )
