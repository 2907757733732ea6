"""What came by other ways, put on our own topics: for a process that does not ingest itself."""

import msgspec

from devices.mqtt import Link
from devices.reading import Count, Uplink
from service.catalog import Catalog


class Relay:
    """`take` publishes a zone's word as the zone's own count message, retained."""

    def __init__(self, catalog: Catalog, link: Link) -> None:
        self._sensors = catalog.sensors
        self._link = link

    async def take(self, uplink: Uplink) -> None:
        """Done when the broker has it."""
        sensor = self._sensors[uplink.device]
        topic = f"bowei/lots/{sensor.lot}/zones/{sensor.zone}/count"
        for reading in uplink.readings:
            if isinstance(reading, Count):
                await self._link.publish(topic, count_message(uplink, reading), qos=1, retain=True)


def count_message(uplink: Uplink, count: Count) -> bytes:
    """The message in our own format: devices/sensors/bowei.py, `count`."""
    numbers = {
        name: said for name, said in msgspec.structs.asdict(count).items() if said is not None
    }
    order = {"device": uplink.device, "boot": uplink.boot, "seq": uplink.seq}
    at = {} if uplink.measured_at is None else {"at": uplink.measured_at}
    return msgspec.json.encode(order | at | numbers)
