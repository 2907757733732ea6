"""Cicicom S-LG-I3 (LoRaWAN): short ASCII frames.

    R<state><battery V><temperature °C>V<firmware>    restart        R03.66+30.0V1.4.0
    C<state>                                          change         C0
    K<state><battery V><temperature °C>               keep-alive     K03.55+22.0
    E<battery V><3 bytes>                             malfunction    E3.55 and 3 raw bytes

State 0 is vacant; 1 is taken for occupied, and no vector shows it. What the three bytes of a
malfunction mean is not published: they are kept as debug codes, one a byte. A malfunction says
nothing of the bay; it stands until the next restart or keep-alive. The port is not told apart.

Source: actility/device-catalog, pull request 127, comment of the manufacturer's side (payloads).
"""

import re

import msgspec

from devices.reading import Health, Presence, Reading, Refused

RESTART = re.compile(rb"R([01])(\d\.\d\d)([+-]\d{1,2}\.\d)V(\d{1,3}\.\d{1,3}\.\d{1,3})")
CHANGE = re.compile(rb"C([01])")
KEEP_ALIVE = re.compile(rb"K([01])(\d\.\d\d)([+-]\d{1,2}\.\d)")
MALFUNCTION = re.compile(rb"E(\d\.\d\d)(.{3})", re.DOTALL)


class Frame(msgspec.Struct, frozen=True):
    """One uplink. kind: restart | change | keep_alive | malfunction."""

    kind: str
    occupied: bool | None = None
    battery_v: float | None = None
    temperature_c: float | None = None
    firmware: str | None = None
    codes: tuple[int, ...] = ()


def parse(_port: int | None, data: bytes) -> Frame:
    """The frame in `data`. Errors: `Refused` (`frame`)."""
    if found := CHANGE.fullmatch(data):
        return Frame("change", found[1] == b"1")
    if found := KEEP_ALIVE.fullmatch(data):
        return Frame("keep_alive", found[1] == b"1", float(found[2]), float(found[3]))
    if found := RESTART.fullmatch(data):
        firmware = found[4].decode()
        return Frame("restart", found[1] == b"1", float(found[2]), float(found[3]), firmware)
    if found := MALFUNCTION.fullmatch(data):
        return Frame("malfunction", battery_v=float(found[1]), codes=tuple(found[2]))
    raise Refused("frame", "R, C, K or E and their fields")


def decode(port: int | None, data: bytes) -> tuple[Reading, ...]:
    """Presence where the frame tells it, and health where it says any. Errors: `Refused`."""
    frame = parse(port, data)
    presence = () if frame.occupied is None else (Presence(frame.occupied),)
    if frame.kind == "change":
        return presence
    health = Health(
        battery_v=frame.battery_v,
        temperature_c=frame.temperature_c,
        firmware=frame.firmware,
        faults=("malfunction",) if frame.kind == "malfunction" else (),
        debug_codes=frame.codes,
    )
    return (*presence, health)
