"""Pure: who may say and hear what at the broker, as Mosquitto's access file, from the catalogue.

Every device connects as itself: its user name is its id (a sensor's, a camera's, a sign's). It may
publish where the catalogue seats it and nowhere else, so that sensor A cannot speak for B.
"""

from collections.abc import Iterator

from service.catalog import Catalog
from service.occupancy.senders import Senders

SERVICE = "bowei"

# What follows from the name alone. Mosquitto refuses names with + # / in these patterns.
PATTERNS = """pattern write bowei/devices/%u/status
pattern read bowei/devices/%u/ack
pattern read bowei/devices/%u/resend
pattern read bowei/signs/%u/frame
pattern write bowei/signs/%u/shown
pattern write device/%u/message/up/#
pattern read device/%u/message/down/#
pattern write %u/device/message/up/#
pattern read %u/device/message/down/#
"""

# A LoRaWAN network server carries many devices; it vouches for which one spoke.
NETWORK_SERVERS = {
    "chirpstack_v4": ("chirpstack", "application/+/device/+/event/up"),
    "things_stack_v3": ("thethings", "v3/+/devices/+/up"),
}


def access_file(catalog: Catalog) -> str:
    """The whole file; users and their passwords are made with `mosquitto_passwd`."""
    blocks = [
        "# Written by `bowei acl`: write it again when the catalogue changes.",
        f"user {SERVICE}\ntopic readwrite bowei/#\n"
        + "".join(f"topic read {topic}\n" for _, topic in NETWORK_SERVERS.values())
        + "topic read device/+/message/up/#\ntopic write device/+/message/down/#\n"
        "topic read +/device/message/up/#\ntopic write +/device/message/down/#\n"
        "topic read $SYS/#",
        PATTERNS.rstrip(),
        *_network_servers(catalog),
        *_devices(catalog),
    ]
    return "\n\n".join(blocks) + "\n"


def _network_servers(catalog: Catalog) -> Iterator[str]:
    for envelope in sorted({one.envelope for one in catalog.sensors.values() if one.envelope}):
        user, topic = NETWORK_SERVERS[envelope]
        yield f"user {user}\ntopic write {topic}"


def _devices(catalog: Catalog) -> Iterator[str]:
    senders = Senders(catalog, shards=1)
    topics: dict[str, list[str]] = {}
    for topic, voices in senders.places.items():
        for device in voices:
            if device not in senders.wrapped:
                topics.setdefault(device, []).append(f"topic write {topic}")
    for topic, cameras in senders.lanes.items():
        for camera in cameras.values():
            if camera.transport == "mqtt" and camera.model == "bowei":
                answers = topic.removesuffix("passage") + "answer"
                topics.setdefault(camera.id, []).extend(
                    (f"topic write {topic}", f"topic read {answers}", f"topic read {answers}/#")
                )
    for device, lines in sorted(topics.items()):
        yield "\n".join([f"user {device}", *lines])
