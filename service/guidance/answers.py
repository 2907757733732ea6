"""What panels answer on MQTT: which frame they show, or why they could not."""

from collections.abc import Container
from typing import Final

import msgspec

from devices.mqtt import Message
from devices.reading import Refused
from devices.wire import take_json
from service import metrics
from service.guidance.model import Shown

SHOWN: Final = "bowei/signs/+/shown"

_DECODER: Final = msgspec.json.Decoder(Shown)
_EXPECTED: Final = {"revision": "a whole number", "state": "shown or failed", "reason": "a word"}


def read_answer(message: Message, signs: Container[str]) -> tuple[str, Shown] | None:
    """The sign and its word from a message on `SHOWN`.

    None for what cannot be read or is of no sign of ours; it is counted.
    """
    sign = message.topic.split("/")[2]
    if sign not in signs:
        metrics.refused("shown", "unknown_sign")
        return None
    try:
        return sign, take_json(_DECODER, message.payload, _EXPECTED)
    except Refused as refused:
        metrics.refused("shown", refused.reason)
        return None
