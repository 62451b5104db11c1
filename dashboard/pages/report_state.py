"""What the report's page knows: the head at once, its rows by the address, what has to be counted a moment later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import formatting
from dashboard.pages import report_finding_rows as found_rows
from dashboard.pages import report_rows as rows
from dashboard.pages import run_charts as charts
from dashboard.pages import run_parts as parts
from dashboard.pages.report_finding_rows import BarRow, EffectRow, LinkRow, OrphanRow, RailRow, ReasonRow
from dashboard.pages.report_limits import LimitsForm, limits_of
from dashboard.pages.report_rows import (
    AppliedRow,
    DriftLine,
    LineRow,
    MatrixLine,
    SampleTab,
    TotalRow,
)
from dashboard.pages.run_charts import MixRow
from dashboard.pages.sync_state import SyncState
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, ReasonCode, SessionStatus
from sync_core.errors import Refusal
from sync_core.services import (
    drift,
    findings,
    history,
    plan_apply,
    plan_approval,
    plan_limits,
    problems,
    report,
    sessions,
)
from sync_core.services.actor import Actor, Permission
from sync_core.services.drift import Drift, DriftRow
from sync_core.services.findings import TransitionView
from sync_core.services.guardrails import Level
from sync_core.services.plan_approval import ApprovalState
from sync_core.services.problems import Choice
from sync_core.services.record_views import When
from sync_core.services.report import Freshness, LineQuery, ReportView
from sync_core.services.session_views import SessionView
from sync_core.store.database import get_database

DRIFT_SHOWN = 25


class ReportState(PageState):
    """`looked_at` is the run whose findings are shown: they are counted once, not with every page of rows."""

    loaded: bool = False
    problem: str = ""
    session_id: str = ""
    run_href: str = ""
    title: str = "Report"
    about: str = ""
    is_dry: bool = True
    sentence: str = ""
    freshness: str = ""
    until: str = ""
    until_utc: str = ""
    as_of: str = ""
    as_of_utc: str = ""
    made: str = ""
    made_utc: str = ""
    by: str = ""
    requests: str = ""
    reads: str = ""
    took: str = ""
    proof: str = ""
    is_proven: bool = False
    missing_ids: str = ""
    objects: str = ""
    can_apply: bool = False
    is_idle: bool = False
    is_empty: bool = False
    may_ask_again: bool = False
    plan_hash: str = ""
    to_apply: str = ""
    space: str = ""
    space_about: str = ""
    source: str = ""
    source_href: str = ""
    source_compare: str = ""
    later_href: str = ""
    later: str = ""
    later_compare: str = ""
    approval: str = ""
    approved_by: str = ""
    approved_at: str = ""
    approved_utc: str = ""
    clean_counts: bool = False
    may_approve: bool = False
    again_href: str = ""
    may_run: bool = False
    applied: list[AppliedRow] = []
    matrix: list[MatrixLine] = []
    mix: list[MixRow] = []
    totals: list[TotalRow] = []
    total: str = ""

    query_entity: str = ""
    query_action: str = ""
    query_about: str = ""
    is_told: bool = False
    told_at: dict[str, list[str]] = {}
    lines: list[LineRow] = []
    sample_tabs: list[SampleTab] = []
    first_url: str = ""
    previous_url: str = ""
    next_url: str = ""
    has_query: bool = False
    csv_href: str = ""

    looked_at: str = ""
    rails: list[RailRow] = []
    bars: list[BarRow] = []
    bars_about: str = ""
    among: list[LinkRow] = []
    effects: list[EffectRow] = []
    effects_about: str = ""
    reasons: list[ReasonRow] = []
    reasons_about: str = ""
    orphans: list[OrphanRow] = []
    orphans_cost: str = ""
    warnings: list[str] = []
    may_limit: bool = False
    limits: LimitsForm = LimitsForm()
    limiting: bool = False
    limits_error: str = ""
    must_confirm: bool = False

    field_title: str = ""
    field_links: list[LinkRow] = []
    transitions: list[TransitionView] = []

    drift: str = ""
    drift_count: int = 0
    drift_rows: str = ""
    drift_same: str = ""
    drifted: list[DriftLine] = []
    drift_cursor: str = ""
    drift_turned: bool = False
    drift_part: str = ""

    applying: bool = False
    checking: bool = False
    limit_error: str = ""

    def _id(self) -> UUID | None:
        return parts.id_in(self.router.url.path)

    @rx.event
    async def load(self) -> None:
        actor, session_id = await self._actor(), self._id()
        self.problem, self.applying, self.field_title = "", False, ""
        found = await report.summary(get_database(), actor, session_id) if session_id else sessions.NOT_FOUND
        if isinstance(found, Refusal):
            self.problem, self.loaded = found.message, True
            return
        query = LineQuery.parse(dict(self.router.url.query_parameters))
        if self.session_id != str(found.session.id):
            self.looked_at, self.rails, self.bars, self.effects, self.reasons = "", [], [], [], []
            self.drift, self.drift_count, self.drifted = "", 0, []
            self.drift_part, self.drift_turned, self.among = "", False, []
        self._show(found, actor, query)
        self.has_query = query is not None
        self.lines = []
        if query is not None:
            await self._read_lines(actor, query)
        self.loaded = True

    def _show(self, found: ReportView, actor: Actor, query: LineQuery | None) -> None:
        view = found.session
        self.session_id, self.run_href = str(view.id), parts.run_href(view.id)
        self.is_dry = view.config.dry_run
        self.again_href = f"/syncs/new?like={view.id}"
        self._show_source(view)
        self.title = f"Plan #{view.number}" if self.is_dry else f"Report of sync #{view.number}"
        said = [parts.described(view), history.strategy_of(view.config), history.span_of(view.config, actor.time_zone)]
        self.about = " · ".join(one for one in said if one)
        self.sentence = found.sentence
        self.freshness = found.freshness.value if self.is_dry else ""
        until = When.of(found.valid_until, actor.time_zone)
        made = When.of(view.completed_at or view.created_at, actor.time_zone)
        self.until, self.until_utc = until.text, until.utc
        as_of = When.of(view.read_at, actor.time_zone)
        self.as_of, self.as_of_utc = as_of.text, as_of.utc
        self.made, self.made_utc, self.by = made.text, made.utc, view.created_by
        self.reads = f"{found.reads.share:.1%} of {found.reads.allowance:,} reads a month"
        if self.is_dry:
            self.reads += ", 0 more to apply"
        self.requests, self.took, self.objects = (
            f"{found.requests:,}",
            parts.duration(found.seconds),
            f"{found.total:,}",
        )
        self.may_run = actor.can(Permission.RUN_SYNC)
        proof = found.verification
        named = [] if proof is None else [*proof.missing_ids.values(), *proof.differing_ids.values()]
        lost = [one for ids in named for one in ids]
        self.proof, self.is_proven = ("", False) if proof is None else (proof.sentence, proof.is_complete)
        self.missing_ids = ", ".join(lost[:5]) + ("…" if len(lost) > 5 else "") or "see the run"
        self.can_apply = found.can_apply and found.total > 0 and actor.can(Permission.RUN_SYNC)
        self.is_empty = not found.total and view.status in (SessionStatus.COMPLETED, SessionStatus.PARTIAL)
        self.is_idle = self.is_dry and not found.has_changes
        takes_up = actor.can(Permission.RUN_SYNC) and problems.can_take_up(view)
        self.may_ask_again = takes_up and (found.can_apply or not self.is_dry)
        self._show_standing(found, actor)
        self.applied = rows.applied(found)
        self.mix = charts.mix_rows(found.matrix)
        self.matrix, self.totals, self.total = rows.matrix(found, query), rows.totals(found), f"{found.total:,}"

    def _show_source(self, view: SessionView) -> None:
        """The plan that it applied."""
        source = view.source_session_id
        shown = ("", "", "")
        if source is not None:
            shown = f"plan #{view.source_number}", parts.report_href(source), parts.compare_href(source, view.id)
        self._put(source=shown[0], source_href=shown[1], source_compare=shown[2])

    def _show_standing(self, found: ReportView, actor: Actor) -> None:
        """What the plan is called, how long it takes to apply, what came after it, and whose word it waits for."""
        view, approval = found.session, found.approval
        at = When.of(approval.at, actor.time_zone)
        self.plan_hash = view.plan_hash
        seconds, grows = (found.apply_seconds, found.space) if found.can_apply and found.total else (None, None)
        self.to_apply = "" if seconds is None else parts.about(seconds).removesuffix(" left")
        self.space = "" if grows is None or not grows.bytes else formatting.size(grows.bytes)
        measured = found.space is not None and found.space.is_measured
        self.space_about = (
            "by the size of the records here" if measured else "as a rule: too little is stored to measure"
        )
        self.later_href = "" if found.later is None else rows.later_href(found.later)
        self.later = "" if found.later is None else rows.later_about(found.later)
        self.later_compare = "" if found.later is None else parts.compare_href(view.id, found.later.id)
        self.approval, self.approved_by, self.clean_counts = approval.state.value, approval.by, approval.clean_counts
        self.approved_at, self.approved_utc = at.text, at.utc
        self.may_approve = (
            found.can_apply
            and approval.state is ApprovalState.NEEDED
            and actor.can(Permission.RUN_SYNC)
            and view.created_by.casefold() != actor.label.casefold()
        )

    async def _read_lines(self, actor: Actor, query: LineQuery) -> None:
        session_id = UUID(self.session_id)
        found = await report.lines(get_database(), actor, session_id, query)
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        about = [query.reason.label] if query.reason else []
        about += [f"{report.field_label(query.entity, query.field)} differs"] if query.field else []
        about += [rows.sample_about(query)] if query.sample else []
        self.sample_tabs = rows.sample_tabs(self.session_id, query)
        about += ["By email, those of one email together"] if query.shared else []
        about += ["What Stripe's webhook events say since this was read"] if query.told else []
        times = {f"{one.seq}": When.of(one.told_at, actor.time_zone) for one in found.items if query.told}
        self._put(is_told=query.told, told_at={key: [at.text, at.utc] for key, at in times.items()})
        self.query_entity = "Customers that share an email" if query.shared else query.entity.label
        self.query_entity = "Changed in Stripe since" if query.told else self.query_entity
        self.query_action = "" if query.action is None else query.action.value
        self.query_about = " · ".join(about)
        self.lines = [rows.line(one, of_any=query.action is None) for one in found.items]
        turned = query.after is not None or query.before is not None
        self.first_url = rows.query_href(self.session_id, query) if turned and found.before is not None else ""
        self.previous_url = (
            rows.query_href(self.session_id, query, before=found.before) if found.before is not None else ""
        )
        self.next_url = rows.query_href(self.session_id, query, after=found.after) if found.after is not None else ""
        self.csv_href = rows.csv_href(self.session_id, query)

    @rx.event(background=True, supersedes=True)
    async def look(self) -> None:
        """Reads rows of the plan, which takes up to a second of a large one: the page is there before."""
        actor, session_id = await self._actor(), self._id()
        if session_id is None:
            return
        if self.looked_at == str(session_id):
            if self.drift_part:
                await self._read_drift(actor, session_id)
            return
        found = await findings.look(get_database(), actor, session_id)
        if isinstance(found, Refusal):
            return
        word = str(session_id)
        limits = await plan_limits.read(get_database(), actor)
        async with self:
            self.rails = [found_rows.rail(word, one) for one in found.guardrails]
            self.bars = found_rows.bars(found.fields)
            self.effects = found_rows.effects(found.effects)
            self.reasons = [found_rows.reason(word, one) for one in found.reasons[: found_rows.REASONS_SHOWN]]
            self.bars_about = found_rows.bars_about(found.fields, is_whole=found.is_whole)
            self.effects_about = found_rows.effects_about(found.effects)
            self.reasons_about = found_rows.reasons_about(len(found.reasons))
            self.among, self.looked_at = found_rows.among(word, found.reasons), word
            self.orphans = [found_rows.orphan(word, one) for one in found.orphans]
            self.orphans_cost = formatting.plural(sum(one.requests for one in found.orphans), "request")
            self.warnings = [one.message for one in found.guardrails if one.level is Level.WARN]
            self.limits, self.must_confirm = LimitsForm.of(limits), limits.confirm
            self.may_limit = actor.can(Permission.MANAGE_WORKSPACE)
            may_drift = self.freshness in (Freshness.FRESH, Freshness.SUPERSEDED)
        if may_drift:
            await self._read_drift(actor, session_id)

    @rx.event
    async def show_field(self, entity: str, field: str) -> None:
        session_id = self._id()
        if entity not in {one.value for one in EntityType} or session_id is None:
            return
        kind = EntityType(entity)
        found = await findings.transitions(get_database(), await self._actor(), session_id, kind, field)
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        self.transitions = [TransitionView(rows.shown(one.ours), rows.shown(one.theirs), one.count) for one in found]
        self.field_title = f"{report.field_label(kind, field)} of {kind.value}"
        chosen = [bar for bar in self.bars if (bar.entity, bar.field) == (entity, field)]
        self.field_links = [link for bar in chosen for link in found_rows.field_links(str(session_id), bar)]

    @rx.event
    async def close_field(self) -> None:
        self.field_title, self.transitions = "", []

    @rx.event(background=True)
    async def ask_apply(self) -> None:
        """Compares the plan with what is stored, which takes a while of a large one: the dialog is there before."""
        async with self:
            self.applying, self.checking, self.limit_error = True, True, ""
            actor, session_id, goes_on = await self._actor(), self._id(), self.drift_part != ""
        if session_id is not None and not goes_on:
            await self._read_drift(actor, session_id)
        async with self:
            self.checking = False

    async def _read_drift(self, actor: Actor, session_id: UUID) -> None:
        """Step by step, what was found so far at each: a million rows take some seconds. Ends when the page is left."""
        found = await drift.count(get_database(), actor, session_id, listed=DRIFT_SHOWN)
        while isinstance(found, Drift):
            async with self:
                if self._id() != session_id:
                    return
                self._show_counted(found)
            if found.is_whole:
                return
            room = DRIFT_SHOWN - len(found.listed)
            actor = await self._actor()
            more = await drift.count(get_database(), actor, session_id, start=found.goes_on, listed=room)
            found = found.then(more) if isinstance(more, Drift) else more

    def _show_counted(self, found: Drift) -> None:
        """A page that somebody has turned to stays."""
        shown, part = found.listed, "" if found.is_whole else f"{found.looked:,} of {found.rows:,}"
        self._put(drift=found.sentence, drift_count=found.drifted, drift_part=part)
        self._put(drift_rows=formatting.plural(found.drifted, "row"), drift_same=f"{found.same + found.done:,}")
        if not self.drift_turned:
            following = drift.cursor_behind(shown[-1]) if len(shown) < found.drifted else ""
            self._put(drifted=[rows.drift_line(one) for one in shown], drift_cursor=following)

    @rx.event(background=True, supersedes=True)
    async def page_drift(self, cursor: str) -> None:
        """Until the page is full: what lies between two drifted rows may take more than one call to walk."""
        session_id, shown, place = self._id(), list[DriftRow](), cursor or None
        while session_id is not None:
            room = DRIFT_SHOWN - len(shown)
            found = await drift.page(get_database(), await self._actor(), session_id, cursor=place, limit=room)
            if isinstance(found, Refusal):
                async with self:
                    self._refuse(found)
                return
            shown, place = [*shown, *found.rows], found.cursor
            if place is None or len(shown) >= DRIFT_SHOWN:
                break
        async with self:
            self.drifted = [rows.drift_line(one) for one in shown]
            self.drift_cursor, self.drift_turned = place or "", bool(cursor)

    @rx.event
    async def approve(self) -> Any:
        """The plan that is on the screen, and no other."""
        session_id = self._id()
        if session_id is None:
            return None
        found = await plan_approval.approve(get_database(), await self._actor(), session_id, self.plan_hash)
        if isinstance(found, Refusal):
            self._refuse(found)
            return None
        self._say("The plan is approved. It can be applied now.")
        return ReportState.load

    @rx.event
    async def fetch_parents(self) -> Any:
        """Stripe is asked again for the parents that objects lack. The run's page shows how that goes."""
        session_id = self._id()
        if session_id is None:
            return None
        choice = Choice(reason=ReasonCode.MISSING_PARENT)
        found = await problems.retry(get_database(), await self._actor(), session_id, choice)
        if isinstance(found, Refusal):
            self._refuse(found)
            return None
        self.looked_at = ""
        (await self.get_state(SyncState))._leave()  # noqa: SLF001 - the page's own word for it
        return rx.redirect(parts.run_href(found.id))

    @rx.event
    async def ask_limits(self) -> None:
        self.limiting, self.limits_error = True, ""

    @rx.event
    async def close_limits(self) -> None:
        self.limiting = False

    @rx.event
    async def save_limits(self, form: dict[str, Any]) -> Any:
        """What warns is worked out anew with them."""
        asked = limits_of(form)
        saved = (
            asked if isinstance(asked, Refusal) else await plan_limits.save(get_database(), await self._actor(), asked)
        )
        if isinstance(saved, Refusal):
            self.limits_error = saved.message
            return None
        self.limiting, self.looked_at = False, ""
        self._say("The limits are kept, for every plan of this workspace.")
        return [ReportState.load, ReportState.look]

    @rx.event
    async def close_apply(self) -> None:
        self.applying = False

    @rx.event
    async def apply(self, form: dict[str, Any]) -> Any:
        limit: int | None = None
        if form.get("scope") == "first":
            word = str(form.get("limit") or "").strip()
            if not word.isascii() or not word.isdigit() or not 1 <= int(word[:12]) <= 1_000_000:
                self.limit_error = "Give a number from 1 to 1,000,000."
                return None
            limit = int(word)
        session_id = self._id()
        confirmed = form.get("confirm") is not None
        found = (
            await plan_apply.apply(get_database(), await self._actor(), session_id, limit=limit, confirmed=confirmed)
            if session_id
            else sessions.NOT_FOUND
        )
        if isinstance(found, Refusal):
            self.limit_error = found.message
            return None
        self.applying = False
        (await self.get_state(SyncState))._leave()  # noqa: SLF001 - the page's own word for it
        return rx.redirect(parts.run_href(found.id))
