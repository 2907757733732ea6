"""Libelium Smart Parking v2 (LoRaWAN): frames of 11 bytes.

    byte 0    bit 7 occupied · bit 6 battery low · bits 3 to 0 frame: 0 info, 1 keep-alive
    byte 1    sequence, wraps after 255
    2 to 10   zero in every vector: their meaning is not known and they are not read

Bits 6 and 0 are set together or not at all in every vector, so that no vector separates battery
from keep-alive: the maker's description does. Bits 5 and 4 are clear in every vector and reserved
there; a frame that sets one, or another frame number, is refused rather than guessed. The port is
not told apart.

Source: libelium-parking-sensor-v2 0.1.2, tests (payloads; worked out from traffic); Libelium, Smart
Parking technical guide, "Frames", byte 0 (which bit is the battery's, which are the frame's).
"""

import msgspec

from devices.reading import Health, Presence, Reading, Refused

LENGTH = 11
OCCUPIED, BATTERY_LOW, UNSEPARATED, FRAME = 0x80, 0x40, 0x30, 0x0F
FRAMES = {0: "info", 1: "keep_alive"}


class Frame(msgspec.Struct, frozen=True):
    """One uplink. kind: info | keep_alive."""

    kind: str
    occupied: bool
    battery_low: bool
    seq: int


def parse(_port: int | None, data: bytes) -> Frame:
    """The frame in `data`. Errors: `Refused` (`length`, `frame`, `unseparated_bit`)."""
    if len(data) != LENGTH:
        raise Refused("length", f"{LENGTH} bytes")
    flags = data[0]
    if flags & UNSEPARATED:
        raise Refused("unseparated_bit", "bits 5 and 4 of the first byte clear")
    kind = FRAMES.get(flags & FRAME)
    if kind is None:
        raise Refused("frame", "0 info or 1 keep-alive")
    return Frame(kind, bool(flags & OCCUPIED), bool(flags & BATTERY_LOW), data[1])


def decode(port: int | None, data: bytes) -> tuple[Reading, ...]:
    """Presence and the battery's state. Errors: `Refused`."""
    frame = parse(port, data)
    return (Presence(frame.occupied), Health(battery_low=frame.battery_low))
