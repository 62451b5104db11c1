"""Two syncs compared, row by row: how many differ in which way, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

import reflex as rx

from dashboard import components as ui
from dashboard.pages import run_parts as parts
from dashboard.pages.report_lines import change
from dashboard.pages.report_rows import ChangeRow
from dashboard.state import PageState
from sync_core.domain.vocabulary import Action
from sync_core.errors import Refusal
from sync_core.services import differences
from sync_core.services.actor import Actor
from sync_core.services.difference_views import OURS, STRIPES, Difference, Differences, Side
from sync_core.services.record_views import href
from sync_core.store.database import get_database
from sync_core.store.plan_differences import Kind

_ROWS = 20
_CHANGES = 3
_KINDS = 40
_WHOSE = {OURS: "Ours: ", STRIPES: "Stripe's: "}


@dataclass(frozen=True, slots=True)
class KindRow:
    """A way to differ; an action is empty where there is no such row. `current` is the one whose rows are shown."""

    key: str
    entity: str
    label: str
    earlier: str
    later: str
    count: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class SideCell:
    """What one run made of an object; `action` is empty where it has no such row."""

    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    key: str
    entity: str
    external_id: str
    label: str
    href: str
    earlier: SideCell
    later: SideCell
    why: str
    message: str
    changes: list[ChangeRow]
    more: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says: which two, which way to differ, and where the page begins."""

    one: UUID
    other: UUID
    only: Kind | None
    after: str

    @classmethod
    def parse(cls, words: Mapping[str, str]) -> Asked | None:
        one, other = (parts.parsed_id(words.get(name, "")) for name in ("one", "other"))
        only = differences.kind_of(words.get("entity"), words.get("from"), words.get("to"))
        if one is None or other is None or isinstance(only, Refusal):
            return None
        return cls(one, other, only, words.get("after", ""))

    @property
    def pair(self) -> str:
        return f"{self.one} {self.other}"

    def words(self, only: Kind | None) -> dict[str, str]:
        if only is None:
            return {}
        return {"entity": only.entity, "from": only.earlier or differences.NONE, "to": only.later or differences.NONE}

    def href(self, only: Kind | None, after: str = "") -> str:
        more = self.words(only) | ({"after": after} if after else {})
        return parts.compare_href(self.one, self.other) + (f"&{urlencode(more)}" if more else "")

    def file(self, kind: str) -> str:
        more = self.words(self.only)
        return f"/downloads/{self.one}/beside/{self.other}.{kind}" + (f"?{urlencode(more)}" if more else "")


class DifferencesState(PageState):
    """`counted` are the two whose rows are counted: once, not with every page of them."""

    counted: str = ""
    reading: bool = False
    refused: str = ""
    sentence: str = ""
    is_of_plan: bool = False
    is_whole: bool = False
    kinds: list[KindRow] = []
    kinds_about: str = ""
    rows: list[DifferenceRow] = []
    narrowed: KindRow = KindRow("", "", "", "", "", "", "", False)
    all_href: str = ""
    first_url: str = ""
    next_url: str = ""
    csv_href: str = ""
    ndjson_href: str = ""
    _found: Differences | None = None

    @rx.event(background=True, supersedes=True)
    async def look(self) -> None:
        """The page of rows, and how many there are: of large plans some seconds, told as it goes."""
        asked, actor = Asked.parse(dict(self.router.url.query_parameters)), await self._actor()
        if asked is None:
            async with self:
                self._put(refused="There is no such way to differ.", rows=[], kinds=[], reading=False)
            return
        async with self:
            self._begin(asked)
        if asked.only or asked.after or self.is_whole:
            await self._read_page(actor, asked)
        if not self.is_whole:
            await self._count(actor, asked)
        async with self:
            self._put(reading=False)

    def _begin(self, asked: Asked) -> None:
        if self.counted != asked.pair:
            self._found = None
            self._put(counted=asked.pair, kinds=[], sentence="", is_whole=False)
        self._put(refused="", rows=[], first_url="", next_url="", reading=True, all_href=asked.href(None))
        self._put(csv_href=asked.file("csv"), ndjson_href=asked.file("ndjson"))
        self._show_kinds(asked)

    async def _read_page(self, actor: Actor, asked: Asked) -> None:
        """Until it is full: what lies between two rows that differ may take more than one call to walk."""
        found: list[Difference] = []
        place: str | None = asked.after or None
        while len(found) < _ROWS:
            page = await differences.page(
                get_database(),
                actor,
                asked.one,
                asked.other,
                cursor=place,
                limit=_ROWS - len(found),
                only=asked.only,
            )
            if isinstance(page, Refusal):
                async with self:
                    self._put(refused=page.message)
                return
            found, place = [*found, *page.rows], page.cursor
            if place is None:
                break
        async with self:
            self._show_rows(asked, found, place or "")

    async def _count(self, actor: Actor, asked: Asked) -> None:
        """All of it, a step after the other; where nothing is narrowed, the first rows are those of the page."""
        is_page = not (asked.only or asked.after)
        whole: Differences | None = None
        while whole is None or not whole.is_whole:
            room = _ROWS + 1 - (len(whole.listed) if whole else 0) if is_page else 0
            start = whole.goes_on if whole else None
            found = await differences.count(get_database(), actor, asked.one, asked.other, start=start, listed=room)
            if isinstance(found, Refusal):
                async with self:
                    self._put(refused=found.message)
                return
            whole = found if whole is None else whole.then(found)
            async with self:
                if self.counted != asked.pair:
                    return
                self._found = whole
                self._put(sentence=whole.sentence, is_of_plan=whole.is_of_plan, is_whole=whole.is_whole)
                self._show_kinds(asked)
                if is_page:
                    listed = whole.listed[:_ROWS]
                    more = differences.cursor_of(listed[-1].key) if len(whole.listed) > _ROWS else ""
                    self._show_rows(asked, list(listed), more)

    def _show_kinds(self, asked: Asked) -> None:
        counts = {} if self._found is None else self._found.counts
        least = sorted(counts.values(), reverse=True)[:_KINDS][-1:]
        shown = [kind for kind, count in counts.items() if count >= least[0]][:_KINDS]
        kinds = [_kind(kind, f"{counts[kind]:,}", asked) for kind in shown]
        blank = KindRow("", "", "", "", "", "", "", False)
        self._put(kinds_about=f"The {_KINDS} commonest of {len(counts):,} ways." if len(counts) > _KINDS else "")
        self._put(kinds=kinds, narrowed=blank if asked.only is None else _kind(asked.only, "", asked))

    def _show_rows(self, asked: Asked, found: list[Difference], following: str) -> None:
        self._put(
            rows=[_row(one) for one in found],
            first_url=asked.href(asked.only) if asked.after else "",
            next_url=asked.href(asked.only, following) if following else "",
        )


def _kind(kind: Kind, count: str, asked: Asked) -> KindRow:
    return KindRow(
        key=f"{kind.entity}/{kind.earlier}/{kind.later}",
        entity=kind.entity.value,
        label=kind.entity.label,
        earlier=_word(kind.earlier),
        later=_word(kind.later),
        count=count,
        href=asked.href(kind),
        current=asked.only == kind,
    )


def _word(action: Action | None) -> str:
    return "" if action is None else action.value


def _row(one: Difference) -> DifferenceRow:
    listed = one.changes[:_CHANGES]
    rest = len(one.changes) - len(listed)
    message = next((side.message for side in (one.later, one.earlier) if side and side.message), "")
    return DifferenceRow(
        key=f"{one.entity}-{one.external_id}",
        entity=one.entity.value,
        external_id=one.external_id,
        label=parts.clipped(one.label, 60),
        href="" if one.record_id is None else href(one.entity, one.record_id),
        earlier=_side(one.earlier),
        later=_side(one.later),
        why=one.why,
        message=parts.clipped(message, 150),
        changes=[
            ChangeRow(
                _WHOSE[each.side] + each.change.label,
                parts.clipped(each.change.ours, 60) or "nothing",
                parts.clipped(each.change.theirs, 60) or "nothing",
            )
            for each in listed
        ],
        more=f"and {rest:,} more" if rest else "",
    )


def _side(side: Side | None) -> SideCell:
    if side is None:
        return SideCell("", "")
    return SideCell(side.action.value, side.reason.label if side.reason else "")


def differing() -> rx.Component:
    """How the rows differ, and below it which."""
    found = DifferencesState
    return rx.fragment(
        ui.card(
            rx.cond(found.kinds.length() > 0, kinds(), rx.fragment()),
            title=rx.cond(found.is_of_plan, "What came out otherwise than planned", "Rows that differ"),
            about=rx.cond(
                found.refused != "",
                found.refused,
                rx.cond(
                    found.sentence != "",
                    rx.fragment(found.sentence, " ", found.kinds_about),
                    "Comparing the rows of both…",
                ),
            ),
            flush=True,
            class_name="reflow",
            id="differences",
            aria_busy=rx.cond(found.reading, "true", "false"),
        ),
        rx.cond((found.rows.length() > 0) | (found.narrowed.key != ""), rows_card(), rx.fragment()),
    )


def kinds() -> rx.Component:
    planned, done = _heads()
    return ui.data_table(
        [ui.Column("Entity type"), ui.Column(planned), ui.Column(done), ui.Column("Rows", number=True)],
        rx.foreach(DifferencesState.kinds, kind_row),
        caption="How rows differ",
    )


def _heads() -> tuple[rx.Var[str], rx.Var[str]]:
    of_plan = DifferencesState.is_of_plan
    return rx.cond(of_plan, "Planned", "Earlier"), rx.cond(of_plan, "Done", "Later")


def kind_row(one: rx.Var[KindRow]) -> rx.Component:
    planned, done = _heads()
    return rx.el.tr(
        rx.el.th(ui.row(ui.entity_icon(one.entity), one.label), scope="row"),
        rx.el.td(action(one.earlier), custom_attrs={"data-label": planned}),
        rx.el.td(
            rx.el.div(
                action(one.later),
                rx.cond(
                    one.earlier == one.later,
                    rx.el.span(" for another reason, or with other values", class_name="muted small"),
                    rx.fragment(),
                ),
            ),
            custom_attrs={"data-label": done},
        ),
        ui.number_cell(
            ui.anchor(
                one.count,
                rx.el.span(" rows of " + one.label, class_name="sr-only"),
                href=one.href,
                class_name="link",
                aria_current=rx.cond(one.current, "true", "false"),
            ),
            "Rows",
        ),
        key=one.key,
    )


def action(word: rx.Var[str]) -> rx.Component:
    return rx.cond(word != "", ui.action_pill(word), rx.el.span("not there", class_name="muted small"))


def rows_card() -> rx.Component:
    found, (planned, done) = DifferencesState, _heads()
    return ui.card(
        rx.cond(
            found.rows.length() > 0,
            ui.data_table(
                [
                    ui.Column("Record"),
                    ui.Column(planned),
                    ui.Column(done),
                    ui.Column("Why, and what differs"),
                ],
                rx.foreach(found.rows, row),
                caption="Rows that differ",
            ),
            rx.el.p(
                rx.cond(found.reading, "Looking for them…", "No rows."),
                class_name="muted",
                style={"padding": "var(--s5)"},
            ),
        ),
        rx.el.div(ui.pagination(found.first_url, None, found.next_url), style={"padding": "0 var(--s5) var(--s4)"}),
        title=rx.cond(
            found.narrowed.key != "",
            ui.row(
                found.narrowed.label,
                action(found.narrowed.earlier),
                ui.icon("arrow-right", 14),
                action(found.narrowed.later),
            ),
            "Which rows",
        ),
        flush=True,
        actions=[
            ui.button_link("CSV", found.csv_href, icon_name="download", small=True, reload_document=True),
            ui.button_link("NDJSON", found.ndjson_href, icon_name="download", small=True, reload_document=True),
            rx.cond(
                found.narrowed.key != "",
                ui.button_link("Show all", found.all_href, icon_name="x", small=True),
                rx.fragment(),
            ),
        ],
        id="rows",
        class_name="differing reflow",
    )


def row(one: rx.Var[DifferenceRow]) -> rx.Component:
    planned, done = _heads()
    return rx.el.tr(
        rx.el.th(
            ui.row(
                ui.entity_icon(one.entity, 14),
                rx.cond(one.href != "", ui.link(one.label, one.href), rx.el.span(one.label)),
            ),
            rx.el.div(ui.id_chip(one.external_id)),
            scope="row",
        ),
        rx.el.td(side(one.earlier), custom_attrs={"data-label": planned}),
        rx.el.td(side(one.later), custom_attrs={"data-label": done}),
        rx.el.td(
            rx.el.div(one.why, class_name="small"),
            rx.cond(one.message != "", rx.el.div(one.message, class_name="muted small"), rx.fragment()),
            rx.el.ul(rx.foreach(one.changes, change), class_name="changes"),
            rx.cond(one.more != "", rx.el.span(one.more, class_name="muted small"), rx.fragment()),
        ),
        key=one.key,
    )


def side(one: rx.Var[SideCell]) -> rx.Component:
    return rx.el.div(
        action(one.action),
        rx.cond(one.reason != "", rx.el.div(one.reason, class_name="muted small"), rx.fragment()),
    )
