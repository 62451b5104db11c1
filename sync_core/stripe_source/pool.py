"""Connections to Stripe, the last used first.

httpcore's own pool looks at the socket of every connection twice a request: with 40 of them that is a quarter of a run's CPU. This one
looks at the connection that it hands out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import httpcore
import httpx


def transport(*, max_connections: int, idle_seconds: float) -> httpx.AsyncHTTPTransport:
    """The transport of httpx over this pool. No certificates from the environment."""
    made = httpx.AsyncHTTPTransport(verify=_trusted(), trust_env=False)
    made._pool = Pool(  # noqa: SLF001 - httpx has no door for a pool of one's own
        ssl_context=_trusted(),
        max_connections=max_connections,
        keepalive_expiry=idle_seconds,
    )
    return made


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes 20 ms: once a process."""
    return httpx.create_ssl_context(trust_env=False)


class Pool(httpcore.AsyncConnectionPool):
    """Requests wait their turn for one of `max_connections`. Connections are made and closed by httpcore."""

    def __init__(self, *, max_connections: int, **options: Any) -> None:
        super().__init__(max_connections=max_connections, **options)
        self._doors = asyncio.Semaphore(max_connections)
        self._idle: list[httpcore.AsyncConnectionInterface] = []

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        await self._enter(request.extensions.get("timeout", {}).get("pool"))
        connection: httpcore.AsyncConnectionInterface | None = None
        try:
            while True:
                connection = await self._take(request.url.origin)
                try:
                    response = await connection.handle_async_request(request)
                    break
                except httpcore.ConnectionNotAvailable:
                    continue
        except BaseException:
            # httpcore has closed the connection by now, or left it fit for another request.
            self._leave(connection)
            raise
        body = _Body(response.stream, lambda: self._leave(connection))
        return httpcore.Response(
            response.status, headers=response.headers, content=body, extensions=response.extensions
        )

    async def aclose(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.aclose()

    async def _enter(self, patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience if self._doors.locked() else None):
                await self._doors.acquire()
        except TimeoutError as late:
            raise httpcore.PoolTimeout from late

    async def _take(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        while self._idle:
            connection = self._idle.pop()
            if connection.can_handle_request(origin) and not connection.has_expired() and connection.is_available():
                return connection
            await connection.aclose()
        return self.create_connection(origin)

    def _leave(self, connection: httpcore.AsyncConnectionInterface | None) -> None:
        if connection is not None and connection.is_idle():
            self._idle.append(connection)
        self._doors.release()


class _Body:
    """An answer's body, at whose end the connection is free again."""

    def __init__(self, stream: Any, leave: Callable[[], None]) -> None:
        self._stream = stream
        self._leave = leave
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._stream.aclose()
            finally:
                self._leave()
