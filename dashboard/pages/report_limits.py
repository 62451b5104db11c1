"""The limits of a plan's checks as a form has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_core.errors import Refusal
from sync_core.services.plan_limits import Limits

_TICKED = ("confirm", "approval", "approve_clean")


@dataclass(frozen=True, slots=True)
class LimitsForm:
    share_updated: str = ""
    canceled: str = ""
    money: str = ""
    duplicates: str = ""
    confirm: bool = False
    approval: bool = False
    approve_clean: bool = False

    @classmethod
    def of(cls, limits: Limits) -> LimitsForm:
        return cls(
            str(limits.share_updated),
            str(limits.canceled),
            str(limits.money),
            str(limits.duplicates),
            *(getattr(limits, name) for name in _TICKED),
        )


def limits_of(form: Mapping[str, Any]) -> Limits | Refusal:
    wanted: dict[str, Any] = {name: form.get(name) is not None for name in _TICKED}
    for name in ("share_updated", "canceled", "money", "duplicates"):
        word = str(form.get(name) or "").strip()
        if not word.isascii() or not word.isdigit() or len(word) > 9:
            return Refusal("limit_out_of_range", "Each limit is a whole number.", field=name)
        wanted[name] = int(word)
    return Limits(**wanted)
