"""Pure: devices for the operations page: trouble first, strangers with what they lack."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from service.catalog import Catalog
from service.occupancy.devices import Known, Unknown
from service.web import words


class DeviceRow(msgspec.Struct, frozen=True):
    """state: healthy | never_heard | silent | offline | missing | battery_low | fault.

    `more` says it in numbers or the device's own words, with what else it told of its health; ages
    in clock seconds.
    """

    device: str
    kind: str
    model: str
    lot: str
    place: str
    state: str
    more: str
    heard_s: int | None


class UnknownRow(msgspec.Struct, frozen=True):
    """A device that speaks and is not counted; `add` is what the catalogue would need."""

    device: str
    topic: str
    reason: str
    first_s: int | None
    last_s: int | None
    count: int
    add: str


ORDER = ("never_heard", "offline", "silent", "fault", "missing", "battery_low", "healthy")


def known_rows(
    catalog: Catalog, known: Iterable[Known], at: datetime, silent_after: float
) -> list[DeviceRow]:
    """Every device, those in trouble first; a sensor is silent after so many of its periods."""
    every_s = {
        (lot.id, place): zone.report_every_s
        for lot in catalog.lots.values()
        for zone in lot.zones
        for place in (zone.id, *zone.bays)
    }
    rows = []
    for one in known:
        heard_s = words.age_s(at, one.heard_at)
        limit_s = every_s.get((one.lot, one.place), 0.0) * silent_after
        state, more = _state(one, heard_s, limit_s)
        rows.append(
            DeviceRow(
                device=one.device,
                kind=one.kind,
                model=one.model,
                lot=one.lot,
                place=one.place,
                state=state,
                more=more,
                heard_s=heard_s,
            )
        )
    return sorted(rows, key=lambda row: ORDER.index(row.state))


def _state(one: Known, heard_s: int | None, limit_s: float) -> tuple[str, str]:
    """Trouble in one word, and more about it. Cameras speak when cars pass, so none is silent."""
    sensor = one.kind == "sensor"
    troubles = (
        ("never_heard", sensor and heard_s is None, ""),
        ("offline", one.online is False, ""),
        ("silent", sensor and limit_s > 0 and (heard_s or 0) > limit_s, ""),
        ("fault", bool(one.faults), words.plain(", ".join(one.faults))),
        ("missing", one.missing > 0, str(one.missing)),
        ("battery_low", bool(one.battery_low), ""),
    )
    here = ((state, more) for state, is_so, more in troubles if is_so)
    state, more = next(here, ("healthy", ""))
    return state, " · ".join(part for part in (more, *_health(one)) if part)


def _health(one: Known) -> tuple[str, ...]:
    """What the device told of itself, in its units."""
    return (
        "" if one.battery_v is None else f"{one.battery_v:g} V",
        "" if one.temperature_c is None else f"{one.temperature_c:g} °C",
        words.plain(one.firmware or ""),
        words.plain(one.reset_cause or ""),
        " ".join(f"#{code}" for code in one.debug_codes),
    )


def unknown_rows(unknown: Iterable[Unknown], at: datetime) -> list[UnknownRow]:
    """The latest first, as they come."""
    return [
        UnknownRow(
            device=words.plain(one.device),
            topic=words.plain(one.topic),
            reason=one.reason,
            first_s=words.age_s(at, one.first_at),
            last_s=words.age_s(at, one.last_at),
            count=one.count,
            add=what_to_add(one),
        )
        for one in unknown
    ]


def what_to_add(stranger: Unknown) -> str:
    """The catalogue line that would make this device known, or "" where none would."""
    device = msgspec.json.encode(words.plain(stranger.device)).decode()
    if stranger.reason != "unknown_device":
        return ""
    match stranger.topic.split("/"):
        case ["bowei", "lots", lot, "zones", zone, "count"]:
            where, line = f"{_id(lot)}, {_id(zone)}: ", _sensor(device)
        case ["bowei", "lots", lot, "bays", bay]:
            where, line = f"{_id(lot)}: ", _sensor(device, bay=_id(bay))
        case ["bowei", "lots", lot, "lanes", lane, "passage"]:
            where, line = f"{_id(lot)}, {_id(lane)}: ", _camera(device, "bowei")
        case ["application", *_]:
            where, line = "", _sensor(device, model="…", envelope="chirpstack_v4")
        case ["v3", *_]:
            where, line = "", _sensor(device, model="…", envelope="things_stack_v3")
        case ["device", *_] | [_, "device", "message", "up"]:
            where, line = "", _camera(device, "vzenith_mqtt")
        case _:
            where, line = "", ""
    return where + line


def _sensor(device: str, **more: str) -> str:
    said = "".join(f', {key} = "{value}"' for key, value in more.items())
    return f"sensors = [{{ id = {device}{said} }}]"


def _camera(device: str, model: str) -> str:
    return f'camera = {{ id = {device}, model = "{model}" }}'


def _id(text: str) -> str:
    """A piece of a topic as it may stand in a catalogue."""
    return words.plain(text).replace('"', "").replace("\\", "")
