"""What settlement keeps in SQL: records in, memory out. Every write here may be repeated."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.settlement import tables
from service.settlement.book import Book, Orphan
from service.settlement.keyring import Keyring
from service.settlement.model import Answer, Bill, Record, Seen, Session, Trouble
from service.settlement.session import DONE, INSIDE, State
from service.sql import reading, writing
from service.sql_lane import Lane, Statement
from service.tariff.model import Line, Tariff

_lines = msgspec.json.Decoder(tuple[Line, ...])
_answer = msgspec.json.Decoder(Answer)
_tariff = msgspec.json.Decoder(Tariff)
_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Store:
    """Settlement's rows in one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._lane = Lane(engine) if engine.dialect.name == "sqlite" else None

    async def apply(
        self, records: Sequence[Record], journal: tuple[str, int] | None = None
    ) -> None:
        """Make records durable, all or none; with the journal position they were read up to."""
        steps = _steps(records, journal)
        if self._lane is not None:
            await self._lane.do(lambda sql: _run(sql, steps))
            return
        async with writing(self.engine) as sql:
            for name, rows in steps:
                await sql.execute(_STATEMENTS["postgresql"][name], rows)

    async def replayed(self, name: str) -> int:
        """How far the journal of that name has been applied."""
        query = sa.select(tables.journals.c.position).where(tables.journals.c.name == name)
        async with reading(self.engine) as sql:
            return (await sql.execute(query)).scalar_one_or_none() or 0

    async def keep_tariffs(self, versions: Mapping[str, Tariff]) -> None:
        """Keep every version that may be pinned to a session."""
        rows = [
            {"key": key, "body": msgspec.json.encode(one).decode()} for key, one in versions.items()
        ]
        if rows:
            async with writing(self.engine) as sql:
                await sql.execute(insert_into(sql, tables.tariffs).on_conflict_do_nothing(), rows)

    async def tariff(self, key: str) -> Tariff | None:
        """The version that was pinned to a session."""
        query = sa.select(tables.tariffs.c.body).where(tables.tariffs.c.key == key)
        async with reading(self.engine) as sql:
            body = (await sql.execute(query)).scalar_one_or_none()
        return None if body is None else _tariff.decode(body)

    async def purge_plates(self, before: datetime) -> None:
        """Destroy the sealed plates of stays that were settled before `before`."""
        table = tables.sessions
        settled = table.c.state.in_(sorted(DONE)) & (table.c.changed_at < before)
        old = settled & table.c.plate_sealed.is_not(None)
        async with writing(self.engine) as sql:
            await sql.execute(table.update().where(old).values(plate_sealed=None))

    async def passage(self, camera: str, event_id: str) -> Seen | None:
        """A passage by its name, however long ago."""
        table = tables.passages
        query = sa.select(table).where(table.c.camera == camera, table.c.event_id == event_id)
        async with reading(self.engine) as sql:
            row = (await sql.execute(query)).mappings().one_or_none()
        return None if row is None else seen_of(row)

    async def load(self, book: Book, keyring: Keyring, since: datetime) -> None:
        """Fill a book: all that are inside, what ended or passed since, what is owed."""
        sessions, bills = tables.sessions, tables.bills
        waiting = [*INSIDE, State.MISSING_EXIT]
        remembered = sessions.c.state.in_(waiting) | (sessions.c.changed_at >= since)
        async with reading(self.engine) as sql:
            for row in (await sql.execute(sa.select(tables.tariffs))).mappings():
                book.tariffs.setdefault(row["key"], _tariff.decode(row["body"]))
            for row in (await sql.execute(sa.select(sessions).where(remembered))).mappings():
                session = session_of(row)
                book.put(session, keyring.unseal(session.plate_sealed))
            query = sa.select(bills).join(sessions).where(remembered)
            for row in (await sql.execute(query)).mappings():
                book.bills[row["session"]] = bill_of(row)
            query = sa.select(tables.passages).where(tables.passages.c.received_at >= since)
            for row in (await sql.execute(query.order_by("received_at"))).mappings():
                book.put_seen(seen_of(row))
            book.arrears_fen.update(await _arrears(sql))
            for orphan in await _orphans(sql, since):
                book.put_orphan(orphan)
        book.horizon = since

    async def load_plate(self, book: Book, keyring: Keyring, plate_key: str) -> None:
        """Bring a book up to date on one plate: its stays that may matter, what it owes."""
        sessions, bills = tables.sessions, tables.bills
        mine = sessions.c.plate_key == plate_key
        newest = sa.select(sessions).where(mine).order_by(sessions.c.entered_at.desc()).limit(20)
        async with reading(self.engine) as sql:
            for row in (await sql.execute(newest)).mappings():
                session = session_of(row)
                book.put(session, keyring.unseal(session.plate_sealed))
            query = sa.select(bills).join(sessions).where(mine)
            for row in (await sql.execute(query.limit(20))).mappings():
                book.bills[row["session"]] = bill_of(row)
            owed = await _arrears(sql, plate_key)
        book.arrears_fen.pop(plate_key, None)
        book.arrears_fen.update(owed)


async def _arrears(sql: AsyncConnection, plate_key: str | None = None) -> dict[str, int]:
    sessions, bills = tables.sessions, tables.bills
    query = (
        sa.select(sessions.c.plate_key, sa.func.sum(bills.c.amount_fen))
        .join(bills)
        .where(sessions.c.state == State.ARREARS)
        .group_by(sessions.c.plate_key)
    )
    if plate_key is not None:
        query = query.where(sessions.c.plate_key == plate_key)
    return {key: int(total) for key, total in await sql.execute(query)}


async def _orphans(sql: AsyncConnection, since: datetime) -> list[Orphan]:
    passages, troubles = tables.passages, tables.exceptions
    same = (passages.c.camera == troubles.c.camera) & (passages.c.event_id == troubles.c.event_id)
    query = (
        sa.select(troubles.c.id.label("trouble"), passages)
        .join(passages, same)
        .where(
            troubles.c.kind == "missing_entry",
            troubles.c.closed_at.is_(None),
            troubles.c.raised_at >= since,
        )
    )
    return [Orphan(seen_of(row), row["trouble"]) for row in (await sql.execute(query)).mappings()]


def _steps(
    records: Sequence[Record], journal: tuple[str, int] | None
) -> list[tuple[str, list[dict[str, Any]]]]:
    """What to do, in order: the name of a statement and its rows."""
    steps = [
        ("passages", [_seen_row(one.seen) for one in records]),
        ("sessions", [_session_row(one) for record in records for one in record.sessions]),
        ("bills", [bill_row(one) for record in records for one in record.bills]),
        ("exceptions", [_trouble_row(one) for record in records for one in record.troubles]),
        (
            "settled",
            [
                {"trouble": name, "at": one.seen.received_at, "how": how}
                for one in records
                for name, how in one.settled
            ],
        ),
        ("journals", [{"name": journal[0], "position": journal[1]}] if journal else []),
    ]
    return [(name, rows) for name, rows in steps if rows]


def _run(sql: sqlite3.Connection, steps: list[tuple[str, list[dict[str, Any]]]]) -> None:
    for name, rows in steps:
        statement = _PREPARED[name]
        sql.executemany(statement.text, statement.rows(rows))


async def raise_trouble(sql: AsyncConnection, trouble: Trouble) -> None:
    """List something for a person, once."""
    insert = insert_into(sql, tables.exceptions).on_conflict_do_nothing()
    await sql.execute(insert, _trouble_row(trouble))


def insert_into(sql: AsyncConnection, table: sa.Table) -> Any:
    """An insert that knows ON CONFLICT, which both databases spell alike."""
    return _INSERTS[sql.dialect.name](table)


def _newer(insert: Any, table: sa.Table, key: str) -> Any:
    """Insert, or replace an earlier revision of the same row."""
    changes = {
        column.name: insert.excluded[column.name] for column in table.c if column.name != key
    }
    return insert.on_conflict_do_update(
        index_elements=[key], set_=changes, where=table.c.rev < insert.excluded.rev
    )


def _statements(insert: Any) -> dict[str, Any]:
    """Every statement of `apply`, by name, as one of the databases speaks."""
    troubles = tables.exceptions
    positions = insert(tables.journals)
    still_open = (troubles.c.id == sa.bindparam("trouble")) & troubles.c.closed_at.is_(None)
    return {
        "passages": insert(tables.passages).on_conflict_do_nothing(),
        "sessions": _newer(insert(tables.sessions), tables.sessions, "id"),
        "bills": _newer(insert(tables.bills), tables.bills, "session"),
        "exceptions": insert(troubles).on_conflict_do_nothing(),
        "settled": troubles.update()
        .where(still_open)
        .values(closed_at=sa.bindparam("at"), closed_how=sa.bindparam("how")),
        "journals": positions.on_conflict_do_update(
            index_elements=["name"], set_={"position": positions.excluded.position}
        ),
    }


_STATEMENTS = {name: _statements(insert) for name, insert in _INSERTS.items()}
_PREPARED = {name: Statement(build) for name, build in _STATEMENTS["sqlite"].items()}


def _seen_row(seen: Seen) -> dict[str, Any]:
    answer = msgspec.json.encode(seen.answer).decode()
    return {**msgspec.structs.asdict(seen), "answer": answer}


def _session_row(session: Session) -> dict[str, Any]:
    return {**msgspec.structs.asdict(session), "state": session.state.value}


def _trouble_row(trouble: Trouble) -> dict[str, Any]:
    return {**msgspec.structs.asdict(trouble), "closed_at": None, "closed_how": None}


def bill_row(bill: Bill) -> dict[str, Any]:
    return {**msgspec.structs.asdict(bill), "lines": msgspec.json.encode(bill.lines).decode()}


def seen_of(row: sa.RowMapping) -> Seen:
    fields = {name: row[name] for name in Seen.__struct_fields__}
    return Seen(**{**fields, "answer": _answer.decode(row["answer"])})


def session_of(row: sa.RowMapping) -> Session:
    fields = {name: row[name] for name in Session.__struct_fields__}
    return Session(**{**fields, "state": State(row["state"])})


def bill_of(row: sa.RowMapping) -> Bill:
    fields = {name: row[name] for name in Bill.__struct_fields__}
    return Bill(**{**fields, "lines": _lines.decode(row["lines"])})
