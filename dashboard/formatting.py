"""Numbers in words, as the screen writes them."""

from __future__ import annotations


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 record`, `1,204 records`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Bytes in the unit that suits them: `1.2 GB`."""
    shown, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while shown >= 999.5 and len(units) > 1:
        shown, units = shown / 1_000, units[1:]
    return f"{shown:.1f} {units[0]}" if shown < 9.95 and units[0] != "bytes" else f"{shown:.0f} {units[0]}"
