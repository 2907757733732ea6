"""Bosch parking lot sensor TPS110 (LoRaWAN).

    port 1  status change   occupied                                            1 or 2 bytes
    port 2  heartbeat       occupied, temperature (signed °C, firmware 0.29)    1 or 2 bytes
    port 3  start-up        debug[12], firmware[3], reset cause, occupied       17 bytes

Of a start-up's twelve debug bytes firmware 0.29 fills three little-endian words of four bytes with
debug codes; its upper two bytes were only seen as zero, so a word that uses them is not read. What
0.39 puts there is not known and is not read.

Source: TheThingsNetwork/lorawan-devices vendor/bosch/tps110-0292-codec.yaml (0.29) and
akenza-io/device-type-library parkingLotSensor0_39 (0.39): payloads and what they mean.
"""

import struct

import msgspec

from devices.reading import Health, Presence, Reading, Refused

_RESET_CAUSES = {1: "watchdog", 2: "power-on", 3: "system request"}
RESET_CAUSES: dict[tuple[int, int], dict[int, str]] = {
    (0, 29): {**_RESET_CAUSES, 4: "other"},
    (0, 39): {
        **_RESET_CAUSES,
        4: "external pin",
        5: "lock-up",
        6: "brown-out",
        7: "other",
    },
}
"""By firmware (major, minor); of another firmware only the codes that all share are read."""


class Frame(msgspec.Struct, frozen=True):
    """One uplink as the device words it. kind: status | heartbeat | startup."""

    kind: str
    occupied: bool
    temperature_c: int | None = None
    firmware: str | None = None
    reset_cause: str | None = None
    debug_codes: tuple[int, ...] = ()


def parse(port: int | None, data: bytes) -> Frame:
    """The frame in `data`. Errors: `Refused` (`port`, `length`, `bad_occupied`)."""
    match port:
        case 1:
            return Frame("status", *_state(data))
        case 2:
            return Frame("heartbeat", *_state(data))
        case 3:
            return _startup(data)
    raise Refused("port", "1 status, 2 heartbeat or 3 start-up")


def decode(port: int | None, data: bytes) -> tuple[Reading, ...]:
    """Presence, and health where the frame says any. Errors: `Refused`."""
    frame = parse(port, data)
    presence = Presence(frame.occupied)
    if frame.kind == "startup":
        health = Health(
            firmware=frame.firmware, reset_cause=frame.reset_cause, debug_codes=frame.debug_codes
        )
        return (presence, health)
    if frame.temperature_c is not None:
        return (presence, Health(temperature_c=float(frame.temperature_c)))
    return (presence,)


def _state(data: bytes) -> tuple[bool, int | None]:
    if len(data) not in {1, 2}:
        raise Refused("length", "1 or 2 bytes")
    temperature_c = struct.unpack_from("b", data, 1)[0] if len(data) == 2 else None
    return _occupied(data[0]), temperature_c


def _startup(data: bytes) -> Frame:
    if len(data) != 17:
        raise Refused("length", "17 bytes")
    *debug, major, minor, patch, cause, occupied = struct.unpack("<3I5B", data)
    causes = RESET_CAUSES.get((major, minor), _RESET_CAUSES)
    return Frame(
        kind="startup",
        occupied=_occupied(occupied),
        firmware=f"{major}.{minor}.{patch}",
        reset_cause=causes.get(cause, "unknown"),
        debug_codes=tuple(code for code in debug if 0 < code <= 0xFFFF)
        if (major, minor) == (0, 29)
        else (),
    )


def _occupied(byte: int) -> bool:
    if byte > 1:
        raise Refused("bad_occupied", "0 free or 1 occupied")
    return byte == 1
