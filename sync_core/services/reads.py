"""What a sync takes of the reads that Stripe allows an account: 500 for each of its transactions, and a floor for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reads:
    """`run` is what one sync takes or took, `this_month` all that this software made on the account since the month began (UTC)."""

    run: int
    this_month: int
    allowance: int

    @property
    def share(self) -> float:
        """The sync's part of a month's allowance."""
        return self.run / self.allowance

    def warning(self, share: float) -> str | None:
        """A sentence when a sync to come would take more than that share, or more than is left."""
        left = self.allowance - self.this_month
        if self.share <= share and self.run <= left:
            return None
        allowed = f"the {self.allowance:,} that Stripe allows every account in a month"
        over = f" Only {max(0, left):,} are left of it." if self.run > left else ""
        return (
            f"This sync would take about {self.run:,} reads, {self.share:.0%} of {allowed}; {self.this_month:,} were made this month."
            f"{over} Narrow the date range or leave entity types out to take fewer."
        )

    def to_json(self) -> dict[str, Any]:
        return {"this_month": self.this_month, "allowance": self.allowance, "share": round(self.share, 4)}
