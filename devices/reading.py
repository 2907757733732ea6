"""What a device says, once decoded: the one vocabulary between the street and the service.

A codec turns bytes into `Reading`s or raises `Refused`; it never guesses and never raises anything
else. Readings know nothing of lots: the catalogue says which bay or lane a device belongs to.

    Reading = Presence | Count | Passage | Health
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class Refused(Exception):  # noqa: N818 - it names an outcome, not a fault
    """Input that is not taken: `reason` is a short stable word for counters, `detail` says more.

    Neither carries the body or a plate.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Presence(msgspec.Struct, frozen=True, tag=True):
    """One bay is taken or free."""

    occupied: bool


class Count(msgspec.Struct, frozen=True, tag=True):
    """A zone's numbers: absolute (`occupied` or `free`), or cumulative since the device's boot.

    At least one of `occupied`, `free`, or the pair `entered` and `left` is set. Never deltas.
    """

    occupied: int | None = None
    free: int | None = None
    capacity: int | None = None
    entered: int | None = None
    left: int | None = None


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class PlateColor(StrEnum):
    UNKNOWN = "unknown"
    BLUE = "blue"
    YELLOW = "yellow"
    WHITE = "white"
    BLACK = "black"
    GREEN = "green"
    YELLOW_GREEN = "yellow_green"


class Passage(msgspec.Struct, frozen=True, tag=True):
    """One vehicle seen at a lane.

    `event_id` names the event for good (the same on every re-send), unique per device. `plate` is
    None where a vehicle passed and nothing was read. `direction` is None where the camera cannot
    tell: the lane's own direction counts. `confidence` and `char_confidence` run 0..1.
    `buffered`: sent late, after an outage; `passed_at` counts and no gate is waiting.
    `turned_back`: the vehicle went back; the event `event_id` speaks of an earlier passage.
    """

    event_id: str
    plate: str | None
    passed_at: datetime | None = None
    direction: Direction | None = None
    plate_color: PlateColor = PlateColor.UNKNOWN
    confidence: float | None = None
    char_confidence: tuple[float, ...] | None = None
    vehicle: str = "unknown"  # small | large | motorcycle | emergency | unknown
    buffered: bool = False
    turned_back: bool = False


class Health(msgspec.Struct, frozen=True, tag=True):
    """What a device says of itself. `faults` are short stable words."""

    online: bool | None = None
    battery_v: float | None = None
    battery_low: bool | None = None
    temperature_c: float | None = None
    firmware: str | None = None
    reset_cause: str | None = None
    faults: tuple[str, ...] = ()


Reading = Presence | Count | Passage | Health


class Uplink(msgspec.Struct, frozen=True):
    """One message of one device: its order, its time, and what it says.

    `boot` only grows and is kept by the device; `seq` counts the device's messages over all its
    topics since that boot. Both are compared as integers: (boot, seq) is the order of its news.
    `gapless`: whether a missing `seq` means a lost message (true for our own formats; false where
    the order is borrowed from a network server's receive time).
    `measured_at` is None where the source gives no time; then the receive time stands, and says so.
    """

    device: str
    boot: int
    seq: int
    readings: tuple[Reading, ...]
    measured_at: datetime | None = None
    gapless: bool = True
