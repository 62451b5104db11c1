"""One conflict, three ways: ours, the last sync's and Stripe's, field by field, with what it will become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.navigation import add_page
from dashboard.pages.conflict_detail_view import view
from dashboard.pages.conflict_filters import A_DAY, PATH, address, query_of
from dashboard.pages.conflict_fitting import fitted_choices, fitted_decisions
from dashboard.pages.conflict_keys import KeysState
from dashboard.pages.conflict_presence import PresenceState
from dashboard.pages.conflict_rows import (
    ChoiceRow,
    CommentRow,
    DecisionRow,
    PersonRow,
    choice_rows,
    comment_row,
    decision_rows,
    newest_of,
    pending_of,
    reach_of,
    said_of,
    told_by,
)
from dashboard.state import PageState, ShellState
from sync_core.domain.custom_values import parse
from sync_core.domain.fields import FIELDS, JsonValue
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus, Snooze
from sync_core.errors import Refusal
from sync_core.services import conflict_handling, conflict_mentions, conflict_undo, conflicts
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_views import ConflictRefusal, ConflictView, Resolved
from sync_core.services.conflicts import ConflictQuery
from sync_core.services.record_views import When, href
from sync_core.store.database import get_database

_TAKES = {one.value: one for one in Choice}


class ConflictState(PageState):
    """One conflict: the one in the address, or the one unfolded in the list. `_pending` are the choices kept for it, `_mine` those that
    this person meant when somebody else was faster.
    """

    inline_id: str = ""
    conflict_uid: str = ""
    title: str = ""
    entity: str = ""
    external_id: str = ""
    record_url: str = ""
    reason: str = ""
    status: str = "open"
    revision: int = 0
    choices: list[ChoiceRow] = []
    equal: str = ""
    equal_count: int = 0
    base_known: bool = False
    base_at: When = When()
    base_run: str = ""
    base_run_url: str = ""
    local_by: str = ""
    request_id: str = ""
    local_at: When = When()
    event_id: str = ""
    told_at: When = When()
    newest: list[str] = []
    seen_at: When = When()
    question: str = ""
    question_stripe: str = ""
    question_local: str = ""
    question_take: str = ""
    to_choose: str = ""
    answered: int = 0
    questions: int = 0
    why: str = ""
    reach: str = ""
    reopened: When = When()
    newer_url: str = ""
    members: list[str] = []
    theirs_said: str = ""
    theirs_who: str = ""
    theirs_at: When = When()
    mine_said: str = ""
    _pending: dict[str, dict[str, Any]] = {}
    _mine: dict[str, dict[str, Any]] = {}
    decisions: list[DecisionRow] = []
    comments: list[CommentRow] = []
    people: list[PersonRow] = []
    assignee: str = ""
    snoozed: str = ""
    snoozed_until: When = When()
    me: str = ""
    list_url: str = PATH
    previous_url: str = ""
    next_url: str = ""
    editing: str = ""
    edit_problem: str = ""
    overtaken: str = ""
    problem: str = ""
    may_resolve: bool = False
    loaded: bool = False
    reviewed: bool = False
    choosing_day: bool = False
    day_problem: str = ""

    def _asked(self) -> UUID | None:
        parts = [part for part in self.router.url.path.split("/") if part]
        try:
            return UUID(parts[1] if len(parts) > 1 else self.inline_id)
        except ValueError:
            return None

    @rx.event
    async def unfold(self, row_id: str) -> Any:
        """Show a conflict of the list in its place, or put it away again. Others are told behind it."""
        self.inline_id = "" if self.inline_id == row_id else row_id
        if self.inline_id:
            await self._load()
        return PresenceState.beat

    @rx.event
    async def load(self) -> None:
        self.inline_id = ""
        await self._load()

    async def _load(self) -> None:
        actor, asked = await self._actor(), self._asked()
        self.loaded, self.editing, self.overtaken = True, "", ""
        self._put(choosing_day=False, day_problem="")
        query = query_of(dict(self.router.url.query_parameters))
        self.list_url = address(query)
        if asked is None:
            self.problem = "There is no such conflict in this workspace."
            return
        view = await conflicts.get(get_database(), actor, asked, query)
        if isinstance(view, Refusal):
            self.problem = view.message
            return
        self.previous_url = address(query, f"{PATH}/{view.previous_id}") if view.previous_id else ""
        self.next_url = address(query, f"{PATH}/{view.next_id}") if view.next_id else ""
        people = await conflict_handling.people(get_database(), actor)
        self.members, self.people = (
            [one.email for one in people],
            [PersonRow(one.email, one.name) for one in people if one.user_id != actor.user_id],
        )
        if view.comments and not self.inline_id:
            await conflict_mentions.see(get_database(), actor, asked)
        self._show(view, actor)

    def _show(self, view: ConflictView, actor: Actor) -> None:
        row, zone = view.row, actor.time_zone
        self.problem, self.edit_problem = "", ""
        self.conflict_uid, self.title, self.revision = str(row.id), row.label, row.revision
        self.entity, self.external_id, self.reason = row.entity.value, row.external_id, row.reason.label
        self.record_url = href(row.entity, row.record_id)
        self.status, self.assignee, self.me = row.status.value, row.assignee or "", actor.label
        self.choices = fitted_choices(choice_rows(view, zone))
        self.equal, self.equal_count = ", ".join(view.equal), len(view.equal)
        self.base_known, self.seen_at = view.base_known, When.of(view.observed_at, zone)
        self._show_note(view, zone)
        self._show_question(view)
        self.to_choose, self.answered, self.questions = view.problem, row.answered, row.questions
        self.decisions = fitted_decisions(decision_rows(view, zone))
        self.comments = [comment_row(one, self.members, zone) for one in view.comments]
        self.snoozed, self.snoozed_until = _put_off(row.snoozed_for, row.snoozed_until, zone)
        self.why, self.reach, self.reviewed = view.why, reach_of(view), view.reviewed
        self.reopened = When.of(row.reopened_at, zone)
        self.newer_url = f"{PATH}/{view.newer_id}" if view.newer_id else ""
        self._pending = {key: one.to_json() for key, one in pending_of(view).items()}
        self.may_resolve = actor.can(Permission.RESOLVE_CONFLICTS) and row.status is ConflictStatus.OPEN

    def _show_note(self, view: ConflictView, zone: str) -> None:
        note = view.note
        self.base_at = When.of(note.synced_at, zone) if note else When()
        run = note.synced_run if note else None
        self._put(
            base_run=f"sync #{run}" if run else "", base_run_url=f"/syncs/{note.synced_run_id}" if run and note else ""
        )
        self.local_by, self.local_at = "", When()
        self.request_id = (note.request_id if note else None) or ""
        told = told_by(view)
        self.event_id = told.by if told else ""
        self.told_at = When.of(datetime.fromtimestamp(told.at, UTC), zone) if told else When()
        self.newest = newest_of(view)
        if note is not None and note.last_at is not None:
            self.local_by, self.local_at = f"{note.last_actor}, ", When.of(note.last_at, zone)

    def _show_question(self, view: ConflictView) -> None:
        asked = view.record
        self.question = asked.question if asked else ""
        self.question_stripe = asked.stripe if asked else ""
        self.question_local = asked.local if asked else ""
        self.question_take = asked.take.value if asked and asked.take else ""

    def _show_answer(self, answer: ConflictView | Refusal, actor: Actor, mine: Mapping[str, Taken] = {}) -> bool:
        """Whether it went through. Whoever was faster is shown, with what they decided, beside what this person meant (`mine`)."""
        if isinstance(answer, ConflictView):
            self.overtaken = ""
            self._show(answer, actor)
            return True
        if isinstance(answer, ConflictRefusal) and answer.view is not None:
            meant = {**{key: Taken.from_json(one) for key, one in self._pending.items()}, **mine}
            self._show(answer.view, actor)
            self._show_overtaken(answer, answer.view, meant, actor.time_zone)
        else:
            self._refuse(answer)
        return False

    def _show_overtaken(self, answer: Refusal, view: ConflictView, meant: dict[str, Taken], zone: str) -> None:
        self.overtaken, self._mine = answer.message, {key: one.to_json() for key, one in meant.items()}
        standing = [one for one in decision_rows(view, zone) if not one.undone]
        settled = view.row.status is ConflictStatus.RESOLVED
        first = standing[0] if settled and standing else None
        self.theirs_said, self.theirs_at = (f"{first.said}, ", When(first.at, first.utc)) if first else ("", When())
        self.theirs_who = next((one.name or one.email for one in self.people if first and one.email == first.who), "")
        differs = settled or {key: Taken.from_json(one) for key, one in self._pending.items()} != meant
        self.mine_said = said_of(meant, view) if meant and differs else ""

    @rx.event
    async def keep_theirs(self) -> None:
        self.overtaken, self.theirs_said, self.mine_said, self._mine = "", "", "", {}

    @rx.event
    async def reopen_with_mine(self) -> None:
        """Take back what the other decided and keep this person's choices instead; they still apply them."""
        actor, asked = await self._actor(), self._asked()
        if asked is None or not self._mine:
            return
        mine = {key: Taken.from_json(one) for key, one in self._mine.items()}
        answer = await conflict_undo.reopen_with(get_database(), actor, asked, mine, expected_revision=self.revision)
        if self._show_answer(answer, actor):
            self._mine, self.mine_said, self.theirs_said = {}, "", ""
            self._say("Your choices are kept, and nothing is written yet: apply them to settle it.", "info")

    @rx.event
    async def take(self, key: str, side: str) -> None:
        """Keep a choice; choosing the same again takes it off."""
        actor, asked = await self._actor(), self._asked()
        if asked is None or side not in _TAKES or side == Choice.CUSTOM.value:
            return
        chosen = (
            self.question_take if key == "record" else next((one.take for one in self.choices if one.key == key), "")
        )
        taken = None if chosen == side else Taken(_TAKES[side])
        answer = await conflicts.choose(get_database(), actor, asked, key, taken, expected_revision=self.revision)
        self._show_answer(answer, actor, {key: taken} if taken else {})

    @rx.event
    async def edit(self, key: str) -> None:
        self.editing, self.edit_problem = ("" if self.editing == key else key), ""

    @rx.event
    async def keep_own(self, form: dict[str, Any]) -> None:
        """A value that a person typed, read by the kind of its field."""
        actor, asked, typed = await self._actor(), self._asked(), form.get("value")
        if asked is None or not isinstance(typed, str):
            return
        try:
            value = await self._read(actor, asked, self.editing, typed)
        except ValueError as wrong:
            self.edit_problem = str(wrong)
            return
        answer = await conflicts.choose(
            get_database(), actor, asked, self.editing, Taken(Choice.CUSTOM, value), expected_revision=self.revision
        )
        if isinstance(answer, Refusal) and answer.field is not None:
            self.edit_problem = answer.message
        elif self._show_answer(answer, actor):
            self.editing = ""

    async def _read(self, actor: Actor, asked: UUID, key: str, typed: str) -> JsonValue:
        view = await conflicts.get(get_database(), actor, asked)
        if isinstance(view, Refusal):
            raise ValueError(view.message)  # noqa: TRY004 - shown beside the field
        if "." in key:
            return typed.strip() or None
        named = next((one for one in FIELDS[view.row.entity] if one.name == key), None)
        if named is None:
            raise ValueError("There is no such field.")
        return parse(named, typed, view.currency)

    @rx.event
    async def take_all(self, side: str) -> Any:
        if side in _TAKES:
            return await self._resolve(_TAKES[side])
        return None

    @rx.event
    async def apply(self) -> Any:
        return await self._resolve(None)

    async def _resolve(self, side: Choice | None) -> Any:
        actor, asked = await self._actor(), self._asked()
        if asked is None or side is Choice.CUSTOM:
            return None
        answer = await conflicts.resolve(get_database(), actor, asked, take_all=side, expected_revision=self.revision)
        if not isinstance(answer, Resolved):
            meant = {} if side is None else {one.key: Taken(side) for one in self.choices if not one.nested}
            if side is not None and self.question:
                meant["record"] = Taken(side)
            self._show_answer(answer, actor, meant)
            return None
        self._say(f"{answer.view.row.label}: settled.", undo=str(answer.batch_id))
        self._show(answer.view, actor)
        if self.inline_id:
            return await self._unfold_next()
        return rx.redirect(self.next_url) if self.next_url else None

    async def _unfold_next(self) -> Any:
        """In place of the row that is settled the one below it, as far as the page goes."""
        from dashboard.pages.conflicts import ConflictsState

        ids = [row.id for row in (await self.get_state(ConflictsState)).rows]
        below = ids[ids.index(self.inline_id) + 1 :] if self.inline_id in ids else []
        self.inline_id = below[0] if below else ""
        if self.inline_id:
            await self._load()
        return [ConflictsState.load, ShellState.load, PresenceState.beat]

    @rx.event
    async def undo(self, decision_id: str) -> None:
        actor = await self._actor()
        try:
            answer = await conflict_undo.undo(get_database(), actor, UUID(decision_id))
        except ValueError:
            return
        if self._show_answer(answer, actor):
            self._say("Taken back. The conflict is open again.")

    @rx.event
    async def review(self) -> None:
        """Tick it as looked through, or take the tick off; it goes by itself when either side changes."""
        actor, asked, on = await self._actor(), self._asked(), not self.reviewed
        if asked is None:
            return
        refused = await conflict_handling.review(get_database(), actor, asked, reviewed=on)
        if refused is not None:
            self._refuse(refused)
            return
        self.reviewed = on

    @rx.event
    async def assign(self, assignee: str) -> None:
        actor, asked = await self._actor(), self._asked()
        if asked is None or not assignee:
            return
        whom = None if assignee == "nobody" else assignee
        done = await conflict_handling.assign(get_database(), actor, ConflictQuery(ids=(asked,)), whom)
        self._show_answer(await conflict_handling.shown_after(get_database(), actor, asked, done), actor)

    @rx.event
    async def snooze(self, until: str) -> None:
        from dashboard.pages.conflicts import snooze_of

        self._put(choosing_day=until == A_DAY)
        if until and not self.choosing_day:
            await self._snooze(snooze_of(until))

    @rx.event
    async def snooze_until(self, form: dict[str, Any]) -> None:
        """A day that the person has written."""
        from dashboard.pages.conflicts import until_of

        day = until_of(form, await self._actor())
        if isinstance(day, Refusal):
            self.day_problem = day.message
            return
        self._put(choosing_day=False, day_problem="")
        await self._snooze(day)

    @rx.event
    async def forget_day(self) -> None:
        self._put(choosing_day=False, day_problem="")

    async def _snooze(self, until: datetime | Snooze | None) -> None:
        actor, asked = await self._actor(), self._asked()
        if asked is None:
            return
        done = await conflict_handling.snooze(get_database(), actor, ConflictQuery(ids=(asked,)), until)
        self._show_answer(await conflict_handling.shown_after(get_database(), actor, asked, done), actor)

    @rx.event
    async def comment(self, form: dict[str, Any]) -> None:
        actor, asked, body = await self._actor(), self._asked(), form.get("comment")
        if asked is not None and isinstance(body, str):
            self._show_answer(await conflict_handling.add_comment(get_database(), actor, asked, body), actor)


def _put_off(until: Snooze | None, at: datetime | None, zone: str) -> tuple[str, When]:
    if until is not None:
        return f"{until.label[0].lower()}{until.label[1:]}", When()
    found = When.of(at, zone) if at and at > datetime.now(UTC) else When()
    return f"until {found.text}" if found.text else "", found


def register(app: rx.App) -> None:
    add_page(
        app,
        lambda: view(ConflictState),
        route=f"{PATH}/[conflict_id]",
        title="Conflict",
        on_load=[ConflictState.load, KeysState.load, PresenceState.beat],
    )
