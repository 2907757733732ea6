"""Bowei's own passage format, by HTTP POST as well as over MQTT: `devices/sensors/bowei.py`.

Over HTTP the answer comes in the reply: `{"open": true}` for a passage that was decided open.
"""

import msgspec

from devices.reading import GateEvent, Passage, Refused, Reply
from devices.sensors.bowei import decode_passage


def decode(body: bytes, _content_type: str) -> GateEvent:
    """The passage in `body`. Errors: `Refused`."""
    for reading in decode_passage((), body).readings:
        if isinstance(reading, Passage):
            return reading
    raise Refused("message", "a passage")


def reply(opened: bool, about: GateEvent | None = None) -> Reply:
    """Opens only for `opened`, and never for what is not a live passage."""
    live = about is None or (isinstance(about, Passage) and not about.buffered)
    return Reply(msgspec.json.encode({"open": opened and live}), "application/json")
