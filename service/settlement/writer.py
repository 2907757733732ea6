"""The gate's way to the disk: one task commits whatever waits, in SQL or, failing that, locally.

    put ─ waiting ─ one SQL transaction for all ─────────────────── kept "sql"
                      └ slow or away: journal, one fdatasync for all ─ kept "journal" ─ replayed

While SQL is away the journal takes everything; a second task tries SQL, replays the journal in
order, and hands back when nothing is left in it. A transaction that was only slow may commit as
well as be journaled: applying a record twice changes nothing.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from service import metrics
from service.settlement.journal import Journal
from service.settlement.model import Record
from service.settlement.store import Store
from service.sql import BUSY_TIMEOUT_S, TROUBLE

_log = structlog.get_logger()
BATCH: Final = 512
REPLAY_BATCH: Final = 256
UNKEPT_LIMIT: Final = 10_000
_FIRST_PROBE_S: Final = 0.2
_LAST_PROBE_S: Final = 5.0
_WARN_EVERY_S: Final = 60.0  # wall: a busy disk is slow many times a minute, and loses nothing

T = TypeVar("T")
Waiting = tuple[Record, "asyncio.Future[str]"]


class Writer:
    """`patience_s` (wall) is how long a gate waits for SQL before the journal takes over."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        *,
        patience_s: float = 0.25,
    ) -> None:
        self.away = False
        self._store = store
        self._journal = journal
        self._patience_s = patience_s
        self._recovered: Callable[[], Awaitable[None]] | None = None
        self._only_slow = True
        self.was_only_slow = False  # of the outage that has just ended: nothing failed in it
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._lock = asyncio.Lock()  # appends, and the moment the journal is handed back
        self._recovery: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()
        self._quiet_until = 0.0  # of time.monotonic(): slowness is not warned of again before
        self._unkept: list[Record] = []  # neither SQL nor the journal took them yet

    def on_recovered(self, call: Callable[[], Awaitable[None]]) -> None:
        """Await `call` each time SQL has come back and the journal is empty again."""
        self._recovered = call

    async def put(self, record: Record) -> str:
        """Wait until `record` is durable; returns where: sql | journal | memory (both failed)."""
        kept: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((record, kept))
        return await kept

    async def start(self) -> None:
        """Replay what an earlier run left in the journal, if SQL lets us."""
        if await asyncio.to_thread(self._journal.open):
            self.away = True
            try:
                await self._replay()
            except TROUBLE as error:
                self.lose(error)

    def journaled(self) -> list[Record]:
        """What waits in the journal (blocking; for the start while SQL is away)."""
        return self._journal.read(0, 1 << 40)[0]

    async def run(self) -> None:
        """Commit until cancelled."""
        try:
            while True:
                batch = [await self._queue.get()]
                while len(batch) < BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                kept = await self._keep([record for record, _ in batch])
                for _, waiter in batch:
                    if not waiter.done():
                        waiter.set_result(kept)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Let SQL finish what it was given, close the journal."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait({self._recovery})
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=BUSY_TIMEOUT_S + 1)
        await asyncio.to_thread(self._journal.close)

    async def _keep(self, records: Sequence[Record]) -> str:
        if not self.away and await self._commit(records):
            return "sql"
        async with self._lock:
            if not self.away and await self._commit(records):  # handed back while we waited
                return "sql"
            try:
                await asyncio.to_thread(self._journal.append, records)
            except OSError as error:
                _log.critical("neither SQL nor the journal takes a passage", error=str(error))
                metrics.GATE_KEPT.labels("memory").inc(len(records))
                self._keep_trying(records)
                return "memory"
        metrics.GATE_KEPT.labels("journal").inc(len(records))
        return "journal"

    async def _commit(self, records: Sequence[Record]) -> bool:
        commit = self._begin(self._store.apply(records))
        await asyncio.wait({commit}, timeout=self._patience_s)
        if not commit.done():
            self.lose(TimeoutError("SQL is slow"), commit)
            return False
        error = commit.exception()
        if error is None:
            metrics.GATE_KEPT.labels("sql").inc(len(records))
            return True
        if not _refused(error):
            self.lose(error)
            return False
        if len(records) > 1:
            return all([await self._commit([record]) for record in records])
        await self._set_aside(records[0], error)
        return True

    async def _set_aside(self, record: Record, error: BaseException) -> None:
        """SQL will never take it: it must not stand in the way of the others."""
        _log.error("SQL refuses a passage", camera=record.seen.camera, error=type(error).__name__)
        metrics.GATE_KEPT.labels("refused").inc()
        try:
            await asyncio.to_thread(self._journal.set_aside, record)
        except OSError as full:
            _log.critical("a refused passage could not be set aside", error=str(full))

    def lose(self, error: BaseException, late: "asyncio.Task[None] | None" = None) -> None:
        """SQL is away from now on; `late` is a commit that may still end either way."""
        self.away = True
        if late is None:
            self._only_slow = False
        else:
            late.add_done_callback(self._judge)
        if self._recovery is None or self._recovery.done():
            how, say = "away" if late is None else "slow", _log.warning
            if late is not None:
                if time.monotonic() < self._quiet_until:
                    say = _log.info
                else:
                    self._quiet_until = time.monotonic() + _WARN_EVERY_S
            say(f"SQL is {how}, the journal takes over", error=type(error).__name__)
            self._recovery = asyncio.create_task(self._recover(late), name="gate recovery")

    def _judge(self, late: "asyncio.Task[None]") -> None:
        if late.cancelled() or late.exception() is not None:
            self._only_slow = False

    def _begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """SQL work that is never cut off half-way: `close` waits for it."""
        task = asyncio.create_task(work, name="gate commit")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has seen it; the late ones nobody waits for

    def _keep_trying(self, records: Sequence[Record]) -> None:
        room = UNKEPT_LIMIT - len(self._unkept)
        self._unkept.extend(records[:room])
        self.lose(OSError("the journal is not writable"))

    async def _recover(self, late: "asyncio.Task[None] | None") -> None:
        if late is not None:
            await asyncio.wait({late})  # either way its records are in the journal
        while self.away:  # once more where SQL was lost again while others learnt that it is back
            await self._until_back()
            _log.info("SQL is back, the journal is replayed")
            self.was_only_slow, self._only_slow = self._only_slow, True
            try:
                if self._recovered is not None:
                    await self._recovered()
            except TROUBLE as error:
                self.away, self._only_slow = True, False
                _log.warning("SQL is away again", error=type(error).__name__)

    async def _until_back(self) -> None:
        pause_s = _FIRST_PROBE_S
        while self.away:
            await asyncio.sleep(pause_s)
            try:
                await self._replay()
            except TROUBLE as error:
                self._only_slow = False
                pause_s = min(2 * pause_s, _LAST_PROBE_S)
                _log.info("SQL is still away", error=type(error).__name__)

    async def _replay(self) -> None:
        """Apply the journal from where it was left, then hand back. Raises what SQL raises."""
        position = await asyncio.shield(self._begin(self._store.replayed(self._journal.name)))
        while True:
            records, after = await asyncio.to_thread(self._journal.read, position, REPLAY_BATCH)
            if records:
                await asyncio.shield(self._begin(self._apply_replayed(records, after)))
                position = after
                continue
            if self._unkept:
                await asyncio.shield(self._begin(self._store.apply(self._unkept[:REPLAY_BATCH])))
                del self._unkept[:REPLAY_BATCH]
                continue
            async with self._lock:
                if after >= self._journal.end and not self._unkept:
                    await asyncio.to_thread(self._journal.remove)
                    self.away = False
                    return

    async def _apply_replayed(self, records: Sequence[Record], after: int) -> None:
        journal = (self._journal.name, after)
        try:
            await self._store.apply(records, journal)
        except Exception as error:
            if not _refused(error):
                raise
            for record in records:
                try:
                    await self._store.apply([record])
                except Exception as refused:
                    if not _refused(refused):
                        raise
                    await self._set_aside(record, refused)
            await self._store.apply((), journal)


_REFUSALS: Final = (
    IntegrityError,
    DataError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
)


def _refused(error: BaseException) -> bool:
    """Whether it will be the same the next time: SQL's own word, or a fault in the record."""
    if isinstance(error, _REFUSALS) or not isinstance(error, TROUBLE):
        return True
    return isinstance(error, StatementError) and not isinstance(error, DBAPIError)
