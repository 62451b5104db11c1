"""Values that are words of Stripe's or of ours: read by people with a label, and told apart by it as by themselves."""

from __future__ import annotations

import pytest

from sync_core.domain.fields import FIELDS, Field, JsonValue, Kind
from sync_core.domain.value_words import in_words
from sync_core.domain.vocabulary import EntityType
from sync_core.services.record_views import value_text

_FIELDS = {(entity, one.name): one for entity in EntityType for one in FIELDS[entity]}
_STRIPES = {
    (EntityType.SUBSCRIPTIONS, "provider_status"): (
        "active past_due trialing unpaid paused incomplete incomplete_expired canceled"
    ),
    (EntityType.PRICES, "tax_behavior"): "inclusive exclusive unspecified",
    (EntityType.INVOICES, "collection_method"): "charge_automatically send_invoice",
    (EntityType.INVOICES, "billing_reason"): (
        "automatic_pending_invoice_item_invoice manual quote_accept subscription subscription_create subscription_cycle"
        " subscription_threshold subscription_update upcoming"
    ),
}
WORDED = {
    key: one.choices or tuple(_STRIPES[key].split()) for key, one in _FIELDS.items() if one.choices or key in _STRIPES
}


@pytest.mark.parametrize("key", WORDED, ids=[f"{entity}-{name}" for entity, name in WORDED])
def test_every_word_has_a_label_of_its_own(key: tuple[EntityType, str]) -> None:
    labels = [in_words(_FIELDS[key], word) for word in WORDED[key]]
    assert len(set(labels)) == len(labels)
    assert [one for one in labels if "_" in one or not one[0].isupper()] == []


SHOWN: dict[str, tuple[EntityType, str, JsonValue, str]] = {
    "a word": (EntityType.INVOICES, "collection_method", "charge_automatically", "Charged automatically"),
    "one that Stripe has added since": (EntityType.INVOICES, "billing_reason", "moon_phase", "Moon phase"),
    "no word": (EntityType.INVOICES, "billing_reason", "Since 2019", "Since 2019"),
    "a name that looks like one": (EntityType.CUSTOMERS, "name", "send_invoice", "send_invoice"),
    "a key of people's": (EntityType.PRICES, "lookup_key", "per_unit", "per_unit"),
    "nothing": (EntityType.INVOICES, "billing_reason", None, ""),
}


@pytest.mark.parametrize(("entity", "name", "value", "text"), SHOWN.values(), ids=SHOWN)
def test_what_people_read(entity: EntityType, name: str, value: JsonValue, text: str) -> None:
    field: Field = _FIELDS[entity, name]
    assert field.kind is Kind.TEXT
    assert value_text(field, value, {}, "UTC") == text
