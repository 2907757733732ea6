"""PNI PlacePod (LoRaWAN): Cayenne LPP, several records in one payload.

    channel  type             means                                value
     2       0x67 temperature                                      signed, 0.1 °C
     3       0x02 analog in   battery                              signed, 0.01 V
     5, 6    0x00 digital in  sensor error                         0 well, else a code
    21       0x66 presence    the bay changed                      0 free, 1 occupied
    33       0x00 digital in  vehicles counted                     0 to 255, wraps
    55       0x66 presence    keep-alive, with the bay's state     0 free, 1 occupied

A channel that comes twice counts as it came last. Of presence and keep-alive, which say the same of
the same bay, whichever stands last counts. The codes of a sensor error are not published: any
but 0 is the fault `sensor_5` or `sensor_6`, until a payload tells of errors and they are 0. The
port is not told apart: real uplinks use several.

Source: Cayenne LPP 1.0 (records, types); PNI-Cloud/PlacePod-Api and akenza-io/device-type-library
(channels); field uplinks of the city of Karlsruhe (errors beside a keep-alive).
"""

import struct

import msgspec

from devices.reading import Health, Passes, Presence, Reading, Refused

DIGITAL, ANALOG, PRESENCE, TEMPERATURE = 0x00, 0x02, 0x66, 0x67
COUNTER_MODULUS = 256

RECORDS: dict[tuple[int, int], tuple[str, str]] = {
    (2, TEMPERATURE): ("temperature", ">h"),
    (3, ANALOG): ("battery", ">h"),
    (5, DIGITAL): ("error_5", "B"),
    (6, DIGITAL): ("error_6", "B"),
    (21, PRESENCE): ("presence", "B"),
    (33, DIGITAL): ("counter", "B"),
    (55, PRESENCE): ("keep_alive", "B"),
}
"""(channel, type) to the record's name and the layout of its value."""


class Record(msgspec.Struct, frozen=True):
    """One record as sent: `value` in the record's own unit."""

    name: str
    value: int


def parse(_port: int | None, data: bytes) -> tuple[Record, ...]:
    """Every record, in the order sent. Errors: `Refused` (`length`, `record`, `bad_presence`)."""
    if not data:
        raise Refused("length", "at least one record of 3 bytes")
    records = []
    offset = 0
    while offset < len(data):
        head = data[offset : offset + 2]
        known = RECORDS.get((head[0], head[1])) if len(head) == 2 else None
        if known is None:
            raise Refused("record", "a channel and type that the PlacePod uses")
        name, layout = known
        offset += 2
        if offset + struct.calcsize(layout) > len(data):
            raise Refused("length", f"the whole value of `{name}`")
        (value,) = struct.unpack_from(layout, data, offset)
        if name in {"presence", "keep_alive"} and value > 1:
            raise Refused("bad_presence", "0 free or 1 occupied")
        offset += struct.calcsize(layout)
        records.append(Record(name, value))
    return tuple(records)


def decode(port: int | None, data: bytes) -> tuple[Reading, ...]:
    """Presence, passes and health, whichever the payload holds. Errors: `Refused`."""
    occupied: bool | None = None
    last: dict[str, int] = {}
    for record in parse(port, data):
        if record.name in {"presence", "keep_alive"}:
            occupied = record.value == 1
        else:
            last[record.name] = record.value
    readings: list[Reading] = []
    if occupied is not None:
        readings.append(Presence(occupied))
    if "counter" in last:
        readings.append(Passes(last["counter"], COUNTER_MODULUS))
    if last.keys() - {"counter"}:
        readings.append(_health(last))
    return tuple(readings)


def _health(last: dict[str, int]) -> Health:
    tells = "error_5" in last or "error_6" in last
    return Health(
        battery_v=last["battery"] / 100 if "battery" in last else None,
        temperature_c=last["temperature"] / 10 if "temperature" in last else None,
        faults=tuple(f"sensor_{n}" for n in (5, 6) if last.get(f"error_{n}", 0)) if tells else None,
    )
