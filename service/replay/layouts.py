"""Pure: the three layouts of recordings, told apart by their first lines.

    wide     a time, then a column for each lot; blank: no change, or no recording
    long     one row a lot and time: name, capacity, count, time; with or without a header
    single   one lot: a time and `free` or `occupied` or both, with a header

Cells stand between commas, semicolons or tabs; blank rows are left out.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo

import msgspec

LAYOUTS = ("wide", "long", "single")
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
MOST_CHARACTERS = 40

TIMES = frozenset({"timestamp", "time", "datetime", "date", "mvalidtime", "lastupdated", "at"})
NAMES = frozenset({"systemcodenumber", "name", "lot", "id", "carpark", "parking"})
CAPACITIES = frozenset({"capacity", "total", "spaces"})
FREE = frozenset({"free", "available", "vacant"})
OCCUPIED = frozenset({"occupied", "occupancy", "taken"})


class Unreadable(Exception):  # noqa: N818 - it says what the row is
    """A row, or a whole file, that does not fit; the text says what was expected."""


class Columns(msgspec.Struct, frozen=True):
    """Where things stand: indexes of a row, None where there is no such column."""

    layout: str
    at: int
    name: int | None = None
    capacity: int | None = None
    free: int | None = None
    occupied: int | None = None
    lots: tuple[tuple[int, str], ...] = ()
    header: bool = True


class Value(msgspec.Struct, frozen=True):
    """One number of one lot; `value` None where the cell is blank."""

    at_s: float
    lot: str
    value: int | None
    capacity: int | None = None


def columns(rows: list[list[str]], layout: str | None, only_lot: str) -> Columns:
    """Where things stand in a file that begins with `rows`; raises `Unreadable`."""
    if not rows:
        raise Unreadable("at least one row")
    found = _headed(rows[0], only_lot) or _headless(rows)
    if layout == "wide" and (found is None or found.layout != "wide"):
        found = _wide(rows[0])
    if found is None or (layout is not None and found.layout != layout):
        wanted = layout or "wide, long or single"
        raise Unreadable(f"a {wanted} layout; the first row is not one of it")
    return found


def _headed(first: list[str], only_lot: str) -> Columns | None:
    """By the words of a header."""
    words = ["".join(cell.casefold().split()) for cell in first]
    if any(_is_time(cell) for cell in first):
        return None
    at = _find(words, TIMES)
    if at is None:
        return None
    name, capacity = _find(words, NAMES), _find(words, CAPACITIES)
    free, occupied = _find(words, FREE), _find(words, OCCUPIED)
    if free is None and occupied is None:
        return _wide(first)
    if name is not None:
        return Columns("long", at, name, capacity, free, occupied)
    return Columns("single", at, None, capacity, free, occupied, ((0, only_lot),))


def _wide(first: list[str]) -> Columns | None:
    lots = tuple((place, cell) for place, cell in enumerate(first) if place and cell)
    if not lots or len({name for _, name in lots}) < len(lots):
        return None
    return Columns("wide", 0, lots=lots)


def _headless(rows: list[list[str]]) -> Columns | None:
    """name, capacity, count, time: four cells, the first no time and the last one."""
    for row in rows:
        if len(row) == 4 and _is_time(row[3]) and row[1].isdecimal() and not _is_time(row[0]):
            return Columns("long", 3, 0, 1, None, 2, header=False)
    return None


def _find(words: list[str], wanted: frozenset[str]) -> int | None:
    return next((place for place, word in enumerate(words) if word in wanted), None)


def _is_time(cell: str) -> bool:
    try:
        return not cell.lstrip("-").isdecimal() and moment_s(cell, UTC) > 0
    except Unreadable:
        return False


def moment_s(text: str, zone: tzinfo) -> float:
    """POSIX seconds of an ISO 8601 time (in `zone` where it has no offset) or POSIX seconds."""
    try:
        if text.isascii() and text.isdecimal() and len(text) == 10:
            moment = datetime.fromtimestamp(int(text), UTC)
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        if not EARLIEST <= moment < LATEST:
            raise Unreadable("a time between 1990 and 2100")
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise Unreadable("a time like 2025-03-01 08:00:00+00:00") from None


def number(text: str) -> int | None:
    """A whole number, None for a blank cell."""
    if not text:
        return None
    if len(text) > MOST_CHARACTERS or not text.isascii():
        raise Unreadable("a whole number")
    try:
        value = float(text)
    except ValueError:
        raise Unreadable("a whole number") from None
    if value != value or abs(value) > 1_000_000 or value != int(value):  # noqa: PLR0124 - NaN
        raise Unreadable("a whole number of at most a million")
    return int(value)


Reader = Callable[[list[str]], Iterator[Value]]


def reader(where: Columns, counts: str, zone: tzinfo) -> Reader:
    """Turns one row into its values; it raises `Unreadable` for a row that does not fit."""
    if where.layout == "wide":
        return lambda row: _wide_row(where, row, zone)
    return lambda row: _row(where, row, counts, zone)


def _wide_row(where: Columns, row: list[str], zone: tzinfo) -> Iterator[Value]:
    if len(row) > where.lots[-1][0] + 1:
        raise Unreadable(f"at most {where.lots[-1][0] + 1} cells")
    at_s = moment_s(row[where.at], zone)
    # Read the whole row before anything of it counts: a torn row is no row.
    values = [(name, number(row[at] if at < len(row) else "")) for at, name in where.lots]
    for name, value in values:
        yield Value(at_s, name, value)


def _row(where: Columns, row: list[str], counts: str, zone: tzinfo) -> Iterator[Value]:
    wanted = where.free if counts == "free" else where.occupied
    # A flag may say that the one count there is means the other thing.
    place = wanted if wanted is not None else where.occupied
    place = place if place is not None else where.free
    places = [where.at, where.name, where.capacity, place]
    if len(row) <= max(one for one in places if one is not None) or place is None:
        raise Unreadable("a cell for each column")
    at_s = moment_s(row[where.at], zone)
    name = where.lots[0][1] if where.name is None else row[where.name]
    if not name:
        raise Unreadable("the lot's name")
    value = number(row[place])
    if value is None:
        raise Unreadable("a count")
    yield Value(at_s, name, value, _capacity(where, row))


def _capacity(where: Columns, row: list[str]) -> int | None:
    if where.capacity is not None:
        return number(row[where.capacity])
    if where.free is not None and where.occupied is not None:
        free, occupied = number(row[where.free]), number(row[where.occupied])
        if free is not None and occupied is not None:
            return free + occupied
    return None
