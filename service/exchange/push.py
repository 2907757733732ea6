"""Pure: counts that a lot's operator sends by HTTP: how they are signed, and what they say.

    POST /api/v1/feeds/{lot}
    X-Bowei-Time: 1772352000                 POSIX seconds, fractions allowed
    X-Bowei-Signature: <64 hex digits>       HMAC-SHA256 with the lot's key over the text below
    {"at": "2026-03-01T08:00:00Z", "zones": {"general": {"free": 12, "capacity": 80}}}

The signed text is four lines, each ended by a line feed: the method, the path as sent, the time as
sent, and the body's SHA-256 in hex. `at` is when it was measured; left out, the receive time
stands and says so. A message is taken within five minutes of its time, and once.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from devices.reading import Count, Refused

WINDOW_S = 300.0
MOST_BYTES = 64 * 1024
PURPOSE = "feed"
BAD_ZONE = "only free or occupied, and capacity: whole numbers from 0 (`at` stands beside `zones`)"

Spaces = Annotated[int, Meta(ge=0, le=1_000_000)]
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class PushedZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One zone's numbers: `free` or `occupied`, and the capacity that they are counted against."""

    free: Spaces | None = None
    occupied: Spaces | None = None
    capacity: Spaces | None = None


class Pushed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent: zones by their id. `at` is when it was measured."""

    zones: Annotated[dict[str, PushedZone], Meta(min_length=1, max_length=100)]
    at: Annotated[datetime, Meta(tz=True)] | None = None


class _Loose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `Pushed`, with the zones unread: one that is wrong must not cost the others."""

    zones: Annotated[dict[str, msgspec.Raw], Meta(min_length=1, max_length=100)]
    at: Annotated[datetime, Meta(tz=True)] | None = None


_LOOSE = msgspec.json.Decoder(_Loose)
_ZONE = msgspec.json.Decoder(PushedZone)


def signed_text(method: str, path: str, time: str, body: bytes) -> bytes:
    """What the signature covers."""
    digest = hashlib.sha256(body).hexdigest()
    return f"{method}\n{path}\n{time}\n{digest}\n".encode(errors="surrogateescape")


def signature(key: bytes, method: str, path: str, time: str, body: bytes) -> str:
    """The signature that a sender puts in X-Bowei-Signature."""
    return hmac.new(key, signed_text(method, path, time, body), hashlib.sha256).hexdigest()


def sent_at(time: str, now: datetime) -> datetime:
    """The time that a message carries. Errors: `Refused` with `bad_time` or `outside_window`."""
    if not _TIME.fullmatch(time):
        raise Refused("bad_time", "X-Bowei-Time: POSIX seconds like 1772352000")
    sent_s = float(time)
    if abs(sent_s - now.timestamp()) > WINDOW_S:
        raise Refused("outside_window", f"X-Bowei-Time: within {WINDOW_S:.0f} s of ours")
    return datetime.fromtimestamp(sent_s, UTC)


def check_signature(key: bytes, given: str, text: bytes) -> None:
    """Errors: `Refused` with `bad_signature`."""
    wanted = hmac.new(key, text, hashlib.sha256).hexdigest()
    if not _SIGNATURE.fullmatch(given) or not hmac.compare_digest(wanted, given):
        raise Refused("bad_signature", "X-Bowei-Signature: not made with this lot's key over this")


def read_push(
    body: bytes, zones: frozenset[str]
) -> tuple[datetime | None, dict[str, Count], dict[str, Refused]]:
    """When it was measured, the counts by zone, and the zones that were refused.

    Errors: `Refused` where the body as a whole cannot be read.
    """
    if len(body) > MOST_BYTES:
        raise Refused("too_large", f"more than {MOST_BYTES} bytes")
    try:
        said = _LOOSE.decode(body)
        measured_at = said.at.astimezone(UTC) if said.at else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        raise Refused("bad_body", 'JSON like {"zones": {"general": {"free": 12}}}') from None
    counts: dict[str, Count] = {}
    refused: dict[str, Refused] = {}
    for zone, raw in said.zones.items():
        try:
            counts[zone] = _count(zone, raw, zones)
        except Refused as why:
            refused[zone] = why
    return measured_at, counts, refused


def _count(zone: str, raw: msgspec.Raw, zones: frozenset[str]) -> Count:
    if zone not in zones:
        raise Refused("unknown_zone", f"one of {', '.join(sorted(zones))}")
    try:
        said = _ZONE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("bad_zone", BAD_ZONE) from None
    if said.free is None and said.occupied is None:
        raise Refused("no_count", "free or occupied")
    return Count(occupied=said.occupied, free=said.free, capacity=said.capacity)
