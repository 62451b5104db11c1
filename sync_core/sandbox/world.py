"""What one sandbox process holds: accounts, clock, limits, faults, scripts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import Json
from sync_core.sandbox.faults import Faults
from sync_core.sandbox.limits import Limits, RateLimiter, Statistics


@dataclass(slots=True)
class Script:
    """Mutations that happen right after the ``after``-th request to ``endpoint`` was answered, once."""

    endpoint: str
    after: int
    mutations: list[Json]
    account: str = ""
    done: bool = False


@dataclass(slots=True)
class Latency:
    """Milliseconds before an answer: a fixed part and an even spread on top."""

    fixed_ms: float = 0.0
    jitter_ms: float = 0.0
    rng: Random = field(default_factory=lambda: Random(0))

    def seconds(self) -> float:
        if not self.fixed_ms and not self.jitter_ms:
            return 0.0
        return (self.fixed_ms + self.rng.random() * self.jitter_ms) / 1000


class World:
    """``accounts`` makes the account behind a key's suffix; it is asked once for each."""

    def __init__(
        self,
        accounts: Callable[[str], Account],
        *,
        limits: Limits = Limits.OFF,
        latency: Latency | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._make = accounts
        self._accounts: dict[str, Account] = {}
        self._clock = clock
        self.skew_seconds = 0.0
        self.latency = latency or Latency()
        self.limiter = RateLimiter(limits)
        self.statistics = Statistics()
        self.faults = Faults()
        self.scripts: list[Script] = []
        self.script_errors: list[str] = []
        self._answered: Counter[tuple[str, str]] = Counter()
        self.serial = 0

    def account(self, name: str = "") -> Account:
        if name not in self._accounts:
            self._accounts[name] = self._make(name)
        return self._accounts[name]

    def now(self) -> int:
        """The sandbox's clock, which may be set wrong on purpose."""
        return int(self._clock() + self.skew_seconds)

    def set_scripts(self, scripts: list[Script]) -> None:
        """Replaces all scripts; requests are counted from here."""
        self.scripts = scripts
        self._answered.clear()

    def answered(self, account: str, endpoint: str) -> None:
        """Plays the scripts that waited for this answer."""
        if not self.scripts:
            return
        self._answered[account, endpoint] += 1
        for script in self.scripts:
            mine = (script.account, script.endpoint) == (account, endpoint)
            if mine and not script.done and self._answered[account, endpoint] >= script.after:
                script.done = True
                self._play(script)

    def _play(self, script: Script) -> None:
        """What fails is kept for the statistics: the request that set it off has its answer already."""
        for mutation in script.mutations:
            try:
                self.account(script.account).mutate(mutation, now=self.now())
            except (KeyError, TypeError, ValueError) as error:
                self.script_errors.append(f"{type(error).__name__}: {error}")
