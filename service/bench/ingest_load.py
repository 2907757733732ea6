"""What `bowei bench ingest` is loaded with: a catalogue of any size, its messages, a raw publisher.

Speaks just enough MQTT 5 over a plain socket that nothing but the broker is measured.
"""

import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from devices.mqtt_socket import encode_publish, encode_varint
from service.catalog import Catalog, Lot, Name, Point, Sensor, Site, Zone

ZONES_PER_LOT = 10
CAPACITY = 500
COUNTS = "bowei/lots/+/zones/+/count"
START = datetime(2026, 3, 2, tzinfo=UTC)
RECEIVE_MAXIMUM = 8192  # as a Link's
WINDOW = 1000  # publishes under way: the receive maximum that our brokers tell


def make_catalog(zones: int) -> Catalog:
    """`zones` zones, each counted by one sensor of ours, ten to a lot."""
    name = Name("压测", "bench")
    lots: dict[str, Lot] = {}
    sensors: dict[str, Sensor] = {}
    for at in range(0, zones, ZONES_PER_LOT):
        lot = f"lot-{at // ZONES_PER_LOT:05d}"
        own = tuple(
            Zone(f"z{number}", "general", CAPACITY, "absolute")
            for number in range(min(ZONES_PER_LOT, zones - at))
        )
        lots[lot] = Lot(lot, "bench", name, Point(30.0, 120.0), "public", own, (), (), "none")
        for zone in own:
            sensor = f"count-{lot[4:]}-{zone.id}"
            sensors[sensor] = Sensor(sensor, lot, zone.id)
    site = Site("bench", name, name, "Asia/Shanghai")
    return Catalog("bench", {"bench": site}, lots, {}, {}, {}, sensors, {}, {})


class Load:
    """Messages, every sensor in turn in a shuffled order; what Redis must hold in the end."""

    def __init__(self, zones: int, warm: int, messages: int, seed: int) -> None:
        self.zones = zones
        self.warm = warm
        self.messages = messages
        self._seed = seed

    def packets(self) -> tuple[list[bytes], list[bytes]]:
        """PUBLISH packets at QoS 1, in order: those to warm up with, and those to be measured."""
        packets = list(self._packets())
        return packets[: self.warm], packets[self.warm :]

    def _packets(self) -> Iterator[bytes]:
        for at, (lot, zone, seq, occupied) in enumerate(self._reports()):
            device = f"count-{lot}-{zone}"
            moment = (START + timedelta(milliseconds=at)).isoformat(timespec="milliseconds")
            payload = (
                f'{{"device":"{device}","boot":1,"seq":{seq},"at":"{moment}",'
                f'"occupied":{occupied},"capacity":{CAPACITY}}}'
            )
            topic = f"bowei/lots/lot-{lot}/zones/{zone}/count"
            yield encode_publish(
                topic.encode(), payload.encode(), at % 60_000 + 1,
                retain=False, expires_s=None, response=None,
            )  # fmt: skip

    def last(self) -> dict[str, tuple[int, int]]:
        """The last (seq, occupied) of every field of the store."""
        return {
            f"z/lot-{lot}/{zone}/count-{lot}-{zone}": (seq, occupied)
            for lot, zone, seq, occupied in self._reports()
        }

    def _reports(self) -> Iterator[tuple[str, str, int, int]]:
        dice = random.Random(self._seed)
        order = list(range(self.zones))
        dice.shuffle(order)
        for at in range(self.warm + self.messages):
            number = order[at % self.zones]
            lot = f"{number // ZONES_PER_LOT:05d}"
            yield lot, f"z{number % ZONES_PER_LOT}", at // self.zones + 1, dice.randrange(CAPACITY)


class RawLine:
    """An MQTT 5 connection of a bare socket."""

    def __init__(
        self, url: str, client_id: str, *, keep: bool, window: int = RECEIVE_MAXIMUM
    ) -> None:
        parts = urlsplit(url)
        self.sock = socket.create_connection((parts.hostname or "", parts.port or 1883), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        expiry = b"\x11" + (3600).to_bytes(4, "big")
        maximum = b"\x21" + window.to_bytes(2, "big")  # Mosquitto keeps the session's
        properties = (expiry if keep else b"") + maximum
        name = client_id.encode()
        body = b"\x00\x04MQTT\x05" + bytes((0 if keep else 2,)) + b"\x00\x3c"
        body += encode_varint(len(properties)) + properties
        body += len(name).to_bytes(2, "big") + name
        self.sock.sendall(b"\x10" + encode_varint(len(body)) + body)
        self.rest = self._skip_packet(b"")

    def subscribe(self, wanted: str) -> None:
        name = wanted.encode()
        body = b"\x00\x01\x00" + len(name).to_bytes(2, "big") + name + b"\x01"
        self.sock.sendall(b"\x82" + encode_varint(len(body)) + body)
        self._skip_packet(self.rest)

    def close(self) -> None:
        self.sock.sendall(b"\xe0\x00")
        self.sock.close()

    def _skip_packet(self, data: bytes) -> bytes:
        while len(data) < 2 or len(data) < 2 + data[1]:
            piece = self.sock.recv(4096)
            if not piece:
                raise ConnectionError("the broker closed the connection")
            data += piece
        return data[2 + data[1] :]


def keep_session(url: str, client_id: str, window: int) -> None:
    """Leave a session behind for which the broker queues."""
    line = RawLine(url, client_id, keep=True, window=window)
    line.subscribe(COUNTS)
    line.close()


def forget_session(url: str, client_id: str) -> None:
    RawLine(url, client_id, keep=False).close()


def publish(url: str, packets: list[bytes]) -> None:
    """Publish as fast as the broker takes it, and wait until it has it all."""
    line = RawLine(url, "bench-publisher", keep=False)
    sent, acknowledged, rest = 0, 0, b""
    while acknowledged < len(packets):
        ready = packets[sent : acknowledged + WINDOW]
        line.sock.sendall(b"".join(ready))
        sent += len(ready)
        rest += line.sock.recv(65536)
        at = 0
        while len(rest) - at >= 2 and len(rest) - at >= 2 + rest[at + 1]:
            acknowledged += 1
            at += 2 + rest[at + 1]
        rest = rest[at:]
    line.close()
