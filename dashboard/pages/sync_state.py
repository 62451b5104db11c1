"""What the page of one run knows. It is told at most once a second, and only what has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.formatting import plural
from dashboard.pages import run_charts as charts
from dashboard.pages import run_parts as parts
from dashboard.pages import sync_rows as rows
from dashboard.pages import sync_step_rows as step_rows
from dashboard.pages.run_charts import PaceChart, PaceRow
from dashboard.pages.sync_rows import EntityRow, EventRow, LaneRow, ProblemRow
from dashboard.state import PageState
from sync_core.domain.going_on import Way
from sync_core.domain.vocabulary import EntityType, EventType, Phase, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import findings, pace_history, progress_view, run_outcome, run_windows, sessions
from sync_core.services.actor import Actor, Permission
from sync_core.services.history import name_of
from sync_core.services.progress_view import ProgressView, Watch
from sync_core.services.record_views import When
from sync_core.services.session_views import EventListing, SessionView
from sync_core.store.database import get_database

EVERY_SECONDS = 1.0
MOST_EARLIER = 0.5
EVENTS_SHOWN = 15
EVENTS_MEANWHILE = 4
PROBLEMS_MEANWHILE = 3
PROBLEMS_WITH_EVENTS = 4


class SyncState(PageState):
    """`said` is what a screen reader hears: steps, and every quarter of the way. While `held` the page stays as it is, until the run ends."""

    loaded: bool = False
    problem: str = ""
    session_id: str = ""
    title: str = "Sync"
    about: str = ""
    started: str = ""
    started_utc: str = ""
    by: str = ""
    zone: str = ""
    source: str = ""
    source_href: str = ""
    compare_href: str = ""
    again_href: str = ""
    rest_href: str = ""
    review: str = ""
    review_href: str = ""
    limited: bool = False
    has_outcome: bool = False
    beside_plan: str = ""
    lacks_webhook: bool = False
    lacks_schedule: bool = False
    report_href: str = ""

    status: str = ""
    pulse: str = ""
    pulse_tone: str = "neutral"
    percent: int = 0
    percent_text: str = ""
    eta: str = ""
    rate: str = ""
    elapsed: str = ""
    requests: str = ""
    quota: str = ""
    quota_percent: int = 0
    allowed: str = ""
    full: str = ""
    throttled: str = ""
    error: str = ""
    kept: str = ""
    stays: str = ""
    can_cancel: bool = False
    can_resume: bool = False
    can_retry: bool = False
    verifies: str = ""
    goes_on: str = ""
    has_plan: bool = False
    is_dry: bool = False
    steps: list[list[str]] = []
    steps_took: list[str] = []
    at_once: str = ""
    lines: list[EntityRow] = []
    paths: list[str] = []
    read: list[int] = []
    retried: list[str] = []
    said: str = ""
    tab: str = ""
    pace: PaceChart = PaceChart()
    pace_rows: list[PaceRow] = []
    pace_open: bool = False

    problems: list[ProblemRow] = []
    lane_entity: str = ""
    lanes: list[LaneRow] = []
    lanes_by: str = ""
    events: list[EventRow] = []
    fresh: list[EventRow] = []
    more_fresh: bool = False
    event_kind: str = ""
    events_next: str = ""
    events_first: bool = True
    asking: bool = False
    held: bool = False

    def _id(self) -> UUID | None:
        return parts.id_in(self.router.url.path)

    def _leave(self) -> None:
        """Said by whoever leads to another run: until that is read, this page shows neither."""
        self.loaded = False

    @rx.event
    async def load(self) -> AsyncIterator[None]:
        """In one message, or in two where errors of many kinds and the events had no room in one."""
        actor, session_id = await self._actor(), self._id()
        self.problem, self.asking, self.lane_entity, self.lanes, self.said = "", False, "", [], ""
        self.pace_open, self.pace_rows, self.held = False, [], False
        found = await sessions.get(get_database(), actor, session_id) if session_id else sessions.NOT_FOUND
        if isinstance(found, Refusal):
            self.problem, self.loaded = found.message, True
            return
        self._head(found, actor)
        await self._look(actor, found.id)
        self._put(**await self._read_outcome(actor, found.id))
        self._put(**await self._read_problems(actor, found.id, 20), **await self._read_pace(actor, found.id))
        if len(self.problems) > PROBLEMS_WITH_EVENTS:
            self._put(loaded=True, events=[])
            yield
        self._put(**await self._read_events(actor, found.id, None), loaded=True)

    async def _look(self, actor: Actor, session_id: UUID) -> None:
        view = await Watch(get_database(), actor, session_id).look()
        if isinstance(view, ProgressView):
            self._show(view, actor)

    async def _follow(self, session_id: UUID, found: SessionView | Refusal) -> Any:
        """The answer to taking a run up again: shown at once, so that an open run offers no second retry, then watched.

        A refusal may mean that somebody else has taken it up, while this page still showed its end.
        """
        await self._look(await self._actor(), session_id)
        if isinstance(found, Refusal):
            self._refuse(found)
            if not self.status or not SessionStatus(self.status).is_open:
                return None
        # Through the address: only what a page's load starts is ended when the page is left. The same address would load nothing.
        return rx.redirect(f"{parts.run_href(session_id)}?again={time.time_ns()}", replace=True)

    @rx.event(background=True, supersedes=True)
    async def watch(self) -> None:
        """Ends with the run, or with the page: Reflex cancels what a page's load has started when it is left.

        All that a turn has found goes to the screen in one message, a second after the one before. A turn begins as much earlier as the
        last one took, and looks at the counters last: they are hardly older than that when they are seen.
        """
        session_id = self._id()
        if session_id is None:
            return
        watch: Watch | None = None
        seen: ProgressView | None = None
        due, took, turns = time.monotonic(), 0.0, 0
        while True:
            await asyncio.sleep(due - min(took, MOST_EARLIER) - time.monotonic())
            began, actor = time.monotonic(), await self._actor()
            watch = watch or Watch(get_database(), actor, session_id)
            around = await self._around(actor, seen, turns) if seen else {}
            view = await watch.look()
            if isinstance(view, Refusal):
                return
            seen = view
            if not view.is_open:
                around = {}
            took = time.monotonic() - began
            await asyncio.sleep(due - time.monotonic())
            async with self:
                if not (self.held and view.is_open):
                    self._show(view, actor, bars=not around)
                    self._put(**around)
            if not view.is_open:
                break
            due, turns = time.monotonic() + EVERY_SECONDS, turns + 1
        await self._last(actor, view)

    async def _last(self, actor: Actor, view: ProgressView) -> None:
        """What the message of the end had no room for, each a second after the one before, as ever."""
        await self._tell(await self._around(actor, view, 0) | await self._read_outcome(actor, view.session_id))
        if self.lane_entity:
            await self._tell(await self._read_lanes(actor, view.session_id, EntityType(self.lane_entity)))
        if self.events_first:
            await self._tell(await self._read_events(actor, view.session_id, None))

    async def _tell(self, values: dict[str, Any]) -> None:
        await asyncio.sleep(EVERY_SECONDS)
        async with self:
            self._put(**values)

    async def _read_outcome(self, actor: Actor, session_id: UUID) -> dict[str, Any]:
        """Of a sync that came to its end: what to do next."""
        found = (
            None
            if SessionStatus(self.status or "pending").is_open
            else await run_outcome.read(get_database(), actor, session_id)
        )
        return {
            "has_outcome": found is not None,
            "beside_plan": rows.beside_plan(found),
            "lacks_webhook": found is not None and found.lacks_webhook,
            "lacks_schedule": found is not None and found.lacks_schedule,
        }

    async def _around(self, actor: Actor, view: ProgressView, turn: int) -> dict[str, Any]:
        """What stands beside the counters, each now and then and in a turn of its own: a message stays small. At the end, all of it."""
        ended, session_id = not view.is_open, view.session_id
        found: dict[str, Any] = {}
        place = turn % 6
        if self.lane_entity and place in (1, 3):
            found |= await self._read_lanes(actor, session_id, EntityType(self.lane_entity))
        if ended or place == 0:
            found |= await self._read_pace(actor, session_id)
        if ended or (view.failed and place == 2):
            found |= await self._read_problems(actor, session_id, 20 if ended else PROBLEMS_MEANWHILE)
        if self.events_first and not ended and (place == 4 or (place == 1 and not self.lane_entity)):
            found |= await self._read_fresh(actor, session_id)
        return found

    async def _read_pace(self, actor: Actor, session_id: UUID) -> dict[str, Any]:
        found = await pace_history.read(get_database(), actor, session_id)
        if isinstance(found, Refusal):
            return {}
        shown = charts.pace_rows(found, actor.time_zone) if self.pace_open else []
        return {"pace": charts.pace_chart(found), "pace_rows": shown}

    async def _read_lanes(self, actor: Actor, session_id: UUID, entity: EntityType) -> dict[str, Any]:
        found = await run_windows.lanes(get_database(), actor, session_id, entity)
        if isinstance(found, Refusal):
            return {}
        shown = [rows.lane_row(one, actor.time_zone) for one in found.lanes]
        return {"lanes": shown, "lanes_by": rows.lanes_text(found)}

    async def _read_problems(self, actor: Actor, session_id: UUID, most: int) -> dict[str, Any]:
        """Errors by reason, the commonest first."""
        found = await findings.reasons(get_database(), actor, session_id)
        return {} if isinstance(found, Refusal) else {"problems": [rows.problem_row(one) for one in found[:most]]}

    async def _read_fresh(self, actor: Actor, session_id: UUID) -> dict[str, Any]:
        """The few newest events that have come since the page of them was read: to send all of it anew would be too much."""
        found = await self._events(actor, session_id, None, EVENTS_MEANWHILE + 1)
        if isinstance(found, Refusal):
            return {}
        known = {row.key for row in self.events}
        fresh = [one for one in found.items if str(one.id) not in known]
        return {
            "fresh": [rows.event_row(one, actor.time_zone) for one in fresh[:EVENTS_MEANWHILE]],
            "more_fresh": len(fresh) > EVENTS_MEANWHILE,
        }

    async def _events(self, actor: Actor, session_id: UUID, cursor: str | None, most: int) -> EventListing | Refusal:
        kind = EventType(self.event_kind) if self.event_kind else None
        return await sessions.events(get_database(), actor, session_id, cursor=cursor, limit=most, event_type=kind)

    async def _read_events(self, actor: Actor, session_id: UUID, cursor: str | None) -> dict[str, Any]:
        found = await self._events(actor, session_id, cursor, EVENTS_SHOWN)
        if isinstance(found, Refusal):
            return {}
        return {
            "events": [rows.event_row(event, actor.time_zone) for event in found.items],
            "events_next": found.cursor or "",
            "events_first": cursor is None,
            "fresh": [],
            "more_fresh": False,
        }

    def _head(self, found: SessionView, actor: Actor) -> None:
        started = When.of(found.started_at or found.created_at, actor.time_zone)
        self.session_id, self.title, self.about = str(found.id), name_of(found), _configured(found)
        self.zone = step_rows.clock_of(actor.time_zone, found.started_at or found.created_at)
        self.started, self.started_utc, self.by = started.text, started.utc, found.created_by
        self.source = "" if found.source_number is None else f"plan #{found.source_number}"
        self.source_href = parts.report_href(found.source_session_id) if found.source_session_id else ""
        self.compare_href = (
            parts.compare_href(found.source_session_id, found.id) if found.source_session_id is not None else ""
        )
        self.report_href = parts.report_href(found.id)
        self.again_href = f"/syncs/new?like={found.id}" if actor.can(Permission.RUN_SYNC) else ""
        self.limited = found.config.limit is not None

    def _show(self, view: ProgressView, actor: Actor, *, bars: bool = True) -> None:
        """`bars`: also what is long and moves slowly, for which a message that brings something else has no room."""
        may_run = actor.can(Permission.RUN_SYNC)
        ending = view.ending
        ways = ending.ways if may_run else ()
        pulse, tone = rows.pulse_text(view)
        if bars:
            self._put(paths=[parts.area(line.cells) for line in view.entities])
            self._put(read=[parts.share_of(line.cells) for line in view.entities])
            self._put(retried=[rows.retried_text(line.retried) for line in view.entities])
        self._put(
            said=step_rows.heard(view),
            status=view.status.value,
            pulse=pulse,
            pulse_tone=tone,
            percent=int((view.fraction or 0.0) * 100),
            percent_text="" if view.fraction is None else f"{int(view.fraction * 100)}%",
            eta=_eta(view),
            rate=parts.rate(view.rate if view.is_open else view.mean_rate),
            elapsed=parts.duration(view.elapsed),
            requests=f"{view.quota.requests:,}",
            quota=rows.quota_text(view.quota),
            quota_percent=rows.quota_percent(view.quota),
            allowed=rows.allowed_text(view.quota),
            full=rows.full_text(view.quota),
            throttled=rows.throttled_text(view.quota),
            error=view.error or "",
            kept=view.kept_on_cancel if self.asking else "",
            stays=view.stays,
            can_cancel=view.is_open and view.pulse is not progress_view.Pulse.STOPPING and may_run,
            can_resume=Way.RESUME in ways,
            can_retry=Way.RETRY in ways,
            verifies=next((one.label for one in ways if one not in (Way.RESUME, Way.RETRY)), ""),
            goes_on=ending.words(may_run=may_run),
            has_plan=view.has_plan,
            is_dry=view.dry_run,
            steps=step_rows.steps(view, actor.time_zone),
            steps_took=step_rows.steps_took(view),
            at_once=step_rows.at_once(view),
            lines=[rows.entity_row(line, is_open=view.is_open) for line in view.entities],
            tab=_tab(view, self.title),
            rest_href=self.source_href if self.limited and view.status is SessionStatus.COMPLETED else "",
            review=_review(view),
            review_href=f"/conflicts?run={view.session_id}",
        )

    @rx.event
    async def hold(self) -> None:
        """Or let it go on: what moves by itself can be stopped (WCAG 2.2.2)."""
        self.held = not self.held

    @rx.event
    async def show_lanes(self, entity: str) -> None:
        if entity not in {one.value for one in EntityType} or entity == self.lane_entity:
            self.lane_entity, self.lanes = "", []
            return
        session_id = self._id()
        if session_id is not None:
            self.lane_entity = entity
            self._put(**await self._read_lanes(await self._actor(), session_id, EntityType(entity)))

    @rx.event
    async def show_pace_table(self) -> None:
        """Its rows are only sent to whoever opens it."""
        session_id = self._id()
        self.pace_open = not self.pace_open
        if session_id is not None:
            self._put(**await self._read_pace(await self._actor(), session_id))

    @rx.event
    async def show_events(self, kind: str) -> None:
        self.event_kind = kind if kind in {one.value for one in EventType} else ""
        await self._page_of_events(None)

    @rx.event
    async def older_events(self) -> None:
        await self._page_of_events(self.events_next or None)

    @rx.event
    async def newest_events(self) -> None:
        await self._page_of_events(None)

    async def _page_of_events(self, cursor: str | None) -> None:
        session_id = self._id()
        if session_id is not None:
            self._put(**await self._read_events(await self._actor(), session_id, cursor))

    @rx.event
    async def ask_cancel(self) -> None:
        session_id = self._id()
        self.asking = True
        view = await Watch(get_database(), await self._actor(), session_id).look() if session_id else None
        if isinstance(view, ProgressView):
            self.kept = view.kept_on_cancel

    @rx.event
    async def keep_going(self) -> None:
        self.asking = False

    @rx.event
    async def cancel(self) -> None:
        self.asking = False
        session_id = self._id()
        found = (
            await sessions.cancel(get_database(), await self._actor(), session_id) if session_id else sessions.NOT_FOUND
        )
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        self._put(can_cancel=False, pulse="Stopping", pulse_tone="neutral")

    @rx.event
    async def resume(self) -> Any:
        session_id = self._id()
        if session_id is None:
            return None
        found = await sessions.resume(get_database(), await self._actor(), session_id)
        return await self._follow(session_id, found)


def _review(view: ProgressView) -> str:
    """What waits for a person once it has ended; a dry run leaves nothing."""
    waiting = 0 if view.dry_run or view.is_open else sum(line.conflicts for line in view.entities)
    return plural(waiting, "record") if waiting else ""


def _eta(view: ProgressView) -> str:
    if view.eta is not None:
        return parts.about(view.eta) + (f" ({view.eta_why})" if view.eta_why else "")
    return "estimating…" if view.is_open and view.phase is not Phase.VERIFY else ""


def _tab(view: ProgressView, title: str) -> str:
    """What the browser's tab says, so that one can wait elsewhere."""
    if not view.is_open:
        return f"{view.status.label} · {title}"
    return title if view.fraction is None else f"{int(view.fraction * 100)}% · {title}"


def _configured(view: SessionView) -> str:
    strategy = view.config.strategies.default.label
    return f"{parts.entities(view)} · {strategy}"
