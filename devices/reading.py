"""What a device says, once decoded: the one vocabulary between the street and the service.

A codec turns bytes into `Reading`s or raises `Refused`; it never guesses and never raises anything
else. Readings know nothing of lots: the catalogue says which bay or lane a device belongs to.

    Reading   = Presence | Count | Passes | Passage | Health     (sensors)
    GateEvent = Passage | Heartbeat | Contact                    (plate cameras)
"""

from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec


class Refused(Exception):  # noqa: N818 - it names an outcome, not a fault
    """Input that is not taken: `reason` is a short stable word for counters, `detail` says more.

    Neither carries the body or a plate.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Presence(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One bay is taken or free."""

    occupied: bool


class Count(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A zone's numbers: absolute (`occupied` or `free`), or cumulative since the device's boot.

    At least one of `occupied`, `free`, or the pair `entered` and `left` is set. Never deltas.
    `closed`: the source says that nobody is let in now.
    """

    occupied: int | None = None
    free: int | None = None
    capacity: int | None = None
    entered: int | None = None
    left: int | None = None
    closed: bool = False


class Passes(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A vehicle counter that wraps: `total` vehicles have passed, modulo `modulus`.

    Which way they went, the catalogue says. What fewer than `modulus` vehicles did between two
    readings is `later.since(earlier)`; more than that in one gap cannot be told.
    """

    total: int
    modulus: int

    def since(self, earlier: Self) -> int:
        """How many vehicles passed between `earlier` and this reading."""
        return (self.total - earlier.total) % self.modulus


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

    `event_id` names the event for good (the same on every re-send), unique per device; it is empty
    where the device sends neither an id nor a time: such an event is never a re-send, and `named`
    gives it an id from its receipt. `plate` is None where a vehicle passed and nothing was read.
    `direction` is None where the camera cannot tell: the lane's own direction counts. `confidence`
    and `char_confidence` run 0..1.
    `buffered`: sent late, after an outage; `passed_at` counts and no gate is waiting.
    `turned_back`: the vehicle went back; the event `event_id` speaks of an earlier passage.
    `heading`: forward | reverse as the camera sees it, where it says so.
    `preliminary`: a first look; a fuller event with the same `event_id` follows.
    `fake_plate`: the camera takes the plate for a picture of one.
    `record` is the device's own number of the record, where its reply has to name it.
    `device` is None where the message does not name its sender: the sender's login does.
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
    preliminary: bool = False
    fake_plate: bool = False
    heading: str | None = None
    record: int | None = None
    device: str | None = None

    def named(self, received_at: datetime) -> "Passage":
        """The same passage with an `event_id`, from its receipt where it brought none."""
        if self.event_id:
            return self
        received_us = int(received_at.timestamp() * 1_000_000)
        return msgspec.structs.replace(self, event_id=f"received-{received_us}")


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """A camera says that it lives; no vehicle."""

    device: str | None = None


class Contact(msgspec.Struct, frozen=True, tag=True):
    """Something at the lane closed or opened; no vehicle by itself.

    `source`: `gio<n>` (a wired input: loop or gate contact) | `lingering` (a vehicle stands in the
    camera's sight).
    """

    source: str
    active: bool
    device: str | None = None


class Health(msgspec.Struct, frozen=True, tag=True):
    """What a device says of itself. `faults` are short stable words; `debug_codes` the vendor's.

    Each is None where the message does not speak of it; no faults, said so, are `()`, and end those
    that were told before.
    """

    online: bool | None = None
    battery_v: float | None = None
    battery_low: bool | None = None
    temperature_c: float | None = None
    firmware: str | None = None
    reset_cause: str | None = None
    faults: tuple[str, ...] | None = None
    debug_codes: tuple[int, ...] | None = None


Reading = Presence | Count | Passes | Passage | Health
GateEvent = Passage | Heartbeat | Contact


class Reply(msgspec.Struct, frozen=True):
    """What an HTTP camera is answered with, in its vendor's words."""

    body: bytes
    content_type: str


class Uplink(msgspec.Struct, frozen=True, gc=False):
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


class Envelope(msgspec.Struct, frozen=True):
    """One LoRaWAN uplink, taken out of its network server's message.

    `names` are the ids under which the catalogue may list the device, the surest first (devEui in
    lower case, then the network server's own device id). Order: `boot` is the network's receive
    time in ms, `seq` the device's frame counter, which a second delivery of one uplink repeats.
    """

    names: tuple[str, ...]
    boot: int
    seq: int
    measured_at: datetime
    port: int | None
    data: bytes

    def uplink(self, device: str, readings: tuple[Reading, ...]) -> Uplink:
        """The uplink of the catalogue's `device`; counts of lost frames cannot be told from it."""
        return Uplink(device, self.boot, self.seq, readings, self.measured_at, gapless=False)
