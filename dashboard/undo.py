"""Decisions taken back: from the toast that tells of them, wherever its reader has gone since, or from a page's own button."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx
from reflex_base.registry import RegistrationContext

from dashboard.formatting import plural
from dashboard.state import PageState
from sync_core.errors import Refusal
from sync_core.services import conflict_undo
from sync_core.store.database import get_database


class UndoState(PageState):
    @rx.event
    async def take_back(self) -> Any:
        """What the toast offers; then the page that is open as it stands now."""
        batch_id, self.notice_undo = self.notice_undo, ""
        if not batch_id:
            return None
        await taken_back(self, batch_id)
        return RegistrationContext.get().app.get_load_events(self.router.url.path)


async def taken_back(state: PageState, batch_id: str) -> None:
    """All decisions of a batch that can be, and a word about those that can't."""
    try:
        asked = UUID(batch_id)
    except ValueError:
        return
    undone = await conflict_undo.undo_batch(get_database(), await state._actor(), asked)  # noqa: SLF001 - of ours
    if isinstance(undone, Refusal):
        state._refuse(undone)  # noqa: SLF001 - the same
        return
    first = undone.refused[0] if undone.refused else None
    stand = f" {undone.refused_count:,} stand: {first.label or 'one'}: {first.reason}" if first else ""
    state._say(f"{plural(undone.done, 'decision')} taken back.{stand}", "warn" if first else "success")  # noqa: SLF001 - the same
