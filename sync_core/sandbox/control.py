"""The sandbox's own interface under ``/_sandbox``: faults, mutations, scripts, truth, statistics. JSON, no key.

GET  stats                      what was asked so far, CPU and memory of the process
POST reset-stats
GET  faults                     rules and how often each fired
PUT  faults  [rule, ...]        replaces all; POST adds; DELETE clears
POST mutations  mutation | [mutation, ...]
PUT  scripts  [{"endpoint": "GET /v1/customers", "after": 3, "mutations": [...]}, ...]
PUT  settings  {"skew_seconds", "limits", "latency_ms", "jitter_ms"}   any of them
GET  truth?type=customers[&created_gte=][&created_lt=]   {"count", "ids"}; with &full=1 objects, one a line
GET  truth/{type}/{id}          everything about one object

``?account=2`` on mutations and truth, and ``"account": "2"`` in a script, mean the account of ``_acct2`` keys.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from sync_core.sandbox.account import ENTITIES, Account
from sync_core.sandbox.blueprint import Json
from sync_core.sandbox.collection import FOREVER, Window
from sync_core.sandbox.http import Request, Response
from sync_core.sandbox.limits import Limits, RateLimiter
from sync_core.sandbox.query import parameters
from sync_core.sandbox.world import Script, World

_PIECE = 2_000


class Control:
    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: Request) -> Response:
        """Bad input is answered 400 with a sentence."""
        path = request.path.removeprefix("/_sandbox/").strip("/")
        try:
            answer = self._answer(request, path, dict(parameters(request.query)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)
        if isinstance(answer, Response):
            return answer
        return _json({"error": f"No {request.method} {path}"}, status=404) if answer is None else _json(answer)

    def _answer(self, request: Request, path: str, params: dict[str, str]) -> Any:
        match request.method, path:
            case "GET", "stats":
                return self._world.statistics.report() | {"script_errors": self._world.script_errors} | _process()
            case "POST", "reset-stats":
                self._world.statistics.reset()
                return {"reset": True}
            case method, "faults":
                return self._faults(method, request)
            case "POST", "mutations":
                return self._mutate(_body(request), params.get("account", ""))
            case "PUT", "scripts":
                self._world.set_scripts([Script(**script) for script in _body(request)])
                return {"scripts": len(self._world.scripts)}
            case "PUT", "settings":
                return self._settings(_body(request))
            case "GET", "truth":
                return self._truth(params)
            case "GET", _ if path.startswith("truth/"):
                return self._true_object(path, params)
        return None

    def _faults(self, method: str, request: Request) -> Any:
        faults = self._world.faults
        if method == "PUT":
            faults.replace(_body(request))
        elif method == "POST":
            faults.add(_body(request))
        elif method == "DELETE":
            faults.replace([])
        return {"rules": faults.report()}

    def _mutate(self, body: Any, account: str) -> Json:
        mutations = body if isinstance(body, list) else [body]
        target, now = self._world.account(account), self._world.now()
        return {"objects": [target.mutate(mutation, now=now) for mutation in mutations]}

    def _settings(self, body: Json) -> Json:
        world = self._world
        limits = Limits(body.get("limits", world.limiter.limits))
        world.skew_seconds = float(body.get("skew_seconds", world.skew_seconds))
        world.latency.fixed_ms = float(body.get("latency_ms", world.latency.fixed_ms))
        world.latency.jitter_ms = float(body.get("jitter_ms", world.latency.jitter_ms))
        if "limits" in body:
            world.limiter = RateLimiter(limits)
        return {
            "skew_seconds": world.skew_seconds,
            "limits": limits,
            "latency_ms": world.latency.fixed_ms,
            "jitter_ms": world.latency.jitter_ms,
        }

    def _true_object(self, path: str, params: dict[str, str]) -> Any:
        _, entity, object_id = path.split("/")
        found = _known(self._world.account(params.get("account", "")), entity).retrieve(entity, object_id)
        return found or _json({"error": f"No such {entity}: {object_id}"}, status=404)

    def _truth(self, params: dict[str, str]) -> Any:
        entity = params["type"]
        account = _known(self._world.account(params.get("account", "")), entity)
        window = Window(int(params.get("created_gte", 0)), int(params.get("created_lt", FOREVER)))
        if params.get("full"):
            lines = (orjson.dumps(body) + b"\n" for body in account.truth_objects(entity, window))
            return _streamed(_pieces(lines, b""), "application/x-ndjson")
        return _streamed(_ids(account.truth(entity, window)), "application/json")


def _known(account: Account, entity: str) -> Account:
    if entity not in ENTITIES:
        raise ValueError(f"Unknown type: {entity}")
    return account


def _ids(ids: Iterator[str]) -> Iterator[bytes]:
    count = 0

    def quoted() -> Iterator[bytes]:
        nonlocal count
        for object_id in ids:
            count += 1
            yield orjson.dumps(object_id)

    yield b'{"ids":['
    yield from _pieces(quoted(), b",")
    yield b'],"count":%d}' % count


def _pieces(items: Iterator[bytes], separator: bytes) -> Iterator[bytes]:
    """Joined by the few thousand, so that neither memory nor the number of writes grows with the account."""
    lead = b""
    while batch := list(islice(items, _PIECE)):
        yield lead + separator.join(batch)
        lead = separator


def _body(request: Request) -> Any:
    return orjson.loads(request.body)


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value), {"Content-Type": "application/json"})


def _streamed(stream: Iterator[bytes], kind: str) -> Response:
    return Response(headers={"Content-Type": kind}, stream=stream)


def _process() -> Json:
    """CPU seconds since the start and the most memory held, in bytes."""
    return {"cpu_seconds": time.process_time(), "peak_memory_bytes": _peak_memory()}


def _peak_memory() -> int:
    """Linux lets ``ru_maxrss`` begin at the parent's size; its own account of the process does not."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
