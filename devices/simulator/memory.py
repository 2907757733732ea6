"""Pure: what a district remembers over a restart, so that every car that came in also leaves."""

import msgspec

from devices.reading import PlateColor


class ParkedCar(msgspec.Struct, frozen=True):
    """A car that stood in a lot; times in POSIX seconds."""

    lot: str
    zone: str
    plate: str
    color: PlateColor
    entered_s: float
    leaves_s: float
    told: bool


class Memory(msgspec.Struct, frozen=True):
    """As of `at_s`: the devices' boot and the cars inside."""

    at_s: float
    boot: int
    cars: tuple[ParkedCar, ...] = ()


def encode(memory: Memory) -> bytes:
    return msgspec.json.encode(memory)


def decode(data: bytes) -> Memory | None:
    """What was remembered, or None where it cannot be read: the district then starts anew."""
    try:
        return msgspec.json.decode(data, type=Memory)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
