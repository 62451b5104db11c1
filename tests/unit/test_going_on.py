"""What a run that has ended offers, and that its words name just that: as a table of all the ways in which one can end."""

from __future__ import annotations

import re
from itertools import product

import pytest

from sync_core.domain.going_on import Ending, Way
from sync_core.domain.vocabulary import SessionStatus

COMPLETED, PARTIAL = SessionStatus.COMPLETED, SessionStatus.PARTIAL
FAILED, CANCELLED = SessionStatus.FAILED, SessionStatus.CANCELLED
WHERE = "“Resume” goes on where it stopped"
RETRY = "What failed is listed below, with what to do: “Retry all” fetches it anew."
FETCH = "Some of what it read is not stored: “Fetch what is missing” asks Stripe for it."
REPAIR = "Some is stored otherwise than planned: “Repair what differs” fetches it anew, and the strategy decides."

ENDS = {
    "completed": (Ending(COMPLETED), [Way.VERIFY], ""),
    "a dry run, completed": (Ending(COMPLETED, dry_run=True), [], ""),
    "some failed": (Ending(PARTIAL, failed=True), [Way.RETRY, Way.VERIFY], f"Everything else is done. {RETRY}"),
    "some failed and some is missing": (
        Ending(PARTIAL, failed=True, missing=True),
        [Way.RETRY, Way.FETCH],
        f"{RETRY} {FETCH}",
    ),
    "some is missing": (Ending(PARTIAL, missing=True), [Way.FETCH], FETCH),
    "some differs": (Ending(PARTIAL, differing=True), [Way.REPAIR], REPAIR),
    "a part was not read": (
        Ending(PARTIAL, unread=True, missing=True),
        [Way.RESUME],
        "A part of its date range was not read. “Resume” does what is left.",
    ),
    "a part was not read, and some failed": (
        Ending(PARTIAL, unread=True, failed=True),
        [Way.RESUME],
        "A part of its date range was not read. “Resume” does what is left, and tries again what failed.",
    ),
    "a dry run in which some failed": (
        Ending(PARTIAL, dry_run=True, failed=True),
        [Way.RETRY],
        f"Everything else is done. {RETRY}",
    ),
    "a dry run whose plan lacks some": (
        Ending(PARTIAL, dry_run=True, missing=True),
        [Way.RESUME],
        "Its plan lacks some of what it read. “Resume” does what is left.",
    ),
    "it failed before its lists were read": (Ending(FAILED, unread=True), [Way.RESUME], f"{WHERE}."),
    "it failed after its lists were read": (Ending(FAILED), [Way.RESUME], f"{WHERE}."),
    "it failed after them, with errors": (
        Ending(FAILED, failed=True),
        [Way.RESUME],
        f"{WHERE}, and tries again what failed.",
    ),
    "cancelled": (Ending(CANCELLED, unread=True), [Way.RESUME], f"{WHERE}."),
    "cancelled after its lists were read, with errors": (
        Ending(CANCELLED, failed=True),
        [Way.RESUME],
        f"{WHERE}, and tries again what failed.",
    ),
    "a dry run, cancelled": (Ending(CANCELLED, dry_run=True), [Way.RESUME], f"{WHERE}."),
    "its worker is lost, and another takes over": (Ending(SessionStatus.RUNNING, failed=True), [], ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_offered_and_said(name: str) -> None:
    ending, ways, words = ENDS[name]
    assert list(ending.ways) == ways
    assert ending.words(may_run=True) == words


def test_words_and_buttons_name_the_same_however_it_ended() -> None:
    for status, facts in product(SessionStatus, product((False, True), repeat=5)):
        ending = Ending(status, *facts)
        named = re.findall(r"“(.+?)”", ending.words(may_run=True))
        assert named == [one.label for one in ending.ways if one is not Way.VERIFY], ending
        assert "“" not in ending.words(may_run=False), ending
        assert bool(ending.words(may_run=False)) is bool(ending.words(may_run=True))
