"""HTTP/1.1 on a bare asyncio protocol: lean, and able to break an answer in the ways that networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from sync_core.sandbox.faults import FaultKind

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 64 * 1024 * 1024
_SLOW_PIECES = 10
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """``path`` is without, ``query`` only, what follows the question mark. Header names are lower-case. ``at`` is when its last bytes
    came, by the monotonic clock.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Response:
    """``stream`` takes the place of ``body`` and is sent in chunks as the reader takes them.

    ``delay`` seconds pass before the first byte. ``fault`` is one of reset, truncate, slow and black hole; a slow
    answer spreads its body over ``slow_seconds``.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    delay: float = 0.0
    fault: FaultKind | None = None
    slow_seconds: float = 0.0

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Transfer-Encoding: chunked" if self.stream is not None else f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Handler = Callable[[Request], Response]


class _MalformedRequestError(Exception):
    """What was received is not HTTP."""


class Connection(asyncio.Protocol):
    """One client. Requests are answered in order; while an answer waits or is sent, further ones stay in the buffer."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._busy = False
        self._closing = False
        self._stream: Iterator[bytes] | None = None
        self._reading = True
        self._timer: asyncio.TimerHandle | None = None
        self._received_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.discard(self)
        self._closing, self._stream = True, None
        if self._timer:
            self._timer.cancel()

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._received_at = time.monotonic()
        # What came at the same time is to have the same time, however long the answers take to make.
        self._loop.call_soon(self._pump)

    def pause_writing(self) -> None:
        self._reading = False

    def resume_writing(self) -> None:
        self._reading = True
        if self._stream is not None:
            self._feed()

    def _pump(self) -> None:
        while not self._busy and not self._closing:
            try:
                request = self._next_request()
            except _MalformedRequestError:
                self._transport.write(Response(400, headers={"Connection": "close"}).head())
                self._transport.close()
                return
            if request is None:
                return
            self._busy = True
            closing = request.headers.get("connection", "").lower() == "close"
            self._answer(self._handler(request), closing=closing)

    def _next_request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise _MalformedRequestError
            return None
        request = _parse_head(bytes(self._buffer[:end]).decode("latin-1"))
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _BODY_LIMIT:
            raise _MalformedRequestError
        total = end + 4 + int(length)
        if len(self._buffer) < total:
            return None
        request.body = bytes(self._buffer[end + 4 : total])
        request.at = self._received_at
        del self._buffer[:total]
        return request

    def _answer(self, response: Response, *, closing: bool) -> None:
        if response.fault is FaultKind.BLACK_HOLE:
            return
        self._close_after = closing
        if response.delay > 0:
            self._timer = self._loop.call_later(response.delay, self._send, response)
        else:
            self._send(response)

    def _send(self, response: Response) -> None:
        if self._closing:
            return
        if response.fault is FaultKind.RESET:
            self._reset()
        elif response.fault is FaultKind.TRUNCATE:
            self._transport.write(response.head() + response.body[: len(response.body) // 2])
            self._transport.close()
        elif response.fault is FaultKind.SLOW:
            self._transport.write(response.head())
            size = max(1, -(-len(response.body) // _SLOW_PIECES))
            self._drip(memoryview(response.body), size, response.slow_seconds / _SLOW_PIECES)
        elif response.stream is not None:
            self._transport.write(response.head())
            self._stream = response.stream
            self._feed()
        else:
            self._transport.write(response.head() + response.body)
            self._done()

    def _reset(self) -> None:
        """Closed with RST: the client sees its connection reset, not ended."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _drip(self, rest: memoryview, size: int, pause: float) -> None:
        if self._closing:
            return
        self._transport.write(rest[:size])
        if len(rest) > size:
            self._timer = self._loop.call_later(pause, self._drip, rest[size:], size, pause)
        else:
            self._done()

    def _feed(self) -> None:
        while self._reading and self._stream is not None:
            piece = next(self._stream, None)
            if piece is None:
                self._stream = None
                self._transport.write(b"0\r\n\r\n")
                self._done()
            elif piece:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _done(self) -> None:
        self._busy = False
        if self._close_after:
            self._transport.close()
        elif self._buffer:
            self._loop.call_soon(self._pump)


def _parse_head(head: str) -> Request:
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _MalformedRequestError
    path, _, query = words[1].partition("?")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(words[0], path, query, headers)
