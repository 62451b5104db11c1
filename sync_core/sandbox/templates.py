"""JSON text with slots: an object is written down once as a dict and afterwards only filled in."""

from __future__ import annotations

import re
from typing import Any

import orjson

_SLOT = re.compile(r'"<<(\w+)>>"')


def slot(name: str) -> str:
    """Stands for a value that ``compile_template`` leaves open; it is filled with JSON text."""
    return f"<<{name}>>"


def compile_template(value: Any) -> str:
    """A %-format with one named place per slot. ASCII, so that a page is never wider than a byte a character."""
    text = ascii_json(value).replace("%", "%%")
    return _SLOT.sub(r"%(\1)s", text)


def ascii_json(value: Any) -> str:
    text = orjson.dumps(value).decode()
    if text.isascii():
        return text
    return "".join(letter if letter.isascii() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
