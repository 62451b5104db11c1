"""One held conflict and the choices for it, turned into what is to be written, or into why not. Used for one and for a hundred thousand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sync_core.domain.resolution import Choices, Dispute, Outcome, Problem, refreshed, settle
from sync_core.domain.vocabulary import ConflictStatus, ReasonCode
from sync_core.errors import Refusal
from sync_core.store.conflict_holding import Held, State
from sync_core.store.conflict_journal import UNDO_DAYS, StoredDecision
from sync_core.store.conflict_writes import Reopening, Settlement
from sync_core.store.conflicts import StoredConflict

MOVED = "changed_meanwhile"
SETTLED = "already_resolved"


def moved(held: Held) -> Dispute | None:
    """The dispute as it stands now when the record is no longer what the conflict shows; None when it is."""
    conflict, record = held.conflict, held.record
    dispute = conflict.dispute
    if record.row_version == conflict.record_version:
        return None
    deleted_then = dispute.reason is ReasonCode.DELETED_HERE
    if (record.local, record.base, record.deleted) == (conflict.local, conflict.base, deleted_then):
        return None
    return refreshed(dispute, record.local, record.base, deleted=record.deleted)


def settled_already(conflict: StoredConflict) -> str:
    who = {"sync": "A sync", None: "Somebody"}.get(conflict.resolved_by, conflict.resolved_by)
    return f"{who} has settled this already."


def settlement(held: Held, choices: Choices, revision: int | None) -> Settlement | Refusal:
    """`revision` is that of the conflict as the person saw it; None takes it as it is."""
    conflict = held.conflict
    if conflict.status != ConflictStatus.OPEN:
        return Refusal(SETTLED, settled_already(conflict), status=409)
    if revision is not None and conflict.revision != revision:
        return Refusal(MOVED, "This conflict has changed since you looked at it.", status=409)
    if moved(held) is not None:
        return Refusal(MOVED, "The record was changed meanwhile: look at its new values.", status=409)
    outcome = settle(conflict.dispute, choices, deleted=held.record.deleted)
    if isinstance(outcome, Problem):
        return Refusal("choice_needed", outcome.message, field=outcome.key)
    unlinkable = _unlinkable(held, outcome)
    return unlinkable or _settlement(held, choices, outcome)


def _unlinkable(held: Held, outcome: Outcome) -> Refusal | None:
    if held.conflict.dispute.reason is not ReasonCode.EMAIL_MATCH:
        return None
    if held.account is None:
        return Refusal("no_account", "The Stripe account of this conflict is no longer known.", status=409)
    if outcome.link and held.claimed:
        return Refusal("linked_elsewhere", "Another record is linked to this Stripe customer by now.", status=409)
    if outcome.link and held.record.external_id is not None:
        return Refusal("linked_elsewhere", "This record is linked to another Stripe customer by now.", status=409)
    return None


def _settlement(held: Held, choices: Choices, outcome: Outcome) -> Settlement:
    local = held.record.local
    after = replace(
        State.of(held),
        values=outcome.values,
        base=outcome.base,
        status=outcome.status,
        deleted=outcome.deleted,
        # What pointed to one of Stripe's and is to point to none; one of our own is nobody's to take away.
        parents={name: None for name in held.parents if outcome.values.get(name) is None and local.get(name)},
    )
    if outcome.link:
        after = replace(
            after, external_id=held.conflict.external_id, account=held.account, livemode=bool(held.livemode)
        )
    # Where a record for Stripe's object is there by now, there is none to be made.
    separate = None if held.claimed else outcome.separate
    return Settlement(held, {name: replace(one, by="").to_json() for name, one in choices.items()}, after, separate)


def reopening(held: Held, decision: StoredDecision, *, in_use: bool) -> Reopening | str:
    """A decision as it can be taken back from the record's present state, or why it can't, as a sentence."""
    if decision.expired:
        return f"It is older than {UNDO_DAYS} days."
    if held.conflict.status != ConflictStatus.RESOLVED:
        return "The conflict is open again."
    if held.newer:
        return "The record has a newer conflict: settle that one."
    after, now = State.from_json(decision.after), State.of(held)
    if (now.base, now.deleted, now.external_id) != (after.base, after.deleted, after.external_id):
        return "The record was synced, deleted or linked since."
    if in_use:
        return "The record made for Stripe's customer is in use."
    created = decision.after.get("created")
    before, shown = State.from_json(decision.before), None
    touched = [name for name, value in now.values.items() if after.values.get(name) != value]
    decided = {name: ours for name, ours in before.parents.items() if after.values.get(name) and name not in touched}
    before = replace(before, parents=decided)
    if touched:
        before = replace(before, values={**before.values, **{name: now.values[name] for name in touched}})
        shown = _asked_again(held.conflict.dispute, before, after, touched)
    return Reopening(held, decision.id, before, UUID(created) if created else None, shown)


def _asked_again(was: Dispute, before: State, after: State, touched: Sequence[str]) -> Dispute:
    """The conflict for a record that somebody changed after the decision: their values stay, and are asked about beside what was
    decided. Only what nobody touched is as before.
    """
    moved = replace(was, local=before.values)
    fields = tuple(name for name in moved.differing if name in was.fields or name in touched)
    if was.asks_record:
        return replace(moved, fields=fields)
    return replace(moved, fields=fields, base=after.values, reason=ReasonCode.BOTH_CHANGED)
