"""ChirpStack v4 uplink events (JSON marshaler).

Topic `application/{applicationId}/device/{devEui}/event/up`; `data` is base64. A device is known by
its devEui, in lower case. `time` is the receive time that the network settled on.

Source: ChirpStack v4, integration events, `UplinkEvent` (field names from the schema).
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
    "devEui": "16 hexadecimal digits, the same as in the topic",
    "time": "an RFC 3339 time with its offset",
    "fCnt": "an integer, 0 to 4294967295",
    "fPort": "an integer, 0 to 255",
    "data": f"base64 of at most {DATA_BYTES} bytes",
    "deviceInfo": "an object with `devEui`",
}


class _DeviceInfo(msgspec.Struct, rename="camel", gc=False):
    dev_eui: Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{16}\Z")]


class _Uplink(msgspec.Struct, rename="camel", gc=False):
    device_info: _DeviceInfo
    time: Annotated[datetime, Meta(tz=True)]
    data: bytes | None = None
    f_cnt: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0  # zero may be left out of protobuf's JSON
    f_port: Annotated[int, Meta(ge=0, le=255)] | None = None


_UPLINK = msgspec.json.Decoder(_Uplink)


def open_envelope(topic: Sequence[str], payload: bytes) -> Envelope:
    """The uplink inside. Errors: `Refused`, `no_payload` where it carries MAC commands only."""
    if len(topic) != 6 or topic[2] != "device" or list(topic[4:]) != ["event", "up"]:
        raise Refused("topic", "application/{applicationId}/device/{devEui}/event/up")
    said = take_json(_UPLINK, payload, EXPECTED)
    dev_eui = said.device_info.dev_eui.lower()
    if topic[3].lower() != dev_eui:
        raise Refused("other_device", f"`devEui`: {EXPECTED['devEui']}")
    if not said.data:
        raise Refused("no_payload", f"`data`: {EXPECTED['data']}")
    if len(said.data) > DATA_BYTES:
        raise Refused("bad_data", f"`data`: {EXPECTED['data']}")
    received_at = utc(said.time, "time")
    return Envelope(
        names=(dev_eui,),
        boot=posix_ms(received_at, "time"),
        seq=said.f_cnt,
        measured_at=received_at,
        port=said.f_port,
        data=said.data,
    )
