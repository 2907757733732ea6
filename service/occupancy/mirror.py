"""Occupancy in memory, in every process that answers drivers or signs.

A snapshot of every shard, then its change stream from that version on; versions are contiguous, so
a jump shows and a new snapshot is taken. When Redis is away the mirror answers on, and every number
in it grows old by the clock. A Redis that comes back empty (another epoch) takes nothing away: what
is here is kept, at its true age, until something newer comes.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import structlog

from service import metrics
from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.combine import Heard, Rules
from service.occupancy.model import LotState
from service.occupancy.picture import Picture
from service.occupancy.shard import Change
from service.occupancy.store import Store, StoreAway

BLOCK_MS = 1000
AGEING_S = 1.0
PAUSE_S = 0.5
HEALTHY_S = 6.0

log = structlog.get_logger()
Wake = Callable[[frozenset[str]], None]


class Mirror:
    """`states` has every lot of the catalogue, always. `version` grows with every change."""

    def __init__(
        self, catalog: Catalog, store: Store, clock: Clock, rules: Rules | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._picture = Picture(catalog, rules or Rules(), self._now_ms())
        self._watchers: list[Wake] = []
        self._positions: dict[int, tuple[str | None, int]] = {}
        self._epochs: dict[int, str | None] = {}
        self._heard_s: float | None = None
        self._due: list[tuple[float, tuple[str, str]]] = []
        self.version = 1
        self.snapshots = 0
        self._first = asyncio.Event()
        self._push(self._picture.due())

    @property
    def states(self) -> Mapping[str, LotState]:
        return self._picture.lots

    @property
    def heard_s(self) -> float:
        """Wall seconds since Redis was last heard; infinite before the first time."""
        if self._heard_s is None:
            return float("inf")
        return asyncio.get_running_loop().time() - self._heard_s

    @property
    def healthy(self) -> bool:
        return self.heard_s < HEALTHY_S

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Call `wake` with the lots that changed, after each change; returns what ends that."""
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    def heard(self, lot: str, zone: str) -> Heard:
        """What was heard of a zone, to be read only."""
        return self._picture.heard(lot, zone)

    def freeze(self, lot: str, zone: str, since: datetime | None) -> None:
        """Hold a zone's number for unverified since then (None: no longer)."""
        self._settle(self._picture.freeze(lot, zone, since))

    async def loaded(self) -> None:
        """Returns once every shard has been read."""
        await self._first.wait()

    async def run(self) -> None:
        """Follow Redis until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="mirror follow")
            tasks.create_task(self._grow_old(), name="mirror ageing")
            tasks.create_task(self._check(), name="mirror check")

    async def _follow(self) -> None:
        while True:
            try:
                for shard in range(self._store.shards):
                    if shard not in self._positions:
                        await self._load(shard)
                self._first.set()
                after = {shard: version for shard, (_, version) in self._positions.items()}
                changes = await self._store.changes(after, BLOCK_MS)
            except StoreAway as error:
                log.warning("mirror lost redis", error=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            self._heard()
            self._apply(changes)

    async def _check(self) -> None:
        """Once a wall second: has a shard begun again, behind what we have read?"""
        while True:
            await asyncio.sleep(AGEING_S)
            try:
                positions = await self._store.positions()
            except StoreAway:
                continue
            self._heard()
            for shard, (epoch, version) in enumerate(positions):
                known = self._positions.get(shard)
                if known is None:
                    continue
                if epoch is not None and known == (None, 0):
                    continue  # it has only just begun
                if epoch != known[0] or version < known[1]:
                    self._positions.pop(shard, None)

    async def _load(self, shard: int) -> None:
        snapshot = await self._store.snapshot(shard)
        self.snapshots += 1
        self._heard()
        dirty = self._picture.put(snapshot.fields.items())
        if snapshot.epoch == self._epochs.get(shard):
            dirty |= self._picture.prune(
                snapshot.fields, lambda name: self._store.shard(name) == shard
            )
        self._epochs[shard] = snapshot.epoch
        self._settle(dirty)
        self._positions[shard] = (snapshot.epoch, snapshot.version)

    def _apply(self, changes: Iterable[Change]) -> None:
        dirty: set[tuple[str, str]] = set()
        for change in changes:
            known = self._positions.get(change.shard)
            if known is None:
                continue
            if known[0] not in (None, change.epoch) or change.version != known[1] + 1:
                log.info("mirror missed changes", shard=change.shard)
                del self._positions[change.shard]
                continue
            news = change.news
            dirty |= self._picture.put(zip(news[::2], news[1::2], strict=True))
            self._positions[change.shard] = (change.epoch, change.version)
            self._epochs[change.shard] = change.epoch
        self._settle(dirty)

    async def _grow_old(self) -> None:
        while True:
            await asyncio.sleep(AGEING_S)
            now_ms = self._now_ms()
            dirty = set()
            while self._due and self._due[0][0] <= now_ms:
                dirty.add(heapq.heappop(self._due)[1])
            self._settle(dirty)
            metrics.MIRROR_AGE_SECONDS.set(min(self.heard_s, 1e9))

    def _settle(self, dirty: set[tuple[str, str]]) -> None:
        """Work out the zones that were touched, and tell who watches."""
        if not dirty:
            return
        changed, due = self._picture.settle(dirty, self._now_ms(), self.version + 1)
        self._push(due)
        if not changed:
            return
        self.version += 1
        metrics.MIRROR_VERSION.set(self.version)
        for wake in tuple(self._watchers):
            wake(changed)

    def _push(self, due: Iterable[tuple[float, tuple[str, str]]]) -> None:
        for entry in due:
            heapq.heappush(self._due, entry)

    def _heard(self) -> None:
        self._heard_s = asyncio.get_running_loop().time()

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)
