"""The steps of a run in words: short, as they are sent while it goes on."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from dashboard.pages import run_parts as parts
from sync_core.services.progress_view import ProgressView
from sync_core.services.run_steps import StepState, TimedStep


def steps(view: ProgressView, zone: str) -> list[list[str]]:
    """Each as its name, its state, and from when to when. Sent whole at every change, hence no row of names; what it took moves, and is
    sent apart.
    """
    return [[one.step.value, one.state.value, _span(one, zone)] for one in view.steps]


def steps_took(view: ProgressView) -> list[str]:
    return ["" if one.seconds is None else parts.duration(one.seconds) for one in view.steps]


def _span(one: TimedStep, zone: str) -> str:
    local = [datetime.fromtimestamp(at, ZoneInfo(zone)) for at in (one.began, one.ended) if at is not None]
    if not local:
        return ""
    apart = local[0].date() != local[-1].date()
    text = " to ".join(f"{at.day} {at:%b %H:%M}" if apart else f"{at:%H:%M:%S}" for at in local)
    return text if one.ended is not None else f"since {text}"


def clock_of(zone: str, moment: int) -> str:
    """Which clock the steps' times are of; `moment` is epoch seconds."""
    return f"By the clock of {zone}: UTC{datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat()[-6:]}"


def at_once(view: ProgressView) -> str:
    """Which steps are under way together, in words; or that nobody knows when they were."""
    if view.started_at is not None and not view.is_open and all(one.began is None for one in view.steps):
        return "When its steps were at work was not noted: this sync is from before that was done."
    now = [one.step.label for one in view.steps if one.state is StepState.NOW]
    return f"{', '.join(now[:-1])} and {now[-1]} are under way together." if len(now) > 1 else ""


def heard(view: ProgressView) -> str:
    """What a screen reader is told: steps as they begin and end, and each quarter of the way."""
    if not view.is_open:
        return view.status.label
    now = ", ".join(one.step.label for one in view.steps if one.state is StepState.NOW) or view.status.label
    quarter = int((view.fraction or 0.0) * 4) * 25
    return f"{now}: {quarter} percent" if quarter else now
