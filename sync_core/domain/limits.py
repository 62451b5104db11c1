"""From where on the checks of a plan warn, and whether a plan needs somebody's approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

SETTING: Final = "guardrails"


@dataclass(frozen=True, slots=True)
class Limits:
    """`share_updated` and `canceled` are per cent, above which there is a warning; the others counts, from which on there is one.

    With `confirm` a plan with warnings is only applied by somebody who says that they were looked at. With `approval` a plan is applied
    when somebody else than who made it has approved it; with `approve_clean` one without warnings needs nobody.
    """

    share_updated: int = 20
    canceled: int = 5
    money: int = 1
    duplicates: int = 25
    confirm: bool = False
    approval: bool = False
    approve_clean: bool = False


def of(settings: Mapping[str, Any]) -> Limits:
    """What a workspace's settings hold, with the defaults where nothing sound is."""
    stored = settings.get(SETTING)
    kinds = {one.name: type(one.default) for one in fields(Limits)}
    sound: dict[str, Any] = {
        name: value for name, value in (stored or {}).items() if name in kinds and type(value) is kinds[name]
    }
    return replace(Limits(), **sound)
