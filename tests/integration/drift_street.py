"""A street with one lot: its counter, its cameras, and the watch that corrects the counter."""

import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from occupancy_scene import background, until

from devices.reading import Count, Direction, Passage
from service.bench.drift import passages, plate_of
from service.occupancy import report
from service.occupancy.drift_watch import DriftWatch
from service.occupancy.mirror import Mirror
from service.occupancy.shard import Part
from service.occupancy.store import Store
from service.sql import open_engine

LOT, CAPACITY, SENSOR = "market", 120, "market-counter"
TICK_S = 900.0


class Street:
    """The market's gate: a counter that misses entries, and cameras that see every car."""

    def __init__(self, store, mirror, watch, clock):
        self.store, self.mirror, self.watch, self.clock = store, mirror, watch, clock
        self.start_s = clock.now_s()
        self.entered = self.left = self.inside = self.seq = 0
        self.chance = random.Random(7)

    async def report(self):
        """The counter says how many it has counted, and the mirror hears it."""
        at_ms = int(self.clock.now_s() * 1000)
        told = report.told_count(Count(entered=self.entered, left=self.left), at_ms, at_ms, 0)
        self.seq += 1
        part = Part(reports={f"z/{LOT}/all/{SENSOR}": report.value(1, self.seq, told)})
        await self.store.write({self.store.shard(SENSOR): part}, at_ms)

        def heard():
            counts = self.mirror.heard(LOT, "all").counts
            return SENSOR in counts and counts[SENSOR].at_ms == at_ms

        await until(heard)

    async def drive(self, hours, *, missed=0.0, cameras=True):
        """So many hours of traffic from midnight on, with a look every quarter of an hour."""
        await self.report()
        await self.watch.look()
        tick = 1
        for at_s, step, car in passages(CAPACITY, hours / 24, random.Random(3)):
            while tick * TICK_S <= at_s:
                self.clock.advance(self.start_s + tick * TICK_S - self.clock.now_s())
                await self.report()
                await self.watch.look()
                tick += 1
            self.inside += step
            into = step > 0
            counted = not (into and self.chance.random() < missed)
            self.entered += into and counted
            self.left += not into
            if cameras:
                self.see(car, into, datetime.fromtimestamp(self.start_s + at_s, UTC))

    async def one_a_minute(self, cars, *, into=True, counted=True, seen=True):
        for car in range(cars):
            self.clock.advance(60)
            self.inside += 1 if into else -1
            self.entered += counted and into
            self.left += counted and not into
            if seen:
                self.see(10_000 + car, into, self.clock.now())
            await self.report()
            await self.watch.look()
        await corrected(self.mirror, self.watch)

    def see(self, car, into, at):
        lane = "in" if into else "out"
        way = Direction.IN if into else Direction.OUT
        passage = Passage(f"{car}-{lane}", plate_of(car), direction=way)
        self.watch.passed(LOT, lane, f"market-cam-{lane}", passage, at)

    @property
    def zone(self):
        return self.mirror.states[LOT].zones[0]


async def corrected(mirror, watch):
    """The mirror has what the watch laid."""
    laid = next(one for one in watch.watched if one.lot == LOT).laid

    def stands():
        one = mirror.heard(LOT, "all").corrections.get("all/drift")
        return one is not None and (one.offset, one.band) == laid

    await until(stands)


@asynccontextmanager
async def watching(catalog, redis_url, sqlite_url, clock):
    """Store, SQL, mirror and a watch over the city of the tests."""
    store, engine = Store.open(redis_url), open_engine(sqlite_url)
    mirror = Mirror(catalog, store, clock)
    async with background(mirror):
        await mirror.loaded()
        yield store, engine, mirror, DriftWatch(catalog, mirror, store, engine, clock)
    await engine.dispose()
    await store.close()
