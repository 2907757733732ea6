"""The small town's devices as honest ones behave, and what must be known of them in the end.

Every message is numbered by its device's (boot, seq). Cameras keep theirs until the service itself
has confirmed them; counters and bays send again what they are asked for.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from devices.mqtt import Link, Message
from service.catalog import Catalog
from service.occupancy import report
from service.occupancy.store import Store, StoreAway


class Sent(NamedTuple):
    device: str
    boot: int
    seq: int
    topic: str
    body: dict[str, object]


class Fleet:
    """Devices of `catalog` that speak Bowei's own formats, over one link."""

    def __init__(self, catalog: Catalog, seed: int = 1) -> None:
        self.dice = random.Random(seed)
        self.sent: dict[str, list[Sent]] = {}
        self.boots: dict[str, int] = {}
        self.confirmed: dict[str, tuple[int, int]] = {}
        self.resent = 0
        self.totals: dict[str, list[int]] = {}
        self.counters: dict[str, str] = {}
        self.bays: dict[str, str] = {}
        self.cameras: dict[str, str] = {}
        for sensor in catalog.sensors.values():
            if sensor.model != "bowei":
                continue
            if sensor.bay:
                self.bays[sensor.id] = f"bowei/lots/{sensor.lot}/bays/{sensor.bay}"
            else:
                self.counters[sensor.id] = f"bowei/lots/{sensor.lot}/zones/{sensor.zone}/count"
        for camera in catalog.cameras.values():
            if camera.model == "bowei":
                self.cameras[camera.id] = f"bowei/lots/{camera.lot}/lanes/{camera.lane}/passage"

    def next(self) -> Sent:
        """Some device's next message."""
        kind = self.dice.choices(("counter", "bay", "camera"), (5, 3, 3))[0]
        if kind == "counter":
            device = self.dice.choice(sorted(self.counters))
            return self.count(device)
        if kind == "bay":
            device = self.dice.choice(sorted(self.bays))
            return self._say(device, self.bays[device], occupied=self.dice.random() < 0.5)
        return self.passage(self.dice.choice(sorted(self.cameras)))

    def count(self, device: str, **more: object) -> Sent:
        """A counter's next word: cumulative for those at gates, absolute for the others."""
        if device in ("market-counter", "cy-staff"):
            entered_left = self.totals.setdefault(device, [20, 0])
            entered_left[self.dice.randrange(2) if entered_left[0] > entered_left[1] else 0] += 1
            numbers = dict(zip(("entered", "left"), entered_left, strict=True))
        else:
            numbers = {"occupied": self.dice.randrange(13)}
        return self._say(device, self.counters[device], **numbers, **more)

    def passage(self, device: str) -> Sent:
        seq = len(self.sent.get(device, ()))
        return self._say(
            device, self.cameras[device], event=f"{device}-{self.boots.get(device, 1)}-{seq}",
            plate=f"浙A{self.dice.randrange(100000):05d}", color="blue", confidence=0.97,
        )  # fmt: skip

    def everybody(self) -> Iterator[Sent]:
        """One last word of each counter and bay, so that nothing depends on what was lost."""
        for device in self.counters:
            yield self.count(device)
        for device, topic in self.bays.items():
            yield self._say(device, topic, occupied=self.dice.random() < 0.5)

    def reboot(self, device: str) -> None:
        self.boots[device] = self.boots.get(device, 1) + 1

    def _say(self, device: str, topic: str, **body: object) -> Sent:
        boot = self.boots.get(device, 1)
        past = self.sent.setdefault(device, [])
        seq = past[-1].seq + 1 if past and past[-1].boot == boot else 0
        now = datetime.now(UTC).isoformat()  # noqa: TID251 - a device's own clock
        whole = {"device": device, "boot": boot, "seq": seq, "at": now, **body}
        past.append(Sent(device, boot, seq, topic, whole))
        return past[-1]

    # On the wire.

    def publish(self, link: Link, sent: Sent) -> asyncio.Future[None]:
        """States are retained, passages are not."""
        retain = sent.device not in self.cameras
        return link.publish(sent.topic, json.dumps(sent.body).encode(), retain=retain)

    def listen(self, link: Link) -> None:
        """Hear what the service confirms and what it asks for again."""

        def heard(message: Message) -> None:
            device, what = message.topic.split("/")[2:]
            body = json.loads(message.payload)
            if what == "ack":
                self.confirmed[device] = (body["boot"], body["seq"])
                return
            for hole in body["missing"]:
                for one in self.sent.get(device, ()):
                    if one.boot == hole["boot"] and hole["first"] <= one.seq <= hole["last"]:
                        self.resent += 1
                        self.publish(link, one)

        link.subscribe(["bowei/devices/+/ack", "bowei/devices/+/resend"], heard)

    def resend_unconfirmed(self, link: Link) -> int:
        """What a camera's journal still holds, once more."""
        held = [
            one
            for device in self.cameras
            for one in self.sent.get(device, ())
            if (one.boot, one.seq) > self.confirmed.get(device, (-1, -1))
        ]
        for one in held:
            self.publish(link, one)
        return len(held)

    # What must be known.

    def expected(self) -> dict[str, tuple[object, ...]]:
        """The reference model: each source's newest word, each lane's distinct passages."""
        known: dict[str, tuple[object, ...]] = {}
        for device, all_sent in self.sent.items():
            last = max(all_sent, key=lambda one: (one.boot, one.seq))
            if device in self.cameras:
                lot, lane = last.topic.split("/")[2:5:2]
                events = len({one.body["event"] for one in all_sent})
                known[f"l/{lot}/{lane}/{device}"] = (
                    (events, 0) if lane == "in" else (0, events)
                )  # fmt: skip
                continue
            numbers = tuple(last.body.get(name) for name in ("occupied", "entered", "left"))
            known[device] = (last.boot, last.seq, *(None if n is None else int(n) for n in numbers))
        return known


async def known_to(store: Store, fleet: Fleet) -> dict[str, tuple[object, ...]]:
    """The same of what Redis holds."""
    known: dict[str, tuple[object, ...]] = {}
    for shard in range(store.shards):
        for name, text in (await store.snapshot(shard)).fields.items():
            if name.startswith(("z/", "b/")):
                told = report.read_told(text)
                boot, seq = int(text[:20]), int(text[20:40])
                numbers = (told.occupied, told.entered, told.left)
                known[name.rpartition("/")[2]] = (boot, seq, *numbers)
            elif name.startswith("l/"):
                total = report.read_total(text)
                known[name] = (total.entered, total.left)
    return {name: told for name, told in known.items() if name in fleet.expected()}


async def open_gaps(store: Store) -> dict[str, list[object]]:
    """Devices of which messages are known to be missing."""
    found = {}
    for shard in range(store.shards):
        for name, text in (await store.snapshot(shard)).fields.items():
            if name.startswith("g/") and (ranges := msgspec.json.decode(text)):
                found[name[2:]] = ranges
    return found


async def no_gaps(store: Store, within_s: float = 60.0) -> None:
    """Wait until nothing is known to be missing: what is told twice may fill it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while missing := await open_gaps(store):
        assert loop.time() < deadline, f"missing: {missing}"
        await asyncio.sleep(0.1)


async def agree(store: Store, fleet: Fleet, within_s: float = 60.0) -> None:
    """Wait until Redis knows exactly what the model says; it may just be coming back."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    known: dict[str, tuple[object, ...]] = {}
    while True:
        with suppress(StoreAway):
            known = await known_to(store, fleet)
        if known == fleet.expected():
            return
        if loop.time() > deadline:
            expected = fleet.expected()
            wrong = {at: (known.get(at), expected[at]) for at in expected
                     if known.get(at) != expected[at]}  # fmt: skip
            raise AssertionError(f"known, expected: {wrong}")
        await asyncio.sleep(0.1)
