"""Who asks, in which workspace, and what they may do there. Every service takes an Actor and asks it first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sync_core.domain.vocabulary import Role


class Permission(StrEnum):
    VIEW = "view"
    RUN_SYNC = "run_sync"
    RESOLVE_CONFLICTS = "resolve_conflicts"
    EDIT_RECORDS = "edit_records"
    MANAGE_CONNECTION = "manage_connection"
    MANAGE_WORKSPACE = "manage_workspace"
    MANAGE_MEMBERS = "manage_members"


_VIEWER = frozenset({Permission.VIEW})
_OPERATOR = _VIEWER | {Permission.RUN_SYNC, Permission.RESOLVE_CONFLICTS, Permission.EDIT_RECORDS}
_ADMIN = _OPERATOR | {Permission.MANAGE_CONNECTION, Permission.MANAGE_WORKSPACE}
_OWNER = _ADMIN | {Permission.MANAGE_MEMBERS}
PERMISSIONS = {Role.VIEWER: _VIEWER, Role.OPERATOR: _OPERATOR, Role.ADMIN: _ADMIN, Role.OWNER: _OWNER}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person (`user_id`) or a program (`api_key_id`). `label` is what the audit log and screens call them."""

    workspace_id: UUID
    role: Role
    label: str
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    time_zone: str = "UTC"

    def can(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]
