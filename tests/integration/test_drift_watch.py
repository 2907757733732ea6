"""A counter that misses entries is corrected in the mirror, with its reason kept in SQL."""

from datetime import timedelta

import pytest
import pytest_asyncio
from drift_street import CAPACITY, LOT, Street, corrected, watching
from occupancy_scene import background, until

from devices.reading import Direction, Passage
from service.bench.drift import plate_of
from service.occupancy.drift_book import drift_memory
from service.occupancy.drift_watch import DriftWatch, Witnessed
from service.operations.corrections import Desk, Order
from service.sql import writing


@pytest_asyncio.fixture
async def parts(catalog, redis_url, sqlite_url, clock):
    async with watching(catalog, redis_url, sqlite_url, clock) as started:
        yield started


async def test_plates_correct_a_counter_that_misses_entries(parts, clock):
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.inside = street.entered = 10
    await street.drive(72, missed=0.03)
    await street.report()
    await watch.look()
    await corrected(mirror, watch)
    zone = street.zone
    wrong = abs(street.entered - street.left - street.inside)
    assert wrong > 40, "what the counter alone would have said"
    assert abs(CAPACITY - zone.free - street.inside) <= max(zone.band, 4)
    assert 0 < zone.band <= 12
    assert mirror.states[LOT].band == zone.band, "the lot carries it too"
    made = await watch.book.corrections(LOT)
    assert {"plates", "traffic"} <= {one.reason for one in made}
    assert all(one.before != one.after for one in made)
    assert [one.before for one in made[1:]] == [one.after for one in made[:-1]]


async def test_cars_that_came_before_the_watch_and_are_told_late_count_once(parts, clock):
    """After an outage cameras tell what they kept; the counter has counted those cars already."""
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 60
    await street.report()
    await watch.look()
    for car in range(50):
        came = clock.now() - timedelta(hours=1, seconds=car)
        kept = Passage(f"kept-{car}", plate_of(car), came, direction=Direction.IN, buffered=True)
        watch.passed(LOT, "in", "market-cam-in", kept, clock.now())
    clock.advance(60)
    street.entered += 1
    street.see(99, True, clock.now())
    told = Passage("late", plate_of(100), clock.now(), direction=Direction.IN, buffered=True)
    street.entered += 1
    watch.passed(LOT, "in", "market-cam-in", told, clock.now())
    clock.advance(60)
    await street.report()
    await watch.look()
    await corrected(mirror, watch)
    assert CAPACITY - street.zone.free == 62


async def test_a_recount_counts_at_once_and_drift_goes_on_from_it(catalog, parts, clock):
    store, engine, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 50
    await street.report()
    await watch.look()
    clock.advance(60)
    await street.report()
    await Desk(catalog, engine, store, clock).make(Order("recount", LOT, "Wang", "walked it", 70))
    await until(lambda: street.zone.free == CAPACITY - 70)
    clock.advance(60)
    await street.report()
    await watch.look()
    await corrected(mirror, watch)
    assert street.zone.free == CAPACITY - 70, "not corrected twice"
    assert street.zone.band <= 3
    made = await watch.book.corrections(LOT)
    assert made[-1].reason == "recount"


async def test_a_recount_counts_from_when_it_was_made(catalog, parts, clock):
    """Cars that come between it and the next look are no drift."""
    store, engine, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 50
    await street.report()
    await watch.look()
    await Desk(catalog, engine, store, clock).make(Order("recount", LOT, "Wang", "walked it", 70))
    await until(lambda: street.zone.free == CAPACITY - 70)
    clock.advance(50)
    street.entered += 5
    await street.report()
    await watch.look()
    await corrected(mirror, watch)
    assert street.zone.free == CAPACITY - 75


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("cameras", [False, True])
async def test_a_recount_that_is_undone_tells_nothing_any_more(
    catalog, parts, clock, restarted, cameras
):
    store, engine, mirror, _ = parts
    watch = DriftWatch(catalog, mirror, store, engine, clock, sees=lambda _: cameras)
    desk = Desk(catalog, engine, store, clock)
    street = Street(store, mirror, watch, clock)

    async def minute(entered=0):
        clock.advance(60)
        street.entered += entered
        for car in range(street.entered - entered, street.entered if cameras else 0):
            street.see(car, True, clock.now())
        await street.report()
        await watch.look()
        await corrected(mirror, watch)

    street.entered = 20
    await street.report()
    await watch.look()
    await minute()
    assert street.zone.free == CAPACITY - 20
    await desk.make(Order("recount", LOT, "Wang", "walked it", 25))
    await minute()
    assert street.zone.free == CAPACITY - 25
    clock.advance(1)
    await desk.make(Order("recount", LOT, "Wang", "the wrong lot", 70))
    await minute(5)
    assert street.zone.free == CAPACITY - 75
    await desk.undo(LOT, "Wang", "the wrong lot")
    await until(lambda: mirror.heard(LOT, "all").corrections["all/recount"].value == 25)
    await minute(5)
    assert street.zone.free == CAPACITY - 35, "the first holds again"
    if restarted:
        await watch.remember(clock.now())
        watch = DriftWatch(catalog, mirror, store, engine, clock, sees=lambda _: cameras)
        street.watch = watch
        assert await watch.hold()
        await minute()
    await desk.undo(LOT, "Wang", "not even that")
    await until(lambda: "all/recount" not in mirror.heard(LOT, "all").corrections)
    await minute()
    assert street.zone.free == CAPACITY - 30


async def test_an_undone_recount_is_gone_before_the_next_look_is_due(
    catalog, parts, clock, monkeypatch
):
    monkeypatch.setattr("service.occupancy.drift_watch.LEASE_WALL_S", 600.0)  # looks: 60 s apart
    store, engine, mirror, watch = parts
    desk = Desk(catalog, engine, store, clock)
    street = Street(store, mirror, watch, clock)
    street.entered = 20
    await street.report()
    async with background(watch):
        await until(lambda: street.zone.free == CAPACITY - 20)
        await desk.make(Order("recount", LOT, "Wang", "the wrong lot", 70))
        standing = mirror.heard(LOT, "all").corrections
        await until(lambda: "all/drift" in standing and standing["all/drift"].reason == "recount")
        assert street.zone.free == CAPACITY - 70
        await desk.undo(LOT, "Wang", "the wrong lot")
        await until(lambda: "all/recount" not in mirror.heard(LOT, "all").corrections)
        await until(lambda: street.zone.free == CAPACITY - 20)


async def test_a_recount_that_came_to_its_end_was_true(catalog, parts, clock):
    store, engine, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 20
    await street.report()
    await watch.look()
    ends = clock.now() + timedelta(minutes=5)
    order = Order("recount", LOT, "Wang", "walked it", 70, until=ends)
    await Desk(catalog, engine, store, clock).make(order)
    await until(lambda: street.zone.free == CAPACITY - 70)
    for _ in range(7):
        clock.advance(60)
        await street.report()
        await watch.look()
        await corrected(mirror, watch)
    assert street.zone.free == CAPACITY - 70


async def test_a_restart_goes_on_with_what_was_learned(catalog, parts, clock):
    store, engine, mirror, watch = parts
    assert await watch.hold()
    street = Street(store, mirror, watch, clock)
    street.entered = 50
    await street.report()
    await watch.look()
    clock.advance(60)
    await street.report()
    desk = Desk(catalog, engine, store, clock)
    await desk.make(Order("recount", LOT, "Wang", "walked it", 70))
    await until(lambda: street.zone.free == CAPACITY - 70)
    clock.advance(60)
    await street.report()
    await watch.look()
    await watch.remember(clock.now())
    await watch.release()
    again = DriftWatch(catalog, mirror, store, engine, clock)
    assert await again.hold()
    clock.advance(60)
    street.entered += 5
    await street.report()
    await again.look()
    await corrected(mirror, again)
    assert street.zone.free == CAPACITY - 75
    assert street.zone.band <= 3, "the recount is remembered"


async def test_what_an_older_version_kept_is_learned_anew(parts, clock):
    store, engine, mirror, watch = parts
    for lot, body in ((LOT, b"\x81\xa5known\x93\x00\x00\x00"), ("square", b"not even that")):
        row = {"lot": lot, "zone": "all", "at": clock.now(), "body": body}
        async with writing(engine) as sql:
            await sql.execute(drift_memory.insert(), [row])
    assert await watch.hold()
    street = Street(store, mirror, watch, clock)
    street.entered = 50
    await street.report()
    await watch.look()
    await corrected(mirror, watch)
    assert street.zone.free == CAPACITY - 50


async def test_one_at_a_time(catalog, parts, clock):
    store, engine, mirror, watch = parts
    other = DriftWatch(catalog, mirror, store, engine, clock)
    assert await watch.hold()
    assert not await other.hold()
    assert await watch.hold()
    await watch.release()
    assert await other.hold()
    assert not await watch.hold()


async def test_a_redis_that_lost_everything_gets_it_again(parts, clock):
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 50
    await street.report()
    assert await watch.look() == 1
    assert await watch.look() == 0, "nothing new, nothing laid"
    await store.client.flushall()
    clock.advance(60)
    await street.report()
    assert await watch.look() == 1
    found = {}
    for shard in range(store.shards):
        found |= (await store.snapshot(shard)).fields
    assert f"k/{LOT}/all/drift" in found


async def test_each_passage_counts_once_by_one_camera(parts, clock):
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.entered = 1
    await street.report()
    await watch.look()
    told = []
    watched = next(one for one in watch.watched if one.lot == LOT)
    watched.drift.passed = lambda plate, _at, *, into, **_late: told.append((plate, into))
    now = clock.now()
    passage = Passage("e1", "ZA00001", passed_at=now - timedelta(seconds=5))
    watch.passed(LOT, "in", "market-cam-in", passage, now)
    watch.passed(LOT, "in", "market-cam-in", passage, now)
    watch.passed(LOT, "in", "another", Passage("e2", "ZA00002"), now)
    watch.passed("square", "in", "square-cam-in", Passage("e3", "ZA00003"), now)
    watch.passed(LOT, "out", "market-cam-out", Passage("e4", None), now)
    turned = Passage("e5", "ZA00005", turned_back=True)
    watch.passed(LOT, "in", "market-cam-in", turned, now)
    assert told == [("ZA00001", True), (None, False)]


async def test_the_gate_still_decides(parts, clock):
    _, _, _, watch = parts

    class Gate:
        async def passed(self, *told):
            return told

    sink = Witnessed(Gate(), watch)
    passage = Passage("e1", "ZA00001")
    decided = await sink.passed(LOT, "in", "market-cam-in", passage, clock.now())
    assert decided == (LOT, "in", "market-cam-in", passage, clock.now())
