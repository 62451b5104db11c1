"""Members called to a conflict by a comment: listed for each of them alone, new until they have been there."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import conflict_handling, conflict_mentions, standing
from sync_core.services.actor import Actor
from sync_core.services.conflict_mentions import MentionPage
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts, member, person
from tests.conftest import make_workspace
from tests.support import rows


async def two(database: Database, workspace_id: UUID) -> tuple[UUID, UUID]:
    await make_conflicts(database, workspace_id, 2)
    found = await rows(database, workspace_id, "SELECT id FROM payment_sync_conflicts ORDER BY created_at")
    return found[0]["id"], found[1]["id"]


async def called(database: Database, actor: Actor) -> list[tuple[str, str, bool]]:
    page = await conflict_mentions.mine(database, actor)
    assert isinstance(page, MentionPage)
    return [(one.label, one.body, one.is_seen) for one in page.rows]


async def new(database: Database, actor: Actor) -> int:
    return (await standing.read(database, actor)).mentions


async def test_whom_a_comment_names_is_called(database: Database, workspace_id: UUID) -> None:
    one, other = await two(database, workspace_id)
    ana, ben = await member(database, workspace_id, "ana"), await member(database, workspace_id, "ben", Role.VIEWER)
    await conflict_handling.add_comment(database, ana, one, "@ben, is it so? @ana will wait. Not @eve.")
    await conflict_handling.add_comment(database, ana, other, "@ben@example.com and @ben again")
    assert await called(database, ben) == [
        ("Ours 2", "@ben@example.com and @ben again", False),
        ("Ours 1", "@ben, is it so? @ana will wait. Not @eve.", False),
    ]
    # Nobody calls themselves, and a program is called by nobody.
    assert (await called(database, ana), await new(database, ana), await new(database, ben)) == ([], 0, 2)
    assert isinstance(await conflict_mentions.mine(database, person(workspace_id)), Refusal)
    assert await conflict_mentions.see(database, ben, one) == 1
    assert [seen for _, _, seen in await called(database, ben)] == [False, True]
    assert await conflict_mentions.see(database, ben) == 1
    assert await new(database, ben) == 0


async def test_a_program_calls_too(database: Database, workspace_id: UUID) -> None:
    one, _ = await two(database, workspace_id)
    ana = await member(database, workspace_id, "ana")
    await conflict_handling.add_comment(database, Actor(workspace_id, Role.OPERATOR, "key"), one, "@ana")
    assert await new(database, ana) == 1


async def test_nobody_is_called_from_elsewhere(database: Database, workspace_id: UUID) -> None:
    one, _ = await two(database, workspace_id)
    other = await make_workspace(database, "Other")
    ana, stranger = await member(database, workspace_id, "ana"), await member(database, other, "stranger")
    gone = await member(database, workspace_id, "gone")
    async with database.system() as session:
        await session.execute(text("UPDATE users SET disabled_at = now() WHERE id = :id"), {"id": gone.user_id})
    await conflict_handling.add_comment(database, ana, one, "@stranger@example.com @gone")
    assert await rows(database, workspace_id, "SELECT 1 FROM payment_sync_conflict_mentions") == []
    assert await called(database, stranger) == []


async def test_a_membership_takes_its_mentions_with_it(database: Database, workspace_id: UUID) -> None:
    one, _ = await two(database, workspace_id)
    ana, ben = await member(database, workspace_id, "ana"), await member(database, workspace_id, "ben")
    await conflict_handling.add_comment(database, ana, one, "@ben")
    async with database.system() as session:
        await session.execute(text("DELETE FROM memberships WHERE user_id = :user"), {"user": ben.user_id})
    assert await rows(database, workspace_id, "SELECT 1 FROM payment_sync_conflict_mentions") == []
    assert len(await rows(database, workspace_id, "SELECT 1 FROM payment_sync_conflict_comments")) == 1


@pytest.mark.parametrize("cursor", ["nonsense", "2026-01-01T00:00:00~x", "2026-01-01T00:00:00~" + "0" * 32])
async def test_they_come_by_pages(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, cursor: str
) -> None:
    monkeypatch.setattr(conflict_mentions, "PAGE_SIZE", 2)
    one, _ = await two(database, workspace_id)
    ana, ben = await member(database, workspace_id, "ana"), await member(database, workspace_id, "ben")
    for number in range(5):
        await conflict_handling.add_comment(database, ana, one, f"@ben {number}")
    bodies, after = list[str](), cursor
    while True:
        page = await conflict_mentions.mine(database, ben, after)
        assert isinstance(page, MentionPage)
        bodies += [row.body for row in page.rows]
        if page.next_cursor is None:
            break
        after = page.next_cursor
    assert bodies == [f"@ben {number}" for number in reversed(range(5))]
