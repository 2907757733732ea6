"""Pure: a published list of counts, read by the mapping that the catalogue gives for it.

    bytes ─ rows (CSV, JSON, GeoJSON) ─ one record at a time ─ reports, and errors beside them

One bad record costs one record. Records of places that the mapping does not name are none of ours
and are only counted; a place that it names and the source leaves out is an error.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from devices.reading import Count, Refused
from service.catalog import Feed

MOST_RECORDS = 100_000
MOST_SPACES = 1_000_000
AHEAD = timedelta(minutes=5)


class Report(msgspec.Struct, frozen=True):
    """What the source says of one of our zones; `measured_at` None where it gives no time."""

    lot: str
    zone: str
    count: Count
    measured_at: datetime | None


class RecordError(msgspec.Struct, frozen=True):
    """A record that was not taken: its place in the list (None: it was not there), its id, why."""

    index: int | None
    id: str | None
    reason: str
    detail: str = ""


class FeedNews(msgspec.Struct, frozen=True):
    """All of one document. `ignored` counts records of places that are none of ours."""

    reports: tuple[Report, ...]
    errors: tuple[RecordError, ...]
    ignored: int


def read_feed(feed: Feed, body: bytes, received_at: datetime) -> FeedNews:
    """Every record of `body` that the catalogue maps.

    Errors: `Refused` where the document as a whole cannot be read (`not_text`, `not_json`,
    `not_csv`, `no_records`, `too_many`).
    """
    reports: dict[str, Report] = {}
    errors: list[RecordError] = []
    named: set[str] = set()
    ignored = 0
    for index, record in enumerate(_records(feed, body)):
        if index >= MOST_RECORDS:
            raise Refused("too_many", f"more than {MOST_RECORDS} records")
        name = _name(_field(record, feed.fields.id))
        if name is not None and name not in feed.zones:
            ignored += 1
        elif name is None or name in named:
            errors.append(RecordError(index, name, "twice" if name else "no_id"))
        else:
            named.add(name)
            try:
                reports[name] = _report(feed, feed.zones[name], record, received_at)
            except Refused as refused:
                errors.append(RecordError(index, name, refused.reason, refused.detail))
    errors += [RecordError(None, name, "absent") for name in feed.zones if name not in named]
    return FeedNews(tuple(reports.values()), tuple(errors), ignored)


def _records(feed: Feed, body: bytes) -> Iterator[Any]:
    try:
        text = body.decode("utf-8-sig" if feed.encoding == "utf-8" else feed.encoding)
    except UnicodeDecodeError:
        raise Refused("not_text", f"not {feed.encoding}") from None
    return _rows(feed, text) if feed.format == "csv" else iter(_listed(feed, text))


def _rows(feed: Feed, text: str) -> Iterator[Mapping[Any, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=feed.delimiter, strict=True)
    try:
        if feed.fields.id not in (rows.fieldnames or ()):
            raise Refused("no_records", "no such column as fields.id names")
        yield from rows
    except csv.Error:
        raise Refused("not_csv", "broken quotes or a field that is too long") from None


def _listed(feed: Feed, text: str) -> list[Any]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise Refused("not_json", "broken, or nested too deep") from None
    listed = _field(document, feed.records) if feed.records else document
    if not isinstance(listed, list):
        raise Refused("no_records", "no list where `records` points")
    return listed


def _field(record: Any, path: str) -> Any:
    """The value at a name or a dotted path; None where there is none."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    for name in path.split("."):
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def _name(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def _report(feed: Feed, target: tuple[str, str], record: Any, received_at: datetime) -> Report:
    fields = feed.fields
    measured_at = None
    if fields.time is not None:
        measured_at = _moment(feed, _field(record, fields.time), received_at)
    closed = fields.status is not None and _is_closed(feed, _field(record, fields.status))
    free = _spaces(record, fields.free, "free")
    occupied = _spaces(record, fields.occupied, "occupied")
    capacity = _spaces(record, fields.capacity, "capacity")
    if closed:  # nothing to be had there, whatever else the source says
        free, occupied = 0, None
    elif free is None and occupied is None:
        raise Refused("no_count", "neither free nor occupied")
    count = Count(occupied=occupied, free=free, capacity=capacity, closed=closed)
    return Report(*target, count, measured_at)


def _is_closed(feed: Feed, value: Any) -> bool:
    said = feed.statuses.get("" if value is None else str(value).strip())
    if said is None:
        raise Refused("unknown_status", "a status that `statuses` does not name")
    if said == "unknown":
        raise Refused("source_unsure", "the source says that it does not know")
    return said == "closed"


def _spaces(record: Any, path: str | None, what: str) -> int | None:
    """A whole number of spaces; None where the source leaves it out."""
    value = _field(record, path) if path is not None else None
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        number = None
    if number is None or number != number // 1:
        raise Refused(f"bad_{what}", "no whole number")
    if not 0 <= number <= MOST_SPACES:
        raise Refused(f"bad_{what}", f"not within 0 to {MOST_SPACES}")
    return int(number)


def _moment(feed: Feed, value: Any, received_at: datetime) -> datetime:
    """When the source measured, aware UTC."""
    try:
        if feed.time_format in ("unix_s", "unix_ms"):
            divisor = 1000 if feed.time_format == "unix_ms" else 1
            return datetime.fromtimestamp(float(value) / divisor, UTC)
        text = str(value).strip() if value is not None else ""
        if feed.time_format == "iso":
            local = datetime.fromisoformat(text)
        else:
            local = datetime.strptime(text, feed.time_format)  # noqa: DTZ007 - its zone is below
        if local.tzinfo is None:
            local = _placed(local, ZoneInfo(feed.timezone), received_at)
        return local.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Refused("bad_time", f"not a time in the format {feed.time_format}") from None


def _placed(local: datetime, zone: ZoneInfo, received_at: datetime) -> datetime:
    """The clock time in its zone; of an hour that comes twice, the later that is not ahead."""
    later = local.replace(tzinfo=zone, fold=1)
    if later.astimezone(UTC) <= received_at + AHEAD:
        return later
    return local.replace(tzinfo=zone, fold=0)
