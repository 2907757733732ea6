"""Who is on the way: cars that tapped *navigate*, and those that probably follow a sign.

Kept in Redis, mirrored in memory, so that every process ranks by the same memory of advice given.
A tap counts one car once, by its visit id; a driver who changes his mind moves his car. A car is
forgotten once a report of the lot is a minute younger than its arrival was to be (it is in the
count by then, or went elsewhere).
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from service import metrics
from service.clock import Clock
from service.guidance import redis_keys
from service.guidance.model import Mirrored

_log = structlog.get_logger()

COVERED_AFTER_S: Final = 60.0
GIVEN_UP_AFTER_S: Final = 600.0
VISIT_KEPT_S: Final = 4 * 3600
PACE_S: Final = 0.5
STAY_S: Final = 2 * 3600.0
UNSAVED_MOST: Final = 10_000

Wake = Callable[[frozenset[str]], None]


class Followers(msgspec.Struct, frozen=True):
    """Cars under way that a sign is thought to have sent, until it speaks again."""

    until_s: float
    cars: dict[str, float]


def still_coming(eta_s: float, now_s: float, counted_s: float | None) -> bool:
    """Whether a car due at `eta_s` is missing from a count taken at `counted_s`.

    A lot that is never heard again does not keep its cars on the way for ever.
    """
    if eta_s < now_s - GIVEN_UP_AFTER_S:
        return False
    return counted_s is None or eta_s >= counted_s - COVERED_AFTER_S


class Arrivals:
    """`on_the_way` answers from memory; `run` keeps it in step with Redis and with time.

    `redis` is a client that answers text (`decode_responses`).
    """

    def __init__(self, redis: Any, mirror: Mirrored, clock: Clock, shards: int = 8) -> None:
        self._redis = redis
        self._mirror = mirror
        self._clock = clock
        self._shards = shards
        self._coming: dict[str, dict[str, float]] = defaultdict(dict)
        self._heading: dict[str, str] = {}
        self._followers: dict[str, Followers] = {}
        self._totals: dict[str, float] = {}
        self._parked: dict[str, tuple[float, float]] = {}  # lot: cars, as of
        self._versions: list[str | None] = ["unread"] * shards
        self._unsaved: dict[str, tuple[str, float]] = {}
        self._unshared: dict[str, Followers] = {}
        self._watchers: list[Wake] = []

    def on_the_way(self, lot: str) -> float:
        """Guided cars that the lot's count does not hold yet."""
        return self._totals.get(lot, 0.0)

    def parked(self, lot: str) -> float:
        """Guided cars that have arrived and, by the usual stay, are still there."""
        cars, at_s = self._parked.get(lot, (0.0, 0.0))
        return cars * math.exp(-max(0.0, self._clock.now_s() - at_s) / STAY_S)

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Call `wake` with the lots whose cars on the way changed; returns how to stop it."""
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    async def count(self, visit: str, lot: str, eta_at: datetime) -> bool:
        """Count one car once; True where it was not counted before. Redis away: counted here."""
        if self._heading.get(visit) == lot:
            return False
        eta_s = eta_at.timestamp()
        try:
            before = await self._save(visit, lot, eta_s)
        except RedisError as error:
            metrics.refused("arrivals", "redis_away")
            _log.warning("arrivals: counted in memory only", error=type(error).__name__)
            before = self._heading.get(visit)
            if len(self._unsaved) < UNSAVED_MOST:
                self._unsaved[visit] = (lot, eta_s)
        if before == lot:
            return False
        self._place(visit, lot, eta_s)
        self._retotal()
        return before is None

    def expect(self, sign: str, followers: Followers) -> None:
        """Replace what a sign is thought to have sent; `run` shares it."""
        self._followers[sign] = followers
        self._unshared[sign] = followers

    async def run(self) -> None:
        """Follow the other processes and forget who has arrived, until cancelled."""
        while True:
            try:
                await self._follow()
            except RedisError as error:
                _log.warning("arrivals: redis away", error=type(error).__name__)
            self._retotal()
            await asyncio.sleep(PACE_S)

    def _shard(self, name: str) -> int:
        return redis_keys.shard_of(name, self._shards)

    async def _save(self, visit: str, lot: str, eta_s: float) -> str | None:
        """Write one car; the lot it was heading for before, if any."""
        key = redis_keys.visit(self._shard(visit), visit)
        before: str | None = await self._redis.set(key, lot, ex=VISIT_KEPT_S, get=True)
        if before == lot:
            return before
        if before is not None:
            await self._change(before, lambda pipe, key: pipe.zrem(key, f"{visit} {before}"))
        await self._change(lot, lambda pipe, key: pipe.zadd(key, {f"{visit} {lot}": eta_s}))
        return before

    async def _change(self, lot: str, write: Callable[[Any, str], object]) -> None:
        shard = self._shard(lot)
        key = redis_keys.coming(shard)
        pipe = self._redis.pipeline(transaction=False)
        write(pipe, key)
        pipe.zremrangebyscore(key, "-inf", self._clock.now_s() - GIVEN_UP_AFTER_S)
        pipe.incr(redis_keys.coming_version(shard))
        await pipe.execute()

    async def _follow(self) -> None:
        for visit, (lot, eta_s) in list(self._unsaved.items()):
            await self._save(visit, lot, eta_s)
            del self._unsaved[visit]
        await self._share()
        pipe = self._redis.pipeline(transaction=False)
        for shard in range(self._shards):
            pipe.get(redis_keys.coming_version(shard))
        versions = await pipe.execute()
        for shard, version in enumerate(versions):
            if version != self._versions[shard]:
                await self._read(shard)
                self._versions[shard] = version

    async def _share(self) -> None:
        if not self._unshared:
            return
        shared, self._unshared = self._unshared, {}
        pipe = self._redis.pipeline(transaction=False)
        for sign, followers in shared.items():
            shard = self._shard(sign)
            pipe.hset(redis_keys.followers(shard), sign, msgspec.json.encode(followers))
            pipe.incr(redis_keys.coming_version(shard))
        await pipe.execute()

    async def _read(self, shard: int) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrange(redis_keys.coming(shard), 0, -1, withscores=True)
        pipe.hgetall(redis_keys.followers(shard))
        coming, followers = await pipe.execute()
        for lot in [lot for lot in self._coming if self._shard(lot) == shard]:
            for visit in self._coming.pop(lot):
                self._heading.pop(visit, None)
        for member, eta_s in coming:
            visit, _, lot = member.partition(" ")
            self._place(visit, lot, float(eta_s))
        for visit, (lot, eta_s) in self._unsaved.items():
            self._place(visit, lot, eta_s)
        for sign, said in followers.items():
            self._followers[sign] = msgspec.json.decode(said, type=Followers)

    def _place(self, visit: str, lot: str, eta_s: float) -> None:
        before = self._heading.get(visit)
        if before is not None and before != lot:
            self._coming[before].pop(visit, None)
        self._heading[visit] = lot
        self._coming[lot][visit] = eta_s

    def _retotal(self) -> None:
        """Forget who has arrived, add up, and wake whoever ranks by it."""
        now_s = self._clock.now_s()
        totals: dict[str, float] = defaultdict(float)
        for lot, cars in list(self._coming.items()):
            counted_s = self._counted_s(lot)
            arrived = [one for one, eta in cars.items() if not still_coming(eta, now_s, counted_s)]
            if arrived:
                self._parked[lot] = (self.parked(lot) + len(arrived), now_s)
            for visit in arrived:
                del cars[visit]
                self._heading.pop(visit, None)
            if cars:
                totals[lot] += len(cars)
            else:
                del self._coming[lot]
        for followers in self._followers.values():
            if followers.until_s >= now_s:
                for lot, expected in followers.cars.items():
                    totals[lot] += expected
        rounded = {lot: round(cars, 1) for lot, cars in totals.items()}
        changed = {
            lot
            for lot in rounded.keys() | self._totals.keys()
            if rounded.get(lot, 0.0) != self._totals.get(lot, 0.0)
        }
        self._totals = rounded
        if changed:
            for wake in list(self._watchers):
                wake(frozenset(changed))

    def _counted_s(self, lot: str) -> float | None:
        state = self._mirror.states.get(lot)
        return None if state is None or state.as_of is None else state.as_of.timestamp()
