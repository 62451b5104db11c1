"""Every page, with nothing on it, with all of it, and when something is wrong, as everybody may look at it; and the main way by keyboard.

The way by keyboard comes first: what it leaves behind is what the pages are looked at with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page, expect

from sync_core.domain.vocabulary import EntityType
from tests.e2e.conftest import PASSWORD, Opener, Served, profiles, serving, sign_in, visit
from tests.e2e.keyboard import RUN_MS, Made, main_way
from tests.e2e.looking import watch_shifts, wrong_with

NOBODY = "00000000-0000-0000-0000-000000000000"
NEWCOMER, VIEWER = "new@example.com", "viewer@example.com"
SETUP_TOKEN = "a token for looking only"
WEEKLY = "Weekly"
_LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


@pytest.fixture(scope="module")
def served(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(server_url, template, tmp_path_factory.mktemp("pages")) as found:
        with psycopg.connect(found.database_url, autocommit=True) as connection:
            add_people(connection)
        yield found


def add_people(connection: psycopg.Connection) -> None:
    """The owner of an empty workspace, somebody who may only look at the full one, and a set-up link that is open."""
    hashed = PasswordHasher().hash(PASSWORD)
    [(full,)] = connection.execute("SELECT id FROM workspaces").fetchall()
    [(empty,)] = connection.execute("INSERT INTO workspaces (name) VALUES ('Empty') RETURNING id").fetchall()
    for email, workspace, role in ((NEWCOMER, empty, "owner"), (VIEWER, full, "viewer")):
        connection.execute(
            "WITH one AS (INSERT INTO users (email, password_hash) VALUES (%s, %s) RETURNING id)"
            " INSERT INTO memberships (workspace_id, user_id, role) SELECT %s, id, %s FROM one",
            (email, hashed, workspace, role),
        )
    connection.execute(
        "INSERT INTO setup_tokens (token_hash, expires_at) VALUES (%s, now() + interval '1 hour')",
        (hashlib.sha256(SETUP_TOKEN.encode()).hexdigest(),),
    )


@pytest.fixture(scope="module")
def made(served: Served, browser: Browser) -> Made:
    with profiles(browser, served) as opened:
        return main_way(opened())


def test_the_main_way_needs_no_mouse(made: Made) -> None:
    assert made.conflict


_FAILED = """
INSERT INTO payment_sync_sessions (workspace_id, entity_types, connection_id, config, status, phase, dry_run, created_by, started_at,
  completed_at, error_summary)
SELECT workspace_id, entity_types, connection_id, config, 'failed', 'fetch', false, created_by, started_at, completed_at,
  '{"message": "Stripe refused the key: it was revoked."}'
FROM payment_sync_sessions WHERE id = %(like)s RETURNING id
"""
_RUNNING = """
INSERT INTO payment_sync_sessions (workspace_id, entity_types, connection_id, config, status, phase, dry_run, created_by, started_at)
SELECT workspace_id, entity_types, connection_id, config, 'running', 'fetch', false, created_by, now()
FROM payment_sync_sessions WHERE id = %(like)s RETURNING id
"""
_UNAPPLIED = "UPDATE payment_sync_sessions SET source_session_id = %(source)s WHERE id = %(id)s"

EMPTY = {
    "overview": "/",
    "connect": "/connect",
    "new sync": "/syncs/new",
    "syncs": "/syncs",
    "schedules": "/schedules",
    "conflicts": "/conflicts",
    "rules": "/conflicts/rules",
    "decisions": "/conflicts/history",
    "mentions": "/conflicts/mentions",
    "records": "/records/customers",
}


def test_pages_with_nothing_on_them(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    watch_shifts(page)
    sign_in(page, email=NEWCOMER, path="/")
    for name, path in EMPTY.items():
        visit(page, path)
        wrong += wrong_with(page, f"empty-{name}")
    assert "\n".join(wrong) == ""


@pytest.mark.usefixtures("scheduled")
def test_pages_with_all_of_it(open_page: Opener, made: Made, failed: str) -> None:
    page = open_page()
    wrong: list[str] = []
    watch_shifts(page)
    sign_in(page, path="/")
    preview = kept_as_a_rule(page)
    wrong += wrong_with(page, "dialog-preview", (360,))
    rest = {
        "schedules": "/schedules",
        "rules": "/conflicts/rules",
        "decisions": "/conflicts/history",
        "batch": preview,
        "failed": failed,
    }
    for name, path in (full(page, made) | rest).items():
        visit(page, path)
        wrong += wrong_with(page, f"full-{name}")
    wrong += wrong_with_dialogs(page, DIALOGS_OF_RULES)
    assert "\n".join(wrong) == ""


def kept_as_a_rule(page: Page) -> str:
    """A preview, left open; where it has its own page."""
    visit(page, "/conflicts?reason=both_changed")
    page.get_by_role("button", name="Settle all matching…").click()
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    page.get_by_text("Keep as a rule for coming syncs").click()
    page.get_by_label("Name").fill("What both sides changed follows Stripe")
    page.get_by_role("button", name="Keep the rule").click()
    expect(page.get_by_text("Kept, and off")).to_be_visible()
    return str(page.get_by_role("link", name="open it as a page").get_attribute("href"))


@pytest.fixture(scope="module")
def failed(served: Served, made: Made) -> str:
    """A run that could not go on, beside the one that did."""
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        [(session,)] = connection.execute(_FAILED, {"like": made.sync.rsplit("/", 1)[1]}).fetchall()
    return f"/syncs/{session}"


@pytest.fixture(scope="module")
def scheduled(served: Served, browser: Browser) -> None:
    """One that is on, and one that is paused and has a name that nobody can break. Neither is due before these tests have ended."""
    far_day = str((datetime.now(UTC).weekday() + 3) % 7)
    with profiles(browser, served) as opened:
        page = opened()
        sign_in(page, path="/schedules")
        for name in (WEEKLY, _LONG):
            page.get_by_role("button", name="Set a schedule").click()
            page.get_by_label("Name").fill(name)
            page.get_by_label("Rhythm").select_option("weekly")
            page.get_by_label("Day").select_option(far_day)
            page.get_by_role("button", name="Save the schedule").click()
            expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.get_by_role("button", name=f"Pause {_LONG}").click()
        expect(page.get_by_text("Paused", exact=True)).to_be_visible()


def full(page: Page, made: Made) -> dict[str, str]:
    """By the addresses that pages themselves lead to."""
    one, other = (path.rsplit("/", 1)[1] for path in (made.sync, made.dry_run.split("/report")[0]))
    return {
        "overview": "/",
        "connect": "/connect",
        "new sync": "/syncs/new",
        "syncs": "/syncs",
        "timeline": "/syncs/timeline",
        "compare": f"/syncs/compare?one={other}&other={one}",
        "sync": made.sync,
        "report": made.dry_run,
        "conflicts": "/conflicts",
        "settled": "/conflicts?status=resolved",
        "conflict": made.conflict,
        "invoices": "/records/invoices",
        "record": first_link(page, "/records/customers?status=conflict"),
        "history of a record": first_link(page, "/records/subscriptions"),
        "design": "/design",
    }


def first_link(page: Page, path: str) -> str:
    visit(page, path)
    found = page.locator("tbody th a").first.get_attribute("href")
    assert found is not None
    return found


Dialogs = dict[str, tuple[str, str, str]]
"""Where each is, the button that opens it, its title."""
DIALOGS: Dialogs = {
    "disconnect": ("/connect", "Disconnect", "Disconnect this account?"),
    "settle all": ("/conflicts", "Settle all matching…", "Settle many at once"),
    "import": ("/conflicts", "Import decisions…", "Import decisions"),
    "discard": ("/conflicts", "Discard…", "Discard your choices?"),
    "presets": ("/syncs/new", "Manage", "Presets"),
    "delete a schedule": ("/schedules", f"Delete {WEEKLY}", "Delete this schedule?"),
    "design": ("/design", "Open a dialog", "Cancel this sync?"),
}
DIALOGS_OF_RULES: Dialogs = {
    "delete a rule": ("/conflicts/rules", "Delete…", "Delete this rule?"),
    "import rules": ("/conflicts/rules", "Import…", "Import rules"),
}


@pytest.mark.usefixtures("scheduled")
def test_dialogs(open_page: Opener, served: Served, made: Made) -> None:
    page = open_page()
    sign_in(page, path=made.conflict)
    page.locator('[data-take="2"]').first.click()
    expect(page.locator('[data-take="2"][aria-pressed=true]').first).to_be_visible()
    visit(page, "/syncs/new")
    page.get_by_role("button", name="Save as preset").click()
    page.get_by_role("dialog").get_by_label("Name").fill(_LONG)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name=_LONG[:40])).to_be_visible()
    with a_running_sync(served, made) as running:
        cancel: Dialogs = {"cancel": (running, "Cancel", "Cancel this sync?")}
        wrong = wrong_with_dialogs(page, DIALOGS | cancel)
    assert "\n".join(wrong) == ""


def wrong_with_dialogs(page: Page, dialogs: Dialogs) -> list[str]:
    wrong: list[str] = []
    for name, (path, button, title) in dialogs.items():
        visit(page, path)
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        wrong += wrong_with(page, f"dialog-{name}", (1440, 360))
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    return wrong


@contextmanager
def a_running_sync(served: Served, made: Made) -> Iterator[str]:
    """Where it is. It has no lease, so no worker takes it up: it runs as long as it is looked at."""
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        [(session,)] = connection.execute(_RUNNING, {"like": made.sync.rsplit("/", 1)[1]}).fetchall()
        yield f"/syncs/{session}"
        connection.execute("DELETE FROM payment_sync_sessions WHERE id = %s", (session,))


def by_button(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name).first.click()


def open_navigation(page: Page) -> None:
    """Both, as they are on a phone: the way to the others, and the person's own menu in it."""
    page.set_viewport_size({"width": 360, "height": 900})
    page.get_by_role("button", name="Navigation").click()
    page.locator("summary[aria-label=Account]").click()


def unfold_all(page: Page) -> None:
    """A record in its row, the filters as a phone has them, and what the keys are."""
    page.locator("[data-fold]").first.click()
    page.locator("#keys > summary").click()
    page.set_viewport_size({"width": 360, "height": 900})
    page.locator(".facet-toggle").click()


def edit_a_customer(page: Page) -> None:
    page.goto(first_link(page, "/records/customers"))
    page.get_by_role("button", name="Edit").click()


def save_without_a_name(page: Page) -> None:
    """The form, with the times that it foresees and a mistake."""
    expect(page.locator(".times").first.locator("li")).to_have_count(5)
    page.get_by_role("button", name="Save the schedule").click()


OPENED: dict[str, tuple[str, Callable[[Page], None], str]] = {
    "navigation": ("/", open_navigation, "details.menu[open] .menu-list"),
    "export": ("report", lambda page: page.locator("details.menu > summary.button").click(), ".menu-list.below"),
    "field": ("report", lambda page: page.locator("th[scope=row] > button").first.click(), "dialog[open] table"),
    # Few rows: all of them are looked at on their own page, and each takes axe its time.
    "unfolded": ("/conflicts?reason=both_changed", unfold_all, "[data-fold][aria-expanded=true]"),
    "ignore": ("conflict", by_button("Ignore"), "dialog[open] .dialog-actions"),
    "preset": ("/syncs/new", by_button("Save as preset"), "dialog[open] input"),
    "schedule": ("/schedules?add=last", save_without_a_name, "#name-error .error"),
    "edit": ("/records", edit_a_customer, "form input[name=email]"),
}


def test_what_opens(open_page: Opener, made: Made) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    paths = {"report": made.dry_run, "conflict": made.conflict}
    for name, (path, opens, shown) in OPENED.items():
        visit(page, paths.get(path, path))
        opens(page)
        expect(page.locator(shown).first).to_be_visible()
        wrong += wrong_with(page, f"open-{name}")
        wrong += [f"{name}: out of the window"] * opens_outside(page)
    assert "\n".join(wrong) == ""


def opens_outside(page: Page) -> bool:
    """Whether a menu is cut by a phone's edge."""
    page.set_viewport_size({"width": 360, "height": 900})
    return bool(
        page.evaluate(
            "() => [...document.querySelectorAll('details[open] > .menu-list')].some((one) =>"
            " one.checkVisibility() && (one.getBoundingClientRect().left < 0 || one.getBoundingClientRect().right > innerWidth))"
        )
    )


def test_dialogs_of_a_report(open_page: Opener, served: Served, made: Made) -> None:
    """As they are before its plan is applied."""
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    dry_run, applied = made.dry_run.split("/report")[0].rsplit("/", 1)[1], made.sync.rsplit("/", 1)[1]
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute(_UNAPPLIED, {"source": None, "id": applied})
        visit(page, made.dry_run)
        for button, title in (
            ("Limits", "When checks warn, and who approves"),
            ("Apply this plan", "Apply this plan?"),
        ):
            page.get_by_role("button", name=button).click()
            expect(page.get_by_role("dialog", name=title)).to_be_visible()
            expect(page.get_by_text("Comparing the plan")).to_have_count(0)
            wrong += wrong_with(page, f"dialog-{button}")
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
        connection.execute(_UNAPPLIED, {"source": dry_run, "id": applied})
    assert "\n".join(wrong) == ""


WRONG = {
    "sync": (f"/syncs/{NOBODY}", "No such sync"),
    "report": (f"/syncs/{NOBODY}/report", "No such sync"),
    "compare": (f"/syncs/compare?one={NOBODY}&other={NOBODY}", "No such sync"),
    "conflict": (f"/conflicts/{NOBODY}", "No such conflict"),
    "no conflicts": ("/conflicts?q=nobody+at+all", "Nothing matches"),
    "record": (f"/records/customers/{NOBODY}", "Not found"),
    "page": ("/nowhere/at/all", "There is no such page"),
    "no records": ("/records/customers?q=nobody+at+all", "Nothing matches"),
}


def test_pages_of_what_is_not_there(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    for name, (path, words) in WRONG.items():
        visit(page, path)
        expect(page.get_by_role("heading", name=words)).to_be_visible()
        wrong += wrong_with(page, f"wrong-{name}")
    assert "\n".join(wrong) == ""


@pytest.mark.usefixtures("made")
def test_mistakes(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    visit(page, "/connect")
    page.get_by_role("button", name="Replace key").click()
    page.get_by_label("Stripe key").fill("pk_test_not_a_key_that_reads")
    page.get_by_role("button", name="Check and replace").click()
    expect(page.get_by_text("Checking…")).to_have_count(0, timeout=RUN_MS)
    wrong += wrong_with(page, "mistake-connect")
    visit(page, "/syncs/new")
    for entity in reversed(EntityType):
        page.locator(f"input[value={entity.value}]").uncheck()
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text("Nothing was started").first).to_be_visible()
    wrong += wrong_with(page, "mistake-new-sync")
    assert "\n".join(wrong) == ""


def test_the_doors(open_page: Opener) -> None:
    page = open_page()
    wrong: list[str] = []
    page.goto("/auth/sign-in")
    wrong += wrong_with(page, "door-sign-in")
    page.get_by_label("Email").fill("nobody@example.com")
    page.get_by_label("Password").fill("not the password at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    wrong += wrong_with(page, "door-refused")
    page.goto(f"/auth/setup?token={SETUP_TOKEN}")
    wrong += wrong_with(page, "door-set-up")
    page.goto("/auth/setup?token=invented")
    wrong += wrong_with(page, "door-closed")
    assert "\n".join(wrong) == ""


def test_pages_of_somebody_who_may_only_look(open_page: Opener, made: Made) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, email=VIEWER, path="/")
    for name, path in {"connect": "/connect", "new sync": "/syncs/new", "conflict": made.conflict}.items():
        visit(page, path)
        wrong += wrong_with(page, f"viewer-{name}")
    # The others are as their owner has them, without some buttons.
    others = {
        "overview": "/",
        "sync": made.sync,
        "report": made.dry_run,
        "conflicts": "/conflicts",
        "schedules": "/schedules",
        "rules": "/conflicts/rules",
    }
    for name, path in others.items():
        visit(page, path)
        wrong += wrong_with(page, f"viewer-{name}", (360,))
    assert "\n".join(wrong) == ""


_LONG_NAMES = (
    "UPDATE customers SET name = %(long)s, email = %(long)s || '@example.com'",
    "UPDATE invoices SET number = %(long)s, total = 99999999999999, currency = 'JPY'",
    "UPDATE payment_connections SET account_name = %(long)s",
    """UPDATE payment_sync_conflicts SET label = %(long)s, local = local
  || jsonb_build_object('name', %(long)s::text, 'metadata', jsonb_build_object(left(%(long)s, 40), %(long)s::text))""",
    "UPDATE workspaces SET name = %(long)s",
)


def test_names_without_a_place_to_break(open_page: Opener, served: Served, made: Made) -> None:
    page = open_page()
    wrong: list[str] = []
    sign_in(page, path="/")
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        for statement in _LONG_NAMES:
            connection.execute(statement, {"long": _LONG})
    pages = {
        "overview": "/",
        "connect": "/connect",
        "conflicts": "/conflicts",
        "conflict": made.conflict,
        "customer": first_link(page, "/records/customers"),
        "invoices": "/records/invoices",
        "invoice": first_link(page, "/records/invoices"),
    }
    for name, path in pages.items():
        visit(page, path)
        wrong += wrong_with(page, f"long-{name}", ())
    assert "\n".join(wrong) == ""


@pytest.mark.usefixtures("scheduled")
def test_a_schedule_is_changed_and_its_list_follows_what_it_starts(open_page: Opener, served: Served) -> None:
    """By itself: nobody touches the page meanwhile, and what they have opened stays open."""
    page = open_page()
    sign_in(page, path="/schedules")
    page.get_by_role("button", name=f"Change {WEEKLY}").click()
    expect(page.get_by_label("Name")).to_have_value(WEEKLY)
    page.get_by_label("Name").fill("Every Monday")
    page.get_by_role("button", name="Save the schedule").click()
    changed = page.locator(".schedule", has=page.get_by_role("heading", name="Every Monday"))
    expect(changed.get_by_text("None yet")).to_be_visible()
    page.locator("summary[aria-label=Account]").click()
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute("UPDATE payment_sync_schedules SET next_at = now() WHERE name = 'Every Monday'")
    expect(changed.get_by_text(re.compile("^Completed"))).to_be_visible(timeout=RUN_MS)
    expect(page.locator("details.menu[open]")).to_have_count(1)
    changed.get_by_role("link", name=re.compile("^Sync #")).click()
    expect(page.get_by_text("by schedule Every Monday")).to_be_visible()
