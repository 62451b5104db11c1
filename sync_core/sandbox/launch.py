"""Starts the sandbox as a child process, for tests, benches and the demo."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

# Where the package is found by the child whatever directory this process runs in.
_ROOT = Path(__file__).parents[2]
_ANNOUNCED = "listening on "
_START_SECONDS = 30.0
_END_SECONDS = 5.0


class SandboxProcess:
    """``with SandboxProcess("--customers", "50000") as sandbox:`` then ``sandbox.url``; the child ends with the block.

    The child watches its standard input, so it ends with this process too, however that ends.
    """

    def __init__(self, *arguments: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "sync_core.sandbox", "--port", str(port), "--watch-stdin", *arguments]
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> Self:
        """Returns when it listens. Raises ``RuntimeError`` when it did not come up."""
        self._process = subprocess.Popen(self._command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.url = self._announced_url()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("The sandbox is not running")
        return self._process

    def _announced_url(self) -> str:
        stdout = self._running().stdout
        if stdout is None:
            raise RuntimeError("The sandbox has no standard output")
        deadline, seen = time.monotonic() + _START_SECONDS, b""
        while b"\n" not in seen and (left := deadline - time.monotonic()) > 0:
            if select.select([stdout], [], [], left)[0]:
                piece = os.read(stdout.fileno(), 4096)
                if not piece:
                    break
                seen += piece
        line = seen.decode().partition("\n")[0]
        if not line.startswith(_ANNOUNCED):
            raise RuntimeError(f"The sandbox did not start: {line!r}")
        return line.removeprefix(_ANNOUNCED)

    # -- control

    def control(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One call of ``/_sandbox/{path}``; raises ``RuntimeError`` with the sandbox's sentence when it refuses."""
        query = f"?{urlencode(params)}" if params else ""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/_sandbox/{path}{query}", data=data, method=method)  # noqa: S310 - our own child on loopback
        try:
            with urlopen(request, timeout=120) as answer:  # noqa: S310 - the same
                return json.loads(answer.read())
        except HTTPError as error:
            raise RuntimeError(error.read().decode()) from error

    def stats(self) -> dict[str, Any]:
        report: dict[str, Any] = self.control("GET", "stats")
        return report

    def reset_stats(self) -> None:
        self.control("POST", "reset-stats")

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replaces all rules; none clears them."""
        self.control("PUT", "faults", list(rules))

    def mutate(self, *mutations: dict[str, Any], account: str = "") -> list[dict[str, Any]]:
        objects: list[dict[str, Any]] = self.control("POST", "mutations", list(mutations), account=account)["objects"]
        return objects

    def scripts(self, *scripts: dict[str, Any]) -> None:
        self.control("PUT", "scripts", list(scripts))

    def settings(self, **values: Any) -> None:
        self.control("PUT", "settings", values)

    def truth(self, entity: str, **params: Any) -> list[str]:
        """Ids of all objects that a complete sync holds, newest first."""
        ids: list[str] = self.control("GET", "truth", type=entity, **params)["ids"]
        return ids

    def true_object(self, entity: str, object_id: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.control("GET", f"truth/{entity}/{object_id}", **params)
        return found
