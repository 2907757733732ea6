"""SQL goes away, the process is killed, the disk tears a line: what was told stands."""

import asyncio
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import SMALL
from real_postgres import Postgres
from settlement_parts import running

from service.settlement import tables
from service.settlement.journal import Journal
from service.sql import reading, upgrade

PROGRAM = Path(__file__).parent / "gate_process.py"


async def stays(engine) -> set[tuple]:
    """What the sessions came to, whatever they are called."""
    one, bill = tables.sessions.c, tables.bills.c
    query = sa.select(one.id, one.state, one.entered_at, one.left_at, bill.amount_fen)
    query = query.select_from(tables.sessions.outerjoin(tables.bills, bill.session == one.id))
    async with reading(engine) as sql:
        return {tuple(row) for row in await sql.execute(query)}


async def until(condition, within_s=60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def settled(parts) -> None:
    """Wait until SQL has it all: a machine that is slow goes by the journal now and then."""
    folder = parts.journal.folder
    await until(lambda: not parts.writer.away and not list(folder.glob("journal-*.log")))


async def robbed(parts, url) -> sqlite3.Connection:
    """A thief of the lock of SQLite; nothing of ours is being written when it comes."""
    await settled(parts)
    thief = sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)
    thief.execute("BEGIN EXCLUSIVE")
    return thief


async def _day(parts, first=0, last=30) -> None:
    """Thirty cars in, an hour later out; every third is asked twice."""
    for n in range(first, last):
        await parts.enter(n, f"浙A{n:05d}")
        await parts.leave(n + 60, f"浙A{n:05d}")
        if n % 3 == 0:
            await parts.leave(n + 60, f"浙A{n:05d}")


async def _undisturbed(tmp_path, catalog, clock) -> set[tuple]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'undisturbed.sqlite'}"
    await upgrade(url)
    async with running(url, tmp_path / "undisturbed", catalog, clock) as parts:
        await _day(parts)
        await settled(parts)
        return await stays(parts.engine)


async def test_a_locked_sqlite_is_journaled_and_replayed(sqlite_url, tmp_path, catalog, clock):
    """Case 33, in small: the gate answers on, and the books end as without the outage."""
    options = {"patience_s": 0.1}
    async with running(sqlite_url, tmp_path, catalog, clock, **options) as parts:
        await _day(parts, 0, 10)
        thief = await robbed(parts, sqlite_url)
        await _day(parts, 10, 20)
        assert parts.writer.away
        assert list((tmp_path / "journal").glob("journal-*.log"))
        thief.execute("ROLLBACK")
        thief.close()
        await until(lambda: not parts.writer.away)
        await _day(parts, 20, 30)
        await settled(parts)
        assert await stays(parts.engine) == await _undisturbed(tmp_path, catalog, clock)


async def test_a_slow_sql_is_not_read_anew_and_one_that_failed_is(
    sqlite_url, tmp_path, catalog, clock, monkeypatch
):
    """Reading everything again makes SQL slow again: a loaded machine never came out of it."""
    async with running(sqlite_url, tmp_path, catalog, clock, patience_s=0.1) as parts:
        loads, load = [], parts.store.load

        async def counted(*arguments):
            loads.append(arguments)
            await load(*arguments)

        monkeypatch.setattr(parts.store, "load", counted)
        thief = await robbed(parts, sqlite_url)
        await _day(parts, 0, 2)  # sooner than SQLite would give up its waiting
        assert parts.writer.away
        thief.execute("ROLLBACK")
        thief.close()
        await until(lambda: not parts.writer.away)
        await parts.leave(30, "浙A99999")  # from nowhere: an exit that waits for its entry
        assert loads == []
        for times in (1, 2):
            parts.writer.lose(OSError("gone"))
            await until(lambda: not parts.writer.away)
            await until(lambda: len(loads) == times)  # noqa: B023 - awaited here
        await until(lambda: len(parts.gate.book.orphans) == 1)
        ((orphan,),) = parts.gate.book.orphans.values()
        assert orphan.trouble


@pytest.fixture
def server():
    """A PostgreSQL of the test's own, to be killed."""
    server = Postgres()
    asyncio.run(upgrade(server.url("postgres")))
    yield server
    server.remove()


async def test_postgres_killed_and_back(server, tmp_path, catalog, clock):
    """Case 24: killed while committing; whatever became of the commit, nothing counts twice."""
    url = server.url("postgres")
    async with running(url, tmp_path, catalog, clock, patience_s=0.5) as parts:
        await _day(parts, 0, 10)
        busy = asyncio.gather(*(parts.enter(n, f"浙A{n:05d}") for n in range(10, 20)))
        await asyncio.sleep(0)
        server.kill()
        await busy
        await _day(parts, 10, 20)
        assert parts.writer.away
        server.spawn()
        await until(lambda: not parts.writer.away)
        await _day(parts, 20, 30)
        await settled(parts)
        assert await stays(parts.engine) == await _undisturbed(tmp_path, catalog, clock)


async def test_a_start_without_sql_answers_and_pairs_later(server, tmp_path, catalog, clock):
    """Its memory is empty: exits find no entry, go, and are paired once SQL is back."""
    url = server.url("postgres")
    async with running(url, tmp_path, catalog, clock) as parts:
        came = await parts.enter(0)
    server.kill()
    async with running(url, tmp_path, catalog, clock, patience_s=0.5) as parts:
        went = await parts.leave(61)
        assert (went.open, went.reason) == (True, "missing_entry")
    async with running(url, tmp_path, catalog, clock, patience_s=0.5) as parts:
        assert (await parts.leave(61)).duplicate  # the journal remembers what was told
        server.spawn()
        await until(lambda: not parts.writer.away)
        await until(lambda: came.session in parts.gate.book.sessions)
        await until(lambda: parts.gate.book.sessions[came.session].left_at is not None)
        async with asyncio.timeout(60):  # the memory has it before SQL has
            while [one[1] for one in await stays(parts.engine)] != ["priced"]:
                await asyncio.sleep(0.05)
        [(_, _, _, left_at, amount_fen)] = await stays(parts.engine)
        assert left_at == parts.at(61)
        assert amount_fen
        async with reading(parts.engine) as sql:
            how = (await sql.execute(sa.select(tables.exceptions.c.closed_how))).scalars().all()
        assert how == ["entry was known after all"]


async def test_nobody_is_held_when_sql_goes_away_in_that_moment(
    sqlite_url, tmp_path, catalog, clock
):
    async with running(sqlite_url, tmp_path, catalog, clock, patience_s=4.0) as parts:
        await parts.enter(0, lot="clinic-yard", event="in")
        held = await parts.leave(61, lot="clinic-yard", event="out")
        assert (held.open, held.reason) == (False, "pay_first")
        await parts.enter(0, "浙B00002", lot="clinic-yard", event="in2")
        thief = await robbed(parts, sqlite_url)
        went = await parts.leave(61, "浙B00002", lot="clinic-yard", event="out2")
        assert (went.open, went.reason) == (True, "leave_first")
        assert (await parts.leave(61, "浙B00002", lot="clinic-yard", event="out2")).open
        thief.execute("ROLLBACK")
        thief.close()
        await until(lambda: not parts.writer.away)
        assert {one[1] for one in await stays(parts.engine)} == {"held", "priced"}


@pytest.mark.parametrize("torn", [0, 1, 7, 40])
async def test_a_torn_tail_is_cut_and_the_rest_is_replayed(
    torn, sqlite_url, tmp_path, catalog, clock
):
    async with running(sqlite_url, tmp_path, catalog, clock, patience_s=0.05) as parts:
        thief = await robbed(parts, sqlite_url)
        for n in range(5):
            await parts.enter(n, f"浙A{n:05d}")
        [path] = (tmp_path / "journal").glob("journal-*.log")
        whole = path.read_bytes()
        thief.execute("ROLLBACK")
        thief.close()
        await until(lambda: not parts.writer.away)
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(whole[: last + torn] if torn else whole)
    journal = Journal(tmp_path / "journal")
    assert journal.open()
    assert journal.end == (last if torn else len(whole))
    url = f"sqlite+aiosqlite:///{tmp_path / 'other.sqlite'}"
    await upgrade(url)
    async with running(url, tmp_path, catalog, clock) as parts:
        await settled(parts)
        assert len(await stays(parts.engine)) == (4 if torn else 5)


async def test_a_full_disk_lets_cars_go_and_keeps_trying(sqlite_url, tmp_path, catalog, clock):
    """Neither SQL nor the journal: the answer is still given, and written once it can be."""
    (tmp_path / "journal").write_text("in the way: no folder can be made here")
    async with running(sqlite_url, tmp_path, catalog, clock, patience_s=0.05) as parts:
        thief = await robbed(parts, sqlite_url)
        assert (await parts.enter(0)).open
        thief.execute("ROLLBACK")
        thief.close()
        await until(lambda: not parts.writer.away)
        assert len(await stays(parts.engine)) == 1


KILLS = 10


async def test_ten_kills_lose_nothing_that_was_told(sqlite_url, tmp_path, catalog, clock):
    """Case 16: SIGKILL at random moments under load; every answer that came out is in SQL."""
    draw = random.Random(16)
    told: dict[str, str] = {}
    gate = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), sqlite_url, str(tmp_path), str(SMALL),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip

    async def answers(until: int | None = None) -> None:
        """Note what comes out, up to a number of answers, or to the end."""
        while until is None or until > 0:
            line = (await gate.stdout.readline()).decode().split()
            if not line:
                return
            event, reason, session = line
            if event == "ready":
                continue
            assert reason in ("welcome", "leave_first"), line
            told[event] = session
            until = until and until - 1

    for kill in range(KILLS):
        while True:
            line = (await gate.stdout.readline()).decode().split()
            if line[0] == "ready":
                break
            told[line[0]] = line[2]
        passages = [
            f"{direction} {minute} 浙A{n:05d} {direction}-{kill}-{n}\n"
            for n in range(300)
            for direction, minute in (("in", kill * 200), ("out", kill * 200 + 90))
        ]
        gate.stdin.write("".join(passages).encode())
        await answers(draw.randrange(1, len(passages)))
        await asyncio.sleep(draw.uniform(0, 0.02))
        os.kill(int(line[1]), signal.SIGKILL)
    gate.stdin.close()
    await answers()
    await gate.wait()
    assert len(told) > 100 * KILLS
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        await settled(parts)
        async with reading(parts.engine) as sql:
            query = sa.select(tables.passages.c.event_id, tables.passages.c.session)
            kept = {row.event_id: row.session for row in await sql.execute(query)}
            sessions = set((await sql.execute(sa.select(tables.sessions.c.id))).scalars())
            bills = list((await sql.execute(sa.select(tables.bills.c.session))).scalars())
    assert {event: kept.get(event) for event in told} == told
    assert set(told.values()) <= sessions
    assert len(bills) == len(set(bills))
