from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.domain.diff import char_diff, diff
from sync_core.domain.fields import FIELDS, NAMES, ORDER, PARENTS, JsonValue, Kind, Values, column
from sync_core.domain.vocabulary import EntityType

SUBSCRIPTIONS = EntityType.SUBSCRIPTIONS


def subscription(**over: Any) -> Values:
    return dict.fromkeys(NAMES[SUBSCRIPTIONS]) | over


ONE: Values = {"id": "si_1", "quantity": 1}
TWO: Values = {"id": "si_2", "quantity": 2}
CASES: dict[str, tuple[dict[str, JsonValue], dict[str, JsonValue], list[tuple[str, JsonValue, JsonValue]]]] = {
    "equal": ({"status": "trial"}, {"status": "trial"}, []),
    "plain": ({"status": "trial"}, {"status": "active"}, [("Status", "trial", "active")]),
    "absent": ({"quantity": 3}, {}, [("Quantity", 3, None)]),
    "metadata, key by key": (
        {"metadata": {"a": "1", "b": "2", "same": "x"}},
        {"metadata": {"b": "3", "c": "4", "same": "x"}},
        [("Metadata / a", "1", None), ("Metadata / b", "2", "3"), ("Metadata / c", None, "4")],
    ),
    "items by their ids": ({"items": [ONE, TWO]}, {"items": [TWO]}, [("Items / si_1", ONE, None)]),
    "within an item": ({"items": [ONE]}, {"items": [{**ONE, "quantity": 5}]}, [("Items / si_1 / quantity", 1, 5)]),
    "order of items": (
        {"items": [ONE, TWO]},
        {"items": [TWO, ONE]},
        [
            ("Items / 0 / id", "si_1", "si_2"),
            ("Items / 0 / quantity", 1, 2),
            ("Items / 1 / id", "si_2", "si_1"),
            ("Items / 1 / quantity", 2, 1),
        ],
    ),
    "lists without ids": ({"items": [1, 2]}, {"items": [1, 3, 4]}, [("Items / 1", 2, 3), ("Items / 2", None, 4)]),
    "in the order of the fields": (
        {"metadata": {"a": "1"}, "status": "trial"},
        {"metadata": {}, "status": "active"},
        [("Status", "trial", "active"), ("Metadata / a", "1", None)],
    ),
}


@pytest.mark.parametrize(("a", "b", "expected"), CASES.values(), ids=CASES.keys())
def test_differences_are_told_one_by_one(
    a: dict[str, JsonValue], b: dict[str, JsonValue], expected: list[tuple[str, JsonValue, JsonValue]]
) -> None:
    found = diff(SUBSCRIPTIONS, subscription(**a), subscription(**b))
    assert [(one.label, one.a, one.b) for one in found] == expected


TEXTS: dict[str, tuple[str, str, str]] = {
    "a word more": ("Ada Lovelace", "Ada B. Lovelace", "Ada {+B. }Lovelace"),
    "a letter of a word": ("cat", "cut", "c{-a}{+u}t"),
    "a letter more": ("Jon Smith", "John Smith", "Jo{+h}n Smith"),
    "upper and lower case": ("acme ltd", "Acme Ltd", "{-a}{+A}cme {-l}{+L}td"),
    "a word unlike the other": ("Acme Tools", "Northwind Tools", "{-Acme}{+Northwind} Tools"),
    "nothing but scattered letters": ("Globex", "Initech", "{-Globex}{+Initech}"),
    "words with nothing but spaces in common": ("Acme Corp", "Initech Ltd", "{-Acme Corp}{+Initech Ltd}"),
    "an address at another place": ("ada@old.example", "ada@new.example", "ada@{-old}{+new}.example"),
    "another address": ("ada@one.com", "grace@two.org", "{-ada@one.com}{+grace@two.org}"),
    "a digit of a number": ("+49 30 1234567", "+49 30 1234561", "+49 30 123456{-7}{+1}"),
    "spaces": ("Acme  Ltd", "Acme Ltd", "Acme {- }Ltd"),
    "another script": ("北京 公司", "上海 公司", "{-北京}{+上海} 公司"),
    "from nothing": ("", "new", "{+new}"),
    "to nothing": ("old", "", "{-old}"),
    "nothing": ("", "", ""),
}
_SIGNS = {"same": "{1}", "removed": "{{-{1}}}", "added": "{{+{1}}}"}


@pytest.mark.parametrize(("a", "b", "expected"), TEXTS.values(), ids=TEXTS)
def test_texts_are_told_apart_by_words_and_alike_ones_by_characters(a: str, b: str, expected: str) -> None:
    assert "".join(_SIGNS[op].format(op, text) for op, text in char_diff(a, b)) == expected


def test_long_texts_are_told_apart_at_their_ends() -> None:
    filler, removed, added = "x" * 3000, "ab" * 300, "bc" * 300
    assert char_diff(f"{filler}{removed}{filler}", f"{filler}{added}{filler}") == [
        ("same", filler),
        ("removed", removed),
        ("added", added),
        ("same", filler),
    ]


@settings(max_examples=200)
@given(a=st.text("ab ", max_size=30), b=st.text("ab ", max_size=30), times=st.sampled_from([1, 30]))
def test_the_steps_lead_from_one_text_to_the_other(a: str, b: str, times: int) -> None:
    a, b = a * times, b * times
    steps = char_diff(a, b)
    assert "".join(text for op, text in steps if op != "added") == a
    assert "".join(text for op, text in steps if op != "removed") == b
    assert all(text for _, text in steps)


def test_parents_come_before_their_children() -> None:
    assert set(ORDER) == set(EntityType) == set(FIELDS)
    for entity, parents in PARENTS.items():
        assert all(ORDER.index(parent) < ORDER.index(entity) for parent in parents)


def test_only_references_have_a_parent_and_a_column_of_another_name() -> None:
    for fields in FIELDS.values():
        assert len({one.name for one in fields}) == len(fields)
        for one in fields:
            assert (one.kind is Kind.REF) == (one.parent is not None)
            assert column(one) == (f"{one.name}_id" if one.parent else one.name)
            assert one.money == (one.kind is Kind.MONEY)


def test_only_customers_and_products_are_edited_here() -> None:
    editable = {entity: [one.name for one in fields if one.editable] for entity, fields in FIELDS.items()}
    assert editable[EntityType.CUSTOMERS] == ["email", "name", "phone", "description", "metadata"]
    assert editable[EntityType.PRODUCTS] == ["name", "description", "image_url", "url", "active", "metadata"]
    assert not any(editable[entity] for entity in ORDER[2:])
