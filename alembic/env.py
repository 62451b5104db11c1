"""Alembic's entry. The database's address comes from whoever calls (`store.migrate`), else from the environment."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool
from sqlmodel import SQLModel

import sync_core.models  # noqa: F401 - fills the metadata
from sync_core.store.database import sync_url


def database_url() -> str:
    given = context.config.attributes.get("url")
    if given:
        return str(given)
    from sync_core.store.embedded import database_url as configured

    return configured()


def run() -> None:
    engine = create_engine(sync_url(database_url()), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
