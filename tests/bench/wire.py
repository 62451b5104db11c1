"""What a browser and its server say to one another, timed between the two: a server's own time, whatever the browser is busy with.

A relay on another loopback address, at the server's own port: the browser is told that `localhost` is there, and so sees one origin.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

ADDRESS = "127.0.0.2"
BROWSER_SWITCH = f"--host-resolver-rules=MAP localhost {ADDRESS}"
_PIECE = 64 * 1024
_PAGES = b"dashboard___pages"
# Pings and their answers are shorter than any event.
_SMALLEST = 32


@dataclass(frozen=True, slots=True)
class Passed:
    """`is_own` says whether a page's own state is in it: not only where the browser is, or what stands around every page."""

    at: float
    size: int
    asks: bool
    is_own: bool


@dataclass(slots=True)
class Wire:
    """`seen` are the pieces of websockets that passed, in order; whoever measures clears it. Ends with its block."""

    port: int
    seen: list[Passed] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        links = asyncio.all_tasks() - {asyncio.current_task()}
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def answered(self) -> tuple[float, float]:
        """Milliseconds from the first piece that asks to the largest answer, and to the last one that is the page's own, if any is."""
        asked = next((one.at for one in self.seen if one.asks), None)
        answers = [one for one in self.seen if not one.asks and asked is not None and one.at >= asked]
        if asked is None or not answers:
            return 0.0, 0.0
        largest = max(answers, key=lambda one: one.size)
        last = [*answers[-1:], *(one for one in answers if one.is_own)][-1]
        return (largest.at - asked) * 1000, (last.at - asked) * 1000

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, ADDRESS, self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, OSError):
            to_server = await asyncio.open_connection("127.0.0.1", self.port)
            head = await reader.read(_PIECE)
            is_socket = b"upgrade: websocket" in head.lower()
            to_server[1].write(head)
            await asyncio.gather(
                self._pass(reader, to_server[1], is_socket, asks=True),
                self._pass(to_server[0], writer, is_socket, asks=False),
            )

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_socket: bool, *, asks: bool
    ) -> None:
        with suppress(ConnectionError, OSError):
            while piece := await source.read(_PIECE):
                if is_socket and len(piece) >= _SMALLEST:
                    self.seen.append(Passed(time.perf_counter(), len(piece), asks, _PAGES in piece))
                sink.write(piece)
                await sink.drain()
        sink.close()
