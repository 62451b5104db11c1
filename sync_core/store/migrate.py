"""Migrations from code, so that commands, the first start and tests run the same ones."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

ROOT = Path(__file__).resolve().parents[2]


def _config(url: str) -> Config:
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    command.upgrade(_config(url), revision)


def downgrade(url: str) -> None:
    """Back to an empty database: every table goes, with its rows."""
    command.downgrade(_config(url), "base")


def check(url: str) -> None:
    """Raise alembic.util.CommandError when models and database differ."""
    command.check(_config(url))


def revise(url: str, message: str) -> None:
    command.revision(_config(url), message, autogenerate=True)
