"""Lists and edits of records against a real database, under the roles that the dashboard has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import text

from sync_core.domain.fields import JsonValue, Values
from sync_core.domain.vocabulary import EntityType, Role, SyncStatus
from sync_core.errors import Refusal
from sync_core.services import records
from sync_core.services.actor import Actor
from sync_core.services.record_cards import card
from sync_core.services.record_edits import Typed
from sync_core.services.records import Overtaken, RecordQuery, RecordsPage, Saved
from sync_core.store import record_lists
from sync_core.store.database import Database, driver
from sync_core.store.record_details import RecordDetail
from sync_core.store.record_lists import Listing, Position, Sort
from tests.conftest import make_workspace

START = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS = EntityType.CUSTOMERS


def actor_of(workspace_id: UUID, role: Role = Role.ADMIN, time_zone: str = "UTC") -> Actor:
    return Actor(workspace_id, role, "ana@example.com", user_id=uuid4(), time_zone=time_zone)


async def make(database: Database, workspace_id: UUID, table: str, rows: Iterable[dict[str, Any]]) -> list[UUID]:
    """Records by their columns; an `external_id` links them to acct_1."""
    made = []
    async with database.workspace(workspace_id) as session:
        connection = await driver(session)
        for row in rows:
            values = {"workspace_id": workspace_id, **row}
            if row.get("external_id"):
                values |= {"payment_provider": "stripe", "payment_account": "acct_1", "payment_livemode": False}
            names, places = ", ".join(values), ", ".join(["%s"] * len(values))
            cursor = await connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING id",
                [Jsonb(one) if isinstance(one, (dict, list)) else one for one in values.values()],
            )
            found = await cursor.fetchone()
            assert found is not None
            made.append(found[0])
    return made


async def customers(database: Database, workspace_id: UUID, count: int) -> list[UUID]:
    """Every third has no name, every fourth shares its second with the one before: the awkward cases of a keyset."""
    return await make(
        database,
        workspace_id,
        "customers",
        (
            {
                "email": f"Person{number:03}@example.com",
                "name": None if number % 3 == 0 else f"name {number % 7}",
                "created_at": START + timedelta(hours=number - (number % 4 == 0)),
            }
            for number in range(count)
        ),
    )


async def listed(database: Database, actor: Actor, query: RecordQuery) -> RecordsPage:
    page = await records.list_records(database, actor, query)
    assert isinstance(page, RecordsPage)
    return page


def from_url(url: str) -> RecordQuery:
    """As the browser comes back to it."""
    from urllib.parse import parse_qsl, urlsplit

    parts = urlsplit(url)
    return RecordQuery.parse(parts.path.rsplit("/", maxsplit=1)[-1], dict(parse_qsl(parts.query)))


@pytest.mark.parametrize("sort", ["newest", "oldest", "name", "email"])
async def test_paging_forth_and_back_shows_each_row_once_in_order(
    database: Database, workspace_id: UUID, sort: str
) -> None:
    made = await customers(database, workspace_id, 60)
    actor = actor_of(workspace_id)
    page = await listed(database, actor, RecordQuery.parse("customers", {"sort": sort, "size": "25"}))
    pages = [page]
    while page.next_url:
        page = await listed(database, actor, from_url(page.next_url))
        pages.append(page)
    seen = [[row.record_id for row in one.rows] for one in pages]
    assert [len(one) for one in seen] == [25, 25, 10]
    assert sorted(one for page_ids in seen for one in page_ids) == sorted(map(str, made))
    back: list[list[str]] = []
    while page.previous_url:
        page = await listed(database, actor, from_url(page.previous_url))
        back.insert(0, [row.record_id for row in page.rows])
    assert back == seen[:-1]
    assert not page.previous_url


async def test_rows_without_a_name_come_last_by_name(database: Database, workspace_id: UUID) -> None:
    await customers(database, workspace_id, 9)
    page = await listed(database, actor_of(workspace_id), RecordQuery.parse("customers", {"sort": "name"}))
    names = [row.title for row in page.rows]
    assert names[:6] == sorted(names[:6])
    assert all(name.startswith("name") for name in names[:6])
    assert all("@" in name for name in names[6:])


SEARCHES = {
    "a prefix of the email, in any case": ("PERSON01", 10),
    "a prefix of the name": ("Name 2", 2),
    "an exact Stripe id": ("cus_exact", 1),
    "part of a Stripe id": ("cus_ex", 0),
    "a wildcard is only a character": ("%", 0),
    "spaces around it": ("  person000@example.com  ", 1),
}


@pytest.mark.parametrize(("search", "found"), SEARCHES.values(), ids=SEARCHES.keys())
async def test_search_finds(database: Database, workspace_id: UUID, search: str, found: int) -> None:
    await customers(database, workspace_id, 20)
    await make(database, workspace_id, "customers", [{"email": "x@example.net", "external_id": "cus_exact"}])
    page = await listed(database, actor_of(workspace_id), RecordQuery.parse("customers", {"q": search}))
    assert (len(page.rows), page.total) == (found, str(found))


async def test_invoices_are_found_by_number_and_by_their_customer(database: Database, workspace_id: UUID) -> None:
    (customer, other) = await make(
        database,
        workspace_id,
        "customers",
        [{"email": "ada@example.com", "external_id": "cus_ada"}, {"email": "ben@example.com"}],
    )
    await make(
        database,
        workspace_id,
        "invoices",
        [
            {"external_id": "in_1", "number": "ABC-0001", "customer_id": customer, "currency": "EUR", "total": 1999},
            {"external_id": "in_2", "number": "ABC-0002", "customer_id": other, "currency": "JPY", "total": 1999},
        ],
    )
    actor = actor_of(workspace_id)
    for search, numbers in {
        "abc-": {"ABC-0001", "ABC-0002"},
        "ada@": {"ABC-0001"},
        "cus_ada": {"ABC-0001"},
        "in_2": {"ABC-0002"},
        "nobody": set(),
    }.items():
        page = await listed(database, actor, RecordQuery.parse("invoices", {"q": search}))
        assert {row.title for row in page.rows} == numbers, search
    everything = await listed(database, actor, RecordQuery.parse("invoices", {}))
    assert {row.title: row.cells[1].text for row in everything.rows} == {"ABC-0001": "€19.99", "ABC-0002": "¥1,999"}


async def test_status_and_deleted_are_filters(database: Database, workspace_id: UUID) -> None:
    await make(
        database,
        workspace_id,
        "customers",
        [
            {"name": "in sync", "payment_sync_status": "synced"},
            {"name": "in conflict", "payment_sync_status": "conflict"},
            {"name": "gone", "payment_sync_status": "synced", "deleted_at": START},
        ],
    )
    actor = actor_of(workspace_id)
    for status, names in {
        "": {"in sync", "in conflict"},
        "synced": {"in sync"},
        "conflict": {"in conflict"},
        "local_edit": set(),
        "deleted": {"gone"},
    }.items():
        page = await listed(database, actor, RecordQuery.parse("customers", {"status": status}))
        assert {row.title for row in page.rows} == names, status


ODD_ADDRESSES: dict[str, dict[str, str]] = {
    "an unknown sort": {"sort": "row_version; DROP TABLE customers"},
    "a sort of another entity type": {"sort": "email", "entity": "products"},
    "an unknown status": {"status": "fine"},
    "an endless page": {"size": "1000000"},
    "a cursor that is no base64": {"after": "%%%"},
    "a cursor that is no position": {"after": records.cursor_of("not a time", UUID(int=0))},
    "a cursor without an id": {"before": "WyJhIl0"},
    "half a character": {"q": "\ud800", "sort": "name"},
    "NUL": {"q": "a\x00"},
}


@pytest.mark.parametrize("parameters", ODD_ADDRESSES.values(), ids=ODD_ADDRESSES.keys())
async def test_an_address_that_somebody_made_up_shows_a_list(
    database: Database, workspace_id: UUID, parameters: dict[str, str]
) -> None:
    page = await listed(
        database, actor_of(workspace_id), RecordQuery.parse(parameters.pop("entity", "customers"), parameters)
    )
    assert page.query.size <= 50
    assert page.rows == []


MANY = text(
    "INSERT INTO customers (workspace_id, email, name, external_id, payment_provider, payment_account, payment_livemode,"
    " payment_sync_status, created_at, deleted_at) SELECT :w, 'P' || lpad(n::text, 4, '0') || '@example.com', 'N' || n, 'cus_' || n,"
    " 'stripe', 'acct_1', false, CASE WHEN n % 100 = 0 THEN 'local_edit' ELSE 'synced' END,"
    " timestamptz '2026-01-01Z' + n * interval '1 hour', CASE WHEN n % 100 = 1 THEN now() END FROM generate_series(1, 4000) n"
)
SOME_TIME = START + timedelta(hours=2000)
READS: dict[str, Listing] = {
    "the first page": Listing(CUSTOMERS),
    "a page by time": Listing(CUSTOMERS, at=Position(SOME_TIME, UUID(int=1))),
    "the page before": Listing(CUSTOMERS, at=Position(SOME_TIME, UUID(int=1)), backward=True),
    "a page by email": Listing(CUSTOMERS, Sort.EMAIL, at=Position("p2000", UUID(int=1))),
    "a page by name, backward": Listing(CUSTOMERS, Sort.NAME, at=Position("n3", UUID(int=1)), backward=True),
    "a search by email": Listing(CUSTOMERS, search="p200"),
    "a search by id": Listing(CUSTOMERS, search="cus_2000"),
    "what is edited here": Listing(CUSTOMERS, status=SyncStatus.LOCAL_EDIT),
    "what is deleted": Listing(CUSTOMERS, deleted=True),
}


@pytest.mark.parametrize("listing", READS.values(), ids=READS.keys())
async def test_a_page_reads_little_more_than_it_shows(database: Database, workspace_id: UUID, listing: Listing) -> None:
    """Under row-level security an index is closed to whatever is not leakproof, such as lower(): only the plan shows it."""
    async with database.workspace(workspace_id) as session:
        await session.execute(MANY, {"w": workspace_id})
    async with database.engine.begin() as owner:
        await owner.execute(text("ANALYZE customers"))
    async with database.workspace(workspace_id) as session:
        connection = await driver(session)
        await record_lists.list_page(session, workspace_id, listing)
        await connection.execute("SET LOCAL enable_seqscan = off")
        sql, bound = record_lists._page_sql(listing), record_lists._bound(workspace_id, listing)
        explained = await (await connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", bound)).fetchone()
    assert explained is not None
    assert max(rows_read(explained[0][0]["Plan"])) <= 110


def rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Rows that each scan of a plan touched, those thrown away included."""
    if "Relation Name" in node:
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from rows_read(child)


async def test_times_are_the_workspaces_with_utc_beside_them(database: Database, workspace_id: UUID) -> None:
    await make(database, workspace_id, "customers", [{"name": "late", "created_at": START.replace(hour=23, minute=30)}])
    page = await listed(database, actor_of(workspace_id, time_zone="Asia/Tokyo"), RecordQuery())
    assert (page.rows[0].created, page.rows[0].created_utc) == ("2 Jan 2026, 08:30", "2026-01-01 23:30:00 UTC")


async def test_another_workspaces_records_are_nobodys_business(database: Database, workspace_id: UUID) -> None:
    other = await make_workspace(database, "Other")
    (theirs,) = await make(database, other, "customers", [{"name": "theirs", "email": "theirs@example.com"}])
    actor = actor_of(workspace_id)
    assert (await listed(database, actor, RecordQuery())).rows == []
    assert (await listed(database, actor, RecordQuery(search="theirs"))).rows == []
    found = await records.read_record(database, actor, CUSTOMERS, theirs)
    assert isinstance(found, Refusal)
    assert found.status == 404
    typed = Typed(1, {"name": "mine"}, ())
    assert await records.edit_record(database, actor, CUSTOMERS, theirs, typed) == (records.NO_SUCH_RECORD,)


BASE: Values = {"email": "ada@example.com", "name": "Ada", "phone": None, "description": None, "metadata": {"a": "1"}}


async def linked_customer(database: Database, workspace_id: UUID, **changed: Any) -> UUID:
    row = {**BASE, "external_id": "cus_1", "payment_base": BASE, "payment_sync_status": "synced", **changed}
    (made,) = await make(database, workspace_id, "customers", [row])
    return made


async def detail(database: Database, actor: Actor, entity: EntityType, record_id: UUID) -> RecordDetail:
    found = await records.read_record(database, actor, entity, record_id)
    assert isinstance(found, RecordDetail)
    return found


def as_typed(version: int, metadata: dict[str, str] | None = None, **texts: str) -> Typed:
    return Typed(version, texts, tuple((metadata if metadata is not None else {"a": "1"}).items()))


async def test_an_edit_makes_a_local_edit_and_taking_it_back_makes_it_synced(
    database: Database, workspace_id: UUID
) -> None:
    record_id, actor = await linked_customer(database, workspace_id), actor_of(workspace_id)
    saved = await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(1, name="Ada L.", phone="+44 1"))
    assert saved == Saved(2, SyncStatus.LOCAL_EDIT, ("name", "phone"))
    found = await detail(database, actor, CUSTOMERS, record_id)
    assert found.state.local == {**BASE, "name": "Ada L.", "phone": "+44 1"}
    assert (found.state.base, found.state.status) == (BASE, SyncStatus.LOCAL_EDIT)
    (entry,) = found.history
    assert (entry.kind, entry.what, entry.who) == ("audit", "record.edited", "ana@example.com")
    assert entry.details == {"changes": {"name": ["Ada", "Ada L."], "phone": [None, "+44 1"]}}
    back = await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(2, name="Ada", phone=" "))
    assert back == Saved(3, SyncStatus.SYNCED, ("name", "phone"))


async def test_saving_what_is_there_already_writes_nothing(database: Database, workspace_id: UUID) -> None:
    record_id, actor = await linked_customer(database, workspace_id), actor_of(workspace_id)
    saved = await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(1, name="Ada"))
    assert saved == Saved(1, SyncStatus.SYNCED, ())
    assert (await detail(database, actor, CUSTOMERS, record_id)).history == ()


async def test_the_later_of_two_editors_is_told_and_nothing_is_overwritten(
    database: Database, workspace_id: UUID
) -> None:
    record_id, actor = await linked_customer(database, workspace_id), actor_of(workspace_id)
    await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(1, name="First"))
    late = await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(1, name="Second"))
    assert late == Overtaken(2, {**BASE, "name": "First"})
    assert (await detail(database, actor, CUSTOMERS, record_id)).state.local["name"] == "First"


STATUSES: dict[str, tuple[dict[str, Any], SyncStatus]] = {
    "of a record in conflict stays a conflict": ({"payment_sync_status": "conflict"}, SyncStatus.CONFLICT),
    "without a base is a local edit": ({"payment_base": None, "payment_sync_status": "pending"}, SyncStatus.LOCAL_EDIT),
    "of a record of our own stays never synced": (
        {"payment_base": None, "payment_sync_status": "pending", "external_id": None},
        SyncStatus.PENDING,
    ),
}


@pytest.mark.parametrize(("row", "status"), STATUSES.values(), ids=STATUSES.keys())
async def test_an_edit(database: Database, workspace_id: UUID, row: dict[str, Any], status: SyncStatus) -> None:
    record_id = await linked_customer(database, workspace_id, **row)
    saved = await records.edit_record(
        database, actor_of(workspace_id), CUSTOMERS, record_id, as_typed(1, name="Changed")
    )
    assert isinstance(saved, Saved)
    assert saved.status is status


WRONG: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "no address": ({"email": "ada"}, {"a": "1"}, "email"),
    "two addresses": ({"email": "a@b.example, c@d.example"}, {"a": "1"}, "email"),
    "an address with a space": ({"email": "a da@example.com"}, {"a": "1"}, "email"),
    "a long name": ({"name": "n" * 257}, {"a": "1"}, "name"),
    "a long phone": ({"phone": "1" * 21}, {"a": "1"}, "phone"),
    "a control character": ({"description": "a\x00b"}, {"a": "1"}, "description"),
    "half a character": ({"description": "\ud800"}, {"a": "1"}, "description"),
    "51 keys": ({}, {f"k{n}": "v" for n in range(51)}, "metadata"),
    "a long key": ({}, {"k" * 41: "v"}, "metadata"),
    "a long value": ({}, {"k": "v" * 501}, "metadata"),
    "a value without a key": ({}, {"": "v"}, "metadata"),
    "a bracket in a key": ({}, {"a[b]": "v"}, "metadata"),
}


@pytest.mark.parametrize(("texts", "metadata", "field"), WRONG.values(), ids=WRONG.keys())
async def test_what_does_not_fit_is_refused_beside_its_field(
    database: Database, workspace_id: UUID, texts: dict[str, str], metadata: dict[str, str], field: str
) -> None:
    record_id, actor = await linked_customer(database, workspace_id), actor_of(workspace_id)
    refused = await records.edit_record(database, actor, CUSTOMERS, record_id, as_typed(1, metadata, **texts))
    assert isinstance(refused, tuple)
    assert {one.field for one in refused} == {field}
    assert (await detail(database, actor, CUSTOMERS, record_id)).state.row_version == 1


async def test_the_same_key_twice_is_refused(database: Database, workspace_id: UUID) -> None:
    record_id = await linked_customer(database, workspace_id)
    typed = Typed(1, {}, (("a", "1"), ("a", "2")))
    refused = await records.edit_record(database, actor_of(workspace_id), CUSTOMERS, record_id, typed)
    assert isinstance(refused, tuple)
    assert [one.field for one in refused] == ["metadata"]


async def test_what_stripe_sent_long_ago_need_not_fit_to_edit_another_field(
    database: Database, workspace_id: UUID
) -> None:
    record_id = await linked_customer(database, workspace_id, email="not an address")
    typed = as_typed(1, email="not an address", name="New")
    saved = await records.edit_record(database, actor_of(workspace_id), CUSTOMERS, record_id, typed)
    assert isinstance(saved, Saved)


async def test_a_product_keeps_its_name_and_its_switch(database: Database, workspace_id: UUID) -> None:
    async with database.workspace(workspace_id) as session:
        wallet = (await session.execute(text("SELECT id FROM wallets"))).scalar_one()
    (made,) = await make(database, workspace_id, "products", [{"name": "Plan", "wallet_id": wallet}])
    actor = actor_of(workspace_id)
    nameless = await records.edit_record(
        database, actor, EntityType.PRODUCTS, made, Typed(1, {"name": " ", "url": "ftp://x"}, ())
    )
    assert isinstance(nameless, tuple)
    assert [one.field for one in nameless] == ["name", "url"]
    typed = Typed(1, {"name": "Plan", "active": "off"}, (("sku", "1"),))
    saved = await records.edit_record(database, actor, EntityType.PRODUCTS, made, typed)
    assert saved == Saved(2, SyncStatus.PENDING, ("active", "metadata"))


REFUSED: dict[str, tuple[Role, EntityType, str]] = {
    "a viewer": (Role.VIEWER, CUSTOMERS, "forbidden"),
    "an invoice": (Role.OWNER, EntityType.INVOICES, "not_editable"),
}


@pytest.mark.parametrize(("role", "entity", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_no_edit_for(database: Database, workspace_id: UUID, role: Role, entity: EntityType, code: str) -> None:
    record_id = await linked_customer(database, workspace_id)
    refused = await records.edit_record(
        database, actor_of(workspace_id, role), entity, record_id, as_typed(1, name="No")
    )
    assert isinstance(refused, tuple)
    assert [one.code for one in refused] == [code]


async def test_a_customer_shows_what_hangs_on_it(database: Database, workspace_id: UUID) -> None:
    customer = await linked_customer(database, workspace_id)
    (subscription,) = await make(
        database,
        workspace_id,
        "subscriptions",
        [{"external_id": "sub_1", "customer_id": customer, "status": "active", "items": [{"id": "si_1"}]}],
    )
    await make(
        database,
        workspace_id,
        "invoices",
        (
            {"external_id": f"in_{n}", "number": f"N-{n}", "customer_id": customer, "subscription_id": subscription}
            for n in range(12)
        ),
    )
    actor = actor_of(workspace_id)
    found = await detail(database, actor, CUSTOMERS, customer)
    counts: dict[EntityType, tuple[int, bool]] = {one.entity: (len(one.rows), one.more) for one in found.children}
    assert counts == {EntityType.SUBSCRIPTIONS: (1, False), EntityType.INVOICES: (10, True)}
    below = {one.label: one for one in card(found, "UTC").children}
    # What the customer's own page says is not said again of each.
    assert [column.label for column in below["Invoices"].columns] == ["Total", "To pay", "State", "Due"]
    assert [len(one.cells) for one in below["Invoices"].rows] == [4] * 10
    assert [column.label for column in below["Subscriptions"].columns] == ["Price", "State", "Period ends"]
    child = await detail(database, actor, EntityType.SUBSCRIPTIONS, subscription)
    assert [(one.field, one.record.record_id) for one in child.parents] == [("customer", customer)]
    values: dict[str, JsonValue] = child.state.local
    assert values["customer"] == "cus_1"
