"""How LoRaWAN network servers wrap an uplink: a file each, a line here, its vectors beside it."""

from collections.abc import Callable, Sequence

from devices.reading import Envelope, Refused
from devices.sensors.envelopes import chirpstack_v4, things_stack_v3

ENVELOPES: dict[str, Callable[[Sequence[str], bytes], Envelope]] = {
    "chirpstack_v4": chirpstack_v4.open_envelope,
    "things_stack_v3": things_stack_v3.open_envelope,
}


def open_envelope(topic: str, payload: bytes) -> Envelope:
    """The uplink inside, by the topic's own shape. Errors: `Refused`, with `topic` for no shape."""
    parts = topic.split("/")
    if parts[0] == "application":
        return chirpstack_v4.open_envelope(parts, payload)
    if parts[0] == "v3":
        return things_stack_v3.open_envelope(parts, payload)
    raise Refused("topic", "application/… (ChirpStack v4) or v3/… (The Things Stack v3)")
