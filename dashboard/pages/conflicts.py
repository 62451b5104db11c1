"""The conflicts that wait for a person: filtered by facets in the address, listed a page at a time, settled many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import reflex as rx

from dashboard.formatting import plural
from dashboard.navigation import add_page
from dashboard.pages.conflict_bulk import BulkState
from dashboard.pages.conflict_detail import ConflictState
from dashboard.pages.conflict_filters import (
    A_DAY,
    EXPORTS,
    PATH,
    SEARCH_LENGTH,
    Chosen,
    FacetGroup,
    address,
    amount_in,
    chosen_filters,
    groups_of,
    query_of,
    said,
    size_of,
    toggled,
)
from dashboard.pages.conflict_keys import KeysState
from dashboard.pages.conflict_list_view import ApartState, view
from dashboard.pages.conflict_presence import PresenceState
from dashboard.pages.conflict_rows import RUN_NARROWER, RUN_SAID, ListRow, in_slots, list_row
from dashboard.state import PageState, ShellState
from dashboard.undo import taken_back
from sync_core.domain.vocabulary import Age, ConflictSort, ConflictStatus, Facet, Snooze
from sync_core.errors import Refusal
from sync_core.services import conflict_handling, conflict_pending, conflict_screen, conflict_undo
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_pending import MOST, Pending
from sync_core.services.conflict_screen import LastRun
from sync_core.services.conflict_views import ConflictPage, Facets, LastDecision
from sync_core.services.conflicts import ConflictQuery
from sync_core.services.record_views import When
from sync_core.store.conflict_query import APART
from sync_core.store.database import get_database

_ROWS = 25
"""With what they can be narrowed by, one message of at most 16 kB; where many filters are chosen, which all addresses name, two."""
_MOST_BESIDE = 5_000
_MOST_TOGETHER = 12_000
"""So large, what is chosen comes before what can be."""
_SNOOZES = {"1": 1, "7": 7, "30": 30}


class ConflictsState(PageState):
    """`picked` are rows of this page; with `everything` all that match are meant. `reviewed` are rows that this person has ticked. The counts are `counted` for the rows beside them."""

    rows: list[ListRow] = []
    groups: list[FacetGroup] = []
    chosen: list[Chosen] = []
    picked: list[str] = []
    reviewed: list[str] = []
    everything: bool = False
    members: list[str] = []
    headline: str = ""
    counted: bool = True
    matching: int = 0
    search: str = ""
    delta: str = ""
    sort: str = "newest"
    status: str = "open"
    snoozed: bool = False
    settled_url: str = ""
    snoozed_url: str = ""
    plain_url: str = PATH
    suffix: str = ""
    csv_url: str = ""
    json_url: str = ""
    first_url: str = ""
    previous_url: str = ""
    next_url: str = ""
    aging: str = ""
    aging_url: str = ""
    last_label: str = ""
    run_said: str = ""
    run_at: When = When()
    run_url: str = ""
    pending: str = ""
    discarding: bool = False
    choosing_day: bool = False
    day_problem: str = ""
    last_batch: str = ""
    may_resolve: bool = False
    problem: str = ""
    loaded: bool = False

    def _query(self) -> ConflictQuery:
        return query_of(dict(self.router.url.query_parameters))

    def _selection(self) -> ConflictQuery:
        """What the person has picked, or all that match where they said so, or picked nothing."""
        query = self._query()
        if self.everything or not self.picked:
            return query
        return replace(query, ids=tuple(UUID(one) for one in self.picked))

    @rx.event
    async def visit(self) -> Any:
        """The page opened, turned or filtered: nothing unfolded, no dialog. One event, for each one asks who is there."""
        (await self.get_state(BulkState))._shut()  # noqa: SLF001 - a public name would make it an endpoint
        (await self.get_state(ConflictState))._put(inline_id="")  # noqa: SLF001 - as above
        (await self.get_state(KeysState))._put(single=(await self._signed_in()).single_keys)  # noqa: SLF001 - as above
        async for _ in self._list(anew=True):
            yield

    @rx.event
    async def load(self) -> Any:
        """The same list again, behind whatever is open."""
        async for _ in self._list():
            yield

    async def _list(self, *, anew: bool = False) -> AsyncIterator[None]:
        """Rows and counts together; `anew` is another list than before. Of a search the rows come first: its counts are asked of every conflict."""
        actor, query = await self._actor(), self._query()
        cursor = dict(self.router.url.query_parameters).get("at", "")
        found = await conflict_screen.look(get_database(), actor, query, cursor, _ROWS)
        self._put(picked=[], everything=False, choosing_day=False, day_problem="")
        if isinstance(found, Refusal):
            self._put(problem="Your role does not show you conflicts.", loaded=True)
            return
        self._show_rows(found.page, query, actor, [] if anew else self.rows)
        (await self.get_state(PresenceState))._note(found.page.viewers)  # noqa: SLF001 - a public name would make it an endpoint
        around = found.beside
        if around is None or size_of(around.facets, query) > _MOST_BESIDE:
            yield
        if around is None:
            counted = await conflict_screen.beside(get_database(), actor, query, found.page)
            if isinstance(counted, Refusal):
                self._refuse(counted)
                return
            around = counted
        if size_of(around.facets, query) > _MOST_TOGETHER:
            self._put(chosen=chosen_filters(around.facets, query, actor.time_zone))
            yield
        self._show_beside(around, query, actor)
        apart = {facet: values for facet, values in around.facets.values.items() if facet in APART}
        (await self.get_state(ApartState))._put(apart=groups_of(apart, query, actor.time_zone))  # noqa: SLF001 - as above

    def _show_beside(self, around: conflict_screen.Beside, query: ConflictQuery, actor: Actor) -> None:
        self._show_facets(around.facets, query, actor.time_zone)
        self._show_last(around.last)
        self._show_run(around.run, actor.time_zone)
        mine = around.pending
        waiting = mine is not None and query.status is ConflictStatus.OPEN and mine.conflicts > 0
        self._put(pending=pending_said(mine) if mine and waiting else "")
        self._put(may_resolve=actor.can(Permission.RESOLVE_CONFLICTS), loaded=True)

    def _show_rows(self, page: ConflictPage, query: ConflictQuery, actor: Actor, shown: list[ListRow]) -> None:
        self._put(
            problem="",
            rows=in_slots([list_row(one, actor.time_zone) for one in page.rows], shown),
            reviewed=[str(row.id) for row in page.rows if row.id in page.reviewed],
            first_url=address(query) if page.previous_cursor else "",
            previous_url=address(query, at=page.previous_cursor) if page.previous_cursor else "",
            next_url=address(query, at=page.next_cursor) if page.next_cursor else "",
        )
        self._show_query(query)

    def _show_query(self, query: ConflictQuery) -> None:
        suffix = address(query, "")
        self._put(
            counted=self.suffix == suffix,
            suffix=suffix,
            search=query.search,
            delta="" if query.delta is None else f"{query.delta:f}",
            status=query.status.value,
            snoozed=query.snoozed,
            sort=query.sort.value,
            settled_url=address(ConflictQuery(status=ConflictStatus.RESOLVED)),
            snoozed_url=address(ConflictQuery(snoozed=True)),
            csv_url=address(query, f"{EXPORTS}.csv"),
            json_url=address(query, f"{EXPORTS}.ndjson"),
            plain_url=address(ConflictQuery(status=query.status, snoozed=query.snoozed, sort=query.sort)),
        )

    def _show_facets(self, facets: Facets, query: ConflictQuery, zone: str) -> None:
        """What is older than a week is said once, and not where it is what the list shows anyway."""
        aging = facets.aging and query.status is ConflictStatus.OPEN and not query.chosen.get(Facet.AGE)
        older = toggled(toggled(query, Facet.AGE, Age.MONTH), Facet.AGE, Age.OLDER)
        self._put(
            groups=groups_of(
                {facet: found for facet, found in facets.values.items() if facet not in APART}, query, zone
            ),
            chosen=chosen_filters(facets, query, zone),
            headline=said(facets, query),
            counted=True,
            matching=facets.matching,
            aging=f"{plural(facets.aging, 'conflict')} older than a week" if aging else "",
            aging_url=address(older) if aging else "",
        )

    def _show_run(self, run: LastRun | None, zone: str) -> None:
        """Why nothing waits, where nothing does."""
        self._put(
            run_said="" if run is None else RUN_SAID[run.strategy] + (RUN_NARROWER if run.narrower else "."),
            run_at=When() if run is None else When.of(run.at, zone),
            run_url="" if run is None else f"/syncs/{run.id}",
        )

    def _show_last(self, last: LastDecision | None) -> None:
        several = last is not None and last.rows > 1
        self._put(
            last_batch="" if last is None else str(last.batch_id),
            last_label="" if last is None else plural(last.standing, "conflict") if several else last.label,
        )

    @rx.event
    async def find(self, form: dict[str, Any]) -> Any:
        text = form.get("q")
        found = text.replace("\x00", "").strip()[:SEARCH_LENGTH] if isinstance(text, str) else ""
        least = form.get("delta")
        delta = amount_in(least) if isinstance(least, str) else None
        return rx.redirect(address(replace(self._query(), search=found, delta=delta)))

    @rx.event
    async def sort_by(self, word: str) -> Any:
        known = {one.value: one for one in ConflictSort}
        return rx.redirect(address(replace(self._query(), sort=known.get(word, ConflictSort.NEWEST))))

    @rx.event
    async def pick(self, row_id: str) -> None:
        if row_id in self.picked:
            await self._pick([one for one in self.picked if one != row_id])
        elif any(row.id == row_id for row in self.rows):
            await self._pick([*self.picked, row_id])

    @rx.event
    async def review(self, row_id: str) -> None:
        """Tick a row as looked through, or take the tick off."""
        if not any(row.id == row_id for row in self.rows):
            return
        on = row_id not in self.reviewed
        refused = await conflict_handling.review(get_database(), await self._actor(), UUID(row_id), reviewed=on)
        if refused is not None:
            self._refuse(refused)
            return
        self.reviewed = [*self.reviewed, row_id] if on else [one for one in self.reviewed if one != row_id]

    @rx.event
    async def pick_page(self) -> None:
        await self._pick([] if len(self.picked) == len(self.rows) else [row.id for row in self.rows])

    async def _pick(self, ids: list[str]) -> None:
        """With the first one comes what can be done to it, whom it can be assigned to among it."""
        actor = await self._actor()
        if ids and not self.picked and actor.can(Permission.RESOLVE_CONFLICTS):
            self.members = list(await conflict_handling.members(get_database(), actor))
        self.picked, self.everything = ids, False

    @rx.event
    async def pick_everything(self) -> None:
        """The second step, said with its number: not only what is on the screen."""
        self.everything = len(self.picked) == len(self.rows) > 0

    @rx.event
    async def unpick(self) -> None:
        self.picked, self.everything = [], False

    @rx.event
    async def assign_picked(self, assignee: str) -> Any:
        if not self.picked or not assignee:
            return None
        whom = None if assignee == "nobody" else assignee
        done = await conflict_handling.assign(get_database(), await self._actor(), self._selection(), whom)
        return self._handled(done, f"assigned to {whom}" if whom else "assigned to nobody")

    @rx.event
    async def snooze_picked(self, until: str) -> Any:
        if not self.picked or not until:
            return None
        self.choosing_day = until == A_DAY
        if self.choosing_day:
            return None
        return await self._snooze(snooze_of(until))

    @rx.event
    async def snooze_until(self, form: dict[str, Any]) -> Any:
        """A day that the person has written."""
        day = until_of(form, await self._actor())
        if isinstance(day, Refusal):
            self.day_problem = day.message
            return None
        self._put(choosing_day=False, day_problem="")
        return await self._snooze(day) if self.picked else None

    @rx.event
    async def forget_day(self) -> None:
        self._put(choosing_day=False, day_problem="")

    async def _snooze(self, found: datetime | Snooze | None) -> Any:
        done = await conflict_handling.snooze(get_database(), await self._actor(), self._selection(), found)
        return self._handled(done, "back in the list" if found is None else "put off")

    def _handled(self, done: int | Refusal, what: str) -> Any:
        if isinstance(done, Refusal):
            self._refuse(done)
            return None
        self._say(f"{plural(done, 'conflict')} {what}.")
        return ConflictsState.load

    @rx.event
    async def look_at_pending(self) -> Any:
        """The preview of all that this person has chosen; it is applied there."""
        made = await conflict_pending.preview(get_database(), await self._actor())
        if isinstance(made, Refusal):
            self._refuse(made)
            return ConflictsState.load
        return rx.redirect(f"{PATH}/batches/{made.id}")

    @rx.event
    async def ask_to_discard(self) -> None:
        self.discarding = self.pending != ""

    @rx.event
    async def keep_pending(self) -> None:
        self.discarding = False

    @rx.event
    async def discard_pending(self) -> Any:
        gone = await conflict_pending.discard(get_database(), await self._actor())
        self.discarding = False
        return self._handled(gone, "without your choices again")

    @rx.event
    async def undo_last(self) -> Any:
        """Take back this person's last decisions, as many as they were."""
        last = await conflict_undo.last_decision(get_database(), await self._actor())
        if last is None:
            self._say("There is nothing to take back.", "info")
            return None
        await taken_back(self, str(last.batch_id))
        return [ConflictsState.load, ShellState.load]


def pending_said(mine: Pending) -> str:
    end = "+" if mine.conflicts >= MOST else ""
    return f"{plural(mine.choices, 'choice')} of yours on {mine.conflicts:,}{end} {'record' if mine.conflicts == 1 else 'records'}"


def snooze_of(word: str) -> datetime | Snooze | None:
    """What a choice of the snooze list means; None brings it back."""
    if word in {one.value for one in Snooze}:
        return Snooze(word)
    return datetime.now(UTC) + timedelta(days=_SNOOZES[word]) if word in _SNOOZES else None


def until_of(form: dict[str, Any], actor: Actor) -> datetime | Refusal:
    written = form.get("until")
    return conflict_handling.until_day(actor, written if isinstance(written, str) else "", datetime.now(UTC))


def register(app: rx.App) -> None:
    add_page(
        app,
        lambda: view(ConflictsState),
        route=PATH,
        title="Conflicts",
        on_load=[ConflictsState.visit],
    )
