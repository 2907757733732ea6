"""Plate cameras: one file a model and transport, one line here, its vectors beside it.

`decode` turns one message into a passage, a heartbeat or a contact, or raises `Refused`. `reply` is
the answer in the body of an HTTP push; `command` the message that opens a gate over MQTT. Both open
for a passage that was decided open, and for nothing else.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from devices.gates import bowei, hikvision_http, vzenith_http, vzenith_mqtt
from devices.reading import GateEvent, Reply


class Answer(Protocol):
    """(opened, the event answered) to the body of the reply."""

    def __call__(self, opened: bool, about: GateEvent | None = None) -> Reply: ...


class Codec(msgspec.Struct, frozen=True):
    """How one model speaks. `reply` is None over MQTT; `command` where no command is known."""

    decode: Callable[[bytes, str], GateEvent]
    reply: Answer | None = None
    command: Callable[[str, str, str, datetime], tuple[str, bytes]] | None = None


REGISTRY: dict[str, Codec] = {
    "bowei": Codec(bowei.decode, reply=bowei.reply),
    "hikvision_http": Codec(hikvision_http.decode, reply=hikvision_http.reply),
    "vzenith_http": Codec(vzenith_http.decode, reply=vzenith_http.reply),
    "vzenith_mqtt": Codec(vzenith_mqtt.decode, command=vzenith_mqtt.open_command),
}
