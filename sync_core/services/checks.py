"""What is asked of a Stripe key before it is kept: nine checks, each with its own result and its own way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import httpx

from sync_core.domain.vocabulary import EntityType
from sync_core.errors import Refusal
from sync_core.services.check_results import OF_KEY, Check, CheckName, CheckStatus, Part
from sync_core.stripe_source import (
    SDK_VERSION,
    STRIPE_VERSION,
    Account,
    AuthRefused,
    Governor,
    KeyInfo,
    LocalSlots,
    Probe,
    RequestRefused,
    StripeSource,
    StripeUnavailable,
    check_key_format,
)

_PATIENCE_SECONDS: Final = 8.0
_CLOCK_TOLERANCE_SECONDS: Final = 60


_BY_ACCOUNT: Final = (CheckName.REACHABLE, CheckName.ACCEPTED, CheckName.ACCOUNT)
_BY_PROBES: Final = (CheckName.PERMISSIONS, CheckName.VERSION, CheckName.CLOCK)


@dataclass(frozen=True, slots=True)
class Bound:
    """The account that the workspace is connected to already: another one is refused."""

    account_id: str
    account_name: str | None
    livemode: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """`requests` were made to Stripe, and count as reads."""

    checks: tuple[Check, ...]
    key: KeyInfo | None
    account: Account | None
    requests: int

    @property
    def refusal(self) -> Refusal | None:
        """The first check that failed, as the answer to who brought the key."""
        for check in self.checks:
            if check.failed:
                status = _STATUS.get(check.code, 422)
                return Refusal(check.code, f"{check.message} {check.hint}".strip(), field="api_key", status=status)
        return None


_STATUS: Final = {"account_differs": 409, "mode_differs": 409, "stripe_unreachable": 502}

Report = Callable[[Check], None]


async def examine(
    api_key: str,
    *,
    base_url: str,
    http: httpx.AsyncClient,
    bound: Bound | None = None,
    report: Report | None = None,
    only: CheckName | None = None,
    wanted: Sequence[EntityType] = tuple(EntityType),
    by: str = "",
) -> Examined:
    """Run all checks of the key, reporting each as it ends. Those that an earlier failure makes pointless are skipped.

    `wanted` are the entity types that it is to read, `by` is who asks. With `only`, that one by itself: no more is asked of Stripe than it
    takes.
    """
    tell = report or (lambda _: None)
    if only is None:
        return await _Examination(api_key, base_url, http, bound, tell, tuple(wanted), by).run()
    # What others find on the way is not told.
    alone = _Examination(api_key, base_url, http, bound, lambda _: None, tuple(wanted), by)
    examined = await alone.run_only(only)
    for check in examined.checks:
        tell(check)
    return examined


class _Examination:
    def __init__(
        self,
        api_key: str,
        base_url: str,
        http: httpx.AsyncClient,
        bound: Bound | None,
        report: Report,
        wanted: tuple[EntityType, ...],
        by: str,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._http = http
        self._bound = bound
        self._report = report
        self._wanted = wanted
        self._by = by
        self._checks: list[Check] = []
        self._requests = 0
        self._account: Account | None = None

    async def run(self) -> Examined:
        key = check_key_format(self._api_key)
        if isinstance(key, Refusal):
            self._done(Check(CheckName.KEY_FORMAT, CheckStatus.FAILED, key.message, code=key.code))
            return self._ended(None)
        self._done(_format_passed(key))
        source = self._source(key)
        if await self._asks_account(source):
            self._compare(key)
            await self._probe(source)
            self._done(_scope(key))
        return self._ended(key)

    async def run_only(self, only: CheckName) -> Examined:
        """What others find on the way is left out, unless it is what stands in the way."""
        key = check_key_format(self._api_key)
        if isinstance(key, Refusal):
            self._done(Check(only, CheckStatus.FAILED, key.message, code=key.code))
            return Examined(tuple(self._checks), None, None, 0)
        if only in _BY_ACCOUNT:
            if await self._asks_account(self._source(key)):
                self._compare(key)
        elif only in _BY_PROBES:
            await self._probe(self._source(key), whole=only is CheckName.PERMISSIONS)
        else:
            for check in (_format_passed(key), _mode_check(key, self._bound), _scope(key)):
                self._done(check)
        found = tuple(check for check in self._checks if check.name is only)
        in_the_way = next((check for check in self._checks if check.failed), None)
        if not found and in_the_way is not None:
            found = (replace(in_the_way, name=only),)
        return Examined(found, key, self._account, self._requests)

    def _source(self, key: KeyInfo) -> StripeSource:
        governor = Governor(LocalSlots(), account="examined", mode=key.mode, cap_share=1.0)
        return StripeSource(
            api_key=self._api_key,
            base_url=self._base_url,
            http=self._http,
            governor=governor,
            patience=_PATIENCE_SECONDS,
        )

    def _done(self, check: Check) -> None:
        check = replace(check, checked_at=int(time.time()), checked_by=self._by)
        self._checks.append(check)
        self._report(check)

    def _ended(self, key: KeyInfo | None) -> Examined:
        reached = {check.name for check in self._checks}
        for name in OF_KEY:
            if name not in reached:
                self._done(Check(name, CheckStatus.SKIPPED, "Not checked: an earlier check failed."))
        return Examined(tuple(self._checks), key, self._account, self._requests)

    async def _asks_account(self, source: StripeSource) -> bool:
        """One request tells three things: is Stripe there, does it accept the key, and whose is it?"""
        began = time.monotonic()
        self._requests += 1
        try:
            self._account = await source.account()
        except StripeUnavailable as away:
            self._done(_unreachable(away))
            return False
        except (AuthRefused, RequestRefused) as refused:
            self._done(replace(_reached(began), request_id=refused.request_id))
            self._done(_not_accepted(refused))
            return False
        request_id = None if self._account is None else self._account.request_id
        self._done(replace(_reached(began), request_id=request_id))
        self._done(Check(CheckName.ACCEPTED, CheckStatus.PASSED, "The key is valid.", request_id=request_id))
        return True

    def _compare(self, key: KeyInfo) -> None:
        self._done(_account_check(self._account, self._bound))
        self._done(_mode_check(key, self._bound))

    async def _probe(self, source: StripeSource, *, whole: bool = True) -> None:
        began = time.monotonic()
        try:
            probes = await (self._every(source) if whole else self._first(source))
        except (StripeUnavailable, AuthRefused, RequestRefused) as broken:
            message = f"Stripe stopped answering: {broken.message}"
            self._done(Check(CheckName.PERMISSIONS, CheckStatus.FAILED, message, "Try again.", "stripe_unreachable"))
            return
        self._done(_permissions(probes, int((time.monotonic() - began) * 1000)))
        self._done(_version(probes))
        self._done(_clock(probes))

    async def _every(self, source: StripeSource) -> list[Probe]:
        self._requests += len(self._wanted)
        return await asyncio.gather(*(source.probe(entity) for entity in self._wanted))

    async def _first(self, source: StripeSource) -> list[Probe]:
        """Up to the first that the key may read: it tells Stripe's version and time."""
        probes: list[Probe] = []
        for entity in self._wanted:
            self._requests += 1
            probes.append(await source.probe(entity))
            if probes[-1].ok:
                break
        return probes


def _format_passed(key: KeyInfo) -> Check:
    kind = "Restricted" if key.kind == "restricted" else "Secret"
    return Check(CheckName.KEY_FORMAT, CheckStatus.PASSED, f"{kind} key for {key.mode} mode, ending in {key.last4}.")


def _unreachable(away: StripeUnavailable) -> Check:
    return Check(
        CheckName.REACHABLE,
        CheckStatus.FAILED,
        f"{away.message.rstrip('.')}.",
        "Check this server's way to Stripe's API and try again.",
        "stripe_unreachable",
    )


def _reached(began: float) -> Check:
    took = int((time.monotonic() - began) * 1000)
    return Check(CheckName.REACHABLE, CheckStatus.PASSED, f"Answered in {took} ms.", took_ms=took)


def _not_accepted(refused: AuthRefused | RequestRefused) -> Check:
    expired = "expired" in refused.message.lower() or refused.code == "api_key_expired"
    return Check(
        CheckName.ACCEPTED,
        CheckStatus.FAILED,
        "This key has expired." if expired else "Stripe does not accept this key: it is wrong, or it was revoked.",
        "Copy a current key from Stripe's dashboard under Developers, API keys.",
        "key_expired" if expired else "key_not_accepted",
        request_id=refused.request_id,
    )


def _account_check(account: Account | None, bound: Bound | None) -> Check:
    if account is None:
        return Check(
            CheckName.ACCOUNT,
            CheckStatus.FAILED,
            "Stripe does not say which account this key belongs to.",
            "Grant the restricted key read access to the account (rak_accounts_kyc_basic_read).",
            "account_unknown",
        )
    if bound is not None and bound.account_id != account.id:
        return Check(
            CheckName.ACCOUNT,
            CheckStatus.FAILED,
            f"This key belongs to {_named(account.id, account.display_name)}, but this workspace is connected to"
            f" {_named(bound.account_id, bound.account_name)}.",
            "Use a key of that account, or disconnect it first.",
            "account_differs",
        )
    return Check(
        CheckName.ACCOUNT,
        CheckStatus.PASSED,
        f"{_named(account.id, account.display_name)}.",
        request_id=account.request_id,
    )


def _named(account_id: str, name: str | None) -> str:
    return f"{name} ({account_id})" if name else account_id


def _mode_check(key: KeyInfo, bound: Bound | None) -> Check:
    if bound is not None and bound.livemode != (key.mode == "live"):
        connected = "live" if bound.livemode else "test"
        return Check(
            CheckName.MODE,
            CheckStatus.FAILED,
            f"This is a {key.mode} key, but this workspace is connected in {connected} mode.",
            f"Use a {connected} key, or disconnect first.",
            "mode_differs",
        )
    message = "Live mode: real customers and money." if key.mode == "live" else "Test mode: no real money."
    return Check(CheckName.MODE, CheckStatus.PASSED, message)


def _permissions(probes: list[Probe], took_ms: int) -> Check:
    parts = tuple(Part(probe.entity, probe.ok, probe.missing_permission, probe.request_id) for probe in probes)
    lacking = [probe for probe in probes if not probe.ok]
    if not lacking:
        message = f"May read {_listed([probe.entity.label.lower() for probe in probes])}."
        return Check(CheckName.PERMISSIONS, CheckStatus.PASSED, message, parts=parts, took_ms=took_ms)
    words = ", ".join(probe.entity.label.lower() for probe in lacking)
    needed = ", ".join(dict.fromkeys(probe.missing_permission or f"read {probe.entity.value}" for probe in lacking))
    return Check(
        CheckName.PERMISSIONS,
        CheckStatus.FAILED,
        f"The key may not read {words}: it lacks {needed}.",
        "Edit the key in Stripe's dashboard, set these to Read, and try again; or leave them out of what it is to read.",
        "permission_missing",
        parts=parts,
        request_id=lacking[0].request_id,
        took_ms=took_ms,
    )


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _version(probes: list[Probe]) -> Check:
    """Every request asks for the version that the mapping was written for; what comes back is what the account gives."""
    answered = {probe.api_version for probe in probes if probe.api_version is not None}
    if not answered:
        return Check(CheckName.VERSION, CheckStatus.SKIPPED, "Stripe did not say which version it answers in.")
    if answered == {STRIPE_VERSION}:
        own = "the SDK's own" if SDK_VERSION == STRIPE_VERSION else f"not the SDK's own, {SDK_VERSION}"
        message = f"Stripe answers in {STRIPE_VERSION}, as asked: {own}."
        return Check(CheckName.VERSION, CheckStatus.PASSED, message, request_id=_answered(probes))
    return Check(
        CheckName.VERSION,
        CheckStatus.WARNING,
        f"Asked for {STRIPE_VERSION}, Stripe answers in {', '.join(sorted(answered))}.",
        "Objects of every version since 2017 can be read; what is newer than this software is listed as an error, not lost.",
        request_id=_answered(probes),
    )


def _answered(probes: list[Probe]) -> str | None:
    return next((probe.request_id for probe in probes if probe.ok), None)


def _clock(probes: list[Probe]) -> Check:
    dates = [probe.server_date for probe in probes if probe.server_date is not None]
    if not dates:
        return Check(CheckName.CLOCK, CheckStatus.SKIPPED, "Stripe sent no time.")
    apart = round(time.time() - max(dates))
    if abs(apart) <= _CLOCK_TOLERANCE_SECONDS:
        return Check(
            CheckName.CLOCK,
            CheckStatus.PASSED,
            "This server's clock agrees with Stripe's.",
            request_id=_answered(probes),
        )
    side = "ahead of" if apart > 0 else "behind"
    return Check(
        CheckName.CLOCK,
        CheckStatus.WARNING,
        f"This server's clock is {abs(apart)} s {side} Stripe's.",
        "Syncs go by Stripe's clock, so nothing is lost, but webhook signatures need ours right. Check NTP.",
        request_id=_answered(probes),
    )


def _scope(key: KeyInfo) -> Check:
    if key.kind == "restricted":
        return Check(CheckName.SCOPE, CheckStatus.PASSED, "A restricted key.")
    return Check(
        CheckName.SCOPE,
        CheckStatus.WARNING,
        "A secret key can also write to the account; Cyphera Sync only reads.",
        "A restricted key (rk_…) with read permissions is enough, and safer.",
    )
