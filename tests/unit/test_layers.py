"""Imports point one way. Read from the source, so that an import inside a function counts as well."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each package may import of ours, beside itself. Not named here: not known there.
MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "errors": set(),
    "settings": set(),
    "logs": {"errors", "settings"},
    "sandbox": {"domain"},
    "models": {"domain"},
    "stripe_source": {"domain", "errors"},
    "store": {"domain", "errors", "models", "settings"},
    "engine": {"domain", "errors", "models", "store", "stripe_source"},
    "jobs": {"domain", "engine", "errors", "models", "settings", "store", "stripe_source"},
    # sandbox: what the demo's records disagree with.
    "services": {"domain", "engine", "errors", "jobs", "models", "sandbox", "settings", "store", "stripe_source"},
    "bootstrap": {"errors", "services", "settings", "store"},
    "cli": {"errors", "jobs", "logs", "sandbox", "services", "settings", "store"},
    "__main__": {"cli"},
}
# Nothing under sync_core faces HTTP or a page.
FOREIGN = {"reflex", "reflex_base", "fastapi", "starlette", "granian"}
PURE = {"asyncio", "time", "random", "secrets", "httpx", "sqlalchemy", "sqlmodel", "psycopg", "stripe", "os", "socket"}


def package(module: str) -> str | None:
    """`store` for sync_core.store.runs; None for what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sync_core" and len(parts) > 1 else None


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module
            # `from sync_core import store` names a package in its second half.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def modules() -> list[Path]:
    return sorted((ROOT / "sync_core").rglob("*.py"))


def layer_of(path: Path) -> str | None:
    return package(".".join(path.relative_to(ROOT).with_suffix("").parts))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    own = layer_of(path)
    assert own is not None
    if own == "__init__":
        assert not list(imported(path))
        return
    allowed = MAY_IMPORT[own] | {own}
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for line, module in imported(path)
        if module.split(".")[0] in FOREIGN | {"dashboard", "tests"}
        or ((found := package(module)) is not None and found not in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((ROOT / "sync_core/domain").rglob("*.py")), ids=name_of)
def test_the_domain_is_pure(path: Path) -> None:
    """No clock, session, network or chance; and nothing in it waits."""
    assert {module.split(".")[0] for _, module in imported(path)} & PURE == set()
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waits)] == []


def test_sessions_are_opened_in_the_store_only() -> None:
    makers = {"create_engine", "create_async_engine", "async_sessionmaker", "sessionmaker"}
    users = {
        name_of(path)
        for path in modules()
        for _, module in imported(path)
        if module.rpartition(".")[2] in makers and layer_of(path) != "store"
    }
    assert users == set()


def test_stripe_is_spoken_to_in_one_package_only() -> None:
    users = {layer_of(path) for path in modules() for _, module in imported(path) if module.split(".")[0] == "stripe"}
    assert users <= {"stripe_source"}


def test_every_package_has_its_rule() -> None:
    found = {layer for path in modules() if (layer := layer_of(path)) is not None}
    assert found - {"__init__"} == set(MAY_IMPORT)


def test_the_process_of_a_run_loads_neither_tables_nor_pages() -> None:
    """A run starts in a process of its own, and again after each kill: these took a third of its start."""
    asked = "import sync_core.jobs.child, sys; print(*{'sqlmodel', 'sync_core.models', 'reflex', 'alembic'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split() == []
    )
