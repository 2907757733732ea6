"""From a sensor's message to Redis: decode, keep the newest of each source, write, acknowledge.

    message ─ codec ─ who may say this? ─ the batch being filled
                                          the batch before it: one script call a shard, then its
                                          messages are acknowledged, all in one write

There is no timer: a batch is written as soon as the one before it is. While Redis is away nothing
is acknowledged, so the broker keeps what it may (the link's receive maximum bounds what we hold).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from msgspec import structs

from devices import gates as cameras
from devices.mqtt import Link, LinkError, Message
from devices.mqtt_topics import Handler
from devices.reading import Count, Health, Passage, Passes, Presence, Refused, Uplink
from devices.sensors import bowei, decode_uplink
from devices.sensors.envelopes import open_envelope
from service import metrics
from service.catalog import Camera, Catalog
from service.clock import Clock
from service.occupancy.broker_news import follow
from service.occupancy.catching_up import CatchingUp
from service.occupancy.gaps import Gaps
from service.occupancy.gathering import BATCH_MOST, Gathering
from service.occupancy.passages import Answer, Passages, PassageSink, publish, send_answer
from service.occupancy.senders import Device, Senders, Source
from service.occupancy.snapshot import Snapshots
from service.occupancy.store import Store, StoreAway
from service.occupancy.strangers import Strangers
from service.occupancy.writing import Writer

COUNTS = "bowei/lots/+/zones/+/count"
BAYS = "bowei/lots/+/bays/+"
PASSAGES = "bowei/lots/+/lanes/+/passage"
STATUSES = "bowei/devices/+/status"
UPLINKS = ("application/+/device/+/event/up", "v3/+/devices/+/up")
VENDOR_CAMERA = "vzenith_mqtt"
VENDOR_CAMERAS = ("device/+/message/up/#", "+/device/message/up/#")

DEAD_AFTER_S = 8.0
RETAINED_QUIET_S = 0.5
REST_S = 0.25
NOBODY: dict[str, Source] = {}
log = structlog.get_logger()
Decode = Callable[[Sequence[str], bytes, str | None], Uplink]
UNDATED = metrics.MESSAGES.labels("retained_undated")


class Ingest:
    """Reads `link` (which acknowledges by hand) into `store`.

    `gates` may be a second such link for passages, so that a stalled store never holds up a gate.
    `share` is the `$share` group over which several ingesters split the messages. `snapshots` fill
    a Redis that lost everything; then, too, the broker is asked for what devices let it retain.
    With `listens` false only what is handed to `take` and `passed` is ingested.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        link: Link,
        clock: Clock,
        passages: PassageSink | None = None,
        *,
        gates: Link | None = None,
        share: str | None = None,
        snapshots: Snapshots | None = None,
        listens: bool = True,
        batch_most: int = BATCH_MOST,
    ) -> None:
        self._snapshots = snapshots
        self._listens = listens
        self._link = link
        self._gates = gates or link
        self._clock = clock
        self._share = share
        self._senders = Senders(catalog, store.shards)
        self._passages = Passages(catalog, passages)
        self._strangers = Strangers(store)
        self._gaps = Gaps(store, link, clock)
        self._gathering = Gathering(self._senders, self._strangers, clock, self._rest, batch_most)
        self._writer = Writer(self._gathering, store, self._gaps, link, self._gates, clock.speed)
        self._catching_up = CatchingUp(link, store, clock)
        self._on_count = self._reports(bowei.decode_count)
        self._on_bay = self._reports(bowei.decode_bay)
        self._failed: asyncio.Future[None] | None = None
        self._agreed: list[asyncio.Future[None]] = []
        self._asked = asyncio.Event()
        self._resting: asyncio.TimerHandle | None = None

    @property
    def written(self) -> int:
        """Messages that were stored."""
        return self._writer.written

    @property
    def healthy(self) -> bool:
        """Whether messages arrive and are stored; a short pause of Redis does not count."""
        agreed = self._asked.is_set() and all(one.done() for one in self._agreed)
        if self._listens and not agreed:
            return False  # nobody keeps for us yet what is published now
        away_s = self._writer.away_since_s
        if away_s is not None and asyncio.get_running_loop().time() - away_s > DEAD_AFTER_S:
            return False
        return self._link.connected and self._gates.connected

    async def run(self) -> None:
        """Ingest until cancelled; raises what a handler, the sink or a link could not survive."""
        self._failed = asyncio.get_running_loop().create_future()
        self._passages.on_failure(self._fail)
        if self._listens:
            with suppress(StoreAway):  # then nothing without a time is new until we are through
                await self._catching_up.load()
            self._catching_up.start()
            self._subscribe()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._writer.run(), name="ingest writer")
                tasks.create_task(self._tick(), name="ingest tick")
                tasks.create_task(self._watch(self._failed), name="ingest watch")
                if self._listens:
                    tasks.create_task(
                        follow(self._link, self._gathering.cut_off), name="broker news"
                    )
                if self._snapshots is not None:
                    tasks.create_task(self._snapshots.run(), name="occupancy snapshots")
                    tasks.create_task(self._recover(self._snapshots), name="ingest recovery")
        finally:
            await self._passages.close()

    def _rest(self) -> None:
        """Read no more until the batch being written is, or for a moment: the link must live."""
        self._link.pause()
        if self._resting is not None:
            self._resting.cancel()  # of a rest that the writer ended: it must not end this one
        self._resting = asyncio.get_running_loop().call_later(REST_S, self._link.resume)

    async def _watch(self, failed: asyncio.Future[None]) -> None:
        ends = {self._link.failed, self._gates.failed, failed}
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()

    def _fail(self, error: BaseException) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _tick(self) -> None:
        """Once a wall second: gaps, confirmations, strangers."""
        while True:
            with suppress(StoreAway):  # the writer says so, and readiness; this waits for its turn
                await self._gaps.sweep()
                self._gaps.confirm()
                await self._strangers.save()
                await self._catching_up.note()
            await asyncio.sleep(1.0)

    async def _recover(self, snapshots: Snapshots) -> None:
        while True:
            await snapshots.lost.wait()
            snapshots.lost.clear()
            await self.replay_retained()

    async def replay_retained(self) -> None:
        """Take what the broker retains, at the age it says, over a link that ends with it.

        Shared subscriptions are not sent what is retained, so this is a plain one.
        """
        heard = asyncio.Event()

        def retained(take: Callable[[Message], None]) -> Callable[[Message], None]:
            def handler(message: Message) -> None:
                if message.retain:
                    heard.set()
                    take(message)

            return handler

        twin = self._link.twin(f"{self._link.client_id}-retained")
        try:
            async with twin:
                for filters, take in (
                    (COUNTS, self._on_count), (BAYS, self._on_bay), (STATUSES, self._on_status)
                ):  # fmt: skip
                    twin.subscribe(filters, retained(take), qos=0)
                heard.set()
                while heard.is_set():
                    heard.clear()
                    await asyncio.sleep(RETAINED_QUIET_S)
        except LinkError as error:
            log.warning("nothing retained was read", error=str(error))

    def _subscribe(self) -> None:
        handlers: list[tuple[Link, tuple[str, ...], Callable[[Message], None]]] = [
            (self._link, (COUNTS,), self._on_count),
            (self._link, (BAYS,), self._on_bay),
            (self._link, (STATUSES,), self._on_status),
            (self._link, UPLINKS, self._on_uplink),
            (self._gates, (PASSAGES,), self._on_passage),
            (self._gates, VENDOR_CAMERAS, self._on_camera),
        ]
        for link, filters, handler in handlers:
            shared = [f"$share/{self._share}/{one}" if self._share else one for one in filters]
            agreed = link.subscribe(shared, handler, replay=False, about=self._senders.usual)
            self._agreed.append(agreed)
        self._asked.set()

    async def subscribed(self) -> None:
        """Returns once the broker sends us everything. Raises what it refused."""
        await self._asked.wait()
        await asyncio.gather(*self._agreed)

    # Messages.

    def _reports(self, decode: Decode) -> Handler:
        """What takes our own reports; the hot path, so what it needs is looked up once."""
        places = self._senders.places
        gathering, catching_up = self._gathering, self._catching_up

        def take(message: Message) -> None:
            source: Source | None = message.about
            usual = None if source is None else source.name
            try:
                uplink = decode((), message.payload, usual)
            except Refused as refused:
                gathering.bury(message, refused)
                return
            if source is None or uplink.device is not usual:
                source = places.get(message.topic, NOBODY).get(uplink.device)
            if source is None:
                known_place = message.topic in places
                gathering.stranger(message, uplink.device, known_place=known_place)
                return
            if uplink.measured_at is None:
                if message.retain:
                    UNDATED.inc()  # it may be of any age: the next report counts
                    gathering.owe(message)
                    return
                if catching_up.since is not None:
                    uplink = structs.replace(uplink, measured_at=catching_up.since)
            gathering.report(message, source, uplink)

        return take

    def _on_status(self, message: Message) -> None:
        try:
            uplink = bowei.decode_status(message.topic.split("/"), message.payload)
        except Refused as refused:
            self._gathering.bury(message, refused)
            return
        device = self._senders.devices.get(uplink.device)
        if device is None:
            self._gathering.stranger(message, uplink.device)
            return
        for reading in uplink.readings:
            if isinstance(reading, Health):
                at = uplink.measured_at
                self._gathering.note_health(device, reading, at, retained=message.retain)
        if uplink.gapless and not message.retain:
            self._gathering.came(device, uplink)
        self._gathering.owe(message)

    def _on_uplink(self, message: Message) -> None:
        try:
            envelope = open_envelope(message.topic, message.payload)
            known = next((one for one in envelope.names if one in self._senders.wrapped), None)
            if known is None:
                self._gathering.stranger(message, envelope.names[0])
                return
            uplink = decode_uplink(known, self._senders.sensors[known].model, envelope)
        except Refused as refused:
            self._gathering.bury(message, refused)
            return
        self._take_all(self._senders.devices[known], uplink, retained=message.retain)
        self._gathering.owe(message)

    def _take_all(self, device: Device, uplink: Uplink, *, retained: bool) -> None:
        source = self._senders.source(device.id)
        for reading in uplink.readings:
            if isinstance(reading, Presence | Count) and source is not None:
                self._gathering.take(source, uplink, reading, retained=retained)
            elif isinstance(reading, Health):
                at = uplink.measured_at
                self._gathering.note_health(device, reading, at, retained=retained)
            elif isinstance(reading, Passes):
                self._gathering.note(device, "vehicles", reading.total)
        if not retained:
            self._gathering.came(device, uplink)

    def _on_passage(self, message: Message) -> None:
        try:
            uplink = bowei.decode_passage((), message.payload)
        except Refused as refused:
            self._gathering.bury(message, refused, gate=True)
            return
        here = self._senders.lanes.get(message.topic)
        camera = here.get(uplink.device) if here is not None else None
        passage = uplink.readings[0]
        if camera is None or not isinstance(passage, Passage):
            known_place = here is not None
            self._gathering.stranger(message, uplink.device, known_place=known_place, gate=True)
            return
        if not message.retain:
            self._gathering.came(self._senders.devices[camera.id], uplink)

        def answer(decided: Answer) -> None:
            send_answer(self._gates, message, camera, passage.event_id, decided)

        self._pass(message, camera, passage, answer)

    def _on_camera(self, message: Message) -> None:
        codec = cameras.REGISTRY[VENDOR_CAMERA]
        try:
            event = codec.decode(message.payload, "application/json")
        except Refused as refused:
            self._gathering.bury(message, refused, gate=True)
            return
        device = event.device or ""
        camera = self._senders.cameras.get(device)
        if (
            camera is None
            or camera.model != VENDOR_CAMERA
            or device not in message.topic.split("/")
        ):
            self._gathering.stranger(message, device, gate=True)
            return
        self._gathering.note(self._senders.devices[camera.id], "online", said=True)
        if not isinstance(event, Passage):
            self._gathering.owe(message, gate=True)
            return
        passage = event.named(self._clock.now())

        def answer(decided: Answer) -> None:
            waits = not passage.buffered and not decided.duplicate
            if decided.open and waits and codec.command is not None:
                sent_at = self._clock.now()
                topic, body = codec.command(message.topic, device, passage.event_id, sent_at)
                publish(self._gates, topic, body, expires_s=30)

        self._pass(message, camera, passage, answer)

    def _pass(
        self, message: Message, camera: Camera, passage: Passage, answer: Callable[[Answer], None]
    ) -> None:
        received_at = self._clock.now()
        counted = self._count(camera, passage, received_at)

        def confirm() -> None:
            self._gates.ack(message)

        self._passages.start(camera, passage, received_at, counted, answer, confirm)

    def _count(
        self, camera: Camera, passage: Passage, received_at: datetime
    ) -> asyncio.Future[None]:
        entry = self._passages.entry(camera, passage, received_at)
        return self._gathering.passage(self._senders.devices[camera.id], entry)

    # What comes by other ways than MQTT.

    async def take(self, uplink: Uplink) -> None:
        """Take a report of a sensor of the catalogue; returns when it is stored.

        Errors: `Refused` with `unknown_device`.
        """
        if uplink.device not in self._senders.sensors:
            self._strangers.note(uplink.device, "", "unknown_device", self._gathering.now_ms())
            raise Refused("unknown_device", "the catalogue does not list it")
        self._take_all(self._senders.devices[uplink.device], uplink, retained=False)
        if not self._gathering.batch.empty:
            await asyncio.shield(self._gathering.batch.written())

    def unknown(self, device: str, topic: str, reason: str) -> None:
        """List a device that spoke by another way and is not in the catalogue."""
        self._strangers.note(device, topic, reason, self._gathering.now_ms())

    async def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, received_at: datetime
    ) -> Answer | None:
        """A passage that came by HTTP: decided at once, counted as soon as Redis can.

        Errors: `Refused` with `unknown_device`.
        """
        known = self._senders.cameras.get(camera)
        if known is None or (known.lot, known.lane) != (lot, lane):
            raise Refused("unknown_device", "the catalogue lists no such camera at this lane")
        passage = passage.named(received_at)
        self._count(known, passage, received_at)
        return await self._passages.decide(known, passage, received_at)
