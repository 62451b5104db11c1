"""Who may do what in a workspace. Owners change it; a workspace is never left without one."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from sync_core.domain.vocabulary import Role
from sync_core.errors import Refusal
from sync_core.services import schedules
from sync_core.services.actor import Actor, Permission
from sync_core.store import accounts as store
from sync_core.store import audit
from sync_core.store.database import Database

_OWNERS_ONLY = Refusal("forbidden", "Only an owner may manage members.", status=403)
_ADMINS_ONLY = Refusal("forbidden", "Your role may not change the workspace. Ask an admin.", status=403)
_UNKNOWN = Refusal("member_unknown", "There is no such member.", field="user_id", status=404)
_LAST_OWNER = Refusal(
    "last_owner", "This is the workspace's only owner. Make somebody else an owner first.", field="role", status=409
)


async def listed(database: Database, actor: Actor) -> list[store.MemberRow] | Refusal:
    if not actor.can(Permission.VIEW):
        return _OWNERS_ONLY
    async with database.system() as session:
        return await store.members(session, actor.workspace_id)


async def set_role(database: Database, actor: Actor, user_id: UUID, role: Role) -> Refusal | None:
    """Counts from the member's next event on; nobody has to sign in again."""
    return await _change(database, actor, user_id, role)


async def remove(database: Database, actor: Actor, user_id: UUID) -> Refusal | None:
    """Their open sessions in this workspace end at once."""
    return await _change(database, actor, user_id, None)


async def set_time_zone(database: Database, actor: Actor, zone: str) -> Refusal | None:
    """The zone that the workspace's times are shown and its date ranges are meant in."""
    if not actor.can(Permission.MANAGE_WORKSPACE):
        return _ADMINS_ONLY
    if zone not in available_timezones():
        return Refusal("time_zone_unknown", "Choose a time zone such as Europe/Berlin.", field="time_zone")
    async with database.workspace(actor.workspace_id) as session:
        await store.set_time_zone(session, actor.workspace_id, zone)
        await schedules.follow_zone(session, actor.workspace_id, ZoneInfo(zone))
        await audit.record(
            session, actor.workspace_id, actor.label, "time_zone_changed", target=zone, details={"time_zone": zone}
        )
    return None


async def _change(database: Database, actor: Actor, user_id: UUID, role: Role | None) -> Refusal | None:
    if not actor.can(Permission.MANAGE_MEMBERS):
        return _OWNERS_ONLY
    async with database.system() as session:
        await store.lock_members(session, actor.workspace_id)
        members = {member.user_id: member for member in await store.members(session, actor.workspace_id)}
        changed = members.get(user_id)
        if changed is None:
            return _UNKNOWN
        owners = [one for one in members.values() if one.role is Role.OWNER and not one.disabled]
        if owners == [changed] and role is not Role.OWNER:
            return _LAST_OWNER
        if role is None:
            await store.end_membership(session, actor.workspace_id, user_id)
        else:
            await store.set_membership(session, actor.workspace_id, user_id, role)
        action = "member_removed" if role is None else "member_role_set"
        details = {} if role is None else {"role": role.value}
        await audit.record(session, actor.workspace_id, actor.label, action, target=changed.email, details=details)
    return None
