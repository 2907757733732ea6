"""Bowei's own MQTT formats: cumulative counters and absolute states in JSON, never deltas.

    bowei/lots/{lot}/zones/{zone}/count      Count      retained
    bowei/lots/{lot}/bays/{bay}              Presence   retained
    bowei/lots/{lot}/lanes/{lane}/passage    Passage
    bowei/devices/{device}/status            Health     retained, and as the last will

Every message carries `device`, `boot` (a counter kept by the device that only grows), `seq` (one
per message since that boot, over all topics of the device) and, where the device has a clock, `at`.
Fields that are not known here are left alone. JSON Schemas: `schemas/<format>.json`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from devices.reading import Count, Direction, Health, Passage, PlateColor, Presence, Refused, Uplink
from devices.wire import (
    FAILURES,
    LIMIT_BYTES,
    NAME,
    name_text,
    oversize,
    plate_text,
    refusal,
    take_json,
    utc,
)

Ordinal = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Spaces = Annotated[int, Meta(ge=0, le=1_000_000)]
Vehicles = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Moment = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]

EXPECTED = {
    "device": NAME,
    "boot": "an integer, 0 to 9223372036854775807, without fraction or exponent",
    "seq": "an integer, 0 to 9223372036854775807, without fraction or exponent",
    "at": "an RFC 3339 time with its offset, such as 2026-03-01T08:00:00Z",
    "occupied": "an integer, 0 to 1000000; for a bay true or false",
    "free": "an integer, 0 to 1000000",
    "capacity": "an integer, 0 to 1000000",
    "entered": "an integer that only grows since boot, together with `left`",
    "left": "an integer that only grows since boot, together with `entered`",
    "event": "the event's own id, the same on every re-send: as `device`",
    "plate": "the plate as read, or null where none was",
    "direction": "in or out",
    "color": "unknown, blue, yellow, white, black, green or yellow_green",
    "confidence": "a number from 0 to 1",
    "char_confidence": "up to 16 numbers from 0 to 1, one a character",
    "vehicle": "small, large, motorcycle, emergency or unknown",
    "buffered": "true or false, with `at` where true",
    "turned_back": "true or false",
    "online": "true or false",
    "battery_v": "volts, 0 to 1000",
    "battery_low": "true or false",
    "temperature_c": "degrees Celsius, -273 to 1000",
    "firmware": "1 to 64 characters",
    "faults": "up to 16 short words",
}

_NO_PLATE = frozenset[str]()


class _Message(msgspec.Struct, kw_only=True, gc=False):
    device: str
    boot: Ordinal
    seq: Ordinal
    at: Moment | None = None


class _Count(_Message, gc=False):
    occupied: Spaces | None = None
    free: Spaces | None = None
    capacity: Spaces | None = None
    entered: Vehicles | None = None
    left: Vehicles | None = None


class _Bay(_Message, kw_only=True, gc=False):
    occupied: bool


class _Passage(_Message, kw_only=True):
    event: str
    plate: str | None
    direction: Direction | None = None
    color: PlateColor = PlateColor.UNKNOWN
    confidence: Share | None = None
    char_confidence: Annotated[tuple[Share, ...], Meta(max_length=16)] | None = None
    vehicle: Literal["small", "large", "motorcycle", "emergency", "unknown"] = "unknown"
    buffered: bool = False
    turned_back: bool = False


class _Status(_Message, kw_only=True):
    online: bool
    battery_v: Annotated[float, Meta(ge=0, le=1000)] | None = None
    battery_low: bool | None = None
    temperature_c: Annotated[float, Meta(ge=-273, le=1000)] | None = None
    firmware: Word | None = None
    faults: Annotated[tuple[Word, ...], Meta(max_length=16)] | None = None


_COUNT = msgspec.json.Decoder(_Count)
_BAY = msgspec.json.Decoder(_Bay)
_PASSAGE = msgspec.json.Decoder(_Passage)
_STATUS = msgspec.json.Decoder(_Status)


def decode_count(_topic: Sequence[str], payload: bytes, usual: str | None = None) -> Uplink:
    """A zone's numbers: `occupied`, `free`, or `entered` with `left`.

    `usual` is the device that speaks there as a rule: its name needs no second look. Errors:
    `Refused`, with `no_count` where none of the three is there. Hot path: what decoding costs
    beside msgspec itself stays below a microsecond, so the checks are spelled out here.
    """
    if len(payload) > LIMIT_BYTES:
        raise oversize(LIMIT_BYTES)
    try:
        if not payload.isascii():
            payload.decode()
        said = _COUNT.decode(payload)
    except FAILURES as error:
        raise refusal(error, EXPECTED) from None
    entered, left = said.entered, said.left
    if (entered is None) is not (left is None):
        raise Refused("half_counter", "`entered` and `left` come together")
    if said.occupied is None and said.free is None and entered is None:
        raise Refused("no_count", "one of `occupied`, `free`, or `entered` with `left`")
    count = Count(said.occupied, said.free, said.capacity, entered, left)
    at = said.at
    if at is not None and at.tzinfo is not UTC:
        at = utc(at, "at")
    return Uplink(_device(said.device, usual), said.boot, said.seq, (count,), at)


def decode_bay(_topic: Sequence[str], payload: bytes, usual: str | None = None) -> Uplink:
    """One bay, taken or free; `usual` as for a count. Errors: `Refused`."""
    said = take_json(_BAY, payload, EXPECTED)
    at = None if said.at is None else utc(said.at, "at")
    presence = Presence(said.occupied)
    return Uplink(_device(said.device, usual), said.boot, said.seq, (presence,), at)


def decode_passage(_topic: Sequence[str], payload: bytes) -> Uplink:
    """One vehicle at a lane. Errors: `Refused`."""
    said = take_json(_PASSAGE, payload, EXPECTED)
    at = None if said.at is None else utc(said.at, "at")
    if said.buffered and at is None:
        raise Refused("missing", "`at`: a buffered passage says when it was")
    device = _device(said.device)
    passage = Passage(
        event_id=name_text(said.event, "event"),
        plate=None if said.plate is None else plate_text(said.plate, _NO_PLATE),
        passed_at=at,
        direction=said.direction,
        plate_color=said.color,
        confidence=said.confidence,
        char_confidence=said.char_confidence,
        vehicle=said.vehicle,
        buffered=said.buffered,
        turned_back=said.turned_back,
        device=device,
    )
    return Uplink(device, said.boot, said.seq, (passage,), at)


def decode_status(topic: Sequence[str], payload: bytes) -> Uplink:
    """How a device is; `topic` names it as well: `bowei/devices/{device}/status`.

    A last will says `online: false` with the `seq` of the status that its connection began with; it
    follows that status, and a gap cannot be told from it. Errors: `Refused`, with `other_device`
    where a device speaks for another.
    """
    said = take_json(_STATUS, payload, EXPECTED)
    device = _device(said.device)
    if len(topic) > 2 and topic[2] != device:
        raise Refused("other_device", "`device`: the one that the topic names")
    health = Health(
        online=said.online,
        battery_v=said.battery_v,
        battery_low=said.battery_low,
        temperature_c=said.temperature_c,
        firmware=said.firmware,
        faults=said.faults,
    )
    at = None if said.at is None else utc(said.at, "at")
    return Uplink(device, said.boot, said.seq, (health,), at, gapless=said.online)


FORMATS: dict[str, Callable[[Sequence[str], bytes], Uplink]] = {
    "count": decode_count,
    "bay": decode_bay,
    "passage": decode_passage,
    "status": decode_status,
}


def _device(text: str, usual: str | None = None) -> str:
    """A device's name: `usual` itself where it is that one, else looked at."""
    return usual if usual is not None and text == usual else name_text(text, "device")
