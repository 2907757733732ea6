"""What panels answer on MQTT: which frame they show, or why they could not."""

from collections.abc import Container
from datetime import datetime
from typing import Final

import msgspec

from devices.mqtt import Message
from devices.reading import Refused
from devices.wire import take_json
from service import metrics
from service.guidance.deliveries import Deliveries
from service.guidance.model import Shown

SHOWN: Final = "bowei/signs/+/shown"

_DECODER: Final = msgspec.json.Decoder(Shown)
_EXPECTED: Final = {"revision": "a whole number", "state": "shown or failed", "reason": "a word"}


def take_answer(
    message: Message, signs: Container[str], deliveries: Deliveries, at: datetime
) -> None:
    """Note a message on `SHOWN`; what cannot be read, or is of no sign of ours, is counted."""
    sign = message.topic.split("/")[2]
    if sign not in signs:
        metrics.refused("shown", "unknown_sign")
        return
    try:
        said = take_json(_DECODER, message.payload, _EXPECTED)
    except Refused as refused:
        metrics.refused("shown", refused.reason)
        return
    deliveries.answered(sign, said, at)
