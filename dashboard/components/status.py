"""Every status as an icon, a word and a colour: never by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx

from dashboard.components.base import classes, icon
from sync_core.domain.vocabulary import Action, ConflictStatus, EntityType, SessionStatus, SyncStatus, Word

Look = tuple[str, str]

SESSION: dict[Word, Look] = {
    SessionStatus.PENDING: ("clock", "neutral"),
    SessionStatus.RUNNING: ("loader-circle", "info"),
    SessionStatus.COMPLETED: ("circle-check", "success"),
    SessionStatus.PARTIAL: ("circle-alert", "warn"),
    SessionStatus.FAILED: ("circle-x", "danger"),
    SessionStatus.CANCELLED: ("ban", "neutral"),
}
ACTION: dict[Word, Look] = {
    Action.CREATE: ("plus", "success"),
    Action.UPDATE: ("pencil", "info"),
    Action.UNCHANGED: ("equal", "neutral"),
    Action.SKIP: ("skip-forward", "neutral"),
    Action.CONFLICT: ("git-compare-arrows", "conflict"),
    Action.ERROR: ("triangle-alert", "danger"),
}
SYNC: dict[Word, Look] = {
    SyncStatus.PENDING: ("circle-dashed", "neutral"),
    SyncStatus.SYNCED: ("circle-check", "success"),
    SyncStatus.LOCAL_EDIT: ("pencil", "info"),
    SyncStatus.CONFLICT: ("git-compare-arrows", "conflict"),
}
CONFLICT: dict[Word, Look] = {
    ConflictStatus.OPEN: ("circle-dot", "conflict"),
    ConflictStatus.RESOLVED: ("circle-check", "success"),
}
ENTITY_ICONS = {
    EntityType.CUSTOMERS: "users",
    EntityType.PRODUCTS: "package",
    EntityType.PRICES: "tag",
    EntityType.SUBSCRIPTIONS: "repeat",
    EntityType.INVOICES: "receipt-text",
}
_MODES = {
    "live": ("Live", "radio", "success"),
    "test": ("Test", "flask-conical", "warn"),
    "sandbox": ("Sandbox", "box", "info"),
}


def pill(label: Any, tone: str = "neutral", icon_name: str = "", *, spins: bool = False, **props: Any) -> rx.Component:
    mark = [icon(icon_name, 12, class_name="spin" if spins else "")] if icon_name else []
    return rx.el.span(*mark, label, class_name=classes("pill", f"tone-{tone}"), **props)


def _word_pill(looks: Mapping[Word, Look], value: Any, label: Any = None) -> rx.Component:
    """For a value known now, or for a Var of one."""
    if isinstance(value, str):
        word = next((one for one in looks if one.value == value), None)
        if word is None:
            return pill(label or value)
        return _one(word, looks[word], label)
    cases = [(word.value, _one(word, look, label)) for word, look in looks.items()]
    return rx.match(value, *cases, pill(value if label is None else label))


def _one(word: Word, look: Look, label: Any) -> rx.Component:
    name, tone = look
    return pill(word.label if label is None else label, tone, name, spins=word is SessionStatus.RUNNING)


def session_status_pill(value: Any, label: Any = None) -> rx.Component:
    return _word_pill(SESSION, value, label)


def action_pill(value: Any, label: Any = None) -> rx.Component:
    return _word_pill(ACTION, value, label)


def sync_status_pill(value: Any, label: Any = None) -> rx.Component:
    return _word_pill(SYNC, value, label)


def conflict_status_pill(value: Any, label: Any = None) -> rx.Component:
    return _word_pill(CONFLICT, value, label)


def mode_badge(value: Any) -> rx.Component:
    """`live`, `test` or `sandbox`; anything else shows as not connected."""
    unknown = pill("Not connected", "neutral", "unplug")
    if isinstance(value, str):
        return pill(_MODES[value][0], _MODES[value][2], _MODES[value][1]) if value in _MODES else unknown
    return rx.match(value, *[(mode, pill(text, tone, name)) for mode, (text, name, tone) in _MODES.items()], unknown)


def entity_icon(value: Any, size: int = 16) -> rx.Component:
    if isinstance(value, str):
        return icon(ENTITY_ICONS[EntityType(value)], size)
    return rx.match(value, *[(one.value, icon(name, size)) for one, name in ENTITY_ICONS.items()], icon("circle", size))
