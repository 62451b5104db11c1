"""A network that fails: a TCP proxy on loopback that stands between an engine and a sandbox and mistreats answers as a seed says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PIECE = 64 * 1024


class Fault(StrEnum):
    """What becomes of one answer, and of its connection."""

    RESET = "reset"
    """Broken off with RST, somewhere in the answer or before it."""
    TRUNCATED = "truncated"
    """Ended properly, in the middle of the answer."""
    SLOW_CLOSE = "slow_close"
    """Answered whole; the end of the connection comes a moment later, into whatever is asked next."""
    HALF_OPEN = "half_open"
    """The other side is gone without a word: requests are taken and never answered."""
    BLACK_HOLE = "black_hole"
    """Nothing is read any more, and nothing answered."""
    TRICKLE = "trickle"
    """Sent a few bytes at a time, for longer than anybody waits."""


@dataclass(slots=True)
class FaultProxy:
    """`probability` of each fault for each answer; `latency` and `jitter` in seconds before each answer. Ends with its block.

    From the answer after `gone_after` on, nothing is answered any more.
    """

    target: str
    probability: Mapping[Fault, float] = field(default_factory=dict)
    latency: float = 0.0
    jitter: float = 0.0
    seed: int = 0
    gone_after: int | None = None
    fired: Counter[Fault] = field(default_factory=Counter)
    answers: int = 0
    # One for what goes wrong, one for how: which faults so many answers meet does not hang on what else was drawn meanwhile.
    _faults: Random = field(default_factory=Random)
    _rng: Random = field(default_factory=Random)
    _port: int = 0
    _server: asyncio.Server | None = None
    _links: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._faults, self._rng = Random(self.seed), Random(self.seed)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(ConnectionError, OSError):
                where = urlsplit(self.target)
                upstream = await asyncio.open_connection(where.hostname, where.port)
                await _Link(self, reader, writer, *upstream).work()
        except asyncio.CancelledError:
            # The proxy ends: asyncio would tell of a connection's task that was cancelled.
            pass
        finally:
            self._links.discard(task)
            writer.transport.abort()

    def draw(self) -> Fault | None:
        self.answers += 1
        if self.gone_after is not None and self.answers > self.gone_after:
            return Fault.BLACK_HOLE
        roll = self._faults.random()
        for fault, probability in self.probability.items():
            roll -= probability
            if roll < 0:
                self.fired[fault] += 1
                return fault
        return None

    async def delay(self) -> None:
        if self.latency or self.jitter:
            await asyncio.sleep(self.latency + self._rng.random() * self.jitter)

    def cut(self, length: int) -> int:
        """Where an answer is broken off."""
        return self._rng.randrange(length)

    def moment(self) -> float:
        return self._rng.uniform(0.0, 0.05)


class _Link:
    """One connection and its other half."""

    def __init__(
        self,
        proxy: FaultProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_stripe: asyncio.StreamReader,
        to_stripe: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._from_stripe, self._to_stripe = from_stripe, to_stripe
        self._asked = False
        self._deaf = False

    async def work(self) -> None:
        pumps = [asyncio.create_task(self._requests()), asyncio.create_task(self._answers())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._to_stripe.transport.abort()

    async def _requests(self) -> None:
        while not self._deaf and (data := await self._reader.read(_PIECE)):
            self._asked = True
            self._to_stripe.write(data)
            await self._to_stripe.drain()
        if self._deaf:
            await asyncio.Event().wait()

    async def _answers(self) -> None:
        while data := await self._from_stripe.read(_PIECE):
            fault = None
            if self._asked:
                self._asked = False
                fault = self._proxy.draw()
                await self._proxy.delay()
            if fault is not None:
                await self._mistreat(data, fault)
                return
            self._writer.write(data)
            await self._writer.drain()

    async def _mistreat(self, data: bytes, fault: Fault) -> None:
        """Returns when the connection is to end."""
        match fault:
            case Fault.RESET:
                self._writer.write(data[: self._proxy.cut(len(data))])
                _with_reset(self._writer)
            case Fault.TRUNCATED:
                await self._send(data[: self._proxy.cut(len(data))])
                await self._end()
            case Fault.SLOW_CLOSE:
                await self._send(data + await self._rest())
                await asyncio.sleep(self._proxy.moment())
                await self._end()
            case Fault.HALF_OPEN:
                self._to_stripe.transport.abort()
                while await self._reader.read(_PIECE):
                    pass
            case Fault.BLACK_HOLE:
                self._deaf = True
                self._reader._transport.pause_reading()  # type: ignore[attr-defined]  # streams have no word for it
                await asyncio.Event().wait()
            case Fault.TRICKLE:
                for start in range(0, len(data), 8):
                    await self._send(data[start : start + 8])
                    await asyncio.sleep(0.1)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _end(self) -> None:
        """FIN, as a server that closes."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _rest(self) -> bytes:
        """What of the answer has not come yet: the sandbox writes an answer at once."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._from_stripe.read(_PIECE * 16), 0.01)
        return b""


def _with_reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
