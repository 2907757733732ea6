"""What a counter knows where cameras do not help: full is full, and capacity is what staff says."""

import pytest
import pytest_asyncio
from drift_street import CAPACITY, LOT, Street, corrected, watching
from occupancy_scene import until

from service.occupancy.drift_watch import DriftWatch
from service.operations.corrections import Desk, Order


@pytest_asyncio.fixture
async def parts(catalog, redis_url, sqlite_url, clock):
    async with watching(catalog, redis_url, sqlite_url, clock) as started:
        yield started


async def test_cameras_gone_blind_leave_it_to_the_counter_until_they_see_again(parts, clock):
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.inside = street.entered = 10
    await street.drive(29, missed=0.03)
    await street.one_a_minute(45, seen=False)
    assert CAPACITY - street.zone.free == pytest.approx(street.inside, abs=street.zone.band)
    await street.one_a_minute(45, into=False)
    assert CAPACITY - street.zone.free == pytest.approx(street.inside, abs=street.zone.band)
    before = street.zone.free
    await street.one_a_minute(8, counted=False)
    assert street.zone.free == pytest.approx(before - 8, abs=1), (
        "what only cameras saw counts again"
    )


async def test_a_full_lot_is_told_as_full_by_a_counter_that_misses_cars(parts, clock):
    """Nobody counted, no camera looks: who finds it full waits, and the count stands at a wall."""
    store, _, mirror, watch = parts
    street = Street(store, mirror, watch, clock)
    street.inside = street.entered = 60
    for _ in range(360):
        clock.advance(60)
        left = sum(street.chance.random() < 1 / 60 for _ in range(street.inside))
        came = min(3, CAPACITY - street.inside + left)
        street.left += left
        street.entered += sum(street.chance.random() >= 0.05 for _ in range(came))
        street.inside += came - left
        await street.report()
        await watch.look()
    await corrected(mirror, watch)
    assert street.inside - (street.entered - street.left) > 15, "free spaces that are not there"
    assert CAPACITY - street.zone.free == pytest.approx(street.inside, abs=4)
    assert "full" in {one.reason for one in await watch.book.corrections(LOT)}


@pytest.mark.parametrize("cameras", [False, True])
async def test_spaces_that_staff_added_fill_too(catalog, parts, clock, cameras):
    store, engine, mirror, _ = parts
    watch = DriftWatch(catalog, mirror, store, engine, clock, sees=lambda _: cameras)
    street = Street(store, mirror, watch, clock)
    street.inside = street.entered = CAPACITY - 5
    await street.report()
    await watch.look()
    more = Order("set-capacity", LOT, "Wang", "the yard is open", CAPACITY + 30)
    await Desk(catalog, engine, store, clock).make(more)
    await until(lambda: street.zone.capacity == CAPACITY + 30)
    await street.one_a_minute(25, seen=cameras)
    assert street.zone.free == pytest.approx(10, abs=2)
