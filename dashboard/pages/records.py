"""Lists of records: everything that a list shows is in its address, so that links, the back button and reloads work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import reflex as rx

from dashboard import components as ui
from dashboard.navigation import add_page
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, SyncStatus
from sync_core.errors import Refusal
from sync_core.services import records
from sync_core.services.record_views import Row
from sync_core.services.records import PAGE_SIZES, RecordQuery, RecordsPage
from sync_core.store.database import get_database
from sync_core.store.record_lists import MATCH_END, Sort

_HINTS = {
    EntityType.CUSTOMERS: "Email or name starts with…, or a Stripe id",
    EntityType.PRODUCTS: "Name starts with…, or a Stripe id",
    EntityType.PRICES: "Product starts with…, or a Stripe id",
    EntityType.SUBSCRIPTIONS: "Customer's email or name starts with…, or a Stripe id",
    EntityType.INVOICES: "Number or customer starts with…, or a Stripe id",
}


_DELETED = "deleted"
_LONGEST = 70
_LONGEST_HINT = 160
_ROWS = 25
"""With one message; one is at most 16 kB."""


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    count: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Heading:
    """`href` re-sorts by this column; `sorted` is the aria-sort of it."""

    label: str
    href: str
    sorted: str
    number: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Of one record, and short: many of them are one message. A cell is its text, a quieter
    second line, and UTC where it is a time; `sync` is a SyncStatus or "deleted". `whole` is a title too long to be shown."""

    id: str
    title: str
    note: str
    cells: list[list[str]]
    sync: str
    stripe_id: str
    whole: str


def line(row: Row) -> Line:
    cells = [[clipped(one.text), clipped(one.note), one.hint] for one in row.cells]
    return Line(
        id=row.record_id,
        title=clipped(row.title),
        note=clipped(row.note),
        cells=[*cells, [row.created, "", row.created_utc]],
        sync=_DELETED if row.deleted else row.status,
        stripe_id=row.external_id,
        whole=clipped(row.title, _LONGEST_HINT) if len(row.title) > _LONGEST else "",
    )


def clipped(text: str, longest: int = _LONGEST) -> str:
    """The record's own page has all of it."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def headings(query: RecordQuery, page: RecordsPage) -> list[Heading]:
    title, *own = (_heading(query, one.label, one.sort, number=one.number) for one in page.columns)
    turned = Sort.OLDEST if query.sort is Sort.NEWEST else Sort.NEWEST
    way = {Sort.NEWEST: "descending", Sort.OLDEST: "ascending"}.get(query.sort, "none")
    return [
        title,
        # Where columns are cut for want of room, this is not the one.
        Heading("Sync", "", "none", number=False),
        *own,
        Heading("Created", query.having(sort=turned).url, way, number=False),
        Heading("Stripe id", "", "none", number=False),
    ]


def _heading(query: RecordQuery, label: str, sort: str, *, number: bool) -> Heading:
    if not sort:
        return Heading(label, "", "none", number)
    chosen = query.sort.value == sort
    return Heading(label, query.having(sort=Sort(sort)).url, "ascending" if chosen else "none", number)


def tabs(query: RecordQuery, page: RecordsPage) -> list[Tab]:
    return [
        Tab(entity.label, page.tabs[entity], RecordQuery(entity, size=query.size).url, entity is query.entity)
        for entity in EntityType
    ]


class RecordsState(PageState):
    """`more` are the rows of a large page that come with a second message."""

    tabs: list[Tab] = []
    headings: list[Heading] = []
    rows: list[Line] = []
    more: list[Line] = []
    kind: str = "customers"
    hint: str = ""
    search: str = ""
    status: str = ""
    size: str = str(PAGE_SIZES[0])
    total: str = ""
    crowded: bool = False
    narrowed: bool = False
    first_url: str = ""
    previous_url: str = ""
    next_url: str = ""
    plain_url: str = ""
    problem: str = ""
    loaded: bool = False

    def _query(self) -> RecordQuery:
        """What the address asks for; the websocket's own path has no part in it."""
        parts = [part for part in self.router.url.path.split("/") if part]
        kind = parts[1] if len(parts) > 1 else EntityType.CUSTOMERS.value
        return RecordQuery.parse(kind, dict(self.router.url.query_parameters))

    @rx.event
    async def load(self) -> AsyncIterator[None]:
        query = self._query()
        page = await records.list_records(get_database(), await self._actor(), query)
        if isinstance(page, Refusal):
            self.problem, self.loaded = page.message, True
            return
        self.problem, self.kind, self.hint = "", query.entity.value, _HINTS[query.entity]
        lines = [line(row) for row in page.rows]
        self.tabs, self.headings, self.rows, self.more = tabs(query, page), headings(query, page), lines[:_ROWS], []
        self.search, self.size = query.search, str(query.size)
        self.status = _DELETED if query.deleted else query.status.value if query.status else ""
        self.total, self.crowded = page.total, page.crowded
        self.narrowed = bool(query.search or self.status)
        self.plain_url = RecordQuery(query.entity, size=query.size).url
        self.first_url, self.previous_url, self.next_url = page.first_url, page.previous_url, page.next_url
        self.loaded = True
        if lines[_ROWS:]:
            yield
            self.more = lines[_ROWS:]

    @rx.event
    async def find(self, form: dict[str, Any]) -> Any:
        text = form.get("q")
        return rx.redirect(
            self._query().having(search=records.writable(text).strip() if isinstance(text, str) else "").url
        )

    @rx.event
    async def show_status(self, value: str) -> Any:
        status = SyncStatus(value) if value in {one.value for one in SyncStatus} else None
        return rx.redirect(self._query().having(status=status, deleted=value == _DELETED).url)

    @rx.event
    async def show_size(self, value: str) -> Any:
        size = int(value) if value in {str(one) for one in PAGE_SIZES} else PAGE_SIZES[0]
        return rx.redirect(self._query().having(size=size).url)


_STATUSES = (("", "Any status"), *((one.value, one.label) for one in SyncStatus), (_DELETED, "Deleted"))
_SIZES = tuple((str(one), f"{one} a page") for one in PAGE_SIZES)


def view() -> rx.Component:
    return ui.page_shell(
        "Records",
        tab_bar(),
        rx.cond(RecordsState.loaded & (RecordsState.rows.length() == 0) & ~narrowed(), rx.fragment(), filters()),
        rx.cond(
            RecordsState.problem != "",
            ui.error_state("Records can't be shown", RecordsState.problem, retry=RecordsState.load),
            rx.cond(RecordsState.loaded, listing(), ui.table_skeleton()),
        ),
        current="/records",
        lead="What this workspace keeps, and how it stands to Stripe.",
    )


def narrowed() -> rx.Var[bool]:
    """Whether there may be more than what is shown: by a search or filter, or on another page."""
    return RecordsState.narrowed | (RecordsState.first_url != "")


def tab_bar() -> rx.Component:
    return ui.tab_links(
        rx.foreach(
            RecordsState.tabs, lambda tab: ui.tab_link(tab.label, tab.href, current=tab.current, count=tab.count)
        ),
        label="Kinds of records",
    )


def filters() -> rx.Component:
    search = rx.el.input(
        id="records-search",
        name="q",
        type="search",
        aria_label="Search",
        default_value=RecordsState.search,
        placeholder=RecordsState.hint,
        max_length=records.SEARCH_LENGTH,
        auto_complete="off",
        class_name="input",
        # A new list brings its own text; while somebody types, nothing may replace theirs.
        key=RecordsState.kind + "/" + RecordsState.search,
    )
    return rx.el.div(
        rx.el.form(
            search,
            ui.button("Search", type="submit", icon_name="search"),
            on_submit=RecordsState.find,
            role="search",
            class_name="search",
        ),
        ui.select(
            "records-status",
            _STATUSES,
            label="Sync status",
            value=RecordsState.status,
            on_change=RecordsState.show_status,
        ),
        ui.select(
            "records-size", _SIZES, label="Rows a page", value=RecordsState.size, on_change=RecordsState.show_size
        ),
        class_name="toolbar",
    )


def listing() -> rx.Component:
    return rx.el.section(
        rx.el.p(
            RecordsState.total,
            rx.cond(RecordsState.total == "1", " record", " records"),
            rx.cond(RecordsState.crowded, f". More than {MATCH_END:,} match: type more to see the rest.", ""),
            role="status",
            class_name="muted small",
        ),
        rx.cond(RecordsState.rows.length() > 0, table(), nothing()),
        ui.pagination(RecordsState.first_url, RecordsState.previous_url, RecordsState.next_url),
        aria_label="List",
        class_name="stack-sm",
    )


def nothing() -> rx.Component:
    return rx.cond(
        RecordsState.narrowed,
        ui.empty_state(
            "Nothing matches",
            "No record fits this search and filter.",
            "Show all",
            RecordsState.plain_url,
            icon_name="search-x",
        ),
        ui.empty_state(
            "No records yet",
            "They arrive with the first sync from Stripe.",
            "New sync",
            "/syncs/new",
            icon_name="database",
        ),
    )


def table() -> rx.Component:
    """Its columns differ by kind, so its heads are rows of the state like any other."""
    return rx.el.div(
        rx.el.table(
            rx.el.caption("Records", class_name="sr-only"),
            rx.el.thead(rx.el.tr(rx.foreach(RecordsState.headings, heading))),
            rx.el.tbody(rx.foreach(RecordsState.rows, record_row), rx.foreach(RecordsState.more, record_row)),
            class_name="table",
        ),
        tab_index=0,
        role="region",
        aria_label="Records",
        class_name="table-scroll reflow records",
    )


def heading(one: Any) -> rx.Component:
    column = ui.Column(one.label, sort=one.href, sorted=one.sorted)
    return rx.cond(
        one.href != "",
        ui.column_head(column),
        rx.el.th(one.label, scope="col", class_name=rx.cond(one.number, "number", "")),
    )


def record_row(row: Any) -> rx.Component:
    return rx.el.tr(
        rx.el.th(
            ui.link(row.title, "/records/" + RecordsState.kind + "/" + row.id, title=row.whole),
            rx.cond(
                row.note != "", rx.el.div(row.note, title=row.note, class_name="muted xsmall truncate"), rx.fragment()
            ),
            scope="row",
        ),
        rx.el.td(
            rx.cond(row.sync == _DELETED, ui.pill("Deleted", "neutral", "trash-2"), ui.sync_status_pill(row.sync)),
            custom_attrs={"data-label": "Sync"},
        ),
        rx.foreach(row.cells, cell),
        # Ids of a kind begin alike, so their ends are shown.
        rx.cond(
            row.stripe_id != "",
            rx.el.td(
                ui.id_chip(row.stripe_id, label="Copy Stripe id"),
                class_name="ends",
                custom_attrs={"data-label": "Stripe id"},
            ),
            rx.el.td("—", class_name="blank muted"),
        ),
        key=row.id,
    )


def cell(one: Any, place: Any) -> rx.Component:
    """Its column's heading says whether it is a number; the first two are the row's own."""
    return rx.el.td(
        rx.cond(one[2] != "", ui.moment(one[0], one[2]), rx.el.span(one[0])),
        rx.cond(one[1] != "", rx.el.div(one[1], title=one[1], class_name="muted xsmall truncate"), rx.fragment()),
        class_name=rx.cond(
            RecordsState.headings[place + 2].number, "number nowrap", rx.cond(one[0] == "—", "blank", "")
        ),
        custom_attrs={"data-label": RecordsState.headings[place + 2].label},
    )


def register(app: rx.App) -> None:
    add_page(app, view, route="/records", title="Records", on_load=[RecordsState.load])
    add_page(app, view, route="/records/[record_kind]", title="Records", on_load=[RecordsState.load])
