"""Who a comment calls: `@ana@example.com`, or `@ana` where only one member's address begins so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"(?<![^\s(])@(\S+)")
_AFTER = ".,;:!?)]}'\"…"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `member` is the address of whom it calls, and empty where it calls nobody."""

    text: str
    member: str = ""


def pieces(text: str, members: Sequence[str]) -> list[Piece]:
    """The text in its order, with the calls apart. What names no member is text like any other."""
    known = _names(members)
    found, end = list[Piece](), 0
    for match in _WORD.finditer(text):
        name = match[1].rstrip(_AFTER)
        member = known.get(name.casefold())
        if member is None:
            continue
        found += [Piece(text[end : match.start()]), Piece(f"@{name}", member)]
        end = match.start() + 1 + len(name)
    return [one for one in [*found, Piece(text[end:])] if one.text]


def mentioned(text: str, members: Sequence[str]) -> tuple[str, ...]:
    """Each once, in the text's order."""
    return tuple(dict.fromkeys(one.member for one in pieces(text, members) if one.member))


def _names(members: Sequence[str]) -> dict[str, str]:
    short = Counter(_short(one) for one in members)
    alone = {_short(one): one for one in members if short[_short(one)] == 1}
    return alone | {one.casefold(): one for one in members}


def _short(member: str) -> str:
    return member.partition("@")[0].casefold()
