"""Stripe's rate limits, and the count of what was asked."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from enum import StrEnum

PER_ENDPOINT = 25


class Limits(StrEnum):
    OFF = "off"
    LIVE = "live"
    TEST = "test"

    @property
    def per_second(self) -> int:
        """Requests a second for the whole account; 0 for no limit."""
        return {Limits.OFF: 0, Limits.LIVE: 100, Limits.TEST: 25}[self]


@dataclass(slots=True)
class _Bucket:
    rate: int
    tokens: float
    at: float

    def has(self, now: float) -> bool:
        self.tokens = min(float(self.rate), self.tokens + (now - self.at) * self.rate)
        self.at = now
        return self.tokens >= 1


class RateLimiter:
    """Token buckets an account: one for all requests, one for each endpoint."""

    def __init__(self, limits: Limits = Limits.OFF) -> None:
        self.limits = limits
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def refusal(self, account: str, endpoint: str, now: float) -> str | None:
        """The reason for a 429, else ``None``. A refused request takes no token."""
        if not self.limits.per_second:
            return None
        everything = self._bucket(account, "", self.limits.per_second, now)
        mine = self._bucket(account, endpoint, PER_ENDPOINT, now)
        if not everything.has(now):
            return "global-rate"
        if not mine.has(now):
            return "endpoint-rate"
        everything.tokens -= 1
        mine.tokens -= 1
        return None

    def _bucket(self, account: str, endpoint: str, rate: int, now: float) -> _Bucket:
        key = account, endpoint
        if key not in self._buckets:
            self._buckets[key] = _Bucket(rate, float(rate), now)
        return self._buckets[key]


class _Peak:
    """The most requests that fell into any one second."""

    def __init__(self) -> None:
        self.most = 0
        self._times: deque[float] = deque()

    def note(self, now: float) -> None:
        times = self._times
        times.append(now)
        while times[0] <= now - 1:
            times.popleft()
        self.most = max(self.most, len(times))


class Statistics:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.objects = 0
        self.bytes = 0
        self._peak = _Peak()
        self._peaks: defaultdict[str, _Peak] = defaultdict(_Peak)

    def note(self, endpoint: str, now: float) -> None:
        self.requests[endpoint] += 1
        self._peak.note(now)
        self._peaks[endpoint].note(now)

    def report(self) -> dict[str, object]:
        return {
            "requests": sum(self.requests.values()),
            "requests_by_endpoint": dict(self.requests),
            "statuses": dict(self.statuses),
            "rate_limited": dict(self.refused),
            "faults": dict(self.faults),
            "max_in_one_second": self._peak.most,
            "max_in_one_second_by_endpoint": {name: peak.most for name, peak in self._peaks.items()},
            "objects": self.objects,
            "bytes": self.bytes,
        }
