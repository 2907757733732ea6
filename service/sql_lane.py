"""SQLite for those in a hurry: a whole transaction in one visit to one thread.

The engine's driver goes to its thread and back for every statement; at a gate that is most of the
time an answer takes. A lane has a connection and a thread of its own, with the engine's pragmas,
and takes its turn among the engine's writers.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from service.sql import BUSY_TIMEOUT_S, in_turn, set_pragmas

_DIALECT = sqlite.dialect()
T = TypeVar("T")


class Statement:
    """One statement, compiled once; `rows` makes its parameters as the columns' types want them."""

    def __init__(self, build: sa.sql.dml.UpdateBase) -> None:
        columns = build.table.c if isinstance(build, sa.Insert) else ()
        keys = [one.name for one in columns] or None
        compiled = build.compile(dialect=_DIALECT, column_keys=keys)
        self.text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._processors = tuple(
            compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
            for name in self._names
        )

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        pairs = tuple(zip(self._names, self._processors, strict=True))
        return [
            tuple(row[name] if process is None else process(row[name]) for name, process in pairs)
            for row in rows
        ]


class Lane:
    """Opens at first use, closes when its engine is disposed of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._path = engine.url.database or ""
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        sa.event.listen(engine.sync_engine, "engine_disposed", self._close)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` inside BEGIN IMMEDIATE … COMMIT; raises what SQLite raises, then undone."""
        async with in_turn(self._engine):
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "sqlite lane")
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._transact, work
            )

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, check_same_thread=False
            )
            set_pragmas(self._connection, None)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _close(self, _engine: sa.Engine) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
