"""Stored conflicts made into what is shown of them, and places in their list made into addresses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sync_core.domain.conflict_rules import severity
from sync_core.domain.custom_values import allowed
from sync_core.domain.diff import diff
from sync_core.domain.fields import FIELDS, Field, JsonValue
from sync_core.domain.newer import Traces, changed_here, changed_there, newer
from sync_core.domain.resolution import RECORD, Dispute, Outcome, Problem, Taken, merged_values, settle
from sync_core.domain.vocabulary import ConflictSort, ConflictStatus, ReasonCode, Snooze
from sync_core.services.conflict_views import (
    Chip,
    ConflictRow,
    ConflictView,
    DecisionView,
    FieldView,
    NestedView,
    RecordQuestion,
)
from sync_core.store.conflict_journal import StoredDecision
from sync_core.store.conflicts import Comment, Position, RecordNote, StoredConflict


def choices_of(stored: Mapping[str, Any]) -> dict[str, Taken]:
    return {name: Taken.from_json(one) for name, one in stored.items()}


def pending_of(stored: Mapping[str, Any]) -> dict[str, Taken]:
    """Choices that wait to be applied, or come from a decision taken back. They decide: a field is ignored by a rule alone."""
    return {name: replace(one, ignored=False) for name, one in choices_of(stored).items()}


def row_view(stored: StoredConflict) -> ConflictRow:
    dispute = stored.dispute
    keys = {key.partition(".")[0] for key in stored.choices}
    by_name = {one.name: one for one in FIELDS[dispute.entity]}
    return ConflictRow(
        id=stored.id,
        entity=dispute.entity,
        record_id=stored.record_id,
        external_id=stored.external_id,
        label=stored.label or stored.external_id,
        reason=dispute.reason,
        status=ConflictStatus(stored.status),
        chips=tuple(_chip(dispute, by_name[name]) for name in dispute.fields if name in by_name),
        revision=stored.revision,
        questions=len(dispute.questions),
        answered=sum(name in keys for name in dispute.questions),
        session_id=stored.session_id,
        severity=severity(dispute.entity, dispute.fields),
        assignee=stored.assignee,
        snoozed_until=stored.snoozed_until,
        snoozed_for=Snooze(stored.snoozed_for) if stored.snoozed_for else None,
        reopened_at=stored.reopened_at if stored.status == ConflictStatus.OPEN else None,
        resolved_by=stored.resolved_by,
        resolved_at=stored.resolved_at,
        created_at=stored.created_at,
    )


def _chip(dispute: Dispute, one: Field) -> Chip:
    ours, theirs = dispute.local.get(one.name), dispute.theirs.get(one.name)
    change = "added" if ours in (None, {}) else "removed" if theirs in (None, {}) else "changed"
    return Chip(one.name, one.label, change, one.money)


def conflict_view(
    stored: StoredConflict,
    note: RecordNote | None = None,
    decisions: Sequence[StoredDecision] = (),
    comments: Sequence[Comment] = (),
    traces: Mapping[str, Traces] = MappingProxyType({}),
) -> ConflictView:
    dispute, choices = stored.dispute, choices_of(stored.choices)
    merged = merged_values(dispute, choices)
    differing = set(dispute.differing)
    outcome = settle(dispute, choices, deleted=dispute.reason is ReasonCode.DELETED_HERE)
    return ConflictView(
        row=row_view(stored),
        fields=tuple(
            _timed(_field_view(dispute, one, choices, merged), traces.get(one.name))
            for one in FIELDS[dispute.entity]
            if one.name in differing
        ),
        equal=tuple(one.label for one in FIELDS[dispute.entity] if one.name not in differing),
        record=_question(dispute, choices),
        base_known=dispute.base is not None,
        currency=_currency(dispute),
        note=note,
        observed_at=stored.observed_at,
        problem=_problem(outcome),
        why=_why(dispute),
        decisions=tuple(decision_view(one) for one in decisions),
        comments=tuple(comments),
    )


_WHY = {
    ReasonCode.BOTH_CHANGED: "Since the last sync, {fields} changed both here and in Stripe, to different values.",
    ReasonCode.NO_BASE: "There was no sync of this record before, so nothing says which side changed {fields}.",
    ReasonCode.EMAIL_MATCH: "Stripe has a customer with the email of a record that is not linked to Stripe.",
    ReasonCode.DELETED_HERE: "The record was deleted here, and Stripe still has it.",
    ReasonCode.DELETED_IN_STRIPE: "Stripe deleted it, and it was edited here since the last sync.",
}


def _why(dispute: Dispute) -> str:
    labels = [one.label.lower() for one in FIELDS[dispute.entity] if one.name in dispute.fields]
    named = " and ".join(filter(None, (", ".join(labels[:-1]), *labels[-1:]))) or "the record"
    return f"{_WHY.get(dispute.reason, dispute.reason.label).format(fields=named)} The strategy says to ask."


def _problem(outcome: Outcome | Problem) -> str:
    return outcome.message if isinstance(outcome, Problem) else ""


def _currency(dispute: Dispute) -> str | None:
    for side in (dispute.theirs, dispute.local):
        currency = side.get("currency")
        if isinstance(currency, str):
            return currency
    return None


def _field_view(dispute: Dispute, one: Field, choices: dict[str, Taken], merged: dict[str, JsonValue]) -> FieldView:
    taken = choices.get(one.name)
    return FieldView(
        name=one.name,
        label=one.label,
        field=one,
        needed=one.name in dispute.fields,
        local=dispute.local.get(one.name),
        base=(dispute.base or {}).get(one.name),
        theirs=dispute.theirs.get(one.name),
        result=merged.get(one.name),
        settled=one.name in merged,
        take=taken.take if taken else None,
        taken_by=taken.by if taken else "",
        custom=allowed(one),
        nested=_nested(dispute, one, choices),
        left=dispute.leaves(one.name),
    )


def _timed(view: FieldView, traces: Traces | None) -> FieldView:
    if traces is None:
        return view
    return replace(view, here=changed_here(traces), there=changed_there(traces), newer=newer(traces))


def _nested(dispute: Dispute, one: Field, choices: dict[str, Taken]) -> tuple[NestedView, ...]:
    """The places inside a field, when both sides have something inside."""
    ours, theirs = dispute.local.get(one.name), dispute.theirs.get(one.name)
    objects = isinstance(ours, dict) and isinstance(theirs, dict)
    if not objects and not (isinstance(ours, list) and isinstance(theirs, list)):
        return ()
    base = (dispute.base or {}).get(one.name)
    views = []
    for found in diff(dispute.entity, {one.name: ours}, {one.name: theirs}):
        key = f"{one.name}.{found.path[0]}" if objects and len(found.path) == 1 else None
        taken = choices.get(key) if key else None
        label = " / ".join(str(step) for step in found.path)
        custom = taken.value if taken else None
        views.append(
            NestedView(label, key, found.a, _inside(base, found.path), found.b, taken.take if taken else None, custom)
        )
    return tuple(views)


def _inside(value: JsonValue, path: tuple[str | int, ...]) -> JsonValue:
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list):
            value = _member(value, step)
        else:
            return None
    return value


def _member(members: list[JsonValue], step: str | int) -> JsonValue:
    if isinstance(step, int):
        return members[step] if step < len(members) else None
    return next((one for one in members if isinstance(one, dict) and one.get("id") == step), None)


_QUESTIONS = {
    ReasonCode.EMAIL_MATCH: (
        "Is this the same customer?",
        "Same customer: link them",
        "Different: keep them apart",
    ),
    ReasonCode.DELETED_HERE: (
        "Deleted here, alive in Stripe. What now?",
        "Restore it here",
        "Keep it deleted here",
    ),
    ReasonCode.DELETED_IN_STRIPE: (
        "Deleted in Stripe, edited here. What now?",
        "Delete it here as well",
        "Keep ours",
    ),
}


def _question(dispute: Dispute, choices: dict[str, Taken]) -> RecordQuestion | None:
    words = _QUESTIONS.get(dispute.reason)
    if words is None:
        return None
    taken = choices.get(RECORD)
    return RecordQuestion(*words, taken.take if taken else None)


def decision_view(stored: StoredDecision) -> DecisionView:
    return DecisionView(
        stored.id,
        stored.batch_id,
        stored.actor,
        choices_of(stored.choices),
        stored.created_at,
        stored.undone_at,
        stored.undone_by,
        undoable=stored.undone_at is None and not stored.expired,
    )


def cursor_of(stored: StoredConflict, sort: ConflictSort, *, backward: bool = False) -> str:
    """A place in the list as part of an address."""
    key = stored.place(sort).key
    plain = json.dumps(
        [key.isoformat() if isinstance(key, datetime) else key, str(stored.id), backward], ensure_ascii=False
    )
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def position_of(cursor: str | None, sort: ConflictSort) -> Position | None:
    """None for no cursor, and for one that somebody made up or that is of another order: the list then starts at its beginning."""
    if not cursor:
        return None
    try:
        key, conflict_id, backward = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if sort is ConflictSort.NAME:
            return Position(key.replace("\x00", ""), UUID(conflict_id), backward=bool(backward))
        moment = datetime.fromisoformat(key)
        return Position(moment, UUID(conflict_id), backward=bool(backward)) if moment.tzinfo else None
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return None
