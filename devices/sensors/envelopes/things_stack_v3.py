"""The Things Stack v3 uplink messages (MQTT integration).

Topic `v3/{application}@{tenant}/devices/{device}/up`; `frm_payload` is base64. A device is known by
its devEui in lower case where it is given, and by the application's own device id. `received_at` is
the stack's receive time.

Source: The Things Stack v3, `ApplicationUp` (field names from the schema). Its JSON leaves out
what is zero, so a missing `f_cnt` is the first frame.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from devices.reading import Envelope, Refused
from devices.wire import posix_ms, take_json, utc

DATA_BYTES = 242  # the largest LoRaWAN payload of any region and rate

EXPECTED = {
    "end_device_ids": "an object with `device_id`",
    "device_id": "the device id of the topic, 1 to 128 letters, digits or . _ : -",
    "dev_eui": "16 hexadecimal digits",
    "received_at": "an RFC 3339 time with its offset",
    "uplink_message": "an object with `f_port`, `f_cnt` and `frm_payload`",
    "f_cnt": "an integer, 0 to 4294967295",
    "f_port": "an integer, 0 to 255",
    "frm_payload": f"base64 of at most {DATA_BYTES} bytes",
}


class _DeviceIds(msgspec.Struct, gc=False):
    device_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]
    dev_eui: Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{16}\Z")] | None = None


class _Message(msgspec.Struct, gc=False):
    frm_payload: bytes | None = None
    f_cnt: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    f_port: Annotated[int, Meta(ge=0, le=255)] | None = None


class _Up(msgspec.Struct, gc=False):
    end_device_ids: _DeviceIds
    received_at: Annotated[datetime, Meta(tz=True)]
    uplink_message: _Message


_UP = msgspec.json.Decoder(_Up)


def open_envelope(topic: Sequence[str], payload: bytes) -> Envelope:
    """The uplink inside. Errors: `Refused`, `no_payload` where it carries MAC commands only."""
    if len(topic) != 5 or topic[2] != "devices" or topic[4] != "up":
        raise Refused("topic", "v3/{application}@{tenant}/devices/{device}/up")
    said = take_json(_UP, payload, EXPECTED)
    ids, message = said.end_device_ids, said.uplink_message
    if topic[3] != ids.device_id:
        raise Refused("other_device", f"`device_id`: {EXPECTED['device_id']}")
    if not message.frm_payload:
        raise Refused("no_payload", f"`frm_payload`: {EXPECTED['frm_payload']}")
    if len(message.frm_payload) > DATA_BYTES:
        raise Refused("bad_frm_payload", f"`frm_payload`: {EXPECTED['frm_payload']}")
    received_at = utc(said.received_at, "received_at")
    return Envelope(
        names=(ids.device_id,) if ids.dev_eui is None else (ids.dev_eui.lower(), ids.device_id),
        boot=posix_ms(received_at, "received_at"),
        seq=message.f_cnt,
        measured_at=received_at,
        port=message.f_port,
        data=message.frm_payload,
    )
