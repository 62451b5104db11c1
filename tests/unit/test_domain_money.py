from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.domain.money import EXPONENTS, format_money, known_currency, normalise_decimal, parse_money

STRIPE_ZERO = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
STRIPE_THREE = "BHD JOD KWD OMR TND"
SPECIAL = "ISK UGX HUF TWD"


@pytest.mark.parametrize(("codes", "exponent"), [(STRIPE_ZERO, 0), (STRIPE_THREE, 3), (SPECIAL, 2), ("USD EUR GBP", 2)])
def test_exponents_are_stripes(codes: str, exponent: int) -> None:
    assert {EXPONENTS[code] for code in codes.split()} == {exponent}


FORMATS = {
    "dollars": (123450, "USD", "$1,234.50"),
    "lower case": (5, "usd", "$0.05"),
    "yen": (1000, "JPY", "¥1,000"),
    "dinars": (1234, "KWD", "KWD 1.234"),
    "negative": (-500, "EUR", "-€5.00"),
    "kronur are two-decimal in the API": (500, "ISK", "ISK 5"),
    "old kronur with a fraction": (510, "ISK", "ISK 5.10"),
    "shillings": (123400, "UGX", "UGX 1,234"),
    "forint": (1045, "HUF", "HUF 10.45"),
    "nothing": (None, "USD", ""),
    "no currency": (1234, None, "1,234"),
    "unknown currency": (1234, "XXX", "1,234 XXX"),
    "beyond int32": (9_999_999_999, "USD", "$99,999,999.99"),
}


@pytest.mark.parametrize(("minor", "currency", "text"), FORMATS.values(), ids=FORMATS.keys())
def test_money_reads_as_people_write_it(minor: int | None, currency: str | None, text: str) -> None:
    assert format_money(minor, currency) == text


DECIMALS: dict[str, tuple[str | Decimal | float, str]] = {
    "whole": ("100", "100"),
    "zeros after": ("12.50", "12.5"),
    "zeros before": ("007", "7"),
    "only zeros after": ("5.000", "5"),
    "exponent": ("1E3", "1000"),
    "small": ("0.000000000001", "0.000000000001"),
    "small exponent": ("1e-12", "0.000000000001"),
    "minus zero": ("-0.0", "0"),
    "plus": ("+1.5", "1.5"),
    "no whole part": (".5", "0.5"),
    "Decimal": (Decimal("2.10"), "2.1"),
    "int": (12, "12"),
    "float": (0.1, "0.1"),
}


@pytest.mark.parametrize(("value", "text"), DECIMALS.values(), ids=DECIMALS.keys())
def test_a_decimal_has_one_spelling(value: str | Decimal | float, text: str) -> None:
    assert normalise_decimal(value) == text
    assert normalise_decimal(text) == text


@pytest.mark.parametrize("value", ["", "ten", "NaN", "Infinity", "1e99999", "1_0", "1,0", "--1"])
def test_no_decimal_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not a decimal"):
        normalise_decimal(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15))
def test_normalising_keeps_the_number(number: Decimal) -> None:
    assert Decimal(normalise_decimal(number)) == number


PARSED = {
    "plain": ("12", "USD", 1200),
    "grouped": ("1,234.5", "USD", 123450),
    "with its sign": ("$5", "USD", 500),
    "negative with its sign": ("-$5.01", "usd", -501),
    "with its code": ("KWD 1.234", "KWD", 1234),
    "yen": ("¥1,000", "JPY", 1000),
}


@pytest.mark.parametrize(("text", "currency", "minor"), PARSED.values(), ids=PARSED.keys())
def test_money_is_read(text: str, currency: str, minor: int) -> None:
    assert parse_money(text, currency) == minor


UNREADABLE = {
    "words": ("ten", "USD", "write it like 1,234.50"),
    "nothing": ("", "USD", "not an amount"),
    "too fine": ("1.005", "USD", "2 digits"),
    "cents of a yen": ("1.5", "JPY", "0 digits"),
    "two signs": ("--5", "USD", "not an amount"),
    "no currency": ("1", "XXX", "not a currency"),
}


@pytest.mark.parametrize(("text", "currency", "says"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_amount_is_said(text: str, currency: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_money(text, currency)


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(EXPONENTS)))
def test_what_is_shown_reads_back(minor: int, currency: str) -> None:
    assert parse_money(format_money(minor, currency), currency) == minor


@pytest.mark.parametrize(("code", "known"), [("usd", "USD"), ("Eur", "EUR"), ("", None), ("bitcoin", None)])
def test_codes_are_known_in_any_case(code: str, known: str | None) -> None:
    assert known_currency(code) == known
