"""What must hold inside one lot: its zones, bays, sensors, entrances, lanes and cameras."""

from collections import Counter

from devices.gates import REGISTRY as CAMERA_MODELS
from devices.sensors import REGISTRY as SENSOR_MODELS
from service.catalog_entries import Entry, Findings, one_of
from service.guidance.travel import distance_m

ENTRANCE_REACH_M = 2_000
OWN_MODEL = "bowei"


def check_lot(entry: Entry, tariffs: set[str], outside: set[str], findings: Findings) -> None:
    """One lot by itself. `outside` names the lots and `lot/zone`s that feeds bring counts for."""
    lot = entry.form
    if lot.tariff not in tariffs:
        expected = one_of(lot.tariff, tariffs, "a tariff of this site")
        findings.add(entry, "tariff", f'"{lot.tariff}"', expected)
    if not lot.zones:
        findings.add(entry, "zones", "an empty list", "at least one zone")
    total = sum(zone.capacity for zone in lot.zones)
    if lot.capacity is not None and lot.capacity != total:
        expected = f"{total}, which is what its zones add up to"
        findings.add(entry, "capacity", str(lot.capacity), expected, rests_on=("zones",))
    for table in ("zones", "entrances", "lanes"):
        _check_unique(entry, table, findings)
    _check_bays_of_lot(entry, findings)
    for zone in entry.below("zones"):
        _check_zone(zone, findings)
        _check_sensors(zone, findings)
        _check_fed(entry, zone, outside, findings)
    _check_lanes(entry, findings)
    for place in entry.below("entrances"):
        away_m = distance_m(lot.position, place.form.position)
        broken = findings.is_broken(entry.file, f"{entry.key}.position")
        if away_m > ENTRANCE_REACH_M and not broken:
            found = f"{away_m / 1000:,.1f} km from its lot"
            expected = f"WGS-84 degrees within {ENTRANCE_REACH_M // 1000} km of the lot"
            findings.add(place, "position", found, expected)


def _check_unique(entry: Entry, table: str, findings: Findings) -> None:
    seen: dict[str, Entry] = {}
    for one in entry.below(table):
        first = seen.setdefault(one.form.id, one)
        if first is not one:
            expected = f"an id of its own in the lot: {first.key} has it already"
            findings.add(one, "id", f'"{one.form.id}"', expected)


def _check_bays_of_lot(entry: Entry, findings: Findings) -> None:
    """A bay's name stands in its topic without the zone: it is unique over the lot."""
    owner: dict[str, str] = {}
    for zone in entry.below("zones"):
        for bay in zone.form.bay_names():
            if bay in owner:
                where = "twice here" if owner[bay] == zone.key else f"in {owner[bay]} too"
                findings.add(zone, "bays", f"{bay} {where}", "each bay of the lot once")
                break
            owner[bay] = zone.key


def _check_zone(entry: Entry, findings: Findings) -> None:
    zone = entry.form
    bays = zone.bay_names()
    if zone.fed_by == "bays" and len(bays) != zone.capacity:
        found = f"{len(bays)} bays for a capacity of {zone.capacity}"
        findings.add(entry, "bays", found, "one bay for every space", rests_on=("capacity",))
    if zone.fed_by != "bays" and bays:
        expected = 'no bays, or fed_by = "bays"'
        findings.add(entry, "bays", f'bays in a zone fed by "{zone.fed_by}"', expected)
    if zone.kind == "shared" and not zone.windows:
        expected = "the hours in which it is open to the public"
        findings.add(entry, "windows", "a shared zone without windows", expected)
    for at, window in enumerate(zone.windows):
        if window.from_ == window.until:
            found = f"{window.from_:%H:%M} to {window.until:%H:%M}"
            expected = "two different times (no windows at all: always open)"
            findings.add(entry, f"windows[{at}]", found, expected)
        if not window.days:
            findings.add(entry, f"windows[{at}].days", "no day", "weekdays from 1 (Monday) to 7")


def _check_sensors(entry: Entry, findings: Findings) -> None:
    zone = entry.form
    bays = zone.bay_names()
    watched: Counter[str] = Counter()
    for sensor in entry.below("sensors"):
        _check_sensor(sensor, bays, findings)
        names = sensor.form.names(bays)
        watched.update(bay for bay in names.values() if bay in bays)
        if zone.fed_by == "bays" and None in names.values():
            expected = "the bay it watches, or a template id like `x-{bay}`"
            findings.add(sensor, "bay", "nothing", expected)
    missing = [bay for bay in bays if watched[bay] == 0]
    twice = [bay for bay in bays if watched[bay] > 1]
    if zone.fed_by == "bays" and missing:
        found = f"{len(missing)} bays without a sensor, the first is {missing[0]}"
        findings.add(entry, "sensors", found, "one sensor in every bay", rests_on=("bays",))
    if twice:
        found = f"{len(twice)} bays with several, the first is {twice[0]}"
        findings.add(entry, "sensors", found, "one sensor in every bay", rests_on=("bays",))


def _check_sensor(entry: Entry, bays: list[str], findings: Findings) -> None:
    sensor = entry.form
    if sensor.model != OWN_MODEL and sensor.model not in SENSOR_MODELS:
        expected = one_of(sensor.model, [OWN_MODEL, *SENSOR_MODELS], "a sensor model")
        findings.add(entry, "model", f'"{sensor.model}"', expected)
    elif (sensor.model == OWN_MODEL) != (sensor.envelope is None):
        wanted = "no envelope" if sensor.envelope else "chirpstack_v4 or things_stack_v3"
        found = f'"{sensor.envelope}"' if sensor.envelope else "nothing"
        findings.add(entry, "envelope", found, f"{wanted} for model {sensor.model}")
    if "{" in sensor.id and not bays:
        expected = "a plain device id: only bays are named by a template"
        findings.add(entry, "id", f'"{sensor.id}"', expected)
    if sensor.bay is not None and sensor.bay not in bays:
        expected = one_of(sensor.bay, bays, "a bay of this zone")
        findings.add(entry, "bay", f'"{sensor.bay}"', expected)


def _check_fed(lot: Entry, entry: Entry, outside: set[str], findings: Findings) -> None:
    """A zone has something that feeds it."""
    zone = entry.form
    if zone.fed_by == "counter" and not zone.sensors:
        findings.add(entry, "sensors", "nothing", "the counter that feeds this zone")
    if zone.fed_by == "absolute" and not zone.sensors:
        named = {lot.form.id, f"{lot.form.id}/{zone.id}"}
        if not named & outside:
            expected = "a sensor, or a [[feeds]] or [[pushes]] entry for this zone"
            findings.add(entry, "sensors", "nothing", expected)
    if zone.fed_by == "plates":
        if zone.sensors:
            expected = "none: the cameras of its lanes count"
            findings.add(entry, "sensors", f"{len(zone.sensors)}", expected)
        ways = {one.direction for one in lot.form.lanes if one.zone == zone.id and one.camera}
        if ways != {"in", "out"}:
            missing = " and ".join(sorted({"in", "out"} - ways))
            found = f'no lane {missing} with a camera and zone = "{zone.id}"'
            expected = "a lane in and a lane out with a camera each"
            findings.add(entry, "fed_by", found, expected)


def _check_lanes(entry: Entry, findings: Findings) -> None:
    entrances = {one.id for one in entry.form.entrances}
    zones = {one.id for one in entry.form.zones}
    for lane in entry.below("lanes"):
        if lane.form.entrance not in entrances:
            expected = one_of(lane.form.entrance, entrances, "an entrance of this lot")
            findings.add(lane, "entrance", f'"{lane.form.entrance}"', expected)
        if lane.form.zone is not None and lane.form.zone not in zones:
            expected = one_of(lane.form.zone, zones, "a zone of this lot")
            findings.add(lane, "zone", f'"{lane.form.zone}"', expected)
        camera = lane.form.camera
        if camera is not None and camera.model not in CAMERA_MODELS:
            expected = one_of(camera.model, CAMERA_MODELS, "a camera model")
            findings.add(lane, "camera.model", f'"{camera.model}"', expected)
