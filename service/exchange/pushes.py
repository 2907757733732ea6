"""Signed counts taken in: whose key, in time, not seen before, then to the sink zone by zone.

Redis remembers what came: `bowei:pushed:<lot>:<signature>`, for as long as the window is open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from redis.exceptions import RedisError

from devices.mqtt_outbox import LinkError
from devices.reading import Refused, Uplink
from service.catalog import Catalog
from service.clock import Clock
from service.credentials import holder_key
from service.exchange import push

Take = Callable[[Uplink], Awaitable[None]]
REMEMBERED_S: Final = int(2 * push.WINDOW_S) + 60
STORED_WITHIN_S: Final = 5.0


class PushAway(Exception):  # noqa: N818 - it says where the store is
    """Redis could not be asked or did not store in time; the sender signs again and sends again."""


class ZoneRefused(msgspec.Struct, frozen=True):
    """A zone of a message that was not taken, and why."""

    zone: str
    code: str
    message: str


class Taken(msgspec.Struct, frozen=True):
    """The zones that are stored, and those that were refused beside them."""

    lot: str
    taken: tuple[str, ...]
    refused: tuple[ZoneRefused, ...] = ()


class Pushes:
    """The lots whose operators push. `redis` is a client; `take` stores one zone's word."""

    def __init__(
        self,
        catalog: Catalog,
        take: Take,
        redis: Any,
        clock: Clock,
        signing_key: bytes,
        environment: Mapping[str, str],
    ) -> None:
        self._catalog = catalog
        self._take = take
        self._redis = redis
        self._clock = clock
        self._keys = {
            one.lot: holder_key(signing_key, push.PURPOSE, one.lot, one.key_env, environment)
            for one in catalog.pushes.values()
        }

    async def receive(
        self, lot: str, method: str, path: str, time: str, signature: str, body: bytes
    ) -> Taken:
        """Take one message. `path` as it was sent.

        Errors: `Refused` (`unknown_lot`, `bad_time`, `outside_window`, `bad_signature`,
        `replayed`, `too_large`, `bad_body`), PushAway.
        """
        known = self._catalog.pushes.get(lot)
        if known is None:
            raise Refused("unknown_lot", "a lot with [[pushes]] in its site")
        sent = push.sent_at(time, self._clock.wall_time(self._clock.now()))
        push.check_signature(self._keys[lot], signature, push.signed_text(method, path, time, body))
        zones = frozenset(
            zone.id for zone in self._catalog.lots[lot].zones if zone.fed_by == "absolute"
        )
        measured_at, counts, refused = push.read_push(body, zones)
        await self._once(lot, signature)
        order = (int(sent.timestamp() * 1000), int(self._clock.now_s() * 1000))
        said = {
            zone: Uplink(known.device(zone), *order, (count,), measured_at, gapless=False)
            for zone, count in counts.items()
        }
        await self._store(said)
        return Taken(
            lot,
            tuple(counts),
            tuple(ZoneRefused(zone, why.reason, why.detail) for zone, why in refused.items()),
        )

    async def _once(self, lot: str, signature: str) -> None:
        name = f"bowei:pushed:{lot}:{signature}"
        try:
            fresh = await self._redis.set(name, 1, nx=True, ex=REMEMBERED_S)
        except (RedisError, OSError, TimeoutError) as error:
            raise PushAway from error
        if not fresh:
            raise Refused("replayed", "this very message was taken already")

    async def _store(self, said: dict[str, Uplink]) -> None:
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                await asyncio.gather(*(self._take(uplink) for uplink in said.values()))
        except (TimeoutError, LinkError) as error:
            raise PushAway from error
