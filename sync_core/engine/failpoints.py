"""Named places where a test can end this process as a power cut would.

`CYPHERA_FAILPOINT=name:count` kills it with SIGKILL at the count-th passing of `name`. Unset, a passing costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_WANTED = os.environ.get("CYPHERA_FAILPOINT", "")
_NAME, _, _COUNT = _WANTED.partition(":")
_passed: Counter[str] = Counter()

NAMES = (
    "preflight.before_range",
    "fetch.page_read",
    "land.before_commit",
    "land.after_commit",
    "related.before_landing",
    "plan.before_write",
    "plan.before_commit",
    "plan.after_commit",
    "verify.before",
    "proof.before_landing",
    "verify.checked",
    "finish.before",
    "finish.before_commit",
)
# Passed only by a run that is taken up again for its errors.
RETRY_NAMES = ("retry.fetched",)


def hit(name: str) -> None:
    """Pass a failpoint; with the environment's leave, do not come back."""
    if name != _NAME:
        return
    _passed[name] += 1
    if _passed[name] == int(_COUNT or 1):
        os.kill(os.getpid(), signal.SIGKILL)
