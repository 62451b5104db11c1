"""What people do about conflicts without deciding them: who looks after which, until when it is put off, who
has looked it through, what they say about it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sync_core.domain.mentions import mentioned
from sync_core.domain.vocabulary import Snooze
from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.conflict_facets import FORBIDDEN
from sync_core.services.conflict_settling import SETTLED
from sync_core.services.conflict_views import ConflictRefusal, ConflictView
from sync_core.services.conflicts import NOT_FOUND, full_view
from sync_core.store import accounts
from sync_core.store import conflict_mentions as mentions
from sync_core.store import conflict_reviews as reviews
from sync_core.store import conflicts as store
from sync_core.store.accounts import MemberRow
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.conflicts import Handling
from sync_core.store.database import Database

COMMENT_LENGTH = 2_000
FURTHEST = timedelta(days=5 * 365)
_NO_DAY = Refusal("day_invalid", "Choose a day from tomorrow on, within five years.", field="until")
_STRANGER = Refusal("assignee_unknown", "Only a member of this workspace can look after it.", field="assignee")


async def people(database: Database, actor: Actor) -> tuple[MemberRow, ...]:
    """Whom conflicts can be assigned to, and who can be called to them."""
    async with database.system() as session:
        found = await accounts.members(session, actor.workspace_id)
    return tuple(one for one in found if not one.disabled)


async def members(database: Database, actor: Actor) -> tuple[str, ...]:
    """The same by their addresses."""
    return tuple(one.email for one in await people(database, actor))


async def assign(database: Database, actor: Actor, query: ConflictQuery, assignee: str | None) -> int | Refusal:
    """Who looks after all that match; None takes whoever does off them. How many it were."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    if assignee not in (None, actor.label) and assignee not in await members(database, actor):
        return _STRANGER
    return await _handle(database, actor, query, Handling(assignee), None)


async def snooze(
    database: Database, actor: Actor, query: ConflictQuery, until: datetime | Snooze | None
) -> int | Refusal:
    """Put off all that match until a date, or until something happens; None brings them back. How many it were."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    put_off = Handling(snoozed_for=until) if isinstance(until, Snooze) else Handling(snoozed_until=until)
    return await _handle(database, actor, query, None, put_off)


async def _handle(
    database: Database, actor: Actor, query: ConflictQuery, assignee: Handling | None, put_off: Handling | None
) -> int:
    """What somebody else is writing is waited for one by one, holding nothing meanwhile."""
    query = query.by(actor.user_id)
    async with database.workspace(actor.workspace_id) as session:
        handled, left = await store.save_handling(session, actor.workspace_id, query, assignee, put_off)
    while left:
        first, *others = left
        left = []
        for ids in ((first,), tuple(others)):
            if ids:
                async with database.workspace(actor.workspace_id) as session:
                    rest = replace(query, ids=ids)
                    done, missed = await store.save_handling(session, actor.workspace_id, rest, assignee, put_off)
                handled += done
                left = missed if ids != (first,) else []
    return handled


def until_day(actor: Actor, text: str, now: datetime) -> datetime | Refusal:
    """The beginning of a day, in the workspace's time zone: `2026-12-24`. From tomorrow to five years from now."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return replace(_NO_DAY, message="Write a date, such as 2026-12-24.")
    today = now.astimezone(ZoneInfo(actor.time_zone)).date()
    if not today < day <= today + FURTHEST:
        return _NO_DAY
    return datetime.combine(day, time(), ZoneInfo(actor.time_zone)).astimezone(UTC)


async def review(database: Database, actor: Actor, conflict_id: UUID, *, reviewed: bool) -> Refusal | None:
    """Tick a conflict as looked through, for this person alone, or take the tick off. It goes by itself when either side changes."""
    if actor.user_id is None or not actor.can(Permission.VIEW):
        return FORBIDDEN
    async with database.workspace(actor.workspace_id) as session:
        if not reviewed:
            await reviews.untick(session, actor.workspace_id, conflict_id, actor.user_id)
        elif not await reviews.tick(session, actor.workspace_id, conflict_id, actor.user_id):
            return NOT_FOUND
    return None


async def shown_after(
    database: Database, actor: Actor, conflict_id: UUID, handled: int | Refusal
) -> ConflictView | Refusal:
    """One conflict after `assign` or `snooze` of it alone."""
    if isinstance(handled, Refusal):
        return handled
    async with database.workspace(actor.workspace_id) as session:
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        view = await full_view(session, actor, stored)
    return view if handled else ConflictRefusal(SETTLED, "This conflict is settled.", status=409, view=view)


async def add_comment(database: Database, actor: Actor, conflict_id: UUID, body: str) -> ConflictView | Refusal:
    """Whom it names (`@ana@example.com`) is called to the conflict: see `conflict_mentions`."""
    if not actor.can(Permission.RESOLVE_CONFLICTS):
        return FORBIDDEN
    text = body.strip().replace("\x00", "")
    if not text or len(text) > COMMENT_LENGTH:
        return Refusal("comment_invalid", f"Write up to {COMMENT_LENGTH:,} characters.", field="comment")
    called = await _called(database, actor, text) if "@" in text else []
    async with database.workspace(actor.workspace_id) as session:
        stored = await store.one(session, actor.workspace_id, conflict_id)
        if stored is None:
            return NOT_FOUND
        comment_id = await store.add_comment(session, actor.workspace_id, conflict_id, actor.label, text)
        if called:
            await mentions.add(session, actor.workspace_id, conflict_id, comment_id, called)
        return await full_view(session, actor, stored)


async def _called(database: Database, actor: Actor, text: str) -> list[UUID]:
    """Whom the text names, but for its author."""
    known = {one.email: one.user_id for one in await people(database, actor)}
    return [known[one] for one in mentioned(text, list(known)) if known[one] != actor.user_id]
