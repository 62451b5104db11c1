"""Stripe's ids, as pure functions of an index that lead back to it, so that no table of ids is kept.

Stripe's own begin with when they were made, which is why a list by time is nearly a list by id: the long ones
(``price_``, ``sub_``, ``in_``) with the second, in six digits of base 62, the short ones (``cus_``, ``prod_``, ``si_``)
with the minute, in four. No page of Stripe's says so; every object that was recorded shows it, and a test asks them.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from math import gcd
from random import Random

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
LONG, SHORT = 24, 14
_DIGIT = {letter: value for value, letter in enumerate(ALPHABET)}
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_PAIR = len(_PAIRS)
_MODULUS = _PAIR**4
_CODED = 8
# Where Stripe's seconds and minutes begin, in epoch seconds.
_SECONDS_FROM = 426_256_548
_MINUTES_FROM = 1_342_389_385


def token(rng: Random, length: int) -> str:
    return "".join(rng.choices(ALPHABET, k=length))


def stamp(created: int, length: int) -> str:
    """What an id of ``length`` begins with when its object was made at ``created`` (epoch seconds)."""
    if length == SHORT:
        high, low = divmod((created - _MINUTES_FROM) // 60, _PAIR)
        return _PAIRS[high % _PAIR] + _PAIRS[low]
    rest, low = divmod(created - _SECONDS_FROM, _PAIR)
    high, middle = divmod(rest, _PAIR)
    return _PAIRS[high % _PAIR] + _PAIRS[middle] + _PAIRS[low]


def drawn(rng: Random, created: int, length: int) -> str:
    begin = stamp(created, length)
    return begin + token(rng, length - len(begin))


class IdCoder:
    """Ids of one kind of one account: the time, letters of the account, then the index scrambled by an invertible map."""

    def __init__(self, prefix: str, seed: str, created: Callable[[int], int], *, length: int = SHORT) -> None:
        rng = Random(f"{seed}/{prefix}/{length}")
        self._prefix = f"{prefix}_"
        self._created = created
        self._length = length
        self._account = token(rng, length - len(stamp(0, length)) - _CODED)
        self._factor = self._invertible(rng)
        self._inverse = pow(self._factor, -1, _MODULUS)
        self._shift = rng.randrange(_MODULUS)

    @staticmethod
    def _invertible(rng: Random) -> int:
        while gcd(factor := rng.randrange(_MODULUS // 3, _MODULUS), _MODULUS) != 1:
            pass
        return factor

    def encode(self, index: int) -> str:
        high, low = divmod((index * self._factor + self._shift) % _MODULUS, _PAIR * _PAIR)
        coded = _PAIRS[high // _PAIR] + _PAIRS[high % _PAIR] + _PAIRS[low // _PAIR] + _PAIRS[low % _PAIR]
        return f"{self._prefix}{stamp(self._created(index), self._length)}{self._account}{coded}"

    def decode(self, text: str, size: int) -> int | None:
        """The index of ``text``, when it is below ``size``."""
        if len(text) != len(self._prefix) + self._length:
            return None
        x = 0
        for letter in text[-_CODED:]:
            if letter not in _DIGIT:
                return None
            x = x * len(ALPHABET) + _DIGIT[letter]
        index = ((x - self._shift) * self._inverse) % _MODULUS
        return index if index < size and self.encode(index) == text else None
