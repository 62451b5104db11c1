"""How a run that has ended goes on: what is offered, and the sentence beside it. Both come from here, so that neither promises what the other lacks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync_core.domain.vocabulary import SessionStatus


class Way(StrEnum):
    """A resume does all that is left, and tries again what failed; the others are for a run that came to its end, of what it read."""

    RESUME = "resume"
    RETRY = "retry"
    FETCH = "fetch"
    REPAIR = "repair"
    VERIFY = "verify"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Way.RESUME: "Resume",
    Way.RETRY: "Retry all",
    Way.FETCH: "Fetch what is missing",
    Way.REPAIR: "Repair what differs",
    Way.VERIFY: "Verify again",
}
_SAID = {
    Way.RETRY: "What failed is listed below, with what to do: “Retry all” fetches it anew.",
    Way.FETCH: "Some of what it read is not stored: “Fetch what is missing” asks Stripe for it.",
    Way.REPAIR: "Some is stored otherwise than planned: “Repair what differs” fetches it anew, and the strategy decides.",
}
_STOPPED = (SessionStatus.FAILED, SessionStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Ending:
    """`failed` of its objects did; `unread` is a part of its range, `missing` and `differing` what its verification found."""

    status: SessionStatus
    dry_run: bool = False
    failed: bool = False
    unread: bool = False
    missing: bool = False
    differing: bool = False

    @property
    def ways(self) -> tuple[Way, ...]:
        if self.status.is_open:
            return ()
        if self.status is SessionStatus.COMPLETED:
            return () if self.dry_run else (Way.VERIFY,)
        if self.status in _STOPPED or self.unread:
            return (Way.RESUME,)
        retry = (Way.RETRY,) if self.failed else ()
        if self.dry_run:
            return retry or (Way.RESUME,)
        return (*retry, Way.FETCH if self.missing else Way.REPAIR if self.differing else Way.VERIFY)

    def words(self, *, may_run: bool) -> str:
        """Empty of one that is complete, or goes on."""
        if self.status.is_open or self.status is SessionStatus.COMPLETED:
            return ""
        said = self._lack
        if not may_run:
            return f"{said} Who may run syncs can go on with it.".strip()
        if Way.RESUME in self.ways:
            return f"{said} {self._resuming}".strip()
        return " ".join([said, *(_SAID[one] for one in self.ways if one in _SAID)]).strip()

    @property
    def _lack(self) -> str:
        if self.status in _STOPPED:
            return ""
        if self.unread:
            return "A part of its date range was not read."
        if self.dry_run and not self.failed:
            return "Its plan lacks some of what it read."
        return "" if self.missing or self.differing else "Everything else is done."

    @property
    def _resuming(self) -> str:
        where = "goes on where it stopped" if self.status in _STOPPED else "does what is left"
        return f"“Resume” {where}{', and tries again what failed' if self.failed else ''}."
