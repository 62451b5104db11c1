"""A server that answers what a test tells it to, byte by byte: real sockets, no Stripe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

PHRASES = {200: "OK", 302: "Found", 400: "Bad Request", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Seen:
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    at: float


def reply(
    status: int = 200, body: Any = None, *, headers: dict[str, str] | None = None, length: int | None = None
) -> bytes:
    """An HTTP answer. `length` lies about the body's length, as a connection that breaks does."""
    content = body if isinstance(body, bytes) else orjson.dumps({} if body is None else body)
    lines = [
        f"HTTP/1.1 {status} {PHRASES.get(status, 'Status')}",
        "Content-Type: application/json",
        f"Content-Length: {len(content) if length is None else length}",
        "Request-Id: req_test",
        *(f"{name}: {value}" for name, value in ({"Date": "Tue, 24 Nov 2026 03:00:00 GMT"} | (headers or {})).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def error(status: int, *, headers: dict[str, str] | None = None, **fields: Any) -> bytes:
    return reply(status, {"error": {"type": "invalid_request_error", **fields}}, headers=headers)


def page(objects: list[dict[str, Any]] | None = None, *, more: bool = False) -> bytes:
    return reply(200, {"object": "list", "data": objects or [], "has_more": more, "url": "/v1/x"})


@dataclass
class FakeWire:
    """`answer(seen)` gives the bytes; empty bytes close the connection without a word; None never answers."""

    answer: Callable[[Seen], bytes | None]
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await self._request(reader)) is not None:
                self.seen.append(request)
                content = self.answer(request)
                if content is None:
                    await self.ended.wait()
                if not content:
                    return
                writer.write(content)
                await writer.drain()
                if self._is_cut(content):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Seen | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.split("\r\n")
        target = urlsplit(first.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return Seen(target.path, parse_qsl(target.query), headers, asyncio.get_running_loop().time())

    @staticmethod
    def _is_cut(content: bytes) -> bool:
        head, _, body = content.partition(b"\r\n\r\n")
        return f"Content-Length: {len(body)}\r\n".encode() not in head + b"\r\n"


@asynccontextmanager
async def fake_wire(*answers: bytes | None, then: bytes | None = None) -> AsyncIterator[FakeWire]:
    """Give the answers in order, then `then` (by default an empty page) for ever."""
    left = list(answers)
    last = page() if then is None else then
    async with fake_server(lambda _: left.pop(0) if left else last) as wire:
        yield wire


@asynccontextmanager
async def fake_server(answer: Callable[[Seen], bytes | None]) -> AsyncIterator[FakeWire]:
    wire = FakeWire(answer)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        wire.ended.set()
        server.close()
        await asyncio.wait_for(server.wait_closed(), 60)
