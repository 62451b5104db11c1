"""Which syncs are warned of for what they would read."""

from __future__ import annotations

import pytest

from sync_core.services.reads import Reads

CASES: dict[str, tuple[Reads, float, str | None]] = {
    "little": (Reads(100, 0, 10_000), 0.5, None),
    "just the share": (Reads(5_000, 0, 10_000), 0.5, None),
    "more than the share": (Reads(5_001, 0, 10_000), 0.5, "5,001 reads, 50% of the 10,000"),
    "a larger allowance": (Reads(5_001, 0, 100_000), 0.5, None),
    "little, but more than is left": (Reads(100, 9_950, 10_000), 0.5, "Only 50 are left"),
    "nothing is left": (Reads(1, 12_000, 10_000), 0.5, "Only 0 are left"),
    "more than a whole month": (Reads(25_000, 0, 10_000), 0.5, "250% of the 10,000"),
}


@pytest.mark.parametrize(("reads", "share", "said"), CASES.values(), ids=CASES.keys())
def test_a_costly_sync_is_warned_of(reads: Reads, share: float, said: str | None) -> None:
    warning = reads.warning(share)
    assert (warning is None) == (said is None)
    assert said is None or said in str(warning)
