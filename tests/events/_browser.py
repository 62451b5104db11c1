"""A browser's side of the socket: its cookie, where it is, and the variables it was told."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from reflex.event import Event
from reflex.istate.manager.memory import StateManagerMemory
from reflex_base.event.processor import BaseStateEventProcessor
from reflex_base.utils.format import json_dumps
from sqlalchemy import text

import dashboard.dashboard
from dashboard.auth.cookies import cookie_name
from dashboard.returning import in_parts
from sync_core.domain.vocabulary import Role
from sync_core.services import accounts
from sync_core.store.database import Database

# Reflex asks the app where the client is.
assert dashboard.dashboard.app


@dataclass(frozen=True)
class Message:
    """`at` is in monotonic seconds; `names` are the variables in it."""

    at: float
    size: int
    names: frozenset[str]


class Browser:
    """`everything` is all that was ever sent to it, as text: what a secret must not be in.

    `messages` are what came, one by one.
    """

    def __init__(self, processor: BaseStateEventProcessor, cookie: str, path: str) -> None:
        self.processor, self.cookie, self.path = processor, cookie, path
        self.told: dict[str, Any] = {}
        self.everything = ""
        self.redirects: list[str] = []
        self.messages: list[Message] = []

    async def take_delta(self, _token: str, delta: Mapping[str, Mapping[str, Any]]) -> None:
        """In the parts that the server sends."""
        for part in in_parts(delta):
            self._take(part)

    def _take(self, delta: Mapping[str, Mapping[str, Any]]) -> None:
        sent = json_dumps(delta)
        names = {name.removesuffix("_rx_state_") for variables in delta.values() for name in variables}
        self.messages.append(Message(time.monotonic(), len(sent.encode()), frozenset(names)))
        self.everything += sent
        for state, variables in json.loads(sent).items():
            self.told |= {
                f"{state.rsplit('.')[-1]}.{name.removesuffix('_rx_state_')}": one for name, one in variables.items()
            }

    async def take_events(self, _token: str, *events: Event) -> None:
        self.redirects += [event.payload["path"] for event in events if event.name == "_redirect"]

    async def send(self, state: type[Any], handler: str, **payload: Any) -> None:
        """Returns when the event and all that follow from it are done."""
        name = f"{state.get_full_name()}.{handler}"
        router = {
            "headers": {"cookie": self.cookie, "origin": "http://test"},
            "pathname": self.path.partition("?")[0],
            "asPath": self.path,
        }
        future = await self.processor.enqueue("client", Event(name=name, payload=payload, router_data=router))
        await future.wait_all()

    def at(self, path: str, **query: str) -> None:
        self.path = f"{path}?{urlencode(query)}" if query else path

    def of(self, state: type[Any], name: str) -> Any:
        return self.told.get(f"{state.get_name()}.{name}")


@asynccontextmanager
async def browser(database: Database, workspace_id: UUID, path: str, role: Role = Role.OWNER) -> AsyncIterator[Browser]:
    """Of a person with the role in the workspace, signed in."""
    cookie = f"{cookie_name()}={await session_token(database, workspace_id, role)}"
    processor = BaseStateEventProcessor(middleware=dashboard.dashboard.app).configure(
        state_manager=StateManagerMemory()  # type: ignore[abstract]  # mypy takes its redefinitions for abstract ones
    )
    client = Browser(processor, cookie, path)
    root = processor._root_context
    assert root is not None
    object.__setattr__(root, "emit_delta_impl", client.take_delta)
    object.__setattr__(root, "emit_event_impl", client.take_events)
    async with processor:
        yield client


async def session_token(database: Database, workspace_id: UUID, role: Role) -> str:
    token = f"token-of-{role.value}"
    async with database.system() as session:
        user_id = (
            await session.execute(
                text("INSERT INTO users (email, password_hash) VALUES (:email, '-') RETURNING id"),
                {"email": f"{role.value}@example.com"},
            )
        ).scalar_one()
        await session.execute(
            text("INSERT INTO memberships (workspace_id, user_id, role) VALUES (:workspace, :user, :role)"),
            {"workspace": workspace_id, "user": user_id, "role": role.value},
        )
        await session.execute(
            text(
                "INSERT INTO user_sessions (user_id, token_hash, workspace_id, expires_at)"
                " VALUES (:user, :hash, :workspace, now() + interval '1 hour')"
            ),
            {"user": user_id, "hash": accounts.token_hash(token), "workspace": workspace_id},
        )
    return token
