"""Errors grouped by what the caller must do about them. Expected refusals are values (`Refusal`), not exceptions.

CypheraError
├── ConfigError      the operator must change a setting; starting again does not help
├── TransientError   wait and try again; nothing was lost
│   └── LeaseLost    someone else drives this run now; stop at once and write nothing
└── FatalRunError    this run cannot go on; `reason` is for the person who started it
"""

from __future__ import annotations

from dataclasses import dataclass


class CypheraError(Exception):
    """Base of everything raised on purpose."""


class ConfigError(CypheraError):
    """A setting is wrong."""


class TransientError(CypheraError):
    """The outside world did not answer as it will later."""


class LeaseLost(TransientError):  # noqa: N818 - it is what happened, not a mistake
    """The fence has moved on: another worker owns the run."""


class FatalRunError(CypheraError):
    """The run ends as failed, with this reason in words for the person who started it."""

    def __init__(self, reason: str, code: str = "run_failed") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Refusal:
    """An expected no. `field` names the form field or JSON key that it belongs beside; `status` is REST's answer."""

    code: str
    message: str
    field: str | None = None
    status: int = 422
