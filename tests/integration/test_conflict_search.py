"""Conflicts found by what differs in them: an email, a value, by how much an amount differs; and how many records they stand for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from sync_core.domain.money import EXPONENTS
from sync_core.domain.vocabulary import ConflictSort, ConflictStatus, Facet
from sync_core.errors import Refusal
from sync_core.services import conflict_facets, conflicts
from sync_core.services.actor import Actor
from sync_core.services.conflicts import ConflictQuery
from sync_core.store import conflict_records
from sync_core.store.database import Database
from tests.conflict_data import make_conflicts
from tests.support import rows


async def labels(database: Database, actor: Actor, query: ConflictQuery) -> list[str]:
    """As the list shows them, which the counts have to agree with."""
    page = await conflicts.list_conflicts(database, actor, query)
    counted = await conflict_facets.facets(database, actor, query)
    assert not isinstance(page, Refusal)
    assert not isinstance(counted, Refusal)
    assert (counted.matching, counted.total) == (len(page.rows), len(await everything(database, actor)))
    return [row.label for row in page.rows]


async def everything(database: Database, actor: Actor) -> tuple[object, ...]:
    page = await conflicts.list_conflicts(database, actor, ConflictQuery())
    assert not isinstance(page, Refusal)
    return page.rows


SEARCHES = {
    "its name": ("ours 2", ["Ours 2"]),
    "its Stripe id": ("cus_3", ["Ours 3"]),
    "its email": ("2@EXAMPLE", ["Ours 2"]),
    "Stripe's value": ("stripe 1", ["Ours 1"]),
    "a field that does not differ": ("gold", []),
    "nothing of it": ("nobody", []),
    "a wildcard": ("%", []),
}


@pytest.mark.parametrize(("text", "expected"), SEARCHES.values(), ids=SEARCHES)
async def test_found_by(database: Database, workspace_id: UUID, text: str, expected: list[str]) -> None:
    made = await make_conflicts(database, workspace_id, 3)
    assert await labels(database, made.actor, ConflictQuery(search=text)) == expected


_AMOUNTS = (
    "UPDATE payment_sync_conflicts SET entity_type = 'invoices', fields = '{amount_due,total}',"
    " local = jsonb_build_object('amount_due', 100, 'total', 500, 'currency', CAST(:code AS text)),"
    " theirs = jsonb_build_object('amount_due', 100 + :due, 'total', 500 - :total, 'currency', CAST(:code AS text))"
    " WHERE external_id = :id RETURNING amount_delta"
)


async def differing(database: Database, workspace_id: UUID, number: int, code: str, due: int, total: int) -> Decimal:
    (found,) = await rows(database, workspace_id, _AMOUNTS, id=f"cus_{number}", code=code, due=due, total=total)
    delta: Decimal = found["amount_delta"]
    return delta


async def test_found_by_how_much_amounts_differ(database: Database, workspace_id: UUID) -> None:
    made = await make_conflicts(database, workspace_id, 4)
    await differing(database, workspace_id, 1, "USD", 1_000, 5)
    await differing(database, workspace_id, 2, "EUR", 0, 999)
    await differing(database, workspace_id, 3, "JPY", 12, 0)
    for least, expected in (("0.01", [3, 2, 1]), ("9.99", [3, 2, 1]), ("10", [3, 1]), ("10.01", [3]), ("12.01", [])):
        found = await labels(database, made.actor, ConflictQuery(delta=Decimal(least)))
        assert found == [f"Ours {number}" for number in expected], least
    narrowed = ConflictQuery(chosen={Facet.ENTITY: ("invoices",)}, search="ours 1", delta=Decimal(10))
    assert await labels(database, made.actor, narrowed) == ["Ours 1"]
    assert (
        await labels(database, made.actor, ConflictQuery(chosen={Facet.ENTITY: ("customers",)}, delta=Decimal(1))) == []
    )


async def test_amounts_differ_in_their_currencys_own_unit(database: Database, workspace_id: UUID) -> None:
    sides = "jsonb_build_object('total', CAST({} AS int), 'currency', code)"
    found = await rows(
        database,
        workspace_id,
        f"SELECT code, conflict_delta('{{total}}', {sides.format(0)}, {sides.format(10_000)}) AS delta FROM unnest(CAST(:codes AS text[])) code",
        codes=sorted(EXPONENTS),
    )
    assert {row["code"]: row["delta"] for row in found} == {
        code: Decimal(10_000) / 10**exponent for code, exponent in EXPONENTS.items()
    }


_SHARED = (
    "UPDATE payment_sync_conflicts SET reason_code = 'email_match', record_id = (SELECT id FROM customers WHERE external_id = 'cus_1')"
    " WHERE external_id IN ('cus_2', 'cus_3') RETURNING id"
)
STAND_FOR = {
    "all of them": (ConflictQuery(), (3, False)),
    "an email's alone": (ConflictQuery.of(reason="email_match"), (1, False)),
    "the others": (ConflictQuery.of(reason="both_changed"), (3, False)),
    "of another entity type": (ConflictQuery.of(entity="invoices"), (1, False)),
    "by their age": (ConflictQuery.of(age=("day", "week"), field="name"), (1, False)),
    "picked and excluded": (ConflictQuery({Facet.AGE: ("day",)}, frozenset({Facet.AGE})), (3, False)),
    "put off": (ConflictQuery(snoozed=True), (1, False)),
    "settled": (ConflictQuery(status=ConflictStatus.RESOLVED), None),
    "searched": (ConflictQuery(search="ours"), (3, False)),
    "searched and narrowed": (replace(ConflictQuery.of(reason="email_match"), search="ours"), (1, False)),
    "searched for one of them": (ConflictQuery(search="ours 4"), (1, False)),
    "searched for nothing": (ConflictQuery(search="nobody"), (0, False)),
}


async def stand_for(database: Database, actor: Actor, query: ConflictQuery) -> tuple[int, bool] | None:
    counted = await conflict_facets.facets(database, actor, query)
    assert not isinstance(counted, Refusal)
    return None if counted.records is None else (counted.records.count, counted.records.more)


async def test_how_many_records_they_stand_for(
    database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1, 2 and 3 are about one customer, the latter two by its email; 4 and 5 about one each, 6 is put off."""
    made = await make_conflicts(database, workspace_id, 6)
    await rows(database, workspace_id, _SHARED)
    await differing(database, workspace_id, 5, "EUR", 1, 1)
    for change in ("created_at = now()", "snoozed_until = now() + interval '1 day'"):
        which = "cus_3" if change.startswith("created") else "cus_6"
        await rows(
            database,
            workspace_id,
            f"UPDATE payment_sync_conflicts SET {change} WHERE external_id = '{which}' RETURNING id",
        )
    found = {name: await stand_for(database, made.actor, query) for name, (query, _) in STAND_FOR.items()}
    assert found == {name: expected for name, (_, expected) in STAND_FOR.items()}
    monkeypatch.setattr(conflict_records, "_LOOKED_AT", 2)
    assert await stand_for(database, made.actor, ConflictQuery.of(reason="email_match")) == (1, False)
    count = await stand_for(database, made.actor, ConflictQuery())
    assert count is not None
    assert count[1]


async def test_a_page_of_long_names_in_another_script_has_a_next_one(database: Database, workspace_id: UUID) -> None:
    """Its cursor is a name: it has to fit into an address."""
    made = await make_conflicts(database, workspace_id, 3)
    await rows(database, workspace_id, "UPDATE payment_sync_conflicts SET label = repeat('漢', 300) RETURNING id")
    seen: list[UUID] = []
    cursor = None
    for _ in range(3):
        page = await conflicts.list_conflicts(database, made.actor, ConflictQuery(sort=ConflictSort.NAME), cursor, 1)
        assert not isinstance(page, Refusal)
        seen += [row.id for row in page.rows]
        cursor = page.next_cursor
        assert len(cursor or "") <= 1_600
    assert len(set(seen)) == 3


@pytest.mark.parametrize("count", [30, 600], ids=["few kinds of conflicts", "more kinds than are walked through"])
async def test_found_by_a_facet_whatever_their_kinds(database: Database, workspace_id: UUID, count: int) -> None:
    """Everybody looks after one, so that no two are alike; one in three is put off."""
    made = await make_conflicts(database, workspace_id, count)
    await rows(
        database,
        workspace_id,
        "UPDATE payment_sync_conflicts SET assignee = 'of ' || external_id,"
        " snoozed_for = CASE WHEN substr(external_id, 5)::int % 3 = 0 THEN 'run' END RETURNING id",
    )
    for number in (1, count // 2 + 1, count - 1):
        mine = ConflictQuery.of(assignee=f"of cus_{number}")
        for snoozed in (False, True):
            page = await conflicts.list_conflicts(database, made.actor, replace(mine, snoozed=snoozed))
            counted = await conflict_facets.facets(database, made.actor, replace(mine, snoozed=snoozed))
            assert not isinstance(page, Refusal)
            assert not isinstance(counted, Refusal)
            expected = [f"Ours {number}"] if (number % 3 == 0) is snoozed else []
            assert [row.label for row in page.rows] == expected
            assert counted.matching == len(expected)
