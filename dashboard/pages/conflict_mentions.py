"""What calls the person who is signed in: comments in which somebody named them, the newest first, each leading to its conflict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from dashboard import components as ui
from dashboard.formatting import plural
from dashboard.navigation import add_page
from dashboard.pages.conflict_filters import PATH
from dashboard.pages.conflict_keys import KeysState, assets
from dashboard.state import PageState, ShellState
from sync_core.errors import Refusal
from sync_core.services import conflict_mentions
from sync_core.services.record_views import When
from sync_core.store.conflict_mentions import Mention
from sync_core.store.database import get_database

MENTIONS = f"{PATH}/mentions"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class MentionRow:
    id: str
    label: str
    href: str
    entity: str
    author: str
    said: str
    at: str
    utc: str
    new: bool


def mention_row(one: Mention, zone: str) -> MentionRow:
    at = When.of(one.created_at, zone)
    said = one.body if len(one.body) <= _SHOWN else f"{one.body[:_SHOWN]}…"
    return MentionRow(
        str(one.comment_id),
        one.label,
        f"{PATH}/{one.conflict_id}",
        one.entity_type,
        one.author,
        said,
        at.text,
        at.utc,
        not one.is_seen,
    )


class MentionsState(PageState):
    rows: list[MentionRow] = []
    new: bool = False
    next_url: str = ""
    first_url: str = ""
    problem: str = ""
    loaded: bool = False

    @rx.event
    async def load(self) -> None:
        actor = await self._actor()
        after = dict(self.router.url.query_parameters).get("after", "")
        found = await conflict_mentions.mine(get_database(), actor, after)
        self.loaded = True
        if isinstance(found, Refusal):
            self.problem = found.message
            return
        following = found.next_cursor
        self._put(
            problem="",
            rows=[mention_row(one, actor.time_zone) for one in found.rows],
            new=any(not one.is_seen for one in found.rows),
            next_url=f"{MENTIONS}?{urlencode({'after': following})}" if following else "",
            first_url=MENTIONS if after else "",
        )

    @rx.event
    async def put_aside(self) -> Any:
        """All of them, those on other pages too."""
        count = await conflict_mentions.see(get_database(), await self._actor())
        self._say(f"{plural(count, 'mention')} put aside.")
        return [MentionsState.load, ShellState.load]


def mentions_view() -> rx.Component:
    return ui.page_shell(
        "Mentions",
        assets(),
        ui.when_loaded(MentionsState, _mentions(), ui.table_skeleton()),
        current=PATH,
        back=("Conflicts", PATH),
        lead="Comments that call you to a conflict. Opening the conflict is enough: it is then no longer new.",
        actions=[
            rx.cond(
                MentionsState.new,
                ui.button("Put all aside", icon_name="check", on_click=MentionsState.put_aside),
                rx.fragment(),
            )
        ],
    )


def _mentions() -> rx.Component:
    return rx.cond(
        MentionsState.rows.length() > 0,
        ui.stack(
            ui.data_table(
                [ui.Column("Conflict"), ui.Column("Comment"), ui.Column("By"), ui.Column("When")],
                rx.foreach(MentionsState.rows, _row),
                caption="Mentions",
                id="mentions",
            ),
            ui.pagination(MentionsState.first_url, None, MentionsState.next_url),
        ),
        ui.empty_state(
            "Nobody has called you",
            "Write @ and a member's name in a comment to a conflict to call them there. What calls you is listed here.",
            "Conflicts",
            PATH,
            icon_name="at-sign",
        ),
    )


def _row(row: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.div(
                ui.entity_icon(row.entity),
                ui.anchor(row.label, href=row.href, class_name="link strong", custom_attrs={"data-row": ""}),
                rx.cond(row.new, ui.pill("New", "info", "at-sign"), rx.fragment()),
                class_name="row",
            )
        ),
        rx.el.td(row.said, class_name="comment"),
        rx.el.td(row.author),
        rx.el.td(ui.moment(row.at, row.utc)),
        key=row.id,
        custom_attrs={"data-record": ""},
    )


def register(app: rx.App) -> None:
    add_page(app, mentions_view, route=MENTIONS, title="Mentions", on_load=[MentionsState.load, KeysState.load])
