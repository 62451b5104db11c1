"""One conflict, three ways: ours, the last sync's and Stripe's, field by field, with what it will become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.navigation import add_page
from dashboard.pages.conflict_detail_view import view
from dashboard.pages.conflict_rows import (
    PATH,
    ChoiceRow,
    DecisionRow,
    address,
    choice_rows,
    decision_rows,
    query_of,
)
from dashboard.state import PageState
from sync_core.domain.custom_values import parse
from sync_core.domain.fields import FIELDS, JsonValue
from sync_core.domain.resolution import Taken
from sync_core.domain.vocabulary import Choice, ConflictStatus
from sync_core.errors import Refusal
from sync_core.services import conflicts, conflicts_bulk
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_views import ConflictRefusal, ConflictView, Resolved
from sync_core.services.record_views import When, href
from sync_core.store.database import get_database

_TAKES = {one.value: one for one in Choice}
_SNOOZE_DAYS = {"1": 1, "7": 7, "30": 30}


class ConflictState(PageState):
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
    base_at: str = ""
    local_by: str = ""
    seen_at: str = ""
    question: str = ""
    question_stripe: str = ""
    question_local: str = ""
    question_take: str = ""
    to_choose: str = ""
    answered: int = 0
    questions: int = 0
    decisions: list[DecisionRow] = []
    comments: list[dict[str, str]] = []
    assignee: str = ""
    snoozed: str = ""
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

    def _asked(self) -> UUID | None:
        parts = [part for part in self.router.url.path.split("/") if part]
        try:
            return UUID(parts[1])
        except (IndexError, ValueError):
            return None

    @rx.event
    async def load(self) -> None:
        actor, asked = await self._actor(), self._asked()
        self.loaded, self.editing, self.overtaken = True, "", ""
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
        self._show(view, actor)

    def _show(self, view: ConflictView, actor: Actor) -> None:
        row, zone = view.row, actor.time_zone
        self.problem, self.edit_problem = "", ""
        self.conflict_uid, self.title, self.revision = str(row.id), row.label, row.revision
        self.entity, self.external_id, self.reason = row.entity.value, row.external_id, row.reason.label
        self.record_url = href(row.entity, row.record_id)
        self.status, self.assignee, self.me = row.status.value, row.assignee or "", actor.label
        self.choices = choice_rows(view, zone)
        self.equal, self.equal_count = ", ".join(view.equal), len(view.equal)
        self.base_known, self.seen_at = view.base_known, When.of(view.observed_at, zone).text
        self._show_note(view, zone)
        self._show_question(view)
        self.to_choose, self.answered, self.questions = view.problem, row.answered, row.questions
        self.decisions = decision_rows(view, zone)
        self.comments = [
            {"author": one.author, "body": one.body, "at": When.of(one.created_at, zone).text} for one in view.comments
        ]
        until = row.snoozed_until
        self.snoozed = When.of(until, zone).text if until and until > datetime.now(UTC) else ""
        self.may_resolve = actor.can(Permission.RESOLVE_CONFLICTS) and row.status is ConflictStatus.OPEN

    def _show_note(self, view: ConflictView, zone: str) -> None:
        note = view.note
        self.base_at = When.of(note.synced_at, zone).text if note else ""
        written = note is not None and note.last_at is not None
        self.local_by = f"{note.last_actor}, {When.of(note.last_at, zone).text}" if note and written else ""

    def _show_question(self, view: ConflictView) -> None:
        asked = view.record
        self.question = asked.question if asked else ""
        self.question_stripe = asked.stripe if asked else ""
        self.question_local = asked.local if asked else ""
        self.question_take = asked.take.value if asked and asked.take else ""

    def _show_answer(self, answer: ConflictView | Refusal, actor: Actor) -> bool:
        """Whether it went through. Whoever was faster is shown, with what they decided."""
        if isinstance(answer, ConflictView):
            self.overtaken = ""
            self._show(answer, actor)
            return True
        if isinstance(answer, ConflictRefusal) and answer.view is not None:
            self._show(answer.view, actor)
            self.overtaken = answer.message
        else:
            self._refuse(answer)
        return False

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
        self._show_answer(
            await conflicts.choose(get_database(), actor, asked, key, taken, expected_revision=self.revision), actor
        )

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
            self._show_answer(answer, actor)
            return None
        self._say(f"{answer.view.row.label}: settled.")
        self._show(answer.view, actor)
        return rx.redirect(self.next_url) if self.next_url else None

    @rx.event
    async def undo(self, decision_id: str) -> None:
        actor = await self._actor()
        try:
            answer = await conflicts_bulk.undo(get_database(), actor, UUID(decision_id))
        except ValueError:
            return
        if self._show_answer(answer, actor):
            self._say("Taken back. The conflict is open again.")

    @rx.event
    async def assign_to_me(self) -> None:
        actor = await self._actor()
        await self._handle(actor, None if self.assignee == actor.label else actor.label, None)

    @rx.event
    async def snooze(self, days: str) -> None:
        until = datetime.now(UTC) + timedelta(days=_SNOOZE_DAYS[days]) if days in _SNOOZE_DAYS else None
        await self._handle(await self._actor(), self.assignee or None, until)

    async def _handle(self, actor: Actor, assignee: str | None, until: datetime | None) -> None:
        asked = self._asked()
        if asked is not None:
            self._show_answer(
                await conflicts.assign(get_database(), actor, asked, assignee=assignee, snoozed_until=until), actor
            )

    @rx.event
    async def comment(self, form: dict[str, Any]) -> None:
        actor, asked, body = await self._actor(), self._asked(), form.get("comment")
        if asked is not None and isinstance(body, str):
            self._show_answer(await conflicts.add_comment(get_database(), actor, asked, body), actor)


def register(app: rx.App) -> None:
    add_page(
        app, lambda: view(ConflictState), route=f"{PATH}/[conflict_id]", title="Conflict", on_load=[ConflictState.load]
    )
