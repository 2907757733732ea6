"""The mirror follows Redis without a gap, and answers on when there is nothing to follow."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from occupancy_scene import (
    HOTEL,
    HOTEL_FIELD,
    SQUARE_IN,
    background,
    bay,
    ingest_link,
    open_store,
    say,
    until,
)

from devices.mqtt import Link
from service.catalog import Catalog
from service.clock import Clock, ManualClock
from service.embedded import Server
from service.occupancy import correction, report
from service.occupancy import mirror as mirror_module
from service.occupancy.correction import Correction
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.occupancy.model import LotState, Openness, Quality
from service.occupancy.picture import Picture
from service.occupancy.shard import Part, mark
from service.occupancy.snapshot import Snapshots
from service.occupancy.store import Store
from service.sql import open_engine


def count(clock: Clock, seq: int, occupied: int, age_s: float = 0.0) -> dict[int, Part]:
    at_ms = int((clock.now_s() - age_s) * 1000)
    value = report.value(1, seq, report.Told(at_ms, at_ms, 0, occupied=occupied))
    return {0: Part({HOTEL_FIELD: value}, ["hotel-count"], [mark(1, seq, seq)])}


def now_ms(clock: Clock) -> int:
    return int(clock.now_s() * 1000)


async def whole(store: Store, catalog: Catalog, mirror: Mirror) -> dict[str, LotState]:
    """What a mirror that only just came would show."""
    picture = Picture(catalog, mirror._picture._rules, now_ms(mirror._clock))
    for shard in range(store.shards):
        fields = (await store.snapshot(shard)).fields
        picture.settle(picture.put(fields.items()), now_ms(mirror._clock), 2)
    return picture.lots


def numbers(lots: dict[str, LotState]) -> dict[str, list[tuple[object, ...]]]:
    return {
        lot.lot: [(one.zone, one.free, one.quality, one.why, one.as_of) for one in lot.zones]
        for lot in lots.values()
    }


async def test_no_change_is_missed_while_others_write_and_the_stream_is_cut(
    catalog: Catalog, redis_url: str, clock: ManualClock
) -> None:
    """Case: concurrent writes and a stream trimmed under the reader's feet."""
    dice = random.Random(7)
    async with open_store(redis_url) as store:
        store.stream_entries = 4
        fields = [f"b/clinic-yard/yard/A{number:02d}/cy-A{number:02d}" for number in range(1, 21)]
        mirror = Mirror(catalog, store, clock)

        async def write(first: int) -> None:
            for seq in range(1, 120):
                field = dice.choice(fields[first::3])
                told = report.Told(now_ms(clock), now_ms(clock), 0, dice.randrange(2))
                value = report.bay_value(1, seq * 10 + first, told)
                await store.write({first: Part({field: value})}, now_ms(clock))
                if dice.random() < 0.2:
                    await asyncio.sleep(0.002)

        async with background(mirror):
            await asyncio.gather(*(write(first) for first in range(3)))
            for key in store._keys[:3]:
                await store.client.xtrim(key.stream, maxlen=0, approximate=False)
            await asyncio.gather(*(write(first) for first in range(3)))
            expected = numbers(await whole(store, catalog, mirror))
            await until(lambda: numbers(mirror.states) == expected)
            assert mirror.version > 1


async def test_a_mirror_far_behind_takes_a_snapshot(
    catalog: Catalog, redis_url: str, clock: ManualClock
) -> None:
    async with open_store(redis_url) as store:
        store.stream_entries = 1
        mirror = Mirror(catalog, store, clock)
        async with background(mirror):
            await mirror.loaded()
            before = mirror.snapshots
            for seq in range(1, 300):
                await store.write(count(clock, seq, seq % 41), now_ms(clock))
            # Cut off the reader while the stream runs past it.
            await store.client.xtrim(store._keys[0].stream, maxlen=0, approximate=False)
            await until(lambda: 0 in mirror._positions)  # it may be taking a snapshot just now
            mirror._positions[0] = (mirror._positions[0][0], 3)
            await store.write(count(clock, 300, 33), now_ms(clock))
            await until(lambda: mirror.states["hotel"].free == 7)
            assert mirror.snapshots > before


async def test_what_is_shown_grows_old_by_itself(
    catalog: Catalog, redis_url: str, clock: ManualClock
) -> None:
    async with open_store(redis_url) as store:
        mirror = Mirror(catalog, store, clock)
        async with background(mirror):
            await mirror.loaded()
            await store.write(count(clock, 1, 4), now_ms(clock))
            await until(lambda: mirror.states["hotel"].quality is Quality.FRESH)
            for advance_s, quality in ((181, Quality.STALE), (420, Quality.UNKNOWN)):
                clock.advance(advance_s)
                await until(lambda wanted=quality: mirror.states["hotel"].quality is wanted)
            assert mirror_module.AGEING_S <= 1.0, "looked at once a wall second"
            assert mirror.states["hotel"].free is None
            # A window that closes is such a change, too: 17:30 in Hangzhou.
            clock.advance(1800)
            at_ms = now_ms(clock)
            told = report.value(1, 1, report.Told(at_ms, at_ms, 0, occupied=2))
            await store.write({1: Part({"z/garden/shared/garden-count": told})}, at_ms)
            await until(lambda: mirror.states["garden"].openness is Openness.OPEN)
            clock.advance(9 * 3600)
            await until(lambda: mirror.states["garden"].openness is Openness.CLOSED)


async def test_corrections_reach_every_mirror_and_are_undone(
    catalog: Catalog, redis_url: str, clock: ManualClock
) -> None:
    async with open_store(redis_url) as store:
        mirror = Mirror(catalog, store, clock)
        closed = Correction("hotel", None, "closed", clock.now(), "staff", "flooded")
        kept = Correction("hotel", "all", "reserve", clock.now(), "staff", "bus", value=6)
        await store.write(count(clock, 1, 4), now_ms(clock))
        async with background(mirror):
            await mirror.loaded()
            await store.put_correction("hotel", kept.field, correction.encode(kept))
            await until(lambda: mirror.states["hotel"].free == 30)
            await store.put_correction("hotel", closed.field, correction.encode(closed))
            await until(lambda: mirror.states["hotel"].openness is Openness.CLOSED)
            await store.put_correction("hotel", closed.field, "")
            await until(lambda: mirror.states["hotel"].free == 30)
            # One that was taken off while a mirror was away is gone after its snapshot, too.
            await store.client.hdel(store._keys[store.shard("hotel")].key("corrections"),
                                    kept.field)  # fmt: skip
            mirror._positions.clear()
            await until(lambda: mirror.states["hotel"].free == 36)


async def test_case_11_a_restart_keeps_everything_and_the_mirror_answers_on(
    catalog: Catalog, start_redis: Callable[..., Server], clock: ManualClock
) -> None:
    redis = start_redis()
    async with open_store(redis.url) as store:
        mirror = Mirror(catalog, store, clock)
        await store.write(count(clock, 1, 4), now_ms(clock))
        async with background(mirror):
            await mirror.loaded()
            redis.kill()
            await asyncio.sleep(0.3)
            clock.advance(200)
            await until(lambda: mirror.states["hotel"].quality is Quality.STALE)
            state = mirror.states["hotel"]
            assert (state.free, clock.now() - state.as_of) == (36, timedelta(seconds=200))
            redis.restart()
            await store.write(count(clock, 2, 5), now_ms(clock))
            await until(lambda: mirror.states["hotel"].free == 35, 20)
            await until(lambda: mirror.healthy)


@asynccontextmanager
async def restoring(
    catalog: Catalog, redis: Server, broker: Server, sqlite_url: str
) -> AsyncIterator[tuple[Link, Ingest, Mirror, Store, Snapshots]]:
    engine = open_engine(sqlite_url)
    clock = Clock()
    try:
        async with (
            open_store(redis.url) as store,
            ingest_link(broker.url) as link,
            Link(broker.url, "street") as street,
        ):
            snapshots = Snapshots(store, engine, clock)
            ingest = Ingest(catalog, store, link, clock, snapshots=snapshots)
            mirror = Mirror(catalog, store, clock)
            async with background(ingest, mirror):
                await mirror.loaded()
                await ingest.subscribed()
                yield street, ingest, mirror, store, snapshots
    finally:
        await engine.dispose()


def at(moment: datetime) -> str:
    return moment.isoformat()


@pytest.mark.mosquitto
async def test_case_11_redis_lost_and_empty_is_rebuilt_at_true_ages(
    catalog: Catalog,
    start_redis: Callable[..., Server],
    start_broker: Callable[..., Server],
    sqlite_url: str,
) -> None:
    redis, broker = start_redis("first"), start_broker()
    clock = Clock()
    old = clock.now() - timedelta(seconds=100)
    async with restoring(catalog, redis, broker, sqlite_url) as (street, _, mirror, store, saved):
        await street.publish(HOTEL, say("hotel-count", 7, occupied=4, at=at(old)))
        for event in ("e1", "e2"):
            await street.publish(SQUARE_IN, say("square-cam-in", 1, event=event, plate=None))
        out = "bowei/lots/square/lanes/out/passage"
        await street.publish(out, say("square-cam-out", 1, event="e1", plate=None))
        for number in range(1, 20):
            topic, device = bay(number)
            body = say(device, 3, occupied=False, at=at(clock.now()))
            await street.publish(topic, body, retain=True)
        closed = Correction("market", None, "closed", clock.now(), "staff", "flooded")
        await store.put_correction("market", closed.field, correction.encode(closed))
        await until(lambda: mirror.states["square"].zones[0].counted == 1)
        await until(lambda: mirror.states["clinic-yard"].zones[0].free == 19)
        await until(lambda: mirror.states["hotel"].free == 36)
        await until(lambda: saved.saves)  # its own first, which must not end after this one
        await saved.save()
        topic, device = bay(20)  # after the snapshot, but the broker has it
        await street.publish(topic, say(device, 3, occupied=False, at=at(clock.now())), retain=True)
        await until(lambda: mirror.states["clinic-yard"].zones[0].free == 20)
        before = numbers(mirror.states)

        await store.client.flushall()
        fresh = Mirror(catalog, store, clock)  # as another process that starts just then
        async with background(fresh):
            await until(lambda: fresh.states["clinic-yard"].zones[0].free == 20, 20)
            await until(lambda: fresh.states["hotel"].free == 36, 20)
            await until(lambda: fresh.states["square"].zones[0].counted == 1, 20)
            await until(lambda: fresh.states["market"].openness is Openness.CLOSED, 20)
            assert abs(fresh.states["hotel"].as_of - old) < timedelta(milliseconds=2)
            assert fresh.states["square"].zones[0].why == "recovered"
        # The mirror that was there all along never showed anything else.
        after = numbers(mirror.states)
        assert after["hotel"] == before["hotel"]
        assert after["clinic-yard"] == before["clinic-yard"]
        # News goes on from there: order and duplicates are known again.
        await street.publish(HOTEL, say("hotel-count", 6, occupied=1))
        await street.publish(HOTEL, say("hotel-count", 8, occupied=5))
        await until(lambda: mirror.states["hotel"].free == 35)


async def test_a_restore_is_made_once_however_often_it_is_tried(redis_url: str) -> None:
    async with open_store(redis_url) as store:
        fields = {"l/square/in/square-cam-in": "[40,0,5]", HOTEL_FIELD: "0" * 40 + "a[1,1,0,3]"}
        for _ in range(3):
            await store.restore(2, "before", fields, {"hotel-count": "0" * 40 + "1"}, 99)
        snapshot = await store.snapshot(2)
        assert snapshot.fields["l/square/in/square-cam-in"] == "[40,0,5,99]"
        # What came after the loss counts beside what was restored.
        entry = ["square-cam-in|e9", "square/in/square-cam-in", "in", "7"]
        await store.write({2: Part(passages=entry)}, 100)
        await store.restore(2, "before", fields, {}, 100)
        snapshot = await store.snapshot(2)
        assert snapshot.fields["l/square/in/square-cam-in"] == "[41,0,7,99]"


async def test_orders_are_compared_as_digits_beyond_what_numbers_hold(
    redis_url: str, clock: ManualClock
) -> None:
    """2^63 - 1 and its neighbour are one number to Lua."""
    huge = 2**63 - 2
    async with open_store(redis_url) as store:
        for seq, occupied in ((huge, 1), (huge + 1, 2), (huge, 3)):
            await store.write(count(clock, seq, occupied), now_ms(clock))
        fields = (await store.snapshot(0)).fields
        assert report.read_told(fields[HOTEL_FIELD]).occupied == 2
        assert (await store.marks())["hotel-count"][20:40] == f"{huge + 2:020d}"
        assert await store.sweep(now_ms(clock), grace_ms=0, ask_every_ms=0) == {}
