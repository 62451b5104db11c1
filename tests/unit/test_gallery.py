"""`/design` shows every part of the design system, and pages lead to one another without loading anew."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """What is called, as it is written."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def parts() -> set[str]:
    """Public functions that make a component. What stands there before the bundle is no part of a page."""
    return {
        node.name
        for path in (DASHBOARD / "components").glob("*.py")
        if path.name != "boot.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and "Component" in ast.unparse(node.returns or node)
    }


SHOWN = {name for path in (DASHBOARD / "pages").glob("design*.py") for name, _ in calls(path)}


@pytest.mark.parametrize("part", sorted(parts()))
def test_the_gallery_shows_every_part(part: str) -> None:
    assert f"ui.{part}" in SHOWN


@pytest.mark.parametrize("path", sorted(DASHBOARD.rglob("*.py")), ids=lambda path: str(path.relative_to(DASHBOARD)))
def test_links_between_pages_do_not_load_the_document_anew(path: Path) -> None:
    """`ui.anchor`, `ui.link` and `ui.button_link` do not; a bare anchor is for places within the page."""
    for name, call in calls(path):
        if name == "rx.el.a":
            href = next(word.value for word in call.keywords if word.arg == "href")
            assert isinstance(href, ast.Constant), f"line {call.lineno}"
            assert str(href.value).startswith("#"), f"line {call.lineno}"
