"""SQL in one place: the engine for SQLite and PostgreSQL, the column types both share, the schema.

    `async with writing(engine) as sql: ...`      `async with reading(engine) as sql: ...`

SQLite runs in WAL with `synchronous=FULL`, so a commit that returned survives SIGKILL and power
loss. It has one writer at a time: every writing transaction takes its lock at BEGIN, so that none
fails half-way, and the writers of one process queue in order instead of polling for it.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
MIGRATIONS = Path(__file__).parent / "migrations"
_DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg")
# What asking a database may raise when it is away, starting or cut off in between.
TROUBLE = (
    sa.exc.SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    sqlite3.Error,
    OSError,
    TimeoutError,
)
_ONE_UPGRADE = threading.Lock()
_TURNS: WeakKeyDictionary[sa.Engine, asyncio.Lock] = WeakKeyDictionary()

# Every room hangs its tables here; `upgrade` is what creates them.
METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# 64 bits on both; SQLite's STRICT tables know the word INTEGER only.
Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware UTC time: timestamptz, or on SQLite text of one width, so that it sorts by time."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone reached SQL")
        moment = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return moment
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        if value is None or isinstance(value, datetime):
            return value
        return datetime.fromisoformat(value)


class Flag(sa.types.TypeDecorator[bool]):
    """True or false: boolean, or 0 and 1 in SQLite's STRICT tables."""

    impl = sa.Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.INTEGER())
        return dialect.type_descriptor(sa.Boolean())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name != "sqlite" else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else bool(value)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


def open_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine for `url` (sqlite+aiosqlite or postgresql+asyncpg); it connects at first use.

    Raises ValueError for any other driver.
    """
    name = make_url(url).drivername
    if name not in _DRIVERS:
        raise ValueError(f"SQL driver {name!r}: give one of {', '.join(_DRIVERS)}")
    if name.startswith("sqlite"):
        engine = create_async_engine(
            url, pool_size=pool_size, connect_args={"timeout": BUSY_TIMEOUT_S}
        )
        sa.event.listen(engine.sync_engine, "connect", set_pragmas)
        sa.event.listen(engine.sync_engine, "begin", _begin)
        return engine
    return create_async_engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
    )


def set_pragmas(connection: Any, _entry: ConnectionPoolEntry | None) -> None:
    """What every SQLite connection of ours is set to."""
    # The driver's own implicit BEGIN is switched off; `_begin` says which kind it must be.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """A transaction that writes, committed at the end, undone where anything is raised."""
    async with in_turn(engine), engine.begin() as sql:
        yield sql


@asynccontextmanager
async def in_turn(engine: AsyncEngine) -> AsyncGenerator[None]:
    """This process's turn to write: one after the other on SQLite, at once on PostgreSQL."""
    if engine.dialect.name != "sqlite":
        yield
        return
    async with _TURNS.setdefault(engine.sync_engine, asyncio.Lock()):
        yield


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """A transaction that only reads: on SQLite it never waits for a writer."""
    async with engine.execution_options(reads=True).connect() as sql, sql.begin():
        yield sql


async def upgrade(url: str) -> None:
    """Bring the schema at `url` to the newest version; safe to call from many processes at once."""
    await asyncio.to_thread(_upgrade, url)


def _upgrade(url: str) -> None:
    # Alembic keeps its context in a module: one upgrade at a time within a process.
    with _ONE_UPGRADE:
        _run_alembic(url)


def _run_alembic(url: str) -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    command.upgrade(config, "head")
