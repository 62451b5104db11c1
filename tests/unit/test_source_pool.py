"""The pool of connections: each is used again, none is kept by a request that ended badly, and no more are open than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from sync_core.stripe_source.pool import transport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Counting:
    """Answers each request in order, `/never` never; `/last` is answered, and the connection closed."""

    url: str = ""
    opened: int = 0
    open_now: int = 0
    most: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.begun.set()
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/never" in head:
                    await reader.read()
                    return
                writer.write(ANSWER)
                if b"/last" in head:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            self.open_now -= 1
            writer.close()
            self.ended.set()


@pytest.fixture
async def server() -> AsyncIterator[Counting]:
    counting = Counting()
    running = await asyncio.start_server(counting.serve, "127.0.0.1", 0)
    counting.url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    yield counting
    running.close()


@asynccontextmanager
async def client(most: int = 4, *, wait: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    lean = transport(max_connections=most, idle_seconds=30.0)
    async with httpx.AsyncClient(transport=lean, timeout=httpx.Timeout(5.0, pool=wait)) as http:
        yield http


async def test_one_after_the_other_share_a_connection(server: Counting) -> None:
    async with client() as http:
        for _ in range(5):
            assert (await http.get(server.url)).content == b"{}"
    assert server.opened == 1


async def test_many_at_once_wait_for_their_turn(server: Counting) -> None:
    async with client(4) as http:
        answers = await asyncio.gather(*(http.get(server.url) for _ in range(40)))
    assert all(answer.status_code == 200 for answer in answers)
    assert server.most <= 4


async def test_a_connection_that_the_server_closed_is_not_used_again(server: Counting) -> None:
    async with client(1) as http:
        await http.get(f"{server.url}/last")
        await server.ended.wait()
        assert (await http.get(server.url)).status_code == 200
    assert server.opened == 2


async def test_a_request_cut_short_gives_its_place_back(server: Counting) -> None:
    async with client(1) as http:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(http.get(f"{server.url}/never"), 0.05)
        assert (await http.get(server.url)).status_code == 200


async def test_a_body_left_unread_gives_its_place_back(server: Counting) -> None:
    async with client(1) as http:
        async with http.stream("GET", server.url) as answer:
            assert answer.status_code == 200
        assert (await http.get(server.url)).status_code == 200


async def test_a_place_is_waited_for_no_longer_than_asked(server: Counting) -> None:
    async with client(1, wait=0.05) as http:
        held = asyncio.create_task(http.get(f"{server.url}/never"))
        await server.begun.wait()
        with pytest.raises(httpx.PoolTimeout):
            await http.get(server.url)
        held.cancel()


async def test_nobody_there_leaves_its_place(server: Counting) -> None:
    async with client(1) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://127.0.0.1:1")
        assert (await http.get(server.url)).status_code == 200
