"""Who a comment calls."""

from __future__ import annotations

import pytest

from sync_core.domain.mentions import mentioned, pieces

MEMBERS = ["ana@example.com", "Ben@example.com", "eve@one.example", "eve@two.example"]

TEXTS = [
    pytest.param("@ana@example.com look", ["ana@example.com"], id="by address"),
    pytest.param("Is it so, @ANA@Example.com?", ["ana@example.com"], id="whatever the case, before a mark"),
    pytest.param("(@ben)\n@ana.", ["Ben@example.com", "ana@example.com"], id="by what comes before the at"),
    pytest.param("@ana and @ana@example.com", ["ana@example.com"], id="once"),
    pytest.param("@eve", [], id="two of that name"),
    pytest.param("@eve@two.example", ["eve@two.example"], id="one of them"),
    pytest.param("write to ana@example.com", [], id="an address alone"),
    pytest.param("@anabel and @ana@example.org", [], id="somebody else"),
    pytest.param("@ @@ana", [], id="no name"),
    pytest.param("", [], id="nothing"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_mentioned(text: str, expected: list[str]) -> None:
    assert list(mentioned(text, MEMBERS)) == expected
    assert "".join(one.text for one in pieces(text, MEMBERS)) == text


def test_a_call_stands_apart_from_what_follows_it() -> None:
    assert [(one.text, one.member) for one in pieces("see @ana, please", MEMBERS)] == [
        ("see ", ""),
        ("@ana", "ana@example.com"),
        (", please", ""),
    ]
