"""Who may speak about what: the catalogue's sensors and cameras by the topics they publish on."""

import zlib

import msgspec

from service.catalog import Camera, Catalog, Lot, Sensor, Zone

OWN_CAMERA = "bowei"


class Device(msgspec.Struct, frozen=True, eq=False):
    """One device; `voice` is the field of its one source, '' where it has several or none.

    kind: g a missing message shows; j as g, and it keeps a journal until told what is stored; n
    neither.
    """

    id: str
    shard: int
    kind: str
    voice: str = ""


class Source(msgspec.Struct, frozen=True, eq=False):
    """One device's voice on one zone or bay; `name` is the device's.

    solo: the device's shard where this is its only voice and a missing message shows, else None. So
    a message touches its source and not the device: of 100,000, each costs a look into far memory.
    """

    name: str
    device: Device
    field: str
    solo: int | None


class Senders:
    """`shards` as in the store."""

    def __init__(self, catalog: Catalog, shards: int) -> None:
        self.catalog = catalog
        self.devices: dict[str, Device] = {}
        self.places: dict[str, dict[str, Source]] = {}  # topic -> device -> its voice there
        self.sensors: dict[str, Sensor] = catalog.sensors
        self.wrapped = {one.id for one in catalog.sensors.values() if one.envelope}
        self.cameras: dict[str, Camera] = catalog.cameras
        self.lanes: dict[str, dict[str, Camera]] = {}  # topic -> device -> camera
        self._shards = shards
        for lot in catalog.lots.values():
            for zone in lot.zones:
                self._open(lot, zone)
        for sensor in catalog.sensors.values():
            self._seat(sensor)
        for camera in catalog.cameras.values():
            topic = f"bowei/lots/{camera.lot}/lanes/{camera.lane}/passage"
            self.lanes.setdefault(topic, {})[camera.id] = camera
            kind = "j" if camera.model == OWN_CAMERA and camera.transport == "mqtt" else "n"
            self._device(camera.id, kind)

    def source(self, device: str) -> Source | None:
        """The one voice of a sensor that sits in one bay or counts one zone."""
        sensor = self.sensors.get(device)
        if sensor is None:
            return None
        place = bay_topic(sensor.lot, sensor.bay) if sensor.bay else count_topic(sensor)
        return self.places[place].get(device)

    def usual(self, topic: str) -> Source | None:
        """Who speaks on a topic as a rule: the first that the catalogue names."""
        return next(iter(self.places.get(topic, {}).values()), None)

    def _device(self, name: str, kind: str, voice: str = "") -> Device:
        known = self.devices.get(name)
        if known is None:
            shard = zlib.crc32(name.encode()) % self._shards
            known = self.devices[name] = Device(name, shard, kind, voice)
        return known

    def _open(self, lot: Lot, zone: Zone) -> None:
        self.places[f"bowei/lots/{lot.id}/zones/{zone.id}/count"] = {}
        for bay in zone.bays:
            self.places[bay_topic(lot.id, bay)] = {}

    def _seat(self, sensor: Sensor) -> None:
        lot = self.catalog.lots[sensor.lot]
        zone = next(one for one in lot.zones if one.id == sensor.zone)
        bays = (sensor.bay,) if sensor.bay else zone.bays if zone.fed_by == "bays" else ()
        fields = {bay_topic(lot.id, bay): f"b/{lot.id}/{zone.id}/{bay}/{sensor.id}" for bay in bays}
        if not sensor.bay:
            fields[count_topic(sensor)] = f"z/{lot.id}/{zone.id}/{sensor.id}"
        voice = next(iter(fields.values())) if len(fields) == 1 else ""
        device = self._device(sensor.id, "g" if sensor.model == "bowei" else "n", voice)
        for topic, field in fields.items():
            solo = device.shard if field == device.voice and device.kind != "n" else None
            self.places[topic][sensor.id] = Source(device.id, device, field, solo)


def count_topic(sensor: Sensor) -> str:
    return f"bowei/lots/{sensor.lot}/zones/{sensor.zone}/count"


def bay_topic(lot: str, bay: str) -> str:
    return f"bowei/lots/{lot}/bays/{bay}"
