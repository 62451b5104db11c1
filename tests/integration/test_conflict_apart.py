"""Conflicts narrowed by what none of them keeps: whether their customer is deleted, and whether whoever asks has looked them through."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from uuid import UUID

import pytest

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import Choice, ConflictStatus, CustomerState, Facet, Reviewed
from sync_core.errors import Refusal
from sync_core.jobs.housekeeping import prune
from sync_core.services import (
    conflict_facets,
    conflict_handling,
    conflict_rules,
    conflicts,
    conflicts_bulk,
    conflicts_files,
)
from sync_core.services.actor import Actor
from sync_core.services.conflict_bulk_views import BulkPreview, BulkResult
from sync_core.services.conflicts import ConflictQuery
from sync_core.store import conflict_apart
from sync_core.store.database import Database
from tests.conflict_data import Made, make_conflicts, member
from tests.support import rows

BOTH_WAYS = pytest.mark.parametrize("dearer", [1, 1_000], ids=["few deleted customers", "many deleted customers"])


async def world(database: Database, workspace_id: UUID) -> tuple[Made, Actor]:
    """The customer of 1 and 2 is deleted; 3 is a product; Ana has looked through 1, 4 and 5, and 5 has changed since; 6 is put off."""
    made = await make_conflicts(database, workspace_id, 6)
    ana = await member(database, workspace_id, "ana")
    ids = {
        row["external_id"]: row["id"]
        for row in await rows(database, workspace_id, "SELECT external_id, id FROM payment_sync_conflicts")
    }
    for number in (1, 4, 5):
        assert await conflict_handling.review(database, ana, ids[f"cus_{number}"], reviewed=True) is None
    for change in (
        "customer_id = (SELECT id FROM customers WHERE external_id = 'cus_1') WHERE external_id = 'cus_2'",
        "entity_type = 'products', customer_id = NULL WHERE external_id = 'cus_3'",
        "theirs = theirs || '{\"name\": \"Stripe anew\"}' WHERE external_id = 'cus_5'",
        "snoozed_for = 'run' WHERE external_id = 'cus_6'",
    ):
        await rows(database, workspace_id, f"UPDATE payment_sync_conflicts SET {change} RETURNING id")
    await rows(
        database, workspace_id, "UPDATE customers SET deleted_at = now() WHERE external_id = 'cus_1' RETURNING id"
    )
    return made, ana


async def labels(database: Database, actor: Actor, query: ConflictQuery) -> list[str]:
    """As the list shows them, which its counts and the export have to agree with."""
    page = await conflicts.list_conflicts(database, actor, query)
    counted = await conflict_facets.facets(database, actor, query)
    assert not isinstance(page, Refusal)
    assert not isinstance(counted, Refusal)
    lines = [line async for line in conflicts_files.export_json(database, actor, query)]
    assert counted.matching == len(page.rows) == len(lines)
    return sorted(row.label.removeprefix("Ours ") for row in page.rows)


def but(facet: Facet, query: ConflictQuery) -> ConflictQuery:
    return replace(query, excluded=frozenset({facet}))


FILTERS: dict[str, tuple[ConflictQuery, list[str]]] = {
    "of a deleted customer": (ConflictQuery.of(customer="deleted"), ["1", "2"]),
    "of a live one": (ConflictQuery.of(customer="live"), ["4", "5"]),
    "of none": (ConflictQuery.of(customer="none"), ["3"]),
    "of a deleted one or none": (ConflictQuery.of(customer=("deleted", "none")), ["1", "2", "3"]),
    "not of a deleted one": (but(Facet.CUSTOMER, ConflictQuery.of(customer="deleted")), ["3", "4", "5"]),
    "looked through": (ConflictQuery.of(reviewed="me"), ["1", "4"]),
    "not looked through": (ConflictQuery.of(reviewed="not"), ["2", "3", "5"]),
    "either": (ConflictQuery.of(reviewed=("me", "not")), ["1", "2", "3", "4", "5"]),
    "turned round": (but(Facet.REVIEWED, ConflictQuery.of(reviewed="me")), ["2", "3", "5"]),
    "both": (ConflictQuery.of(customer="deleted", reviewed="me"), ["1"]),
    "with a facet of the conflict's own": (
        ConflictQuery.of(customer="live", entity="customers", age="older"),
        ["4", "5"],
    ),
    "with another's": (ConflictQuery.of(customer="deleted", entity="products"), []),
    "put off": (replace(ConflictQuery.of(customer="live"), snoozed=True), ["6"]),
    "searched": (replace(ConflictQuery.of(customer="deleted"), search="ours 2"), ["2"]),
    "searched and looked through": (replace(ConflictQuery.of(reviewed="me"), search="ours"), ["1", "4"]),
    "settled": (replace(ConflictQuery.of(customer="live"), status=ConflictStatus.RESOLVED), []),
}


@BOTH_WAYS
async def test_each_filter_finds_what_it_names(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, dearer: int
) -> None:
    monkeypatch.setattr(conflict_apart, "_DEARER", dearer)
    _, ana = await world(database, workspace_id)
    found = {name: await labels(database, ana, query) for name, (query, _) in FILTERS.items()}
    assert found == {name: expected for name, (_, expected) in FILTERS.items()}


@BOTH_WAYS
async def test_every_count_is_what_choosing_it_shows(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, dearer: int
) -> None:
    monkeypatch.setattr(conflict_apart, "_DEARER", dearer)
    _, ana = await world(database, workspace_id)
    words: dict[Facet, list[str]] = {
        Facet.CUSTOMER: [one.value for one in CustomerState],
        Facet.REVIEWED: [one.value for one in Reviewed],
    }
    for search, (facet, other) in product(("", "ours"), (tuple(words), tuple(words)[::-1])):
        for chosen in (None, *words[other]):
            under = ConflictQuery(chosen={other: (chosen,)} if chosen else {}, search=search)
            counted = await conflict_facets.facets(database, ana, under)
            assert not isinstance(counted, Refusal)
            counts = {one.value: one.count for one in counted.values[facet]}
            shown = {
                word: len(await labels(database, ana, replace(under, chosen={**under.chosen, facet: (word,)})))
                for word in words[facet]
            }
            assert {word: counts.get(word, 0) for word in words[facet]} == shown


async def test_ticks_are_of_whoever_asks(database: Database, workspace_id: UUID) -> None:
    _, ana = await world(database, workspace_id)
    ben = await member(database, workspace_id, "ben")
    mine = ConflictQuery.of(reviewed="me")
    program = replace(ana, user_id=None, label="key")
    assert [await labels(database, one, mine) for one in (ana, ben, program)] == [["1", "4"], [], []]


async def test_what_is_done_to_all_that_match_is_done_to_no_others(database: Database, workspace_id: UUID) -> None:
    _, ana = await world(database, workspace_id)
    query = ConflictQuery.of(customer="deleted", reviewed="me")
    assert await conflict_handling.assign(database, ana, query, ana.label) == 1
    gone = ConflictQuery.of(customer="deleted")
    preview = await conflicts_bulk.bulk_preview(
        database, ana, replace(gone, chosen={**gone.chosen, Facet.ENTITY: ("customers",)}), Rule(Choice.STRIPE)
    )
    assert isinstance(preview, BulkPreview)
    assert preview.rows == 2
    done = await conflicts_bulk.bulk_resolve(database, ana, preview.id, preview.hash)
    assert isinstance(done, BulkResult)
    # The first one's own record is the one that was deleted meanwhile.
    assert (done.resolved, [one.label for one in done.left_out]) == (1, ["Ours 1"])
    settled = replace(gone, status=ConflictStatus.RESOLVED)
    assert (await labels(database, ana, gone), await labels(database, ana, settled)) == (["1"], ["2"])


async def test_a_rule_may_look_at_the_customer_and_the_first_that_fits_decides(
    database: Database, workspace_id: UUID
) -> None:
    made, ana = await world(database, workspace_id)
    for name, query, rule in (
        ("Gone", ConflictQuery.of(customer="deleted"), Rule(fields={"phone": Choice.STRIPE})),
        ("All", ConflictQuery.of(entity="customers"), Rule(Choice.STRIPE)),
    ):
        kept = await conflict_rules.save(database, ana, name, query, rule)
        assert isinstance(kept, UUID)
        await conflict_rules.switch(database, ana, kept, enabled=True)
    listed = await conflict_rules.listed(database, ana)
    assert not isinstance(listed, Refusal)
    # The first leaves the name open, and what it fits is no later rule's.
    assert [(one.matches, one.settles) for one in listed] == [(2, 0), (2, 2)]
    await conflict_rules.apply_to_run(database, workspace_id, made.session_id)
    assert await labels(database, ana, ConflictQuery()) == ["1", "2", "3"]


async def test_old_ticks_of_what_is_settled_go(database: Database, workspace_id: UUID) -> None:
    await world(database, workspace_id)
    for number, age in ((1, 31), (4, 29)):
        await rows(
            database,
            workspace_id,
            f"UPDATE payment_sync_conflicts SET status = 'resolved', resolved_at = now() - interval '{age} days'"
            f" WHERE external_id = 'cus_{number}' RETURNING id",
        )
    await prune(database)
    (left,) = await rows(database, workspace_id, "SELECT count(*) FROM payment_sync_conflict_reviews")
    assert left["count"] == 2
