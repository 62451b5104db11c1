"""README is held to the code: what it documents is there, and what is there is documented."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from sync_core import cli
from sync_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """First cell by its code, second cell, of the section's table."""
    found = re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", section(title), re.MULTILINE)
    return {name: value.strip().strip("`") for name, value in found}


def test_the_configuration_table_names_every_setting_and_no_other() -> None:
    assert set(rows("Configuration")) == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_configuration_table_gives_each_default(name: str) -> None:
    default = Settings.model_fields[name].default
    shown = "unset" if default is None or default is False else str(default)
    assert rows("Configuration")[name.upper()] == shown


def test_every_make_target_is_documented_and_every_documented_one_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b(?=`| +#)", README)) == targets


def test_the_command_table_is_the_parsers() -> None:
    documented = {name.split()[0] for name in re.findall(r"^\| `([^`]+)` \|", section("Commands"), re.MULTILINE)}
    groups = [one for one in cli.parser()._actions if isinstance(one, argparse._SubParsersAction)]
    assert documented == {name for group in groups for name in group.choices}


def test_linked_files_are_there() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+)\)", README))
    assert [name for name in sorted(linked) if not (ROOT / name).exists()] == []
