"""What is entered on the New sync page, and the sync that it asks for."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboard.pages.new_sync_form import (
    Form,
    curl,
    duration,
    entity_cards,
    form_of,
    mistakes,
    more_or_less,
    parents_left_out,
    request_of,
    with_parents,
)
from sync_core.errors import Refusal
from sync_core.services.start_request import StartRequest, checked
from sync_core.store.runs import RunConfig

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 6, 15, 14, 30, tzinfo=BERLIN)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp())


@pytest.mark.parametrize(
    ("change", "start", "end"),
    [
        pytest.param({"span": "all"}, None, None, id="everything"),
        pytest.param({"span": "all", "start_date": "2025-01-01"}, None, None, id="everything, dates left over"),
        pytest.param({"span": "30"}, at("2025-05-16"), None, id="a preset begins at midnight"),
        pytest.param(
            {"span": "custom", "start_date": "2025-03-30", "end_date": "2025-03-30"},
            at("2025-03-30"),
            at("2025-03-31"),
            id="one day, shorter for the clock's change",
        ),
        pytest.param({"span": "custom", "start_date": "2025-06-15"}, at("2025-06-15"), None, id="from today"),
        pytest.param({"span": "custom", "end_date": "2025-06-15"}, None, None, id="up to today is up to now"),
        pytest.param({"span": "custom", "end_date": "2025-06-14"}, None, at("2025-06-15"), id="the last day counts"),
    ],
)
def test_dates(change: dict[str, Any], start: int | None, end: int | None) -> None:
    asked = request_of(Form(**change), dry_run=True, now=NOW)

    assert isinstance(asked, StartRequest)
    assert (asked.start, asked.end) == (start, end)
    assert isinstance(checked(asked, now=int(NOW.timestamp())), RunConfig)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        pytest.param({"span": "custom"}, "date_range_empty", "date_range", id="no dates"),
        pytest.param({"span": "custom", "start_date": "soon"}, "date_range_invalid", "date_range", id="no date"),
        pytest.param(
            {"span": "custom", "start_date": "2025-06-02", "end_date": "2025-06-01"},
            "date_range_reversed",
            "date_range",
            id="reversed",
        ),
        pytest.param({"span": "custom", "start_date": "2025-06-16"}, "date_range_future", "date_range", id="future"),
        pytest.param({"span": "custom", "end_date": "2025-06-16"}, "date_range_future", "date_range", id="future end"),
        pytest.param({"batch_size": ""}, "batch_size_out_of_range", "batch_size", id="no number"),
        pytest.param({"batch_size": "1e2"}, "batch_size_out_of_range", "batch_size", id="odd number"),
        pytest.param(
            {"concurrent": "-1"}, "concurrent_batches_out_of_range", "concurrent_batches", id="negative number"
        ),
    ],
)
def test_refused(change: dict[str, Any], code: str, field: str) -> None:
    refused = request_of(Form(**change), dry_run=False, now=NOW)

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == (code, field)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(Form(), id="the defaults"),
        pytest.param(
            Form(
                chosen=("prices",),
                span="custom",
                start_date="2025-01-01",
                end_date="2025-03-30",
                strategy="flag",
                by_entity={"prices": "overwrite"},
                batch_size="50",
                concurrent="7",
            ),
            id="everything changed",
        ),
    ],
)
def test_a_form_comes_back_as_it_was(form: Form) -> None:
    asked = request_of(form, dry_run=False, now=NOW)
    assert isinstance(asked, StartRequest)
    config = checked(asked, now=int(NOW.timestamp()))
    assert isinstance(config, RunConfig)

    assert form_of(config, BERLIN) == form


def test_every_mistake_is_named_at_once() -> None:
    form = Form(chosen=(), span="custom", batch_size="500", concurrent="none", strategy="flag")

    assert [one.field for one in mistakes(form, now=NOW)] == [
        "entity_types",
        "date_range",
        "batch_size",
        "concurrent_batches",
    ]
    assert mistakes(Form(), now=NOW) == []


def test_cards_say_what_comes_along() -> None:
    cards = {card.name: card for card in entity_cards(Form(chosen=("prices", "customers", "invoices")))}

    assert cards["prices"].note == "Of products only those come along that they refer to."
    assert cards["invoices"].note == "Of subscriptions only those come along that they refer to."
    assert cards["customers"].note == cards["subscriptions"].note == ""
    assert [name for name, card in cards.items() if card.chosen] == ["customers", "prices", "invoices"]


@pytest.mark.parametrize(
    ("chosen", "whole", "says"),
    [
        pytest.param(("prices",), ["products", "prices"], "Prices are stored with the products", id="one step"),
        pytest.param(
            ("invoices",),
            ["customers", "products", "prices", "subscriptions", "invoices"],
            "Invoices are stored with the customers and subscriptions",
            id="all the way up",
        ),
        pytest.param(
            ("prices", "subscriptions", "invoices"),
            ["customers", "products", "prices", "subscriptions", "invoices"],
            "Prices, subscriptions and invoices are stored with the customers and products",
            id="several",
        ),
        pytest.param(("customers", "products"), ["customers", "products"], "", id="nothing left out"),
        pytest.param((), [], "", id="nothing chosen"),
    ],
)
def test_what_the_chosen_types_refer_to_is_offered(chosen: tuple[str, ...], whole: list[str], says: str) -> None:
    form = Form(chosen=chosen)

    assert with_parents(form) == whole
    assert parents_left_out(form).startswith(says)
    assert bool(parents_left_out(form)) is bool(says)
    assert parents_left_out(Form(chosen=tuple(with_parents(form)))) == ""


@pytest.mark.parametrize(
    ("count", "low", "high", "said"),
    [
        pytest.param(1234, 1234, 1234, "1,234", id="counted"),
        pytest.param(12_345, 10_600, 13_000, "12,300 ± 1,800", id="guessed"),
        pytest.param(41, 38, 43, "41 ± 3", id="few"),
        pytest.param(1_234_567, 1_000_000, 1_300_000, "1,230,000 ± 240,000", id="many"),
    ],
)
def test_a_guess_says_how_far_it_may_be_out(count: int, low: int, high: int, said: str) -> None:
    assert more_or_less(count, low, high) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        pytest.param(2, 5, "under 10 s", id="at once"),
        pytest.param(20, 44, "20 to 44 s", id="seconds"),
        pytest.param(61, 119, "1 to 2 min", id="minutes"),
        pytest.param(125, 130, "2 to 3 min", id="few minutes"),
        pytest.param(6000, 9000, "1.7 to 2.5 h", id="hours"),
    ],
)
def test_durations(low: float, high: float, said: str) -> None:
    assert duration(low, high) == said


def test_the_call_is_a_dry_run() -> None:
    asked = request_of(Form(chosen=("customers",), span="30"), dry_run=False, now=NOW)
    assert isinstance(asked, StartRequest)

    said = curl(asked, "http://localhost:3000", "00000000-0000-0000-0000-000000000001")

    assert '"dry_run": true' in said
    assert f'"date_range": {{"start": {at("2025-05-16")}}}' in said
    assert "$CYPHERA_KEY" in said
