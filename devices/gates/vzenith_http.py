"""Vzenith (臻识, AlphaDigi) plate cameras over HTTP push: JSON, plates in plain text.

One root, `AlarmInfoPlate`, holds both a vehicle and the heartbeat; only the former has a
`PlateResult`. What decides (kind, plate, time, `isoffline`) is strict; what only helps (colour,
confidence, vehicle type) is left out where it is not understood, because a car is waiting.

    triggerType  1 auto · 2 wired input · 4 software · 8 virtual loop (bits)   a passage
                 64 / 65   lingering / no longer                               a contact
                 66        turned back                                         a passage, marked
    isoffline    1: kept through an outage and sent late; the camera's own time counts
    license      `_无_`: a vehicle without a readable plate

The reply `info: "ok"` opens the gate, whatever it answers; `retransfer_stop` ends the re-sending of
a record, and the next record of an outage comes only after its `plateid` was answered.

Source: cheng1shao2yong/yunqi-smart-parking Zhenshi.php (colours, triggers); Vzenith HTTP push
protocol 2.1 to 2.6 and AlphaDigi wiki, API via HTTP POST 1.2 to 1.3 (replies, outage records).
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from devices.reading import Contact, GateEvent, Heartbeat, Passage, PlateColor, Refused, Reply
from devices.wire import NAME, PLATE_TEXT, name_text, plate_text, posix, take_json

LIMIT_BYTES = 8 * 1024 * 1024
"""Of one message: it may carry two pictures in base64."""

NO_PLATE = frozenset({"_无_", "无", ""})
COLORS = dict(enumerate(PlateColor))
VEHICLES = {11: "small", 12: "large", 16: "emergency"}
NEW_ENERGY_COLORS = {11: PlateColor.GREEN, 12: PlateColor.YELLOW_GREEN}
LINGERING, LINGERING_OVER, TURNED_BACK = 64, 65, 66
PASSING_TRIGGERS = range(16)

EXPECTED = {
    "AlarmInfoPlate": "an object",
    "AlarmGioIn": "an object",
    "PlateResult": "an object with `license`",
    "license": PLATE_TEXT,
    "triggerType": "0 to 15, 64, 65 or 66",
    "isoffline": "0 or 1",
    "sec": "POSIX seconds",
    "usec": "microseconds, 0 to 999999",
    "plateid": "an integer",
    "channel": "an integer from 0",
    "serialno": NAME,
    "source": "0 to 15",
    "value": "0 or 1",
}

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Timeval(msgspec.Struct, gc=False):
    sec: Whole = 0
    usec: Annotated[int, Meta(ge=0, le=999_999)] = 0


class _TimeStamp(msgspec.Struct, gc=False):
    Timeval: _Timeval = msgspec.field(default_factory=_Timeval)


class Plate(msgspec.Struct, gc=False):
    """As sent; `color` is what MQTT calls `colorType`."""

    license: str
    colorType: Any = None  # noqa: N815 - the vendor's name
    color: Any = None
    type: Any = None
    confidence: Any = None
    is_fake_plate: Any = None
    triggerType: Annotated[int, Meta(ge=0)] | None = None  # noqa: N815
    isoffline: Annotated[int, Meta(ge=0, le=1)] = 0
    plateid: Whole | None = None
    timeStamp: _TimeStamp = msgspec.field(default_factory=_TimeStamp)  # noqa: N815


class _Result(msgspec.Struct, gc=False):
    PlateResult: Plate


class Alarm(msgspec.Struct, gc=False):
    """As sent: a vehicle, or the heartbeat."""

    serialno: str | None = None
    channel: Annotated[int, Meta(ge=0, le=1023)] = 0
    heartbeat: Any = None
    result: _Result | None = None


class _Trigger(msgspec.Struct, gc=False):
    source: Annotated[int, Meta(ge=0, le=15)]
    value: Annotated[int, Meta(ge=0, le=1)]


class _TriggerResult(msgspec.Struct, gc=False):
    TriggerResult: _Trigger


class Gpio(msgspec.Struct, gc=False):
    """As sent: a wired input changed."""

    result: _TriggerResult
    serialno: str | None = None


class Message(msgspec.Struct, gc=False):
    """As sent: one of the two."""

    AlarmInfoPlate: Alarm | None = None
    AlarmGioIn: Gpio | None = None


_MESSAGE = msgspec.json.Decoder(Message)


def decode(body: bytes, _content_type: str) -> GateEvent:
    """What the camera says. Errors: `Refused`, with `message` for a root that is neither."""
    said = take_json(_MESSAGE, body, EXPECTED, LIMIT_BYTES)
    if said.AlarmGioIn is not None:
        return contact(said.AlarmGioIn, serial(said.AlarmGioIn.serialno))
    if said.AlarmInfoPlate is None:
        raise Refused("message", "`AlarmInfoPlate` or `AlarmGioIn`")
    alarm = said.AlarmInfoPlate
    device = serial(alarm.serialno)
    if alarm.heartbeat:
        return Heartbeat(device)
    if alarm.result is None:
        raise Refused("message", "`result` or `heartbeat`")
    plate = alarm.result.PlateResult
    return vehicle(plate, device, event_id(plate, alarm.channel, plate.plateid), str)


def reply(opened: bool, about: GateEvent | None = None) -> Reply:
    """The answer to a push; it opens only for `opened`, and never for what is not a live passage.

    `about` is the event answered: a record of an outage is acknowledged by its number, which lets
    the camera send the next one.
    """
    answer: dict[str, Any] = {"info": "no", "content": "retransfer_stop"}
    live = about is None or (isinstance(about, Passage) and not about.buffered)
    if opened and live:
        answer["info"] = "ok"
    if isinstance(about, Passage) and about.buffered and about.record is not None:
        answer["ContinuePushOffline"] = {"plateid": about.record, "continue": 1}
    return Reply(msgspec.json.encode({"Response_AlarmInfoPlate": answer}), "application/json")


def vehicle(
    plate: Plate, device: str | None, event: str, text_of: Callable[[str], str]
) -> GateEvent:
    """A vehicle at the camera; `text_of` reads `license` as the transport writes it."""
    trigger = plate.triggerType
    if trigger in {LINGERING, LINGERING_OVER}:
        return Contact("lingering", trigger == LINGERING, device)
    turned_back = trigger == TURNED_BACK
    if not (trigger is None or turned_back or trigger in PASSING_TRIGGERS):
        raise Refused("bad_triggerType", f"`triggerType`: {EXPECTED['triggerType']}")
    time = plate.timeStamp.Timeval
    passed_at = posix(time.sec, time.usec, "sec")
    if plate.isoffline and passed_at is None:
        raise Refused("missing", "`sec`: a record of an outage says when it was")
    return Passage(
        event_id=f"{event}-back" if event and turned_back else event,
        plate=plate_text(text_of(plate.license), NO_PLATE),
        passed_at=passed_at,
        plate_color=_color(plate),
        confidence=_share(plate.confidence),
        vehicle=VEHICLES.get(plate.type, "unknown") if type(plate.type) is int else "unknown",
        buffered=plate.isoffline == 1,
        turned_back=turned_back,
        fake_plate=type(plate.is_fake_plate) is int and plate.is_fake_plate == 1,
        record=plate.plateid,
        device=device,
    )


def contact(gio: Gpio, device: str | None) -> Contact:
    """A wired input; numbered from 1, as on the camera's terminals."""
    trigger = gio.result.TriggerResult
    return Contact(f"gio{trigger.source + 1}", trigger.value == 1, device)


def event_id(plate: Plate, channel: int, record: int | None) -> str:
    """The same on every re-send: the camera's time, and its number of the record where it has one.

    Empty where the camera's clock was never set.
    """
    time = plate.timeStamp.Timeval
    if time.sec == 0:
        return ""
    name = f"{channel}-{time.sec}.{time.usec:06}"
    return name if record is None else f"{name}-{record}"


def serial(text: str | None) -> str | None:
    return name_text(text, "serialno") if text else None


def _color(plate: Plate) -> PlateColor:
    number = plate.color if plate.colorType is None else plate.colorType
    color = COLORS.get(number, PlateColor.UNKNOWN) if type(number) is int else PlateColor.UNKNOWN
    if color is PlateColor.UNKNOWN and type(plate.type) is int:
        return NEW_ENERGY_COLORS.get(plate.type, color)
    return color


def _share(percent: Any) -> float | None:
    if type(percent) in {int, float} and 0 <= percent <= 100:
        return float(percent) / 100
    return None
