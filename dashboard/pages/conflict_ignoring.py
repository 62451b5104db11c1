"""Having a field ignored: where, what it means, and what is settled with it, said before it is done."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.pages.conflict_filters import PATH
from dashboard.state import PageState
from sync_core.domain.conflict_rules import SENSITIVE
from sync_core.domain.fields import COMPARED, ORDER
from sync_core.errors import Refusal
from sync_core.services import conflict_ignored
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_bulk_views import BulkPreview
from sync_core.services.conflict_ignored import Done, label_of
from sync_core.store.database import get_database

LABELS = {f"{entity.value}.{name}": label_of(entity, name) for entity in ORDER for name in COMPARED[entity]}
MONEY = [path for path in LABELS if path.partition(".")[2] in SENSITIVE]
_HERE, _EVERYWHERE = "here", "everywhere"


class IgnoringState(PageState):
    """`asking` is the field that the dialog asks about, `conflict` the one that it was asked from, whose record is `record`."""

    asking: str = ""
    label: str = ""
    money: bool = False
    conflict: str = ""
    record: str = ""
    scope: str = _EVERYWHERE
    may_everywhere: bool = False
    count: int = 0
    foreseen: list[str] = []
    preview_url: str = ""
    problem: str = ""
    working: bool = False
    _preview: tuple[str, str] = ("", "")

    @rx.event
    async def ask(self, path: str) -> None:
        """In every record."""
        await self._about(path, "", "")

    @rx.event
    async def ask_from(self, path: str) -> None:
        """From the conflict that is open: its record alone, or every one."""
        from dashboard.pages.conflict_detail import ConflictState

        shown = await self.get_state(ConflictState)
        await self._about(path, shown.conflict_uid, shown.title)

    async def _about(self, path: str, conflict: str, record: str) -> None:
        if path not in LABELS:
            return
        actor = await self._actor()
        self.asking, self.label, self.money = path, LABELS[path], path in MONEY
        self.conflict, self.record, self.scope = conflict, record, _HERE if conflict else _EVERYWHERE
        self.may_everywhere = actor.can(Permission.MANAGE_WORKSPACE)
        await self._foresee(actor)

    @rx.event
    async def choose_scope(self, scope: str) -> None:
        self.scope = _HERE if scope == _HERE and self.conflict else _EVERYWHERE
        await self._foresee(await self._actor())

    def _one(self) -> UUID | None:
        return UUID(self.conflict) if self.scope == _HERE else None

    async def _foresee(self, actor: Actor) -> None:
        found = await conflict_ignored.foresee(get_database(), actor, self.asking, self._one())
        self.problem = found.message if isinstance(found, Refusal) else ""
        self.count, self.foreseen, self.preview_url, self._preview = 0, [], "", ("", "")
        if isinstance(found, BulkPreview):
            self.count, self.foreseen = found.rows, said_of(found)
            self._preview = (str(found.id), found.hash) if found.rows else ("", "")
            self.preview_url = f"{PATH}/batches/{found.id}" if found.rows else ""

    @rx.event
    async def keep(self) -> None:
        if not self.working:
            self.asking = ""

    @rx.event(background=True)
    async def ignore(self, form: dict[str, Any]) -> Any:
        """What is settled with it may be many: the page goes on meanwhile."""
        async with self:
            if self.working or not self.asking:
                return None
            actor, path, one, (preview_id, sealed) = await self._actor(), self.asking, self._one(), self._preview
            self.working, self.problem = True, ""
        seen = (UUID(preview_id), sealed) if preview_id else None
        done = await conflict_ignored.ignore(
            get_database(), actor, path, conflict_id=one, money=bool(form.get("money")), preview=seen
        )
        async with self:
            self.working = False
            return self._finish(done)

    def _finish(self, done: Done | Refusal) -> Any:
        if isinstance(done, Refusal):
            self.problem = done.message
            return None
        where = f" in {self.record}" if self.scope == _HERE else ""
        settled = f" {plural(done.settled.resolved, 'conflict')} settled." if done.settled else ""
        self._say(f"{self.label} is ignored{where} from the next sync on.{settled}")
        self.asking = ""
        return self._again()

    def _again(self) -> Any:
        """What the page behind the dialog shows, anew."""
        from dashboard.pages.conflict_detail import ConflictState
        from dashboard.pages.conflict_ignored import IgnoredState
        from dashboard.pages.conflicts import ConflictsState

        if not self.conflict:
            return IgnoredState.load
        return ConflictsState.visit if self.router.url.path.strip("/") == PATH.strip("/") else ConflictState.load


def said_of(found: BulkPreview) -> list[str]:
    """What is open, and what becomes of it."""
    one = found.rows == 1
    settled = f"{plural(found.rows, 'open conflict')} {'is' if one else 'are'} settled by it: ours stays, and no value is written."
    stay = [
        f"{plural(one.rows, 'conflict')} about it {'stays' if one.rows == 1 else 'stay'} open. {one.reason}"
        for one in found.not_covered
    ]
    return [*([settled] if found.rows else []), *stay] or ["Nothing is open about it."]


def ignore_dialog() -> rx.Component:
    return ui.dialog(
        IgnoringState.asking != "",
        rx.el.form(
            rx.cond(IgnoringState.conflict != "", _scopes(), rx.fragment()),
            rx.el.ul(
                rx.el.li(
                    "From the next sync on, our value stays and Stripe's is not taken, whatever strategy is chosen."
                ),
                rx.el.li("A difference in it is no conflict any more."),
                rx.el.li("You can take it back at any time, under Rules: the field is then compared again."),
                class_name="plain-list",
            ),
            rx.el.div(
                rx.foreach(IgnoringState.foreseen, rx.el.p),
                rx.cond(
                    IgnoringState.count > 1, ui.link("Look at them first", IgnoringState.preview_url), rx.fragment()
                ),
                role="status",
                class_name="stack-sm",
            ),
            rx.cond(IgnoringState.money, _money(), rx.fragment()),
            ui.field_error("ignore", IgnoringState.problem),
            id="ignore-field",
            on_submit=IgnoringState.ignore,
            class_name="stack",
        ),
        title="Ignore " + IgnoringState.label.to(str) + "?",
        on_close=IgnoringState.keep,
        actions=[
            ui.button(
                rx.cond(IgnoringState.count > 0, "Ignore it and settle " + IgnoringState.count.to(str), "Ignore it"),
                variant="primary",
                type="submit",
                form="ignore-field",
                disabled=IgnoringState.working,
            )
        ],
    )


def _scopes() -> rx.Component:
    return rx.el.fieldset(
        rx.el.legend("Where"),
        rx.el.div(
            _scope(_HERE, "In " + IgnoringState.record.to(str) + " alone"),
            rx.cond(IgnoringState.may_everywhere, _scope(_EVERYWHERE, "In every record of this kind"), rx.fragment()),
            class_name="stack-sm",
        ),
        class_name="fieldset",
    )


def _scope(value: str, title: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="scope",
            value=value,
            checked=IgnoringState.scope == value,
            on_change=IgnoringState.choose_scope(value),
        ),
        rx.el.span(title),
        class_name="check",
    )


def _money() -> rx.Component:
    return ui.stack(
        ui.callout(
            "This field says what somebody pays. What Stripe charges and what stands here may part for good.",
            kind="warn",
        ),
        ui.checkbox("money", "Ignore it all the same"),
    )
