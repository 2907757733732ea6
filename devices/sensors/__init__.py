"""Bay and counting sensors: one file a model, one line here, its vectors beside it.

A codec turns one payload into readings or raises `Refused`. `bowei` are our own formats and come on
our own topics; every other model comes inside an envelope of its network server.
"""

from collections.abc import Callable

from devices.reading import Envelope, Reading, Uplink
from devices.sensors import (
    bosch_tps110,
    cicicom_s_lg_i3,
    libelium_smart_parking_v2,
    pni_placepod,
    tekzitel_tekzipark,
)

Codec = Callable[[int | None, bytes], tuple[Reading, ...]]
"""From the LoRaWAN port (None where unknown) and the payload."""

REGISTRY: dict[str, Codec] = {
    "bosch_tps110": bosch_tps110.decode,
    "cicicom_s_lg_i3": cicicom_s_lg_i3.decode,
    "libelium_smart_parking_v2": libelium_smart_parking_v2.decode,
    "pni_placepod": pni_placepod.decode,
    "tekzitel_tekzipark": tekzitel_tekzipark.decode,
}


def decode_uplink(device: str, model: str, envelope: Envelope) -> Uplink:
    """What the catalogue's `device` of this `model` says. Errors: `Refused`."""
    return envelope.uplink(device, REGISTRY[model](envelope.port, envelope.data))
