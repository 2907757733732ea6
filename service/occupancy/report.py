"""Pure: one source's newest word on a zone or a bay, and how it stands in Redis.

A field names who speaks about what; its value begins with the order of the news, 40 digits, so that
Redis can compare two without reading them.

    z/<lot>/<zone>/<device>         a zone's numbers
    b/<lot>/<zone>/<bay>/<device>   one bay
    h/<device>/<what>               the device's own health, one fact a field
"""

from datetime import UTC, datetime

import msgspec

from devices.reading import Count

ORDER_DIGITS = 40
ABSOLUTE = "a"
COUNTER = "c"
BAY = "b"
HEALTH = "h"

RECEIVED = 1  # the source gave no time: `at_ms` is when we received it
SKEWED = 2  # the source's clock is not to be believed
RETAINED = 4  # the broker had kept it: it tells nothing of what came between
SHUT = 8  # the source says that nobody is let in
BORROWED = 16  # ordered by a network server's receive time, beside the device's frame counter


class Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Numbers as a source gave them, at `at_ms` by its own clock unless `flags` say otherwise.

    A bay says `occupied` 0 or 1. Times are POSIX milliseconds.
    """

    at_ms: int
    received_ms: int
    flags: int
    occupied: int | None = None
    free: int | None = None
    capacity: int | None = None
    entered: int | None = None
    left: int | None = None


class Past(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a counter had counted when a boot ended."""

    boot: str
    seq: str
    entered: int
    left: int


class Gap(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Messages of a device that did not come: numbers between `above` and `below`, without both.

    Numbers count from 1, which is `seq` 0.
    """

    boot: str
    above: str
    below: str
    noticed_ms: int

    @property
    def seqs(self) -> tuple[int, int]:
        """The first and last missing `seq`."""
        return int(self.above), int(self.below) - 2


class Total(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a lane's camera has seen pass, and when last.

    `doubt_ms` is not 0 where Redis was lost then, with passages that nobody counted.
    """

    entered: int
    left: int
    last_ms: int
    doubt_ms: int = 0


_ENCODE = msgspec.json.Encoder().encode
_TOLD = msgspec.json.Decoder(Told)
_PASTS = msgspec.json.Decoder(tuple[Past, ...])
_GAPS = msgspec.json.Decoder(tuple[Gap, ...])
_TOTAL = msgspec.json.Decoder(Total)


def order(boot: int, seq: int) -> str:
    return str(boot).zfill(20) + str(seq).zfill(20)  # a third of the cost of a format


def encode(told: Told) -> str:
    return _ENCODE(told).decode()


def value(boot: int, seq: int, told: Told) -> str:
    """The value of a zone's or (see `bay_value`) a bay's field."""
    kind = ABSOLUTE if told.entered is None else COUNTER
    return order(boot, seq) + kind + _ENCODE(told).decode()


def bay_value(boot: int, seq: int, told: Told) -> str:
    return order(boot, seq) + BAY + _ENCODE(told).decode()


def health_value(order_us: int, received_ms: int, said: object) -> str:
    return order(0, order_us) + HEALTH + _ENCODE((received_ms, said)).decode()


def read_told(text: str) -> Told:
    return _TOLD.decode(text[ORDER_DIGITS + 1 :])


def mark_of(field: str, text: str) -> tuple[str, str]:
    """What a report tells of its device's messages: boot, seq + 1 and receipt, as marks are."""
    number = int(text[20:ORDER_DIGITS]) + 1
    return field.rpartition("/")[2], f"{text[:20]}{number:020d}{read_told(text).received_ms}"


def read_health(text: str) -> tuple[int, object]:
    """When it was received, and what the device said of itself."""
    received_ms, said = msgspec.json.decode(text[ORDER_DIGITS + 1 :])
    return received_ms, said


def read_pasts(text: str) -> tuple[Past, ...]:
    return _PASTS.decode(text)


def read_gaps(text: str) -> tuple[Gap, ...]:
    return _GAPS.decode(text) if text else ()


def read_total(text: str) -> Total:
    return _TOTAL.decode(text)


def told_count(count: Count, at_ms: int, received_ms: int, flags: int) -> Told:
    if count.closed:
        flags |= SHUT
    return Told(
        at_ms, received_ms, flags,
        count.occupied, count.free, count.capacity, count.entered, count.left,
    )  # fmt: skip


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
