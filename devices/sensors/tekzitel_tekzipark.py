"""Tekzitel Tekzipark (LoRaWAN, port 1): a flag byte, then numbers.

    byte 0   flags: see below
    byte 1   temperature, °C; taken as signed, though no vector is below zero
    byte 2   parking id
    byte 3   beacon RSSI, signed dBm          } only in the
    4 to 7   two beacon ids, big-endian       } 8 byte frame

The flags were derived from two vectors. The first has bits 7, 5, 3 and says occupied, radar, good
battery; the second has bits 5, 3, 0 and says keep-alive, radar, good battery. So:

    bit 7        occupied: set in the first only
    bit 0        keep-alive: set in the second only
    bits 5, 3    radar and good battery, in an order that no vector separates: both set says both,
                 both clear says neither, one alone says that either is lost
    bits 6, 4,   reset, no beacon, obstruction and a spare, clear in every vector: no vector
    2, 1         separates them, so each is told by its number alone

Source: TheThingsNetwork/lorawan-devices vendor/tekzitel/tekzipark-codec.yaml (two payloads).
"""

import struct

import msgspec

from devices.reading import Health, Presence, Reading, Refused

PORT = 1
OCCUPIED, KEEP_ALIVE = 0x80, 0x01
RADAR_AND_BATTERY = 0x28
UNSEPARATED_BITS = (1, 2, 4, 6)


class Frame(msgspec.Struct, frozen=True):
    """One uplink. `radar` and `good_battery` are None where the two cannot be told apart."""

    occupied: bool
    keep_alive: bool
    radar: bool | None
    good_battery: bool | None
    unseparated_bits: tuple[int, ...]
    temperature_c: int
    parking_id: int
    beacon_rssi_dbm: int | None = None
    beacons: tuple[int, ...] = ()


def parse(port: int | None, data: bytes) -> Frame:
    """The frame in `data`. Errors: `Refused` (`port`, `length`)."""
    if port != PORT:
        raise Refused("port", "1")
    if len(data) not in {3, 8}:
        raise Refused("length", "3 or 8 bytes")
    flags, temperature_c, parking_id = struct.unpack_from("BbB", data)
    rssi_dbm, *beacons = struct.unpack_from(">bHH", data, 3) if len(data) == 8 else (None,)
    pair = flags & RADAR_AND_BATTERY
    well = pair == RADAR_AND_BATTERY if pair in {0, RADAR_AND_BATTERY} else None
    return Frame(
        occupied=bool(flags & OCCUPIED),
        keep_alive=bool(flags & KEEP_ALIVE),
        radar=well,
        good_battery=well,
        unseparated_bits=tuple(bit for bit in UNSEPARATED_BITS if flags & 1 << bit),
        temperature_c=temperature_c,
        parking_id=parking_id,
        beacon_rssi_dbm=rssi_dbm,
        beacons=tuple(beacons),
    )


def decode(port: int | None, data: bytes) -> tuple[Reading, ...]:
    """Presence and health. Errors: `Refused`."""
    frame = parse(port, data)
    faults = [f"unseparated_bit_{bit}" for bit in frame.unseparated_bits]
    if frame.good_battery is None:
        faults.append("battery_or_radar")
    health = Health(
        battery_low=None if frame.good_battery is None else not frame.good_battery,
        temperature_c=float(frame.temperature_c),
        faults=tuple(faults),
    )
    return (Presence(frame.occupied), health)
