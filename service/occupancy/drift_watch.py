"""Drift corrections at work: what the mirror hears of counters, laid over it again, corrected.

    counters (mirror) ─┐
    plates (in memory) ─ ZoneDrift ─ Redis, kind `drift` ─ every mirror: count and band
    staff's recounts  ─┘           └ SQL: each correction with its reason, and what was learned

One process at a time does this, by a lease in Redis; another goes on from what SQL remembers.
Plates are kept by nobody: after a restart they are learned anew, and counters alone must do.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import structlog
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from devices.reading import Direction, Passage
from service.catalog import Camera, Catalog, Lot, Zone
from service.clock import Clock
from service.occupancy import correction
from service.occupancy.combine import Heard
from service.occupancy.correction import Correction
from service.occupancy.counter_filter import CounterFilter, Memory
from service.occupancy.drift import Tally
from service.occupancy.drift_book import DriftBook, DriftCorrection
from service.occupancy.mirror import Mirror
from service.occupancy.model import Quality, ZoneState
from service.occupancy.passages import Answer, PassageSink
from service.occupancy.store import Store, StoreAway
from service.occupancy.zone_drift import Known, ZoneDrift
from service.sql import TROUBLE

LOOK_S = 60.0  # of the clock
REMEMBER_S = 900.0
KEEP_DAYS = 400
START_SHARE = 0.05  # what a count nobody has checked may be off by, of the capacity
RECENT_EVENTS = 4096
MOST_RECOUNTS = 16  # of a zone, that can be taken back to what was known before
UNRECORDED = 1000
LEASE_KEY = "bowei:drift:holder"
LEASE_WALL_S = 30.0
FRIDAY = 5
AT_ONCE = 10  # zones between two turns of the loop
BY = "drift"

log = structlog.get_logger()


class _Recount(NamedTuple):
    """A recount that was believed; `before` None: what was known before it is forgotten."""

    said: Correction
    since: datetime | None
    before: Known | None


class _Watched(msgspec.Struct, eq=False):
    """One counter-fed zone; `laid` is the offset and band that stand in Redis.

    `recounts` stand or were replaced by the next of them, oldest first; `stands_at` is when the one
    that stands was made, as last heard.
    """

    lot: str
    zone: Zone
    local: ZoneInfo
    plates: bool
    drift: ZoneDrift | None = None
    latest: Tally | None = None
    laid: tuple[int, int] | None = None
    stands_at: datetime | None = None
    recounted_at: datetime | None = None
    recounts: list[_Recount] = []


class DriftWatch:
    """Give it passages with `passed`; `sees` tells of whom all reach this process."""

    def __init__(
        self,
        catalog: Catalog,
        mirror: Mirror,
        store: Store,
        engine: AsyncEngine,
        clock: Clock,
        *,
        sees: Callable[[Camera], bool] = lambda _: True,
    ) -> None:
        self._mirror = mirror
        self._store = store
        self._clock = clock
        self.book = DriftBook(engine)
        self._me = secrets.token_hex(8)
        self._memories: dict[tuple[str, str], Memory] = {}
        self._holding = False
        self._unrecorded: deque[DriftCorrection] = deque(maxlen=UNRECORDED)
        self._remembered_s = clock.now_s()
        self._events: deque[tuple[str, str]] = deque(maxlen=RECENT_EVENTS)
        self._known_events: set[tuple[str, str]] = set()
        self._lanes: dict[tuple[str, str], tuple[str, str, _Watched]] = {}
        cameras = [one for one in catalog.cameras.values() if sees(one)]
        self._epochs: list[str | None] = []
        self.watched = [
            self._watch(catalog, lot, zone, [one for one in cameras if one.lot == lot.id])
            for lot in catalog.lots.values()
            for zone in lot.zones
            if zone.fed_by == "counter"
        ]
        self._of_lot: dict[str, list[_Watched]] = {}
        for one in self.watched:
            self._of_lot.setdefault(one.lot, []).append(one)

    def _watch(self, catalog: Catalog, lot: Lot, zone: Zone, cameras: Sequence[Camera]) -> _Watched:
        """Plates tell of a zone when a camera stands at every lane of it, in and out.

        A lane that names no zone leads to the only one there is.
        """
        only = len(lot.zones) == 1
        lanes = [one for one in lot.lanes if one.zone == zone.id or (only and one.zone is None)]
        at_lane = {one.lane: one.id for one in reversed(cameras)}
        ways = {one.direction for one in lanes}
        seen = ways == {"in", "out"} and all(one.id in at_lane for one in lanes)
        local = ZoneInfo(catalog.sites[lot.site].timezone)
        watched = _Watched(lot.id, zone, local, seen)
        if seen:
            for lane in lanes:
                self._lanes[lot.id, lane.id] = (at_lane[lane.id], lane.direction, watched)
        return watched

    def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, received_at: datetime
    ) -> None:
        """A passage, each once, of one camera a lane; its plate stays here in memory for a day."""
        here = self._lanes.get((lot, lane))
        if here is None or camera != here[0] or passage.preliminary or passage.turned_back:
            return
        event = (camera, passage.event_id)
        if event in self._known_events:
            return
        if len(self._events) == RECENT_EVENTS:
            self._known_events.discard(self._events[0])
        self._events.append(event)
        self._known_events.add(event)
        _, usual, watched = here
        if watched.drift is not None:
            at = min(passage.passed_at or received_at, received_at)
            into = (passage.direction or Direction(usual)) is Direction.IN
            late = passage.buffered
            watched.drift.passed(passage.plate, at.timestamp(), into=into, late=late)

    async def run(self) -> None:
        """Correct until cancelled."""
        await self._mirror.loaded()
        said = asyncio.Event()
        leave = self._mirror.watch(lambda lots: said.set() if self._recounted(lots) else None)
        try:
            await self._go_on(said)
        finally:
            leave()
            with suppress(StoreAway, RedisError, OSError):
                await self.release()

    async def _go_on(self, said: asyncio.Event) -> None:
        while True:
            said.clear()
            try:
                if await self.hold():
                    await self.look()
            except (StoreAway, RedisError, OSError) as error:
                log.debug("drift waits for redis", error=str(error))
            except TROUBLE as error:
                log.warning("drift not recorded", error=type(error).__name__)
            # A fast clock must not let the lease run out, nor a slow one.
            pause_s = min(max(self._clock.wall_s(LOOK_S), 0.2), LEASE_WALL_S / 3)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await said.wait()

    def _recounted(self, lots: frozenset[str]) -> bool:
        """Whether staff counted there, or took a count back: that is not to wait for its turn."""
        told = False
        for one in (one for lot in lots for one in self._of_lot.get(lot, ())):
            recount = _recount(self._mirror.heard(one.lot, one.zone.id))
            stands_at = recount.at if recount else None
            told = told or stands_at != one.stands_at
            one.stands_at = stands_at
        return told

    async def look(self) -> int:
        """One look at every zone; returns how many corrections were laid. Raises StoreAway."""
        now = self._clock.now()
        laid = 0
        epochs = [epoch for epoch, _ in await self._store.positions()]
        known, self._epochs = self._epochs, epochs
        if any(was not in {None, epoch} for was, epoch in zip(known, epochs, strict=False)):
            for watched in self.watched:  # a Redis that lost everything gets it again
                watched.laid = None
        for at, watched in enumerate(self.watched):
            if at % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            made = self._look(watched, now)
            if made is not None:
                heard = self._mirror.heard(watched.lot, watched.zone.id)
                before = heard.corrections.get(f"{watched.zone.id}/drift")
                await self._store.put_correction(watched.lot, made.field, correction.encode(made))
                watched.laid = (made.offset, made.band)
                self._note(made, before.offset if before else 0)
                laid += 1
        await self._save(now)
        return laid

    def _look(self, watched: _Watched, now: datetime) -> Correction | None:
        """What is to be laid over the zone now, where that has changed."""
        heard = self._mirror.heard(watched.lot, watched.zone.id)
        tally = _totals(heard, now.timestamp())
        if tally is None or (state := self._state(watched)).quality is Quality.UNKNOWN:
            return None
        recount = _recount(heard)
        if recount is not None and not recount.holds(now):
            recount = None
        offset = recount.offset if recount else 0
        _take_back(watched, recount, now)
        drift = self._begun(watched, tally, offset, recount)
        drift.holding(state.capacity)
        watched.latest = tally
        reason = None
        if recount and _later(recount.at, watched.recounted_at):
            believed = _Recount(recount, watched.recounted_at, drift.known())
            watched.recounts = [*watched.recounts[1 - MOST_RECOUNTS :], believed]
            drift.recount(tally, round(tally.counted) + offset)  # who came since it counts
            watched.recounted_at, reason = recount.at, "recount"
        local = now.astimezone(watched.local)
        seen = drift.look(tally, local.hour, weekend=local.isoweekday() > FRIDAY)
        target = (seen.estimate.occupied - round(tally.counted) - offset, seen.estimate.band)
        if reason is None and watched.laid is not None and not _differs(target, watched.laid):
            return None
        return Correction(
            lot=watched.lot,
            zone=watched.zone.id,
            kind="drift",
            at=now,
            by=BY,
            reason=reason or seen.reason or "traffic",
            offset=target[0],
            band=target[1],
        )

    def _state(self, watched: _Watched) -> ZoneState:
        lot = self._mirror.states[watched.lot]
        return next(one for one in lot.zones if one.zone == watched.zone.id)

    def _begun(
        self, watched: _Watched, tally: Tally, offset: int, recount: Correction | None
    ) -> ZoneDrift:
        """The zone's drift, begun where it is not: from memory, or from what is counted now."""
        latest = watched.latest
        if watched.drift is not None and latest is not None:
            if tally.entered >= latest.entered and tally.left >= latest.left:
                return watched.drift
            watched.drift, watched.recounts = None, []  # the counter began again
        capacity = watched.zone.capacity
        start_sd = max(1.0, START_SHARE * capacity)
        memory = self._memories.pop((watched.lot, watched.zone.id), None)
        if memory is not None and _goes_on(memory, tally):
            alone = CounterFilter.recalled(capacity, memory)
            since = datetime.fromtimestamp(memory.known.at_s, watched.local)
            watched.recounted_at = since
        else:
            occupied = min(max(tally.counted + offset, 0.0), capacity)
            alone = CounterFilter(capacity, tally, occupied, start_sd=start_sd)
            watched.recounted_at = recount.at if recount else None
        if recount and not watched.recounts and not _later(recount.at, watched.recounted_at):
            watched.recounts = [_Recount(recount, None, None)]
        watched.drift = ZoneDrift(alone)
        if watched.plates:
            watched.drift.watch_plates(tally)
        return watched.drift

    def _note(self, made: Correction, before: int) -> None:
        if made.zone is not None and (before != made.offset or made.reason == "recount"):
            self._unrecorded.append(
                DriftCorrection(
                    made.lot, made.zone, made.at, made.reason, before, made.offset, made.band
                )
            )

    async def _save(self, now: datetime) -> None:
        made = list(self._unrecorded)
        await self.book.record(made)
        for _ in made:
            self._unrecorded.popleft()
        if now.timestamp() - self._remembered_s >= REMEMBER_S:
            self._remembered_s = now.timestamp()
            await self.remember(now)
            await self.book.forget(now - timedelta(days=KEEP_DAYS))

    async def remember(self, now: datetime) -> None:
        """Keep what was learned."""
        known = {
            (one.lot, one.zone.id): one.drift.memory()
            for one in self.watched
            if one.drift is not None
        }
        await self.book.remember(known, now)

    async def release(self) -> None:
        """Let another process go on at once."""
        if self._holding and await self._store.client.get(LEASE_KEY) == self._me:
            await self._store.client.delete(LEASE_KEY)
        self._holding = False

    async def hold(self) -> bool:
        """Take or renew the lease; who gets it begins with what SQL remembers."""
        client, keep_ms = self._store.client, int(LEASE_WALL_S * 1000)
        held = await client.set(LEASE_KEY, self._me, nx=True, px=keep_ms)
        if not held and await client.get(LEASE_KEY) == self._me:
            held = await client.pexpire(LEASE_KEY, keep_ms)
        if held and not self._holding:
            self._memories = await self.book.recall()
        if not held:
            for one in self.watched:
                one.drift = one.latest = one.laid = None
        self._holding = bool(held)
        return self._holding


class Witnessed:
    """A passage sink that lets the watch see what passes by."""

    def __init__(self, sink: PassageSink, watch: DriftWatch) -> None:
        self._sink = sink
        self._watch = watch

    async def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, received_at: datetime
    ) -> Answer | None:
        self._watch.passed(lot, lane, camera, passage, received_at)
        return await self._sink.passed(lot, lane, camera, passage, received_at)


def within_sight(share: str | None, roles: frozenset[str]) -> Callable[[Camera], bool]:
    """Whose passages all reach a process: none where several share, HTTP only beside the web."""
    return lambda one: share is None and (one.transport == "mqtt" or "web" in roles)


def _recount(heard: Heard) -> Correction | None:
    return next((one for one in heard.corrections.values() if one.kind == "recount"), None)


def _totals(heard: Heard, at_s: float) -> Tally | None:
    """All that a zone's counters have counted, over their boots; None where one only says how many.

    Tallies carry the time of the look: what a silent counter has not said yet is not known.
    """
    entered = left = 0
    if not heard.counts:
        return None
    for device, told in heard.counts.items():
        if told.entered is None or told.left is None:
            return None
        pasts = heard.pasts.get(device, ())
        entered += told.entered + sum(one.entered for one in pasts)
        left += told.left + sum(one.left for one in pasts)
    return Tally(at_s, entered, left)


def _goes_on(memory: Memory, tally: Tally) -> bool:
    return memory.known.entered <= tally.entered and memory.known.left <= tally.left


def _take_back(watched: _Watched, standing: Correction | None, now: datetime) -> None:
    """Forget what recounts told that were undone; one that came to its end was true."""
    while watched.recounts and (
        standing is None or _later(watched.recounts[-1].said.at, standing.at)
    ):
        said, since, before = watched.recounts.pop()
        if not said.holds(now):
            watched.recounts = []
        elif before is None or watched.drift is None:
            watched.drift, watched.recounts = None, []
        else:
            watched.drift.go_back(before)
            watched.recounted_at = since


def _later(at: datetime, known: datetime | None) -> bool:
    return known is None or at > known


def _differs(target: tuple[int, int], laid: tuple[int, int]) -> bool:
    """Another offset, or a band that is another by more than a tenth."""
    return target[0] != laid[0] or abs(target[1] - laid[1]) > laid[1] // 10
