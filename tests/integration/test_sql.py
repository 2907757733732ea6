"""The engine's promises on SQLite, and the schema on both databases."""

import asyncio
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from service.sql import METADATA, Flag, Moment, open_engine, reading, sqlite_url, upgrade


@pytest.fixture
async def engine(tmp_path):
    engine = open_engine(sqlite_url(tmp_path / "bowei.db"))
    yield engine
    await engine.dispose()


async def test_every_connection_is_durable_and_checks_foreign_keys(engine):
    async def pragmas() -> tuple:
        async with reading(engine) as sql:
            await asyncio.sleep(0.02)  # so that both hold a connection of their own
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return tuple([(await sql.exec_driver_sql(f"PRAGMA {n}")).scalar_one() for n in names])

    both = await asyncio.gather(pragmas(), pragmas())
    assert both == [("wal", 2, 1, 5000)] * 2


async def test_two_writers_wait_for_each_other(engine):
    async with engine.begin() as sql:
        await sql.exec_driver_sql("CREATE TABLE counted (n INTEGER NOT NULL) STRICT")
        await sql.exec_driver_sql("INSERT INTO counted VALUES (0)")

    async def add_one() -> None:
        async with engine.begin() as sql:
            n = (await sql.exec_driver_sql("SELECT n FROM counted")).scalar_one()
            await asyncio.sleep(0.01)
            await sql.execute(sa.text("UPDATE counted SET n = :n"), {"n": n + 1})

    await asyncio.gather(*(add_one() for _ in range(6)))
    async with reading(engine) as sql:
        assert (await sql.exec_driver_sql("SELECT n FROM counted")).scalar_one() == 6


async def test_a_reader_does_not_wait_for_a_writer(engine):
    async with engine.begin() as sql:
        await sql.exec_driver_sql("CREATE TABLE counted (n INTEGER NOT NULL) STRICT")
    async with engine.begin() as writer:
        await writer.exec_driver_sql("INSERT INTO counted VALUES (1)")
        async with asyncio.timeout(4), reading(engine) as sql:
            assert (await sql.exec_driver_sql("SELECT count(*) FROM counted")).scalar_one() == 0


async def test_types_come_back_as_they_went(engine):
    table = sa.Table(
        "kept",
        sa.MetaData(),
        sa.Column("at", Moment, nullable=False),
        sa.Column("yes", Flag),
        sqlite_strict=True,
    )
    at = datetime(2026, 3, 1, 8, 0, 0, 5, UTC)
    async with engine.begin() as sql:
        await sql.run_sync(table.create)
        await sql.execute(table.insert(), [{"at": at, "yes": True}, {"at": at, "yes": None}])
        with pytest.raises(sa.exc.StatementError):
            await sql.execute(table.insert(), {"at": at.replace(tzinfo=None), "yes": False})
    async with reading(engine) as sql:
        assert list(await sql.execute(sa.select(table))) == [(at, True), (at, None)]


def test_other_drivers_are_refused_by_name():
    with pytest.raises(ValueError, match="mysql"):
        open_engine("mysql+aiomysql://x/y")


async def test_upgrade_may_run_twice_and_at_once(tmp_path):
    url = sqlite_url(tmp_path / "bowei.db")
    await asyncio.gather(upgrade(url), upgrade(url))
    await upgrade(url)
    engine = open_engine(url)
    async with reading(engine) as sql:
        names = set(await sql.run_sync(lambda c: sa.inspect(c).get_table_names()))
    await engine.dispose()
    assert {"sessions", "passages", "bills", "postings", "charges"} <= names
    assert set(METADATA.tables) <= names
