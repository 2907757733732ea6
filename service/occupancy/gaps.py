"""Messages that did not come: asked for again; and what came, confirmed to devices that keep it.

A gap counts after a moment of grace, since two ingesters of one `$share` group see a device's
messages side by side. What is stored is told on `bowei/devices/{device}/ack`, what is missing on
`bowei/devices/{device}/resend`.
"""

from collections.abc import Iterable

import msgspec

from devices.mqtt import Link
from service.clock import Clock
from service.occupancy.passages import publish
from service.occupancy.shard import Durable
from service.occupancy.store import Store

GRACE_S = 5.0
ASK_EVERY_S = 30.0


class Gaps:
    """Called once a wall second; every wait here is wall time."""

    def __init__(self, store: Store, link: Link, clock: Clock) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._durable: dict[str, Durable] = {}
        self.grace_s = GRACE_S

    def stored(self, durable: Iterable[Durable]) -> None:
        """Remember what to confirm at the next turn."""
        for one in durable:
            self._durable[one.device] = one

    def confirm(self) -> None:
        confirmed, self._durable = self._durable, {}
        for one in confirmed.values():
            if one.seq >= 0:
                body = msgspec.json.encode({"boot": one.boot, "seq": one.seq})
                publish(self._link, f"bowei/devices/{one.device}/ack", body, expires_s=60)

    async def sweep(self) -> None:
        """Notice gaps and ask for what is missing. Raises StoreAway."""
        speed = self._clock.speed
        asks = await self._store.sweep(
            int(self._clock.now_s() * 1000),
            grace_ms=int(self.grace_s * 1000 * speed),
            ask_every_ms=int(ASK_EVERY_S * 1000 * speed),
            scale=speed,
        )
        for device, ranges in asks.items():
            missing = [
                {"boot": int(boot), "first": int(above), "last": int(below) - 2}
                for boot, above, below in ranges
            ]
            body = msgspec.json.encode({"missing": missing})
            publish(self._link, f"bowei/devices/{device}/resend", body, expires_s=60)
