"""What comes over the wire, at the very edge: JSON into a typed struct, or refused with a reason.

Every way in which `msgspec` can fail ends here as `Refused`, with a stable reason word and with
what would have been right; neither repeats anything of the input.

    oversize | not_utf8 | not_json | too_deep | not_object | missing | bad_<field>
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from devices.reading import Refused

T = TypeVar("T")

LIMIT_BYTES = 65_536
PLATE_CHARACTERS = 16
PLATE_TEXT = f"letters and digits, at most {PLATE_CHARACTERS}"
NAME = "1 to 128 letters, digits or . _ : @ -"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)
_PATH = re.compile(r" at `\$([^`]*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_PLATE = re.compile(r"(?:[^\W_]|[·•.\- ]){1,16}")

FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Everything that decoding bytes with a typed `msgspec` decoder can raise."""


def take_json(
    decoder: msgspec.json.Decoder[T],
    payload: bytes,
    expected: Mapping[str, str],
    limit_bytes: int = LIMIT_BYTES,
) -> T:
    """Decode `payload`, or refuse it; `expected` says in words what each field has to be."""
    if len(payload) > limit_bytes:
        raise oversize(limit_bytes)
    try:
        # What the struct does not name is skipped unread, so its text is looked at here.
        if not payload.isascii():
            payload.decode()
        return decoder.decode(payload)
    except FAILURES as error:
        raise refusal(error, expected) from None


def refusal(error: Exception, expected: Mapping[str, str]) -> Refused:
    """The refusal that one of `FAILURES` stands for."""
    if isinstance(error, RecursionError):
        return Refused("too_deep", "fewer nested levels")
    if isinstance(error, UnicodeDecodeError):
        return Refused("not_utf8", "JSON is UTF-8")
    if not isinstance(error, msgspec.ValidationError):
        return Refused("not_json", "one JSON object")
    text = str(error)
    if missing := _MISSING.search(text):
        name = missing[1]
        return Refused("missing", f"`{name}`: {expected.get(name, 'must be there')}")
    path = _PATH.search(text)
    if path is None:
        return Refused("not_object", "one JSON object")
    named = [name for name in re.split(r"[.\[\]]+", path[1]) if name in expected]
    name = named[-1] if named else "value"
    return Refused(f"bad_{name}", f"`{name}`: {expected.get(name, 'another type')}")


def oversize(limit_bytes: int) -> Refused:
    return Refused("oversize", f"at most {limit_bytes} bytes")


def utc(moment: datetime, field: str) -> datetime:
    """`moment` (aware) in UTC; refuses the few at the calendar's two ends that UTC cannot name."""
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refused(f"bad_{field}", f"`{field}`: a time within the calendar") from None


def posix_ms(moment: datetime, field: str) -> int:
    """`moment` as POSIX milliseconds, exactly; refuses what is before 1970."""
    if moment < EPOCH:
        raise Refused(f"bad_{field}", f"`{field}`: a time after 1970")
    return (moment - EPOCH) // _MILLISECOND


def posix(sec: int, usec: int, field: str) -> datetime | None:
    """The time of a device that counts POSIX seconds; None for 0: its clock was never set."""
    if sec == 0:
        return None
    try:
        return datetime.fromtimestamp(sec, UTC).replace(microsecond=usec)
    except (OverflowError, ValueError, OSError):
        raise Refused(f"bad_{field}", f"`{field}`: POSIX seconds and microseconds") from None


def name_text(text: str, field: str) -> str:
    """A name that is safe in a topic, a key and a page, or `Refused`."""
    if not _NAME.fullmatch(text):
        raise Refused(f"bad_{field}", f"`{field}`: {NAME}")
    return text


def plate_text(text: str, none: frozenset[str]) -> str | None:
    """A plate as it was read; None for one of the vendor's words for `none`.

    Letters of any script, digits and the marks that stand between them, up to 16 characters.
    """
    plate = text.strip()
    if plate.casefold() in none:
        return None
    if not _PLATE.fullmatch(plate):
        raise Refused("bad_plate", PLATE_TEXT)
    return plate
