"""The Connect page as a client drives it: attempts followed, refusals beside the field, no key in any answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.api.forms import DRAFT_FORM, KEY_FORM, WEBHOOK_FORM, form_routes
from dashboard.pages.connect import ConnectState
from dashboard.state import PageState
from sync_core.domain.vocabulary import EntityType, Role
from sync_core.sandbox.launch import SandboxProcess
from sync_core.services import connections
from sync_core.services.check_results import CheckName
from sync_core.services.connection_views import ConnectionView
from sync_core.settings import Settings
from sync_core.store import database as database_module
from sync_core.store.database import Database
from tests import support
from tests.events._browser import Browser, browser
from tests.services import KEY, actor_of, settings_for, small_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with small_sandbox(customers=30) as running:
        yield running


@pytest.fixture
def settings(sandbox: SandboxProcess, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The process's own settings and database, as the server has them."""
    found = settings_for(sandbox, tmp_path, demo=True)
    monkeypatch.setattr(database_module, "_database", database)
    for module in (
        "dashboard.pages.connect",
        "dashboard.pages.new_sync",
        "sync_core.services.connections",
        "sync_core.services.connection_drafts",
        "sync_core.services.read_cap",
    ):
        monkeypatch.setattr(f"{module}.get_settings", lambda: found)
    return found


@pytest.fixture
async def owner(database: Database, workspace_id: UUID, settings: Settings) -> AsyncIterator[Browser]:
    assert settings.demo
    async with browser(database, workspace_id, "/connect") as client:
        yield client


@pytest.fixture
async def forms(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=form_routes(lambda: database, lambda: settings))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        yield client


async def pasted(forms: httpx.AsyncClient, owner: Browser, key: str) -> None:
    """The form is sent, and the page that it leads to is followed until the attempt is done."""
    fields = {"api_key": key, "entity_types": [entity.value for entity in EntityType]}
    answer = await forms.post(KEY_FORM, data=fields, headers={"cookie": owner.cookie})
    assert answer.status_code == 303
    owner.path = answer.headers["location"]
    await owner.send(ConnectState, "load")
    await owner.send(ConnectState, "watch")


def statuses(owner: Browser) -> dict[str, str]:
    return {row["name"]: row["status"] for row in owner.of(ConnectState, "checks")}


async def test_an_empty_page_offers_the_sandbox(owner: Browser) -> None:
    await owner.send(ConnectState, "load")

    assert owner.of(ConnectState, "loaded") is True
    assert owner.of(ConnectState, "sandbox_offered") is True
    assert owner.of(ConnectState, "may_manage") is True
    assert owner.of(ConnectState, "card")["account_id"] == ""


async def test_a_good_key_is_connected_and_never_sent_back(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)

    card = owner.of(ConnectState, "card")
    assert (card["title"], card["live"], card["sandbox"]) == ("Sandbox Industries", False, False)
    assert card["masked_key"] == f"rk_test_…{KEY[-4:]}"
    assert {name for name, status in statuses(owner).items() if status != "passed"} == {"webhook"}
    assert list(statuses(owner)) == [name.value for name in CheckName]
    assert set(owner.redirects) == {"/connect"}
    assert KEY not in owner.everything
    assert KEY not in owner.path


@pytest.mark.parametrize(
    ("key", "says", "failed"),
    [
        pytest.param("", "Paste", "key_format", id="empty"),
        pytest.param("pk_test_0123456789abcdef", "publishable", "key_format", id="publishable"),
        pytest.param("sk_test_revoked_0123456789", "revoked", "accepted", id="revoked"),
        pytest.param("rk_test_no_invoices_01234567", "rak_invoice_read", "permissions", id="under-privileged"),
    ],
)
async def test_a_bad_key_is_explained(
    owner: Browser, forms: httpx.AsyncClient, key: str, says: str, failed: str
) -> None:
    await pasted(forms, owner, key)

    assert says in owner.of(ConnectState, "problem")
    assert owner.of(ConnectState, "problem_mark") == "This key was not kept."
    assert [name for name, status in statuses(owner).items() if status == "failed"] == [failed]
    assert owner.redirects == []
    assert not key or key not in owner.everything


async def test_another_account_is_refused_and_the_old_one_stays(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)
    before = owner.of(ConnectState, "card")

    await pasted(forms, owner, "sk_test_acct2_0123456789")

    assert "disconnect it first" in owner.of(ConnectState, "problem")
    assert owner.of(ConnectState, "card") == before
    assert owner.of(ConnectState, "replacing") is True


async def test_a_key_that_is_replaced_is_said_to_be(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)
    assert owner.of(PageState, "notice") == "Connected to Sandbox Industries."

    await pasted(forms, owner, "sk_test_rolled_0123456789zz")

    assert owner.of(PageState, "notice") == f"Key replaced. …{KEY[-4:]} is kept until the new one has worked."


async def test_the_sandbox_connects_by_one_click(owner: Browser) -> None:
    await owner.send(ConnectState, "load")
    await owner.send(ConnectState, "try_sandbox")

    assert owner.of(ConnectState, "card")["sandbox"] is True
    assert set(owner.redirects) == {"/connect"}


async def test_a_key_is_left_for_later_taken_up_and_discarded(owner: Browser, forms: httpx.AsyncClient) -> None:
    for key in ("rk_test_no_invoices_01234567", KEY):
        types = ["invoices", "customers"]
        fields = {"api_key": key, "label": "ask Ben", "mode": "live", "entity_types": types}
        answer = await forms.post(DRAFT_FORM, data=fields, headers={"cookie": owner.cookie})
        owner.path = answer.headers["location"]
        await owner.send(ConnectState, "load")
        await owner.send(ConnectState, "watch")
        draft = owner.of(ConnectState, "draft")
        assert (draft["title"], draft["mode"], draft["masked_key"]) == ("ask Ben", "test", f"rk_test_…{key[-4:]}")
        assert draft["reads"] == "Customers, Invoices"
        assert [box["name"] for box in owner.of(ConnectState, "types") if box["chosen"]] == ["customers", "invoices"]
        assert owner.of(ConnectState, "label") == "ask Ben"
        assert owner.of(ConnectState, "card")["account_id"] == ""
        failed = [name for name, status in statuses(owner).items() if status == "failed"]
        await owner.send(ConnectState, "take_up")
        assert failed == (["permissions"] if key != KEY else [])
        assert bool(owner.of(ConnectState, "problem")) is bool(failed)
        assert owner.of(ConnectState, "problem_mark") == ""
        assert key not in owner.everything
    assert owner.of(ConnectState, "card")["title"] == "Sandbox Industries"
    assert owner.of(ConnectState, "draft")["title"] == ""

    assert owner.of(ConnectState, "card")["reads"] == "Customers, Invoices"
    fields = {"label": "next", "entity_types": ["products"]}
    answer = await forms.post(DRAFT_FORM, data=fields, headers={"cookie": owner.cookie})
    owner.path = answer.headers["location"]
    await owner.send(ConnectState, "load")
    await owner.send(ConnectState, "watch")
    assert (owner.of(ConnectState, "draft")["title"], owner.of(ConnectState, "draft")["masked_key"]) == ("next", "")
    await owner.send(ConnectState, "discard_draft")
    assert owner.of(ConnectState, "draft")["title"] == ""


async def test_what_was_entered_stands_in_the_form_after_a_refusal(owner: Browser, forms: httpx.AsyncClient) -> None:
    """All but the key."""
    for types, problem in ((["invoices"], ""), ([], "Choose at least one")):
        fields = {"api_key": "rk_test_no_invoices_01234567", "entity_types": types, "label": "ask Ben", "mode": "live"}
        answer = await forms.post(KEY_FORM, data=fields, headers={"cookie": owner.cookie})
        owner.path = answer.headers["location"]
        await owner.send(ConnectState, "load")
        await owner.send(ConnectState, "watch")
        assert owner.of(ConnectState, "problem")
        assert [box["name"] for box in owner.of(ConnectState, "types") if box["chosen"]] == types
        assert (owner.of(ConnectState, "label"), owner.of(ConnectState, "account_mode")) == ("ask Ben", "live")
        assert (owner.of(ConnectState, "types_problem") or "").startswith(problem)


async def test_who_had_a_check_run_and_when_is_said(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)
    assert owner.of(ConnectState, "last_run")["by"] == "owner@example.com"
    rows = {row["name"]: row for row in owner.of(ConnectState, "checks")}
    assert "req_" in rows["clock"]["aside"]
    assert {row["by"] for row in rows.values()} == {""}


async def test_checks_run_again(owner: Browser, forms: httpx.AsyncClient, sandbox: SandboxProcess) -> None:
    await pasted(forms, owner, KEY)
    sandbox.settings(skew_seconds=-600)
    try:
        await owner.send(ConnectState, "recheck", name="clock")
    finally:
        sandbox.settings(skew_seconds=0)
    assert {name for name, status in statuses(owner).items() if status != "passed"} == {"clock", "webhook"}

    await owner.send(ConnectState, "recheck", name="")
    assert {name for name, status in statuses(owner).items() if status != "passed"} == {"webhook"}


async def test_disconnecting_takes_the_name(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)
    await owner.send(ConnectState, "ask_disconnect")
    await owner.send(ConnectState, "disconnect", form={"confirmation": "no"})
    assert "Sandbox Industries" in owner.of(ConnectState, "confirm_problem")
    await owner.send(ConnectState, "disconnect", form={"confirmation": ["x"]})
    assert owner.of(ConnectState, "disconnecting") is True

    await owner.send(ConnectState, "disconnect", form={"confirmation": "Sandbox Industries"})

    assert owner.of(ConnectState, "card")["account_id"] == ""
    assert owner.of(ConnectState, "disconnecting") is False


@pytest.mark.parametrize(
    ("entered", "says", "problem"),
    [
        pytest.param(" 5 ", "5 of the 25", "", id="a number"),
        pytest.param("", "20 of the 25", "", id="nothing, the default"),
        pytest.param("0", "9 of the 25", "from 1 to 25", id="none"),
        pytest.param("26", "9 of the 25", "from 1 to 25", id="more than Stripe allows"),
        pytest.param("2.5", "9 of the 25", "whole number", id="no whole number"),
        pytest.param("²", "9 of the 25", "whole number", id="a digit that is none"),
        pytest.param(["5"], "20 of the 25", "", id="no text, as nothing"),
    ],
)
async def test_how_fast_the_account_is_read_is_changed_here(
    owner: Browser, forms: httpx.AsyncClient, entered: object, says: str, problem: str
) -> None:
    await pasted(forms, owner, KEY)
    await owner.send(ConnectState, "save_cap", form={"requests_per_second": "9"})

    await owner.send(ConnectState, "save_cap", form={"requests_per_second": entered})

    cap = owner.of(ConnectState, "cap")
    assert cap["says"].startswith(says)
    assert problem in owner.of(ConnectState, "cap_problem")
    assert bool(problem) is bool(owner.of(ConnectState, "cap_problem"))
    assert cap["changes"][-1]["what"] == "20 → 9 a second"


async def test_the_signing_secret_goes_by_a_form(owner: Browser, forms: httpx.AsyncClient) -> None:
    await pasted(forms, owner, KEY)
    places = []
    for secret in ("sk_test_wrong_kind", "whsec_0123456789"):
        answer = await forms.post(WEBHOOK_FORM, data={"webhook_secret": secret}, headers={"cookie": owner.cookie})
        places.append(answer.headers["location"])
        owner.path = answer.headers["location"]
        await owner.send(ConnectState, "load")
    assert places == ["/connect?webhook=webhook_secret_malformed", "/connect?webhook=saved"]
    assert owner.of(ConnectState, "card")["webhook"] is True
    assert "whsec_0123456789" not in owner.everything

    await owner.send(ConnectState, "forget_webhook")
    assert owner.of(ConnectState, "card")["webhook"] is False


async def test_a_test_event_is_waited_for(
    owner: Browser, forms: httpx.AsyncClient, database: Database, workspace_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pasted(forms, owner, KEY)
    await forms.post(WEBHOOK_FORM, data={"webhook_secret": "whsec_0123456789"}, headers={"cookie": owner.cookie})
    monkeypatch.setattr("dashboard.pages.connect._EVENT_SECONDS", 0.0)
    await owner.send(ConnectState, "await_event")
    assert "No event came" in owner.of(PageState, "notice")

    monkeypatch.setattr("dashboard.pages.connect._EVENT_SECONDS", 120.0)
    waiting = asyncio.create_task(owner.send(ConnectState, "await_event"))

    async def another_event() -> bool:
        """Until whoever waits has seen one come: what is there before they look does not count."""
        insert = (
            "INSERT INTO payment_webhook_inbox (workspace_id, event_id, event_type, payload)"
            " SELECT id, gen_random_uuid()::text, 'product.created', '{}' FROM workspaces RETURNING event_id"
        )
        await support.rows(database, workspace_id, insert)
        return waiting.done()

    assert await support.holds(another_event, every=0.1)
    await waiting
    assert "product.created" in owner.of(PageState, "notice")
    assert statuses(owner)["webhook"] == "passed"
    assert owner.of(ConnectState, "awaiting") is False


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"origin": "https://evil.example"}, 403, id="another site"),
        pytest.param({"sec-fetch-site": "cross-site"}, 403, id="another site, by the browser's word"),
        pytest.param({"cookie": ""}, 303, id="nobody"),
    ],
)
async def test_forms_from_elsewhere_are_refused(
    owner: Browser, forms: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await forms.post(KEY_FORM, data={"api_key": KEY}, headers={"cookie": owner.cookie} | headers)

    assert answer.status_code == status
    assert answer.headers.get("location", "/auth/").startswith("/auth/")


async def test_a_viewer_sees_but_changes_nothing(
    database: Database, workspace_id: UUID, settings: Settings, forms: httpx.AsyncClient
) -> None:
    connected = await connections.connect(database, actor_of(workspace_id), KEY, settings=settings)
    assert isinstance(connected, ConnectionView)
    async with browser(database, workspace_id, "/connect", Role.VIEWER) as viewer:
        await viewer.send(ConnectState, "load")
        assert viewer.of(ConnectState, "card")["title"] == "Sandbox Industries"
        assert viewer.of(ConnectState, "may_manage") in (None, False)

        await pasted(forms, viewer, "sk_test_rolled_0123456789")
        await forms.post(DRAFT_FORM, data={"api_key": KEY}, headers={"cookie": viewer.cookie})
        await viewer.send(ConnectState, "take_up")
        await viewer.send(ConnectState, "discard_draft")
        await viewer.send(ConnectState, "recheck", name="")
        await viewer.send(ConnectState, "save_cap", form={"requests_per_second": "1"})
        assert viewer.of(ConnectState, "cap")["says"].startswith("20 of")
        await viewer.send(ConnectState, "disconnect", form={"confirmation": "Sandbox Industries"})

    assert await connections.current(database, actor_of(workspace_id)) == connected


FORGED: dict[str, tuple[str, dict[str, Any]]] = {
    "a check that is no text": ("recheck", {"name": {"x": 1}}),
    "a form that is none": ("disconnect", {"form": "x"}),
    "no argument": ("recheck", {}),
}


@pytest.mark.parametrize(("handler", "payload"), FORGED.values(), ids=FORGED.keys())
async def test_forged_events_change_nothing(
    owner: Browser, forms: httpx.AsyncClient, handler: str, payload: dict[str, Any]
) -> None:
    await pasted(forms, owner, KEY)
    before = owner.of(ConnectState, "card")

    await owner.send(ConnectState, handler, **payload)

    assert owner.of(ConnectState, "card") == before
