"""The gate on SQLite and on PostgreSQL: what it told is there, once, also after a restart."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from settlement_parts import running

from devices.reading import Passage
from service.settlement import tables
from service.settlement.model import Record
from service.sql import METADATA, open_engine, reading


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


async def rows(parts, table, *columns):
    query = sa.select(*(table.c[one] for one in columns))
    async with reading(parts.engine) as sql:
        return sorted(tuple(row) for row in await sql.execute(query))


async def test_the_schema_is_what_the_code_speaks_of(url):
    engine = open_engine(url)

    def difference(sql):
        options = {"compare_type": False, "include_name": _settlement_only}
        return compare_metadata(MigrationContext.configure(sql, opts=options), METADATA)

    async with engine.connect() as sql:
        assert await sql.run_sync(difference) == []
    await engine.dispose()


def _settlement_only(name, kind, _parents):
    return kind != "table" or name in METADATA.tables


async def test_what_was_told_is_there(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        came, went = await parts.enter(0), await parts.leave(61)
        assert (came.open, went.open, went.reason) == (True, True, "leave_first")
        assert went.bill.startswith("/b/")
        assert await rows(parts, tables.sessions, "id", "state", "rev", "plate_mask") == [
            (came.session, "priced", 2, "浙A***01")
        ]
        assert await rows(parts, tables.bills, "session", "amount_fen") == [
            (went.session, went.amount_fen)
        ]
        assert len(await rows(parts, tables.passages, "event_id")) == 2


async def test_what_a_person_must_look_at_is_listed_and_explained(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        await parts.leave(0, "浙C00003")
        await parts.enter(1, None)
        first = await parts.enter(2)
        await parts.enter(300)
        listed = await rows(parts, tables.exceptions, "kind", "session", "closed_how")
        assert sorted(listed, key=str) == [
            ("missing_entry", None, None),
            ("missing_exit", first.session, None),
            ("unread_entry", None, None),
        ]
        clock.advance(400 * 60)
        await parts.leave(60, buffered=True)
        explained = await rows(parts, tables.exceptions, "kind", "closed_how")
        assert ("missing_exit", "exit came late") in explained
        assert not parts.writer.away


async def test_a_record_that_sql_refuses_is_set_aside_and_holds_up_nobody(
    sqlite_url, tmp_path, catalog, clock
):
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        session = (await parts.enter(0)).session
        broken = msgspec.structs.replace(parts.gate.book.seen.popitem()[1], camera=None)
        good = msgspec.structs.replace(broken, camera="c", event_id="good")
        kept = await asyncio.gather(*(parts.writer.put(Record(one)) for one in (broken, good)))
        assert kept == ["sql", "sql"]
        assert not parts.writer.away
        assert ("good", session) in await rows(parts, tables.passages, "event_id", "session")
        aside = tmp_path / "journal" / "refused.log"
        assert len(aside.read_text().splitlines()) == 1
        aside.unlink()


async def test_no_plate_and_no_link_stands_in_the_database(sqlite_url, tmp_path, catalog, clock):
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        await parts.enter(0, event="one")
        went = await parts.leave(61, event="two")
        await parts.leave(90, "浙B77777", event="three")  # an exit without an entry
    stored = b"".join(one.read_bytes() for one in tmp_path.glob("bowei.sqlite*"))
    assert went.session.encode() in stored
    for secret in ("A00001", "B77777", went.bill.removeprefix("/b/")):
        assert secret.encode() not in stored


async def test_a_restart_remembers_who_is_inside_and_what_was_told(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        await parts.enter(0)
        await parts.enter(1, "浙B00002")
        first = await parts.leave(61)
    clock.advance(3600 * 2)
    async with running(url, tmp_path, catalog, clock) as parts:
        parts.start_at = parts.at(-120)
        again = await parts.leave(61)
        assert again.duplicate
        assert (again.session, again.bill) == (first.session, first.bill)
        went = await parts.leave(120, "浙B00002")
        assert (went.reason, went.duplicate) == ("leave_first", False)
        assert len(await rows(parts, tables.bills, "session")) == 2


async def test_many_at_once_are_all_durable_and_duplicates_are_one(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        plates = [f"浙A{n:05d}" for n in range(200)]
        answers = await asyncio.gather(
            *(parts.enter(0, plate) for plate in plates for _ in range(3))
        )
        assert sum(not one.duplicate for one in answers) == 200
        assert len({one.session for one in answers}) == 200
        assert len(await rows(parts, tables.sessions, "id")) == 200
        assert len(await rows(parts, tables.passages, "event_id")) == 200


async def test_a_buffered_event_older_than_memory_is_looked_up(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        first = await parts.enter(0)
        await parts.leave(61)
    clock.advance(5 * 86400)
    async with running(url, tmp_path, catalog, clock) as parts:
        parts.start_at = parts.at(-5 * 1440)
        again = await parts.enter(0, buffered=True)
        assert (again.duplicate, again.session) == (True, first.session)
        assert len(await rows(parts, tables.sessions, "id")) == 1


async def test_nonsense_in_an_event_id_is_stored_as_something_else(url, tmp_path, catalog, clock):
    async with running(url, tmp_path, catalog, clock) as parts:
        for event in ("\x00", "\ud800", "x" * 10_000, "'; DROP TABLE sessions; --"):
            answer = await parts.enter(0, f"浙A0000{len(event) % 7}", event=event)
            assert answer.session is not None
            assert (await parts.enter(0, event=event)).duplicate
        assert not parts.writer.away


async def test_two_processes_share_one_lot(postgres_url, tmp_path, catalog, clock, monkeypatch):
    """Each answers from memory, but looks a plate up first: the other may know more."""
    monkeypatch.setattr("service.settlement.gate._LOOK_UP_WITHIN_S", 30.0)  # however slow we are
    one = running(postgres_url, tmp_path / "one", catalog, clock, shared=True)
    two = running(postgres_url, tmp_path / "two", catalog, clock, shared=True)
    async with one as first, two as second:
        came = await first.enter(0)
        went = await second.leave(61)
        assert (went.reason, went.session) == ("leave_first", came.session)
        assert await rows(first, tables.sessions, "state", "rev") == [("priced", 2)]


async def test_an_unknown_lot_is_told_so(sqlite_url, tmp_path, catalog, clock):
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        passage = Passage("e", "浙A00001")
        answer = await parts.gate.passed("nowhere", "in", "c", passage, clock.now())
        assert (answer.open, answer.reason) == (False, "unknown_lot")


async def test_a_clock_that_is_off_by_a_day_is_not_believed(sqlite_url, tmp_path, catalog, clock):
    """Case 5: server receive time decides, and says so."""
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        for name, off_minutes in (("behind", -1440), ("ahead", 1440), ("true", -2)):
            passage = Passage(name, f"浙A0000{len(name)}", parts.at(off_minutes))
            await parts.gate.passed("market", "in", "market-cam-in", passage, clock.now())
        told = await rows(parts, tables.passages, "event_id", "skewed", "passed_at")
        assert told == [
            ("ahead", True, clock.now()),
            ("behind", True, clock.now()),
            ("true", False, parts.at(-2)),
        ]
