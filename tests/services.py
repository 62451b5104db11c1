"""What tests of services share: a small Stripe, settings that point at it, and actors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import text

from sync_core.domain.vocabulary import Role
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services.actor import Actor
from sync_core.settings import Settings
from sync_core.store.database import Database

SIZES = {"customers": 240, "products": 12, "prices": 40, "subscriptions": 60, "invoices": 80}
KEY = "rk_test_ours_0123456789ab"
SANDBOX_KEY = "sk_test_sandbox_tests_4f1c"


@contextmanager
def small_sandbox(**sizes: int) -> Iterator[SandboxProcess]:
    arguments = [part for entity, size in (SIZES | sizes).items() for part in (f"--{entity}", str(size))]
    with SandboxProcess(*arguments, "--seed", "services") as sandbox:
        yield sandbox


def settings_for(sandbox: SandboxProcess, data_dir: Path, **more: Any) -> Settings:
    """Every key goes to the sandbox, as to Stripe itself; with `demo` also as to the product's own sandbox."""
    port = urlsplit(sandbox.url).port
    values: dict[str, Any] = {"stripe_api_base": sandbox.url, "sandbox_port": port, "data_dir": data_dir, "demo": False}
    return Settings(_env_file=None, **values | more)


def actor_of(workspace_id: UUID, role: Role = Role.OWNER, label: str = "ana@example.com") -> Actor:
    return Actor(workspace_id=workspace_id, role=role, label=label)


async def audit_actions(database: Database, workspace_id: UUID) -> list[str]:
    async with database.workspace(workspace_id) as session:
        found = await session.execute(text("SELECT action FROM audit_log ORDER BY occurred_at, id"))
        return list(found.scalars())
