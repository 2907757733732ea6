"""The district's MQTT connections: one for each lot's controller, one for the signs.

A lot's connection carries the last will of the lot's first own-format device: when the simulator
is killed, the broker says so of every lot.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle
from typing import Self

from devices.mqtt import Link, Message, Will
from devices.simulator.plan import District
from devices.simulator.wire import Publish, last_will

MOST_CONTROLLERS = 48
RECONNECT_PATIENCE_S = 30.0


class Connections:
    """Every lot speaks over its own link; many lots share `MOST_CONTROLLERS` links."""

    def __init__(self, district: District, url: str, name: str, boot: int) -> None:
        self.signs = Link(url, f"{name}-signs")
        self.dropped = 0
        self.overflowed = 0
        self._links: list[Link] = []
        self._by_lot: dict[str, Link] = {}
        first_device: dict[str, str] = {}
        for sensor in district.sensors:
            if sensor.bay is None:
                first_device.setdefault(sensor.lot, sensor.id)
        for at, lot in enumerate(district.lots[:MOST_CONTROLLERS]):
            will = None
            if lot.id in first_device:
                topic, payload = last_will(first_device[lot.id], boot)
                will = Will(topic, payload, retain=True)
            self._links.append(Link(url, f"{name}-{at}", will=will))
        for lot, link in zip(district.lots, cycle(self._links), strict=False):
            self._by_lot[lot.id] = link

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(link.connect(RECONNECT_PATIENCE_S) for link in self._all()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(link.close() for link in self._all()))

    def _all(self) -> list[Link]:
        return [self.signs, *self._links]

    async def listen(self, filters: tuple[str, ...], handler: Callable[[Message], None]) -> None:
        await self.signs.subscribe(filters, handler)

    def up(self, lot: str) -> bool:
        return self._by_lot[lot].connected

    def publish(self, lot: str, message: Publish, *, keep: bool) -> None:
        """Send; while the broker is away, what need not be kept is dropped, as devices do."""
        link = self._by_lot[lot]
        if not keep and not link.connected:
            self.dropped += 1
            return
        self._send(link, message)

    def acknowledge(self, topic: str, payload: bytes) -> None:
        if self.signs.connected:
            self._send(self.signs, Publish(topic, payload))

    def _send(self, link: Link, message: Publish) -> None:
        done = link.publish(
            message.topic,
            message.payload,
            retain=message.retain,
            response_topic=message.response_topic,
        )
        done.add_done_callback(self._sent)

    def _sent(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self.overflowed += 1

    async def settle(self, wait_s: float) -> None:
        """Give the last words a moment to leave."""
        await asyncio.sleep(wait_s)
