"""/sync/stripe/conflicts/rules: added, put in order, switched on, taken out as a file, brought in, deleted."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sync_core.domain.conflict_rules import Rule
from sync_core.domain.vocabulary import Choice
from sync_core.services import conflict_rules
from sync_core.services.api_keys import KeyLevel
from sync_core.store.conflict_query import ConflictQuery
from sync_core.store.database import Database
from tests.api.conftest import Client, issued
from tests.api.test_access import assert_error
from tests.conflict_data import make_conflicts
from tests.conftest import make_workspace

RULES = "/sync/stripe/conflicts/rules"
NAMES: dict[str, Any] = {
    "name": "Names",
    "when": {"facets": {"entity": ["customers"], "field": ["name"]}},
    "then": {"take": "stripe"},
}


async def added(call: Client, name: str, **more: Any) -> str:
    answer = await call("POST", RULES, {**NAMES, "name": name, **more})
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


async def order(call: Client) -> list[str]:
    return [one["name"] for one in (await call("GET", RULES)).json()["data"]]


async def test_a_rule_from_its_first_day_to_its_last(call: Client, database: Database) -> None:
    made = await make_conflicts(database, call.workspace_id, 3)
    rule = (await call("POST", RULES, NAMES)).json()
    assert (rule["enabled"], rule["matches"], rule["settles"], rule["then"]["money"]) == (False, 3, 3, False)
    assert await conflict_rules.apply_to_run(database, call.workspace_id, made.session_id) == 0

    on = await call("PATCH", f"{RULES}/{rule['id']}", {"enabled": True})
    assert (on.status_code, on.json()["enabled"]) == (200, True)
    assert await conflict_rules.apply_to_run(database, call.workspace_id, made.session_id) == 3
    (listed,) = (await call("GET", RULES, level=KeyLevel.READ)).json()["data"]
    assert (listed["hits"], listed["matches"]) == (3, 0)

    gone = await call("DELETE", f"{RULES}/{rule['id']}")
    assert (gone.status_code, gone.json()) == (200, {"id": rule["id"], "object": "conflict_rule", "deleted": True})
    assert await order(call) == []
    assert_error(await call("DELETE", f"{RULES}/{rule['id']}"), 404, "not_found")


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        pytest.param(1, ["three", "one", "two"], id="first"),
        pytest.param(2, ["one", "three", "two"], id="between"),
        pytest.param(3, ["one", "two", "three"], id="where it is"),
        pytest.param(99, ["one", "two", "three"], id="past the end"),
    ],
)
async def test_a_rule_is_put_to_its_place(call: Client, position: int, expected: list[str]) -> None:
    ids = {name: await added(call, name) for name in ("one", "two", "three")}
    both = await call("PATCH", f"{RULES}/{ids['three']}", {"position": position, "enabled": True})
    assert both.json()["enabled"] is True
    assert await order(call) == expected
    await call("PATCH", f"{RULES}/{ids['three']}", {"position": 3})
    assert await order(call) == ["one", "two", "three"]


async def test_taken_out_here_and_brought_in_there(call: Client, database: Database) -> None:
    await added(call, "one", then={"fields": {"name": "filled"}, "record": "local", "money": True})
    await call("PATCH", f"{RULES}/{await added(call, 'two')}", {"enabled": True})
    file = (await call("GET", f"{RULES}/export", level=KeyLevel.READ)).json()
    there = Client(call.http, await make_workspace(database, "Other"), {})
    there.keys[KeyLevel.ADMIN] = await issued(database, there.workspace_id, KeyLevel.ADMIN)

    brought = await there("POST", f"{RULES}/import", file)
    assert brought.status_code == 201, brought.text
    assert [(one["name"], one["enabled"]) for one in brought.json()["data"]] == [("one", False), ("two", False)]
    assert (await there("GET", f"{RULES}/export")).json() == file


BAD: list[Any] = [
    pytest.param({**NAMES, "name": ""}, id="no name"),
    pytest.param({**NAMES, "name": " "}, id="a name of nothing"),
    pytest.param({**NAMES, "name": "a" * 101}, id="too long a name"),
    pytest.param({**NAMES, "then": {}}, id="no side"),
    pytest.param({"name": "a"}, id="no answer"),
    pytest.param({**NAMES, "then": {"take": "both"}}, id="an unknown side"),
    pytest.param({**NAMES, "then": {"take": "custom"}}, id="an own value"),
    pytest.param({**NAMES, "then": {"take": "stripe", "money": "yes"}}, id="money by a word"),
    pytest.param({**NAMES, "then": {"fields": {"shoe": "stripe"}}}, id="an unknown field to answer"),
    pytest.param({**NAMES, "when": {"facets": {"field": ["shoe"]}}}, id="an unknown field to look at"),
    pytest.param({**NAMES, "when": {"facets": {"entity": ["shoes"]}}}, id="an unknown value"),
    pytest.param({**NAMES, "when": {"facets": {"shoe": ["a"]}}}, id="an unknown facet"),
    pytest.param({**NAMES, "when": {"facets": {"assignee": ["ben"]}}}, id="a facet of people"),
    pytest.param({**NAMES, "enabled": True}, id="on from the start"),
    pytest.param([NAMES], id="a list"),
]


@pytest.mark.parametrize("body", BAD)
async def test_what_makes_no_sense_is_refused(call: Client, body: Any) -> None:
    answer = await call("POST", RULES, body)
    assert answer.status_code == 422, answer.text
    whole = await call("POST", f"{RULES}/import", {"rules": [NAMES, body]})
    assert whole.status_code == 422, whole.text
    assert await order(call) == []


@pytest.mark.parametrize(
    "body",
    [{"position": 0}, {"position": "1"}, {"enabled": 1}, {"place": 1}],
    ids=["no place", "a place in letters", "on by a number", "a misspelt name"],
)
async def test_a_change_that_makes_no_sense_is_refused(call: Client, body: dict[str, Any]) -> None:
    rule = await added(call, "one")
    assert (await call("PATCH", f"{RULES}/{rule}", body)).status_code == 422
    assert (await call("GET", RULES)).json()["data"][0]["enabled"] is False


async def test_a_workspace_has_so_many_rules_and_no_more(call: Client) -> None:
    full = [{**NAMES, "name": str(number)} for number in range(conflict_rules.MOST_RULES)]
    assert (await call("POST", f"{RULES}/import", {"rules": full})).status_code == 201
    assert_error(await call("POST", RULES, NAMES), 409, "too_many")


CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "", NAMES),
    ("POST", "/import", {"rules": [NAMES]}),
    ("PATCH", "/{id}", {"enabled": True}),
    ("PATCH", "/{id}", {"position": 1}),
    ("DELETE", "/{id}", None),
]


@pytest.mark.parametrize("level", [KeyLevel.READ, KeyLevel.WRITE], ids=lambda one: one.value)
async def test_only_an_admins_key_changes_rules(call: Client, level: KeyLevel) -> None:
    rule = await added(call, "one")
    for method, path, body in CHANGES:
        assert_error(await call(method, RULES + path.format(id=rule), body, level=level), 403, "forbidden")
    assert [(one["name"], one["enabled"]) for one in (await call("GET", RULES, level=level)).json()["data"]] == [
        ("one", False)
    ]


async def test_another_workspaces_rules_are_not_there(call: Client, database: Database) -> None:
    rule = await added(call, "one")
    other = await make_workspace(database, "Other")
    key = await issued(database, other, KeyLevel.ADMIN)
    theirs: dict[str, str | None] = {"X-API-Key": key, "X-Workspace-ID": str(other)}
    for method, path, body in CHANGES[2:]:
        assert_error(await call(method, RULES + path.format(id=rule), body, headers=theirs), 404, "not_found")
    assert (await call("GET", RULES, headers=theirs)).json()["data"] == []
    crossed: dict[str, str | None] = {"X-Workspace-ID": str(other)}
    assert_error(await call("GET", RULES, headers=crossed), 404, "workspace_not_found")
    assert_error(await call("GET", RULES, headers={"X-API-Key": None}), 401, "unauthorized")
    assert_error(await call("PATCH", f"{RULES}/{uuid4()}", {"enabled": True}), 404, "not_found")
    assert await order(call) == ["one"]


async def test_a_rule_kept_on_the_screen_is_one_of_these(call: Client, database: Database) -> None:
    made = await make_conflicts(database, call.workspace_id, 1)
    query = ConflictQuery.of(field="name")
    await conflict_rules.save(database, made.actor, "From the screen", query, Rule(Choice.LOCAL, money=False))
    (rule,) = (await call("GET", RULES)).json()["data"]
    assert (rule["name"], rule["when"]["facets"], rule["then"]["take"]) == (
        "From the screen",
        {"field": ["name"]},
        "local",
    )
