"""The words of this project as values: one word per thing, in code, in the database, in REST and on the screen."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A StrEnum whose members carry the label that the screen shows."""

    label: str

    # The default is for type checkers, who take a lookup such as Role("owner") for a call of this.
    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class EntityType(Word):
    """Values are REST's plural words; `singular` is what events and reports say of one record."""

    CUSTOMERS = "customers", "Customers"
    PRODUCTS = "products", "Products"
    PRICES = "prices", "Prices"
    SUBSCRIPTIONS = "subscriptions", "Subscriptions"
    INVOICES = "invoices", "Invoices"

    @property
    def singular(self) -> str:
        return self.value[:-1]


class Strategy(Word):
    SKIP = "skip", "Skip"
    OVERWRITE = "overwrite", "Overwrite"
    FLAG = "flag", "Flag for review"


class SessionStatus(Word):
    PENDING = "pending", "Waiting"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    PARTIAL = "partial", "Completed with errors"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"

    @property
    def is_open(self) -> bool:
        return self in (SessionStatus.PENDING, SessionStatus.RUNNING)


class SessionType(Word):
    INITIAL = "initial_sync", "Initial sync"
    PARTIAL = "partial_sync", "Partial sync"
    DELTA = "delta_sync", "Delta sync"


class TaskKind(Word):
    """What an ended run is taken up again for, when not for all that is left of it."""

    RETRY = "retry", "Retry"
    REPAIR = "repair", "Repair"


class Phase(Word):
    PREFLIGHT = "preflight", "Preflight"
    FETCH = "fetch", "Fetch"
    PLAN = "plan", "Plan"
    APPLY = "apply", "Apply"
    VERIFY = "verify", "Verify"
    DONE = "done", "Done"


class Step(Word):
    """What people see a run go through; see `domain.steps`. Some are under way together."""

    PREFLIGHT = "preflight", "Preflight"
    WINDOWS = "windows", "Discover windows"
    FETCH = "fetch", "Fetch"
    DIFF = "diff", "Diff"
    WRITE = "write", "Write"
    RECONCILE = "reconcile", "Reconcile parents"
    VERIFY = "verify", "Verify"
    DONE = "done", "Done"


class Action(Word):
    CREATE = "create", "Create"
    UPDATE = "update", "Update"
    UNCHANGED = "unchanged", "Unchanged"
    SKIP = "skip", "Skip"
    CONFLICT = "conflict", "Conflict"
    ERROR = "error", "Error"


class SyncStatus(Word):
    """`payment_sync_status` of a record."""

    PENDING = "pending", "Never synced"
    SYNCED = "synced", "In sync"
    LOCAL_EDIT = "local_edit", "Edited here"
    CONFLICT = "conflict", "Conflict"


class ReasonCode(Word):
    """Why a staged object got its action. Grouped: errors first, then why nothing was written."""

    MISSING_PARENT = "missing_parent", "A record it refers to is missing"
    UNSUPPORTED_SHAPE = "unsupported_shape", "Stripe sent a shape that is not understood"
    CURRENCY_UNKNOWN = "currency_unknown", "Unknown currency"
    VALUE_INVALID = "value_invalid", "A value does not fit"
    FETCH_FAILED = "fetch_failed", "Stripe did not return it"
    WRITE_FAILED = "write_failed", "The database refused it"
    GONE = "gone", "Gone at Stripe"
    STRATEGY_SKIP = "strategy_skip", "Exists already, and the strategy is skip"
    LOCAL_EDIT_KEPT = "local_edit_kept", "Edited here only: our values are kept"
    BOTH_CHANGED = "both_changed", "Changed here and in Stripe"
    NO_BASE = "no_base", "Differs, and was never synced before"
    EMAIL_MATCH = "email_match", "Same email as a record that is not linked"
    DELETED_HERE = "deleted_here", "Deleted here, alive in Stripe"
    DELETED_IN_STRIPE = "deleted_in_stripe", "Deleted in Stripe"
    STALE = "stale", "A newer state is stored already"
    DRIFTED = "drifted", "Our record changed since the dry run"
    NOT_FOR_SYNC = "not_for_sync", "Stripe has not issued it"

    @property
    def is_error(self) -> bool:
        return self in _REPAIRS

    @property
    def repair(self) -> str:
        """What to do about an error; empty for what is none."""
        return _REPAIRS.get(self, "")


_REPAIRS = {
    ReasonCode.MISSING_PARENT: "Stripe does not return the record it refers to. Check it in Stripe, then retry.",
    ReasonCode.UNSUPPORTED_SHAPE: "Report it with the Stripe id: the object is kept as Stripe sent it. Retry fetches it again.",
    ReasonCode.CURRENCY_UNKNOWN: "Correct the currency in Stripe, then retry; or leave the record out.",
    ReasonCode.VALUE_INVALID: "Correct the named field in Stripe, then retry to fetch it again.",
    ReasonCode.FETCH_FAILED: "Stripe did not return all of this object. Retry asks again.",
    ReasonCode.GONE: "Stripe knows it no longer; the record here stays as it is. Where nothing needs it, delete it, then retry.",
    ReasonCode.WRITE_FAILED: "The database refused the named value. Correct it in Stripe or here, then retry.",
}


class ConflictStatus(Word):
    OPEN = "open", "Open"
    RESOLVED = "resolved", "Resolved"


class Choice(Word):
    """What a person takes for a field."""

    LOCAL = "local", "Keep ours"
    STRIPE = "stripe", "Take Stripe's"
    BASE = "base", "Back to the last sync"
    CUSTOM = "custom", "Own value"


class Blend(Word):
    """How a rule may answer a field from both sides; for one record it becomes a `Choice`, or nothing where it does not fit."""

    FILLED = "filled", "Whichever side has a value"
    KEYS = "keys", "Both sides' keys, Stripe's where they clash"
    NEWER = "newer", "Whichever side changed last"


class Doubt(Word):
    """Why nobody can say which side changed a field last."""

    NO_EVENT = "no_event", "No event from Stripe says when it changed there."
    OTHER_EVENT = "other_event", "Stripe's newest event about it says another value than the sync read."
    CHANGED_SINCE = "changed_since", "Stripe says that it has changed again since the sync read it."
    NO_EDIT = "no_edit", "No edit here says when it changed here."
    OTHER_EDIT = "other_edit", "Something else has written it here since the newest edit."
    OLD_EDIT = "old_edit", "A sync has written the record since the newest edit here."
    KEPT = "kept", "Ours was kept by a decision, after Stripe's change or too near to it."
    CLOSE = "close", "Both sides changed it too near to each other."
    NO_CLOCK = "no_clock", "The sync did not note how far Stripe's clock is from ours."


class Ignoring(Word):
    """How a rule may answer a field by not having it compared any more: in every record of the kind, or in those alone that it settles."""

    FIELD = "ignore", "Ignore in every record"
    RECORD = "ignore_here", "Ignore in these records"


class Transition(Word):
    """How Stripe's value stands to ours. PostgreSQL derives them (`conflict_transition`)."""

    FILLED = "filled", "Empty here"
    EMPTIED = "emptied", "Empty in Stripe"
    CASE = "case", "Upper and lower case only"
    SPACE = "space", "Spaces only"
    CURRENCY = "currency", "Another currency"
    MORE = "more", "A larger number"
    LESS = "less", "A smaller number"
    OTHER = "other", "Another value"


class Severity(Word):
    """High is what changes what somebody pays."""

    HIGH = "high", "Money or subscription"
    NORMAL = "normal", "All else"


class Age(Word):
    """In whole days, by the calendar in UTC."""

    DAY = "day", "Today"
    WEEK = "week", "1 to 7 days"
    MONTH = "month", "8 to 30 days"
    OLDER = "older", "Over 30 days"


class Mark(Word):
    REOPENED = "reopened", "Changed since you decided"
    CHOSEN = "chosen", "Has choices to apply"


class CustomerState(Word):
    """Of the customer that a conflict's record is, or is of: as our own record of it stands now."""

    LIVE = "live", "Live"
    DELETED = "deleted", "Deleted here"
    NONE = "none", "No customer"


class Reviewed(Word):
    """By whoever asks, as the values are now."""

    ME = "me", "By me"
    NOT = "not", "Not by me"


class Facet(Word):
    """What conflicts can be narrowed by; the value is the name in an address."""

    ENTITY = "entity", "Entity type"
    SEVERITY = "severity", "Severity"
    FIELD = "field", "Field"
    REASON = "reason", "Why"
    TRANSITION = "transition", "How values differ"
    CUSTOMER = "customer", "Customer"
    MARK = "mark", "Marked"
    REVIEWED = "reviewed", "Reviewed"
    AGE = "age", "Age"
    RUN = "run", "Sync"
    ASSIGNEE = "assignee", "Assigned to"


class ConflictSort(Word):
    NEWEST = "newest", "Newest first"
    OLDEST = "oldest", "Oldest first"
    NAME = "name", "Name"


class Snooze(Word):
    """Until what a conflict is put off, where that is no date."""

    RUN = "run", "Until the next sync finds it again"
    CHANGE = "change", "Until a value changes"


class Role(Word):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    VIEWER = "viewer", "Viewer"


class WindowStatus(Word):
    OPEN = "open", "Reading"
    DONE = "done", "Read"
    SPLIT = "split", "Split"


class EventType(Word):
    SYNC_STARTED = "sync_started", "Started"
    SYNC_COMPLETED = "sync_completed", "Completed"
    SYNC_FAILED = "sync_failed", "Failed"
    SYNC_SKIPPED = "sync_skipped", "Skipped"
    SYNC_CONFLICT = "sync_conflict", "Conflict"
