"""Minor units: what an amount means in its currency, as Stripe writes it.

Exponents are those of Stripe's API, which differ from ISO 4217 in a few places, each on purpose:

* ISK and UGX have no minor unit in use, but the API keeps two decimals for compatibility (500 is 5 krónur), in
  multiples of 100. Read with ISO's exponent they would be a hundred times too large.
* HUF and TWD are two-decimal in charges, prices and invoices; only payouts demand multiples of 100.
* MGA is zero-decimal in the API (ISO counts fifths).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BYR BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IRR ISK JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MKD MMK MNT "
    "MOP MRO MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
    "SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH UGX USD USN UYU "
    "UZS VED VEF VES WST XCD XCG YER ZAR ZMK ZMW ZWG ZWL"
)
_ZERO = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

EXPONENTS: dict[str, int] = {
    code: exponent for exponent, codes in ((2, _TWO), (0, _ZERO), (3, _THREE), (4, _FOUR)) for code in codes.split()
}
"""Digits after the point by upper-case ISO code."""

WHOLE_ONLY = frozenset({"ISK", "UGX"})
"""Kept with two decimals by the API, but shown without them: the fraction is never used."""

_SYMBOLS = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "KRW": "₩",
    "ILS": "₪",
    "VND": "₫",
    "NGN": "₦",
    "PHP": "₱",
    "CAD": "CA$",
    "AUD": "A$",
    "NZD": "NZ$",
    "HKD": "HK$",
    "MXN": "MX$",
    "BRL": "R$",
    "TWD": "NT$",
    "CNY": "CN¥",
}


def known_currency(code: str) -> str | None:
    """The upper-case ISO code of a code in any case, or None when there is no such currency."""
    upper = code.upper()
    return upper if upper in EXPONENTS else None


def format_money(minor: int | None, currency: str | None) -> str:
    """`$1,234.50`, `¥1,000`, `KWD 1.234`, `-€5.00`; an empty string for no amount.

    Without a known currency the bare number of minor units is shown, rather than a guess.
    """
    if minor is None:
        return ""
    code = known_currency(currency) if currency else None
    if code is None:
        return f"{minor:,} {currency}".rstrip() if currency else f"{minor:,}"
    sign = "-" if minor < 0 else ""
    return f"{sign}{currency_prefix(code)}{_major(abs(minor), code)}"


def currency_prefix(code: str | None) -> str:
    """What stands before an amount: `$`, `KWD `, nothing for no currency."""
    return _SYMBOLS.get(code) or f"{code} " if code else ""


def _major(minor: int, code: str) -> str:
    exponent = EXPONENTS[code]
    if exponent == 0:
        return f"{minor:,}"
    whole, rest = divmod(minor, 10**exponent)
    if code in WHOLE_ONLY and rest == 0:
        return f"{whole:,}"
    return f"{whole:,}.{rest:0{exponent}d}"


def normalise_decimal(value: str | Decimal | float) -> str:
    """The one spelling of a decimal: `12.5`, never `12.50`, `1.25E1`, `+12.5` or `-0`. Raises ValueError if it is none."""
    if type(value) is str and value.isdecimal() and value.isascii() and (value[0] != "0" or len(value) == 1):
        if len(value) > _MAX_DIGITS:
            raise ValueError(f"a number of {len(value)} digits is no amount")
        return value
    try:
        # Python reads 1_0 as ten; nobody else does.
        number = value if isinstance(value, Decimal) else Decimal(str(value).replace("_", "?"))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        raise ValueError(f"{value!r} is not a decimal number")
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


# Beyond this an exponent is an attack on memory, not an amount.
_MAX_DIGITS = 60


def parse_money(text: str, currency: str) -> int:
    """Minor units of what a person typed (`1,234.50`, `$5`, `KWD 1.234`). Raises ValueError with a sentence for them."""
    code = known_currency(currency)
    if code is None:
        raise ValueError(f"{currency} is not a currency that is known here.")
    stripped = text.strip()
    bare = stripped.removeprefix("-").strip()
    for mark in (_SYMBOLS.get(code, ""), code, code.lower()):
        bare = bare.removeprefix(mark).strip()
    try:
        if bare.startswith("-"):
            raise ValueError(bare)
        minor = Decimal(normalise_decimal(bare.replace(",", ""))).scaleb(EXPONENTS[code])
    except ValueError as none:
        raise ValueError(f"“{text}” is not an amount: write it like {_major(123450, code)}.") from none
    if minor != minor.to_integral_value():
        raise ValueError(f"{code} has {EXPONENTS[code]} digits after the point.")
    return -int(minor) if stripped.startswith("-") else int(minor)
