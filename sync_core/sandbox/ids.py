"""Stripe-like ids that are pure functions of an index and lead back to it, so that no table of ids is kept."""

from __future__ import annotations

import string
from math import gcd
from random import Random

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_DIGIT = {letter: value for value, letter in enumerate(ALPHABET)}
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_PAIR = len(_PAIRS)
_MODULUS = _PAIR**4
_CODED = 8


def token(rng: Random, length: int) -> str:
    return "".join(rng.choices(ALPHABET, k=length))


class IdCoder:
    """Ids of one kind of one account: a fixed head, then the index scrambled by an invertible map."""

    def __init__(self, prefix: str, seed: str, *, length: int = 14) -> None:
        rng = Random(f"{seed}/{prefix}/{length}")
        self.head = f"{prefix}_{token(rng, length - _CODED)}"
        self._factor = self._invertible(rng)
        self._inverse = pow(self._factor, -1, _MODULUS)
        self._shift = rng.randrange(_MODULUS)

    @staticmethod
    def _invertible(rng: Random) -> int:
        while gcd(factor := rng.randrange(_MODULUS // 3, _MODULUS), _MODULUS) != 1:
            pass
        return factor

    def encode(self, index: int) -> str:
        x = (index * self._factor + self._shift) % _MODULUS
        high, low = divmod(x, _PAIR * _PAIR)
        return f"{self.head}{_PAIRS[high // _PAIR]}{_PAIRS[high % _PAIR]}{_PAIRS[low // _PAIR]}{_PAIRS[low % _PAIR]}"

    def decode(self, text: str, size: int) -> int | None:
        """The index of ``text``, when it is below ``size``."""
        if len(text) != len(self.head) + _CODED or not text.startswith(self.head):
            return None
        x = 0
        for letter in text[-_CODED:]:
            if letter not in _DIGIT:
                return None
            x = x * len(ALPHABET) + _DIGIT[letter]
        index = ((x - self._shift) * self._inverse) % _MODULUS
        return index if index < size else None
