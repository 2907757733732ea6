"""Runs inside `service.sql.upgrade`: one connection, one transaction, one upgrader at a time."""

import asyncio

import sqlalchemy as sa
from alembic import context

from service.sql import METADATA, open_engine

# Any constant will do: it names the schema's lock among PostgreSQL's advisory locks.
SCHEMA_LOCK = 0x626F776569


def _migrate(sql: sa.Connection) -> None:
    context.configure(connection=sql, target_metadata=METADATA, transactional_ddl=True)
    with context.begin_transaction():
        if sql.dialect.name == "postgresql":
            sql.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
        context.run_migrations()


async def _run(url: str) -> None:
    engine = open_engine(url)
    try:
        async with engine.connect() as sql:
            await sql.run_sync(_migrate)
    finally:
        await engine.dispose()


asyncio.run(_run(context.config.attributes["url"]))
