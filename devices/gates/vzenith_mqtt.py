"""Vzenith (臻识, AlphaDigi) plate cameras over MQTT: the push of `vzenith_http` in an envelope.

    device/{sn}/message/up/{name}     or     {sn}/device/message/up/{name}

`name` is told in the envelope as well, and that one counts: `ivs_result` a vehicle,
`quick_ivs_result` a first look at the same instant (the same `event_id`, marked preliminary),
`keep_alive` every 10 s or so, `gpio_in` a wired input. `license` is base64 of UTF-8. A gate is
opened by a command of its own, `gpio_out`, never by an acknowledgement.

Source: captured ivs_result of a live camera; protocol 7.2 (gpio_out: io, value 2 = pulse, delay).
"""

import base64
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from devices.gates.vzenith_http import (
    EXPECTED,
    LIMIT_BYTES,
    Message,
    Plate,
    contact,
    event_id,
    vehicle,
)
from devices.reading import GateEvent, Heartbeat, Passage, Refused
from devices.wire import NAME, name_text, take_json

OPEN_IO, PULSE, PULSE_MS = 0, 2, 500

ENVELOPE_EXPECTED = {
    "sn": NAME,
    "name": "ivs_result, quick_ivs_result, keep_alive or gpio_in",
    "timestamp": "POSIX seconds",
    "payload": "an object",
}


class _Envelope(msgspec.Struct, gc=False):
    sn: str
    name: str
    timestamp: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_MESSAGE = msgspec.json.Decoder(Message)


def decode(body: bytes, _content_type: str) -> GateEvent:
    """What the camera says. Errors: `Refused`, with `message` for a name that is not known."""
    envelope = take_json(_ENVELOPE, body, ENVELOPE_EXPECTED, LIMIT_BYTES)
    device = name_text(envelope.sn, "sn")
    match envelope.name:
        case "keep_alive":
            return Heartbeat(device)
        case "gpio_in":
            gio = _payload(envelope).AlarmGioIn
            if gio is None:
                raise Refused("missing", "`AlarmGioIn`: must be there")
            return contact(gio, device)
        case "ivs_result" | "quick_ivs_result":
            return _seen(envelope, device)
    raise Refused("message", f"`name`: {ENVELOPE_EXPECTED['name']}")


def open_command(topic: str, device: str, command_id: str, sent_at: datetime) -> tuple[str, bytes]:
    """The topic and message that open the gate beside `device`, in the layout `topic` came in.

    For a passage that was decided open, and for nothing else.
    """
    layout = f"{device}/device" if topic.startswith(f"{device}/") else f"device/{device}"
    command = {
        "id": command_id,
        "sn": device,
        "name": "gpio_out",
        "version": "1.0",
        "timestamp": int(sent_at.timestamp()),
        "payload": {
            "type": "gpio_out",
            "body": {"io": OPEN_IO, "value": PULSE, "delay": PULSE_MS},
        },
    }
    return f"{layout}/message/down/gpio_out", msgspec.json.encode(command)


def _seen(envelope: _Envelope, device: str) -> GateEvent:
    alarm = _payload(envelope).AlarmInfoPlate
    if alarm is None or alarm.result is None:
        raise Refused("missing", "`PlateResult`: must be there")
    plate = _timed(alarm.result.PlateResult, envelope.timestamp)
    # Without the record's number: the first look and the full event have to agree on the id.
    said = vehicle(plate, device, event_id(plate, alarm.channel, None), _text_of)
    if isinstance(said, Passage) and envelope.name == "quick_ivs_result":
        return msgspec.structs.replace(said, preliminary=True)
    return said


def _timed(plate: Plate, timestamp: int) -> Plate:
    """Some firmware gives the time of a live event on the envelope only."""
    time = plate.timeStamp.Timeval
    if time.sec == 0 and not plate.isoffline:
        time.sec = timestamp
    return plate


def _payload(envelope: _Envelope) -> Message:
    return take_json(_MESSAGE, bytes(envelope.payload), EXPECTED, LIMIT_BYTES)


def _text_of(license_: str) -> str:
    if not license_.isascii():
        return license_  # older firmware writes it plainly; base64 has no such characters
    try:
        return base64.b64decode(license_, validate=True).decode()
    except ValueError:  # not base64, or not UTF-8 inside
        raise Refused("bad_license", "`license`: base64 of UTF-8") from None
