"""/sync/stripe: the plan's endpoints, their bad inputs, and the JSON of a session."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from sync_core.engine.drive import drive
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import differences, plan_limits
from sync_core.services import drift as drift_service
from sync_core.services.api_keys import KeyLevel
from sync_core.services.plan_limits import Limits
from sync_core.store.database import Database
from tests.api.conftest import Client, issued
from tests.api.test_access import assert_error
from tests.conftest import make_workspace
from tests.services import actor_of
from tests.support import taken

INITIAL = "/sync/stripe/initial"
SESSIONS = "/sync/stripe/sessions"
LATER = int(time.time()) + 86_400


async def driven(database: Database, sandbox: SandboxProcess, session_id: str) -> None:
    async with taken(database, UUID(session_id), sandbox.url) as run:
        await drive(run, lease_seconds=20.0)


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        pytest.param({"entity_types": []}, "entity_types_empty", "entity_types", id="no entity type"),
        pytest.param({"entity_types": ["refunds"]}, "entity_type_unknown", "entity_types", id="unknown entity type"),
        pytest.param({"entity_types": ["a\u0000b"]}, "invalid_request", "", id="NUL"),
        pytest.param({"entity_types": "customers"}, "invalid_request", "entity_types", id="not a list"),
        pytest.param({"entity_types": [1]}, "invalid_request", "entity_types.0", id="not words"),
        pytest.param({"batch_size": 0}, "batch_size_out_of_range", "batch_size", id="batch 0"),
        pytest.param({"batch_size": 101}, "batch_size_out_of_range", "batch_size", id="batch 101"),
        pytest.param({"batch_size": "100"}, "invalid_request", "batch_size", id="batch a string"),
        pytest.param({"batch_size": 1.5}, "invalid_request", "batch_size", id="batch a fraction"),
        pytest.param({"batch_size": True}, "invalid_request", "batch_size", id="batch true"),
        pytest.param(
            {"concurrent_batches": 0}, "concurrent_batches_out_of_range", "concurrent_batches", id="concurrency 0"
        ),
        pytest.param(
            {"concurrent_batches": 21}, "concurrent_batches_out_of_range", "concurrent_batches", id="concurrency 21"
        ),
        pytest.param({"conflict_strategy": "merge"}, "strategy_unknown", "conflict_strategy", id="strategy"),
        pytest.param({"strategies": {"fields": {"x.y": "skip"}}}, "strategy_unknown", "strategies", id="of no field"),
        pytest.param({"dry_run": "yes"}, "invalid_request", "dry_run", id="dry run a word"),
        pytest.param({"dry_runn": True}, "invalid_request", "dry_runn", id="a misspelt name"),
        pytest.param({"date_range": {}}, "date_range_empty", "date_range", id="empty range"),
        pytest.param({"date_range": {"start": 5, "end": 5}}, "date_range_empty", "date_range", id="of no length"),
        pytest.param(
            {"date_range": {"start": "2025-02-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}},
            "date_range_reversed",
            "date_range",
            id="reversed",
        ),
        pytest.param(
            {"date_range": {"start": LATER, "end": LATER + 60}}, "date_range_future", "date_range", id="future"
        ),
        pytest.param({"date_range": {"end": LATER}}, "date_range_future", "date_range", id="ends in the future"),
        pytest.param({"date_range": {"start": "soon"}}, "date_range_invalid", "date_range", id="no date"),
        pytest.param({"date_range": {"start": 10**40}}, "date_range_invalid", "date_range", id="no calendar"),
    ],
)
async def test_bad_input(call: Client, change: dict[str, Any], code: str, field: str) -> None:
    error = assert_error(await call("POST", INITIAL, {"entity_types": ["customers"]} | change), 422, code)

    assert error["details"]["field"] == field
    assert (await call("GET", SESSIONS)).json()["data"] == []


async def test_without_a_connection(call: Client) -> None:
    assert_error(await call("POST", INITIAL, {"entity_types": ["customers"]}), 409, "not_connected")


@pytest.mark.usefixtures("connected")
async def test_a_session_is_the_plans(call: Client, database: Database, api_sandbox: SandboxProcess) -> None:
    asked = {
        "entity_types": ["customers", "products"],
        "date_range": {"start": "2014-01-01T00:00:00Z", "end": 1_750_000_000},
    }
    answer = await call("POST", INITIAL, asked, level=KeyLevel.WRITE)
    made = answer.json()
    assert answer.status_code == 201
    assert (made["object"], made["status"], made["workspace_id"]) == ("sync_session", "pending", str(call.workspace_id))
    assert {name: made["config"][name] for name in ("batch_size", "concurrent_batches", "conflict_strategy")} == {
        "batch_size": 100,
        "concurrent_batches": 3,
        "conflict_strategy": "skip",
    }
    assert made["config"]["date_range"] == {"start": "2014-01-01T00:00:00Z", "end": "2025-06-15T15:06:40Z"}
    assert "started_at" not in made
    assert "completed_at" not in made
    assert_error(await call("POST", INITIAL, asked), 409, "sync_running")

    await driven(database, api_sandbox, made["id"])
    shown = (await call("GET", f"{SESSIONS}/{made['id']}", level=KeyLevel.READ)).json()
    assert shown["status"] == "completed"
    assert all(isinstance(shown[name], int) for name in ("started_at", "completed_at", "created_at", "updated_at"))
    customers = shown["progress"]["customers"]
    assert customers["processed"] == customers["successful"] == customers["total_estimated"] > 0
    assert "last_error" not in customers

    report = (await call("GET", f"{SESSIONS}/{made['id']}/report")).json()
    assert report["verified"] is True
    assert report["matrix"]["customers"]["create"] == customers["created"]
    events = (await call("GET", f"{SESSIONS}/{made['id']}/events?event_type=sync_completed")).json()
    assert {one["entity_type"] for one in events["data"]} == {"customer", "product"}


@pytest.mark.usefixtures("connected")
async def test_a_dry_run_is_applied(
    call: Client, database: Database, api_sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One call compares all that there is, however slow the machine.
    monkeypatch.setattr(drift_service, "BUDGET_SECONDS", 60.0)
    monkeypatch.setattr(differences, "BUDGET_SECONDS", 60.0)
    plan = (await call("POST", INITIAL, {"entity_types": ["products"], "dry_run": True})).json()
    early = await call("POST", f"{SESSIONS}/{plan['id']}/apply")
    await driven(database, api_sandbox, plan["id"])
    report = (await call("GET", f"{SESSIONS}/{plan['id']}/report")).json()
    drift = (await call("GET", f"{SESSIONS}/{plan['id']}/drift")).json()
    file = await call("GET", f"{SESSIONS}/{plan['id']}/export?format=csv&action=create")
    none = await call("POST", f"{SESSIONS}/{plan['id']}/apply", {"limit": 0})
    applied = await call("POST", f"{SESSIONS}/{plan['id']}/apply", {"limit": 2})
    await driven(database, api_sandbox, applied.json()["id"])
    again = await call("POST", f"{SESSIONS}/{applied.json()['id']}/apply")
    done = (await call("GET", f"{SESSIONS}/{applied.json()['id']}")).json()

    products = report["totals"]["create"]
    assert (report["status"], report["exit_code"]) == ("fresh", 2)
    assert report["valid_until"] == report["session"]["completed_at"] + 24 * 3600
    assert (drift["rows"], drift["as_planned"], drift["drifted"], drift["data"]) == (products, products, 0, [])
    assert (drift["compared"], drift["complete"], drift["count_cursor"]) == (products, True, None)
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(file.text.splitlines()) == products + 1
    assert_error(early, 409, "dry_run_unfinished")
    assert_error(none, 422, "limit_out_of_range")
    assert applied.status_code == 201
    assert applied.json()["source_session_id"] == plan["id"]
    assert_error(again, 409, "not_a_dry_run")
    assert done["progress"]["products"]["created"] == 2

    # Of its first few, those alone are compared.
    path = f"{SESSIONS}/{applied.json()['id']}/differences"
    beside = (await call("GET", path)).json()
    file = await call("GET", f"{path}/export?entity_type=products&earlier=create&later=none&format=csv")
    assert (beside["compared"], beside["differing"], beside["complete"], beside["data"]) == (2, 0, True, [])
    assert len(file.text.splitlines()) == 1
    assert_error(await call("GET", f"{SESSIONS}/{plan['id']}/differences"), 422, "other_required")
    assert_error(await call("GET", f"{path}?earlier=create"), 422, "kind_invalid")


@pytest.mark.usefixtures("connected")
async def test_a_plan_older_than_a_day_is_not_applied(
    call: Client, database: Database, api_sandbox: SandboxProcess
) -> None:
    plan = (await call("POST", INITIAL, {"entity_types": ["products"], "dry_run": True})).json()
    await driven(database, api_sandbox, plan["id"])
    async with database.workspace(call.workspace_id) as session:
        await session.execute(
            text("UPDATE payment_sync_sessions SET completed_at = now() - interval '24 hours 1 second'")
        )

    assert (await call("GET", f"{SESSIONS}/{plan['id']}/report")).json()["status"] == "expired"
    assert_error(await call("POST", f"{SESSIONS}/{plan['id']}/apply"), 409, "plan_expired")


@pytest.mark.usefixtures("connected")
async def test_a_plan_that_waits_for_a_second_person_is_not_applied(
    call: Client, database: Database, api_sandbox: SandboxProcess
) -> None:
    await plan_limits.save(database, actor_of(call.workspace_id), Limits(approval=True))
    plan = (await call("POST", INITIAL, {"entity_types": ["products"], "dry_run": True})).json()
    await driven(database, api_sandbox, plan["id"])
    shown = (await call("GET", f"{SESSIONS}/{plan['id']}/report")).json()

    assert (shown["status"], shown["approval"]["status"], shown["superseded_by"]) == ("fresh", "needed", None)
    assert len(shown["plan_hash"]) == 64
    assert 0 < shown["apply_seconds"][0] <= shown["apply_seconds"][1]
    assert_error(await call("POST", f"{SESSIONS}/{plan['id']}/apply"), 409, "plan_not_approved")
    assert_error(await call("POST", INITIAL, {"entity_types": ["products"]}), 409, "approval_required")


@pytest.mark.usefixtures("connected")
async def test_cancel_and_resume(call: Client) -> None:
    made = (await call("POST", INITIAL, {"entity_types": ["products"]})).json()
    cancelled = await call("PUT", f"{SESSIONS}/{made['id']}/cancel")
    twice = await call("PUT", f"{SESSIONS}/{made['id']}/cancel")
    resumed = await call("POST", f"{SESSIONS}/{made['id']}/resume")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert_error(twice, 409, "session_not_open")
    assert (resumed.status_code, resumed.json()["status"]) == (200, "pending")


@pytest.mark.usefixtures("connected")
async def test_pages(call: Client) -> None:
    made = []
    for _ in range(3):
        one = (await call("POST", INITIAL, {"entity_types": ["products"]})).json()
        await call("PUT", f"{SESSIONS}/{one['id']}/cancel")
        made.append(one["id"])
    first = (await call("GET", f"{SESSIONS}?limit=2")).json()
    second = (await call("GET", f"{SESSIONS}?limit=2&cursor={first['next_cursor']}")).json()

    assert [one["id"] for one in [*first["data"], *second["data"]]] == made[::-1]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("limit=0", id="limit 0"),
        pytest.param("limit=101", id="limit 101"),
        pytest.param("limit=many", id="no number"),
        pytest.param("status=done", id="no status"),
        pytest.param("cursor=nope", id="no cursor"),
        pytest.param("cursor=%00", id="NUL"),
    ],
)
async def test_bad_queries(call: Client, query: str) -> None:
    answer = await call("GET", f"{SESSIONS}?{query}")

    assert answer.status_code == 422
    assert answer.json()["error"]["details"]["field"] == query.partition("=")[0]


@pytest.mark.usefixtures("connected")
async def test_another_workspaces_session_is_not_found(call: Client, database: Database) -> None:
    made = (await call("POST", INITIAL, {"entity_types": ["customers"]})).json()
    other = await make_workspace(database, "Other")
    stranger: dict[str, str | None] = {
        "X-API-Key": await issued(database, other, KeyLevel.ADMIN),
        "X-Workspace-ID": str(other),
    }
    paths = [
        ("GET", ""),
        ("PUT", "/cancel"),
        ("POST", "/resume"),
        ("POST", "/apply"),
        ("GET", "/events"),
        ("GET", "/report"),
        ("GET", "/errors"),
        ("POST", "/retry"),
        ("POST", "/repair"),
    ]
    theirs = [await call(method, f"{SESSIONS}/{made['id']}{path}", headers=stranger) for method, path in paths]
    unknown = [await call(method, f"{SESSIONS}/{uuid4()}{path}", headers=stranger) for method, path in paths]

    for one in theirs:
        assert_error(one, 404, "session_not_found")
    assert [one.json() for one in theirs] == [one.json() for one in unknown]
    assert (await call("GET", SESSIONS, headers=stranger)).json()["data"] == []


@pytest.mark.usefixtures("connected")
async def test_an_estimate(call: Client, api_sandbox: SandboxProcess) -> None:
    answer = await call("POST", "/sync/stripe/estimate", {"entity_types": ["products", "prices"]})

    assert answer.status_code == 200
    assert answer.json()["entities"]["products"]["records"] == len(api_sandbox.truth("products"))
    requests = answer.json()["requests"]
    assert answer.json()["requests_between"] == {"low": requests, "high": requests}, "all was counted"


@pytest.mark.usefixtures("connected")
async def test_errors_are_listed_retried_and_repaired(
    call: Client, database: Database, api_sandbox: SandboxProcess
) -> None:
    rule = {"kind": "malformed_object", "match": "GET /v1/customers", "ids": api_sandbox.truth("customers")[:3]}
    api_sandbox.faults(rule)
    made = (await call("POST", INITIAL, {"entity_types": ["customers"]})).json()
    await driven(database, api_sandbox, made["id"])
    api_sandbox.faults()
    path = f"{SESSIONS}/{made['id']}"

    first = (await call("GET", f"{path}/errors?limit=2")).json()
    rest = (await call("GET", f"{path}/errors?limit=2&cursor={first['next_cursor']}")).json()
    assert [len(first["data"]), len(rest["data"]), rest["has_more"]] == [2, 1, False]
    one = first["data"][0]
    assert (one["object"], one["entity_type"], one["reason_code"]) == ("sync_error", "customers", "unsupported_shape")
    assert all(one[name] for name in ("external_id", "field", "message", "request_id", "repair"))

    named = {"entity_type": "customers", "external_ids": [one["external_id"]]}
    assert_error(await call("POST", f"{path}/retry", named, level=KeyLevel.READ), 403, "forbidden")
    assert_error(await call("POST", f"{path}/retry", {"reason_code": "missing_parent"}), 409, "nothing_to_retry")
    assert_error(await call("POST", f"{path}/retry", {"reason_code": "nonsense"}), 422, "invalid_request")
    assert (await call("POST", f"{path}/retry", named)).json()["status"] == "pending"
    await driven(database, api_sandbox, made["id"])
    assert len((await call("GET", f"{path}/errors")).json()["data"]) == 2
    assert (await call("POST", f"{path}/retry")).json()["status"] == "pending"
    await driven(database, api_sandbox, made["id"])

    assert (await call("POST", f"{path}/repair")).json()["status"] == "pending"
    await driven(database, api_sandbox, made["id"])
    shown = (await call("GET", f"{path}/report")).json()
    assert shown["verification"]["summary"] == "verified: 60 of 60"
    assert shown["verification"]["missing_ids"] == {}
