"""/sync/stripe/conflicts: listed, shown, settled one by one and by rule, taken back."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from sync_core.engine.drive import drive
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services.api_keys import KeyLevel
from sync_core.store.database import Database
from tests.api.conftest import Client, issued
from tests.api.test_access import assert_error
from tests.api.test_connections_api import signed
from tests.conftest import make_workspace
from tests.support import taken

CONFLICTS = "/sync/stripe/conflicts"


async def synced(call: Client, database: Database, sandbox: SandboxProcess) -> None:
    made = await call("POST", "/sync/stripe/initial", {"entity_types": ["products"], "conflict_strategy": "flag"})
    async with taken(database, UUID(made.json()["id"]), sandbox.url) as run:
        await drive(run, lease_seconds=20.0)


@pytest.fixture
async def disputed(
    call: Client,
    connected: dict[str, Any],
    database: Database,
    api_sandbox: SandboxProcess,
) -> list[dict[str, Any]]:
    """Three products whose names were changed on both sides."""
    assert connected["object"] == "connection"
    await synced(call, database, api_sandbox)
    ids = api_sandbox.truth("products")[:3]
    async with database.workspace(call.workspace_id) as session:
        await session.execute(text("UPDATE products SET name = 'Ours' WHERE external_id = ANY(:ids)"), {"ids": ids})
    for one in ids:
        name = f"Theirs {uuid4().hex[:6]}"
        api_sandbox.mutate({"op": "update", "type": "products", "id": one, "object": {"name": name}})
    await synced(call, database, api_sandbox)
    listed: list[dict[str, Any]] = (await call("GET", CONFLICTS)).json()["data"]
    assert {one["external_id"] for one in listed} == set(ids)
    return listed


async def names(database: Database, workspace_id: UUID) -> dict[str, str]:
    async with database.workspace(workspace_id) as session:
        rows = await session.execute(text("SELECT external_id, name FROM products"))
        return {row.external_id: row.name for row in rows}


_EDITED = (
    "INSERT INTO audit_log (workspace_id, actor, action, target, occurred_at, details) SELECT workspace_id, 'ana', 'record.edited',"
    ' \'products/\' || record_id, now() - interval \'5 hours\', \'{"changes": {"name": ["Base", "Ours"]}}\' FROM payment_sync_conflicts'
)


async def test_the_newer_side_by_what_stripe_has_signed(
    call: Client, database: Database, disputed: list[dict[str, Any]]
) -> None:
    """From the webhook's way in to the record: of one product an event says when it changed."""
    secret, told = "whsec_0123456789abcdef", disputed[0]
    await call("PUT", "/connections/stripe/webhook-secret", {"webhook_secret": secret})
    path = f"{CONFLICTS}/{told['id']}"
    theirs = (await call("GET", path)).json()["differing"][0]["stripe"]
    async with database.workspace(call.workspace_id) as session:
        await session.execute(text("UPDATE products SET payment_observed_at = now() - interval '1 day'"))
        await session.execute(text(_EDITED))
    at = int(time.time()) - 3_600
    product = {"id": told["external_id"], "object": "product", "created": 1, "name": theirs, "metadata": {}}
    event = {"id": "evt_1", "object": "event", "type": "product.updated", "created": at, "livemode": False}
    body = json.dumps({**event, "data": {"object": product, "previous_attributes": {"name": "Base"}}}).encode()
    kept = await call("POST", f"/webhooks/stripe/{call.workspace_id}", content=body, headers=signed(body, secret))
    assert kept.status_code == 200, kept.text

    name = (await call("GET", path)).json()["differing"][0]
    assert (name["newer"], name["stripe_changed"]) == ("stripe", {"at": at, "event_id": "evt_1"})
    assert name["local_changed"]["by"] == "ana"
    preview = (await call("POST", f"{CONFLICTS}/bulk-preview", {"take": "newer"})).json()
    assert (preview["rows"], preview["rule"]["take"], preview["fields"][0]["sides"]) == (1, "newer", {"stripe": 1})
    assert [(one["rows"], "not known" in one["reason"]) for one in preview["not_covered"]] == [(2, True)]
    times = preview["samples"][0]["changed_at"]["name"]
    assert (times["stripe"], times["event_id"], times["local"] < at) == (at, "evt_1", True)
    done = await call("POST", f"{CONFLICTS}/bulk-resolve", {"preview_id": preview["id"], "hash": preview["hash"]})
    assert (done.json()["resolved"], done.json()["left_out_count"]) == (1, 0)
    stored = await names(database, call.workspace_id)
    assert [stored[one["external_id"]] for one in disputed] == [theirs, "Ours", "Ours"]


async def test_one_by_one(call: Client, database: Database, disputed: list[dict[str, Any]]) -> None:
    first, second, third = disputed
    shown = (await call("GET", f"{CONFLICTS}/{first['id']}", level=KeyLevel.READ)).json()
    assert [one["name"] for one in shown["differing"]] == ["name"]
    assert shown["differing"][0]["local"] == "Ours"

    took = await call("POST", f"{CONFLICTS}/{first['id']}/resolve", {"take": "stripe"}, level=KeyLevel.WRITE)
    own = {"choices": {"name": {"take": "custom", "value": "Agreed"}}, "revision": second["revision"]}
    custom = await call("POST", f"{CONFLICTS}/{second['id']}/resolve", own)
    twice = await call("POST", f"{CONFLICTS}/{first['id']}/resolve", {"take": "local"})
    moved = await call("POST", f"{CONFLICTS}/{third['id']}/resolve", {"take": "local", "revision": 99})

    assert (took.status_code, custom.status_code) == (200, 200), custom.text
    stored = await names(database, call.workspace_id)
    assert stored[first["external_id"]] == shown["differing"][0]["stripe"]
    assert stored[second["external_id"]] == "Agreed"
    assert twice.status_code == moved.status_code == 409

    undone = await call("POST", f"{CONFLICTS}/decisions/{took.json()['decision_id']}/undo")
    assert (undone.status_code, undone.json()["status"]) == (200, "open")
    assert (await names(database, call.workspace_id))[first["external_id"]] == "Ours"


async def test_a_decision_on_an_older_revision_is_refused_with_the_newer_state(
    call: Client, database: Database, disputed: list[dict[str, Any]]
) -> None:
    path = f"{CONFLICTS}/{disputed[0]['id']}"
    shown = await call("GET", path)
    tag = shown.headers["ETag"]
    took = await call("POST", f"{path}/resolve", {"take": "stripe"}, headers={"If-Match": tag})
    late = await call("POST", f"{path}/resolve", {"take": "local"}, headers={"If-Match": tag})
    plain = await call("POST", f"{path}/resolve", {"take": "local"})
    odd = await call("POST", f"{path}/resolve", {"take": "local"}, headers={"If-Match": '"other"'})

    assert took.status_code == 200, took.text
    assert (late.status_code, plain.status_code, odd.status_code) == (412, 409, 412)
    for refused in (late, plain):
        conflict = refused.json()["error"]["details"]["conflict"]
        assert (conflict["status"], conflict["decisions"][0]["choices"]["name"]["take"]) == ("resolved", "stripe")
    assert (await names(database, call.workspace_id))[disputed[0]["external_id"]] != "Ours"


async def test_handled_and_counted(call: Client, disputed: list[dict[str, Any]]) -> None:
    first, second, _ = disputed
    put_off = await call("PATCH", f"{CONFLICTS}/{first['id']}/handling", {"snoozed_for": "run"})
    nobody = await call("PATCH", f"{CONFLICTS}/{second['id']}/handling", {"assignee": "stranger@example.com"})
    said = await call("POST", f"{CONFLICTS}/{second['id']}/comments", {"body": "ask them"})
    sent: dict[str, str | None] = {"Content-Type": "application/json"}
    half = await call("POST", f"{CONFLICTS}/{second['id']}/comments", content=b'{"body": "\\ud800"}', headers=sent)
    counted = (await call("GET", f"{CONFLICTS}/facets?field=name&not=field")).json()
    import_ = {"decisions": f"id,revision,field,choice\n{second['id']},1,name,stripe"}
    previewed = (await call("POST", f"{CONFLICTS}/import-preview", import_)).json()
    picked = await call("POST", f"{CONFLICTS}/bulk-preview", {"take": "stripe", "conflict_ids": [second["id"]]})

    assert (put_off.status_code, put_off.json()["snoozed_for"]) == (200, "run")
    assert_error(nobody, 422, "assignee_unknown")
    assert said.status_code == 200
    assert_error(half, 422, "invalid_request")
    assert (counted["matching"], counted["total"]) == (0, 2)
    assert {one["value"]: one["count"] for one in counted["facets"]["field"]} == {"name": 2}
    assert (previewed["rows"], picked.json()["rows"]) == (1, 1)
    assert_error(await call("GET", f"{CONFLICTS}?transition=sideways"), 422, "filter_unknown")
    assert (await call("GET", f"{CONFLICTS}/rules")).json()["data"] == []


async def test_by_rule(call: Client, database: Database, disputed: list[dict[str, Any]]) -> None:
    preview = (await call("POST", f"{CONFLICTS}/bulk-preview", {"take": "stripe"})).json()
    wrong = await call("POST", f"{CONFLICTS}/bulk-resolve", {"preview_id": preview["id"], "hash": "0"})
    done = await call("POST", f"{CONFLICTS}/bulk-resolve", {"preview_id": preview["id"], "hash": preview["hash"]})

    assert preview["rows"] == 3
    assert_error(wrong, 409, "hash_differs")
    assert done.json()["resolved"] == 3
    assert "Ours" not in (await names(database, call.workspace_id)).values()
    undone = await call("POST", f"{CONFLICTS}/batches/{done.json()['batch_id']}/undo")
    assert undone.json()["undone"] == 3
    assert len((await call("GET", CONFLICTS)).json()["data"]) == len(disputed)


async def test_a_field_is_ignored(call: Client, database: Database, disputed: list[dict[str, Any]]) -> None:
    """In one record by its conflict, then in all of them: each settles what it showed, and changes nothing."""
    before, ignored = await names(database, call.workspace_id), f"{CONFLICTS}/ignored"
    here = {"field": "products.name", "conflict_id": disputed[0]["id"]}
    seen = (await call("POST", f"{ignored}/preview", here, level=KeyLevel.WRITE)).json()
    sealed = {"preview_id": seen["id"], "hash": seen["hash"]}
    one = await call("POST", ignored, here | sealed, level=KeyLevel.WRITE)
    assert (seen["rows"], one.status_code, one.json()["settled"]["resolved"]) == (1, 201, 1), one.text
    everywhere = {"field": "products.name"}
    assert_error(await call("POST", f"{ignored}/preview", everywhere, level=KeyLevel.WRITE), 403, "forbidden")
    added = (await call("POST", ignored, everywhere, level=KeyLevel.ADMIN)).json()
    listed = (await call("GET", ignored)).json()["data"]
    assert (added["added"], added["settled"]) == (True, None)
    assert [(row["field"], row["record_id"], row["open_conflicts"]) for row in listed] == [
        ("products.name", None, 2),
        ("products.name", disputed[0]["record_id"], 0),
    ]
    assert await names(database, call.workspace_id) == before
    for body, code in ((everywhere | {"hash": "0"}, "invalid_request"), ({"field": "products.shoe"}, "field_unknown")):
        assert_error(await call("POST", ignored, body, level=KeyLevel.ADMIN), 422, code)
    rule = {"name": "Names", "then": {"fields": {"name": "ignore"}}}
    assert_error(await call("POST", f"{CONFLICTS}/rules", rule, level=KeyLevel.ADMIN), 422, "rule_invalid")
    several = await call("POST", f"{CONFLICTS}/bulk-preview", {"fields": {"name": "ignore_here"}})
    assert (several.json()["rows"], several.json()["fields"][0]["written"]) == (2, False), several.text
    gone = await call("DELETE", f"{ignored}/products.name?record_id={disputed[0]['record_id']}", level=KeyLevel.WRITE)
    assert gone.status_code == 200, gone.text
    assert (await call("DELETE", f"{ignored}/products.name", level=KeyLevel.ADMIN)).json()["deleted"] is True
    assert (await call("GET", ignored)).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"take": "theirs"}, "take", id="no such side"),
        pytest.param({"choices": {"name": "stripe"}}, "choices.name", id="a choice that is no object"),
        pytest.param({"choices": {"shoe": {"take": "stripe"}}}, "shoe", id="no such field"),
        pytest.param({"choices": {"name": {"take": "custom", "value": 5}}}, "name", id="a value of another kind"),
        pytest.param({"taken": "stripe"}, "taken", id="a misspelt name"),
        pytest.param({"take": "custom"}, "take", id="an own value for everything"),
        pytest.param({"choices": {"name": {"take": "custom"}}}, "choices.name", id="an own value without one"),
        pytest.param(
            {"choices": {"metadata": {"take": "stripe"}, "metadata.plan": {"take": "local"}}},
            "metadata.plan",
            id="a part and its whole",
        ),
    ],
)
async def test_bad_choices(call: Client, disputed: list[dict[str, Any]], body: dict[str, Any], field: str) -> None:
    answer = await call("POST", f"{CONFLICTS}/{disputed[0]['id']}/resolve", body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"]["field"] == field


async def test_pages_and_filters(call: Client, disputed: list[dict[str, Any]]) -> None:
    first = (await call("GET", f"{CONFLICTS}?limit=2")).json()
    second = (await call("GET", f"{CONFLICTS}?limit=2&cursor={first['next_cursor']}")).json()
    none = (await call("GET", f"{CONFLICTS}?entity_type=customers")).json()
    named = (await call("GET", f"{CONFLICTS}?entity_type=products&field=name")).json()

    assert [one["id"] for one in [*first["data"], *second["data"]]] == [one["id"] for one in disputed]
    assert (none["data"], len(named["data"])) == ([], 3)
    assert (await call("GET", f"{CONFLICTS}?status=maybe")).status_code == 422
    assert len((await call("GET", f"{CONFLICTS}?search=theirs")).json()["data"]) == 3
    assert (await call("GET", f"{CONFLICTS}?amount_differs_by=0.5")).json()["data"] == []
    for wrong in ("-1", "NaN", "much", "1e99"):
        assert (await call("GET", f"{CONFLICTS}?amount_differs_by={wrong}")).status_code == 422


async def test_another_workspaces_conflict_is_not_found(
    call: Client, database: Database, disputed: list[dict[str, Any]]
) -> None:
    other = await make_workspace(database, "Other")
    stranger: dict[str, str | None] = {
        "X-API-Key": await issued(database, other, KeyLevel.ADMIN),
        "X-Workspace-ID": str(other),
    }

    for method, path, body in (("GET", "", None), ("POST", "/resolve", {"take": "stripe"})):
        answer = await call(method, f"{CONFLICTS}/{disputed[0]['id']}{path}", body, headers=stranger)
        assert_error(answer, 404, "not_found")
