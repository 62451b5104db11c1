"""How fast an account may be read: what each workspace allows it, of Stripe's limit, in requests a second.

The least that a workspace allows holds for the account and mode, whoever reads it: its limit at Stripe is one as well. It stands in the
account's rate bucket, so a sync that is going on keeps to a new one with the next times that it draws. So nobody lifts what another workspace
set; that there is such a limit is said, neither whose nor what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from sync_core.errors import Refusal
from sync_core.services.actor import Actor, Permission
from sync_core.services.session_views import epoch
from sync_core.settings import Settings, get_settings
from sync_core.store import audit, connections, rates
from sync_core.store.connections import StoredConnection
from sync_core.store.database import Database
from sync_core.stripe_source.governor import ENDPOINT_LIMIT, GLOBAL_LIMIT, Mode, account_bucket, endpoint_cap

_CHANGED: Final = "connection.read_cap_changed"
_SHOWN: Final = 5
_NOT_CONNECTED = Refusal("not_connected", "No Stripe account is connected.", status=404)
_FORBIDDEN = Refusal("forbidden", "Your role may not change how fast the account is read. Ask an admin.", status=403)


@dataclass(frozen=True, slots=True)
class CapChange:
    """`at` is epoch seconds."""

    by: str
    at: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Requests a second, and how many of them one list may have."""

    per_second: int
    each_list: int


@dataclass(frozen=True, slots=True)
class ReadCap:
    """What this workspace allows, in requests a second. `each_list` is how many of them one list may have; `default` holds where nobody chose.

    `set_elsewhere`: what holds for the account is another workspace's limit; `lower` than this one's.
    `unlimited`: the operator keeps no limit here, so that none of this holds.
    """

    per_second: int
    each_list: int
    default: int
    most: int
    each_list_most: int
    is_chosen: bool
    set_elsewhere: bool
    lower: bool
    unlimited: bool
    changes: tuple[CapChange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "object": "read_cap",
            "requests_per_second": self.per_second,
            "per_list": self.each_list,
            "default": self.default,
            "most": self.most,
            "is_default": not self.is_chosen,
            "limit_set_elsewhere": self.set_elsewhere,
            "changes": [{"by": one.by, "at": one.at, "from": one.before, "to": one.after} for one in self.changes],
        }


def speed(cap: int | None, *, livemode: bool, settings: Settings) -> Speed:
    mode, share = _mode(livemode), settings.rate_cap_share
    each = ENDPOINT_LIMIT * share if cap is None else endpoint_cap(cap, mode)
    return Speed(max(1, floor(GLOBAL_LIMIT[mode] * share)) if cap is None else cap, max(1, floor(each + 1e-9)))


async def speed_of(session: AsyncSession, connection: StoredConnection, settings: Settings) -> Speed:
    """What holds for the account, whoever set it."""
    cap = await rates.cap_of(session, _bucket(connection))
    return speed(cap, livemode=connection.livemode, settings=settings)


async def read(database: Database, actor: Actor, *, settings: Settings | None = None) -> ReadCap | Refusal:
    async with database.workspace(actor.workspace_id) as session:
        found = await connections.active(session, actor.workspace_id)
        return (
            _NOT_CONNECTED
            if found is None
            else await _viewed(session, actor, found, settings=settings or get_settings())
        )


async def save(
    database: Database, actor: Actor, per_second: int | None, *, settings: Settings | None = None
) -> ReadCap | Refusal:
    """None goes back to the default."""
    if not actor.can(Permission.MANAGE_CONNECTION):
        return _FORBIDDEN
    settings = settings or get_settings()
    async with database.workspace(actor.workspace_id) as session:
        await connections.lock(session, actor.workspace_id)
        found = await connections.active(session, actor.workspace_id)
        if found is None:
            return _NOT_CONNECTED
        most = GLOBAL_LIMIT[_mode(found.livemode)]
        if per_second is not None and not 1 <= per_second <= most:
            message = f"Give a whole number from 1 to {most}, which is what Stripe allows."
            return Refusal("read_cap_out_of_range", message, field="requests_per_second")
        await connections.save_read_cap(session, actor.workspace_id, found.id, per_second)
        if per_second != found.read_cap:
            before, after = (
                speed(cap, livemode=found.livemode, settings=settings).per_second
                for cap in (found.read_cap, per_second)
            )
            details = {"before": before, "after": after, "default": per_second is None}
            await audit.record(
                session, actor.workspace_id, actor.label, _CHANGED, target=str(found.id), details=details
            )
        return await _viewed(session, actor, replace(found, read_cap=per_second), settings=settings)


async def _viewed(session: AsyncSession, actor: Actor, found: StoredConnection, *, settings: Settings) -> ReadCap:
    entries = await audit.latest(session, actor.workspace_id, _CHANGED, target=str(found.id), limit=_SHOWN)
    own = speed(found.read_cap, livemode=found.livemode, settings=settings)
    holds = await speed_of(session, found, settings)
    return ReadCap(
        per_second=own.per_second,
        each_list=own.each_list,
        default=speed(None, livemode=found.livemode, settings=settings).per_second,
        most=GLOBAL_LIMIT[_mode(found.livemode)],
        each_list_most=ENDPOINT_LIMIT,
        is_chosen=found.read_cap is not None,
        set_elsewhere=holds.per_second != own.per_second,
        lower=holds.per_second < own.per_second,
        unlimited=settings.rate_unlimited,
        changes=tuple(
            CapChange(one.actor, epoch(one.occurred_at) or 0, int(one.details["before"]), int(one.details["after"]))
            for one in entries
        ),
    )


def _bucket(connection: StoredConnection) -> str:
    return account_bucket(connection.account_id, _mode(connection.livemode))


def _mode(livemode: bool) -> Mode:
    return "live" if livemode else "test"
