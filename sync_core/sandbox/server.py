"""The sandbox as a server on a loopback port, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sync_core.sandbox.account import Account
from sync_core.sandbox.api import StripeApi
from sync_core.sandbox.control import Control
from sync_core.sandbox.http import Connection, Request, Response
from sync_core.sandbox.limits import Limits
from sync_core.sandbox.world import Latency, World

_HOST = "127.0.0.1"


class SandboxServer:
    """``account`` answers every key, or a function makes the account of each ``_acct…`` suffix. Port 0: any free one.

    ``world`` is open to the test that holds the server: faults, scripts, clock and statistics without HTTP.
    """

    def __init__(
        self,
        account: Account | Callable[[str], Account],
        *,
        limits: Limits = Limits.OFF,
        latency_ms: float = 0.0,
        jitter_ms: float = 0.0,
        port: int = 0,
        host: str = _HOST,
    ) -> None:
        accounts = (lambda _suffix: account) if isinstance(account, Account) else account
        self.world = World(accounts, limits=limits, latency=Latency(latency_ms, jitter_ms))
        self._host, self._port = host, port
        self._api, self._control = StripeApi(self.world), Control(self.world)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._connections), self._host, self._port
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Open connections are cut."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _handle(self, request: Request) -> Response:
        if request.path.startswith("/_sandbox/"):
            return self._control.handle(request)
        if request.path.startswith("/v1/"):
            return self._api.handle(request)
        return Response(404, b'{"error":{"message":"Not found","type":"invalid_request_error"}}')
