"""All tables. Importing this package fills `SQLModel.metadata`, which Alembic compares with the database."""

from sync_core.models.conflicts import Conflict, ConflictDecision
from sync_core.models.connections import Connection, WebhookEvent
from sync_core.models.coordination import Lease, RateBucket, ReadMeter
from sync_core.models.records import (
    Currency,
    Customer,
    CustomerWallet,
    Delegation,
    Invoice,
    Price,
    Product,
    ProductToken,
    Record,
    Subscription,
    SubscriptionItem,
)
from sync_core.models.review import (
    ConflictComment,
    ConflictPreview,
    ConflictPreviewItem,
    ConflictReview,
    ConflictRule,
    ConflictViewer,
    IgnoredField,
    IgnoredRecordField,
)
from sync_core.models.running import PaceSample, Preset, Schedule
from sync_core.models.staging import PlanItem, StagedObject
from sync_core.models.sync import EntityRun, SyncEvent, SyncSession, SyncWindow
from sync_core.models.tenancy import (
    ApiKey,
    AuditEntry,
    Membership,
    SetupToken,
    SignInAttempt,
    User,
    UserSession,
    Wallet,
    Workspace,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Conflict",
    "ConflictComment",
    "ConflictDecision",
    "ConflictPreview",
    "ConflictPreviewItem",
    "ConflictReview",
    "ConflictRule",
    "ConflictViewer",
    "Connection",
    "Currency",
    "Customer",
    "CustomerWallet",
    "Delegation",
    "EntityRun",
    "IgnoredField",
    "IgnoredRecordField",
    "Invoice",
    "Lease",
    "Membership",
    "PaceSample",
    "PlanItem",
    "Preset",
    "Price",
    "Product",
    "ProductToken",
    "RateBucket",
    "ReadMeter",
    "Record",
    "Schedule",
    "SetupToken",
    "SignInAttempt",
    "StagedObject",
    "Subscription",
    "SubscriptionItem",
    "SyncEvent",
    "SyncSession",
    "SyncWindow",
    "User",
    "UserSession",
    "Wallet",
    "WebhookEvent",
    "Workspace",
]
