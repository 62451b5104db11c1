"""The peer that most people use, `@supabase/stripe-sync-engine` from npm, on the same sandbox and the same PostgreSQL server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.engine import make_url

from sync_core.sandbox.launch import SandboxProcess
from sync_core.stripe_source.wire import STRIPE_VERSION
from tests.conftest import on_server

PACKAGES = {"@supabase/stripe-sync-engine": "0.48.5", "stripe": "23.1.0"}
FOLDER = Path(__file__).resolve().parents[2] / ".bench" / "peer"
DATABASE = "bench_peer"
_DRIVER = Path(__file__).with_name("peer.cjs")
_LONGEST_SECONDS = 600.0
_NUL = b"\\u0000"


class Unavailable(Exception):  # noqa: N818 - a reason to skip it
    """Why the peer can't be timed here."""


@dataclass(frozen=True, slots=True)
class PeerRun:
    objects: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.objects / self.seconds


def install() -> Path:
    """Node, with the pinned packages in a folder that git ignores. Raises Unavailable."""
    node, npm = _program("node"), _program("npm")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = json.dumps({"private": True, "dependencies": PACKAGES})
    manifest = FOLDER / "package.json"
    shutil.copy(_DRIVER, FOLDER)
    if manifest.exists() and manifest.read_text() == wanted and (FOLDER / "installed").exists():
        return node
    manifest.write_text(wanted)
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"],
            cwd=FOLDER,
            env=_environment(),
            check=True,
            capture_output=True,
            text=True,
            timeout=180,
        )
    except (subprocess.SubprocessError, OSError) as failed:
        said = (getattr(failed, "stderr", "") or str(failed)).strip().splitlines()
        raise Unavailable(f"npm can't install it: {said[-1] if said else failed}") from failed
    (FOLDER / "installed").touch()
    return node


def run(node: Path, server_url: str, sandbox: SandboxProcess) -> PeerRun:
    """One first sync of the five entity types into a database of its own."""
    on_server(server_url, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    on_server(server_url, f"CREATE DATABASE {DATABASE}")
    done = subprocess.run(
        [node, FOLDER / _DRIVER.name, sandbox.url, STRIPE_VERSION],
        cwd=FOLDER,
        env=_environment() | _connection(server_url),
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"it failed: {done.stderr.strip().splitlines()[:6]}")
    return PeerRun(**json.loads(done.stdout.splitlines()[-1]))


def without_nul(sandbox: SandboxProcess) -> int:
    """Give texts with a NUL another character: the peer stops at the first one. Returns how many objects had one."""
    changed = 0
    for entity in ("customers", "products", "prices", "subscriptions", "invoices"):
        with urllib.request.urlopen(f"{sandbox.url}/_sandbox/truth?type={entity}&full=1") as answer:  # noqa: S310 - our own sandbox
            odd = [orjson.loads(line) for line in answer if _NUL in line]
        steps = [{"op": "update", "type": entity, "id": raw["id"], "fields": _clean(raw)} for raw in odd]
        if steps:
            request = urllib.request.Request(  # noqa: S310 - our own sandbox
                f"{sandbox.url}/_sandbox/mutations", data=orjson.dumps(steps), method="POST"
            )
            urllib.request.urlopen(request).close()  # noqa: S310 - as above
        changed += len(odd)
    return changed


def _clean(raw: dict[str, Any]) -> dict[str, Any]:
    """The fields that hold a NUL, without."""
    return {
        name: orjson.loads(packed.replace(_NUL, b" "))
        for name, value in raw.items()
        if _NUL in (packed := orjson.dumps(value))
    }


def _program(name: str) -> Path:
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise Unavailable(f"there is no {name}")
    return Path(found)


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def _connection(server_url: str) -> dict[str, str]:
    url = make_url(server_url)
    host = url.query.get("host", url.host) or "localhost"
    named = {"PGHOST": host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password}
    return {name: str(value) for name, value in named.items() if value} | {"PGDATABASE": DATABASE}
