"""Who is on the way: counted once, seen by every process, forgotten when the count has them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from guidance_parts import lot_state
from occupancy_scene import background, open_store, until

from service.bench.query_world import StillMirror
from service.catalog import Catalog
from service.clock import ManualClock
from service.guidance.arrivals import Arrivals, Followers, still_coming
from service.occupancy.store import Store


@pytest.mark.parametrize(
    ("eta", "now", "counted", "coming"),
    [
        (100, 50, 50, True),
        (100, 150, 150, True),
        (100, 160, 160, True),
        (100, 161, 161, False),
        (100, 300, 120, True),  # the lot has said nothing since: the car is in no count yet
        (100, 300, 161, False),
        (100, 701, 120, False),  # a silent lot does not keep cars for ever
        (100, 300, None, True),
        (100, 701, None, False),
    ],
)
def test_a_car_counts_until_a_report_must_hold_it(eta, now, counted, coming):
    assert still_coming(eta, now, counted) is coming


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    async with open_store(redis_url) as store:
        yield store


@pytest.fixture
def mirror(catalog: Catalog, clock: ManualClock) -> StillMirror:
    mirror = StillMirror(catalog)
    for lot in catalog.lots:
        mirror.put(lot_state(lot, 30, as_of=clock.now()))
    return mirror


@pytest.fixture
def arrivals(store: Store, mirror: StillMirror, clock: ManualClock) -> Arrivals:
    return Arrivals(store.client, mirror, clock)


async def test_a_visit_counts_one_car_once(arrivals, clock):
    eta = clock.now() + timedelta(minutes=5)
    assert await arrivals.count("v1", "market", eta)
    assert not await arrivals.count("v1", "market", eta)
    assert not await arrivals.count("v1", "market", eta + timedelta(minutes=9))
    assert arrivals.on_the_way("market") == 1
    assert await arrivals.count("v2", "market", eta)
    assert arrivals.on_the_way("market") == 2


async def test_who_changes_his_mind_takes_his_car_along(arrivals, clock):
    eta = clock.now() + timedelta(minutes=5)
    await arrivals.count("v1", "market", eta)
    assert not await arrivals.count("v1", "hotel", eta), "still one car"
    assert (arrivals.on_the_way("market"), arrivals.on_the_way("hotel")) == (0, 1)


async def test_every_process_sees_every_car(store, mirror, clock, arrivals):
    other = Arrivals(store.client, mirror, clock)
    woken = []
    other.watch(woken.append)
    eta = clock.now() + timedelta(minutes=5)
    async with background(arrivals, other):
        await arrivals.count("v1", "market", eta)
        await until(lambda: other.on_the_way("market") == 1)
        assert any("market" in lots for lots in woken)
        assert not await other.count("v1", "market", eta), "counted by the first"
        await other.count("v1", "hotel", eta)
        await until(lambda: arrivals.on_the_way("hotel") == 1)
        assert arrivals.on_the_way("market") == 0


async def test_a_car_goes_when_the_count_must_hold_it(arrivals, mirror, clock):
    async with background(arrivals):
        await arrivals.count("v1", "market", clock.now() + timedelta(minutes=5))
        clock.advance(5 * 60 + 61)
        await arrivals.count("v2", "market", clock.now() + timedelta(minutes=5))
        assert arrivals.on_the_way("market") == 2, "the lot has not reported since"
        mirror.put(lot_state("market", 29, as_of=clock.now()))
        await until(lambda: arrivals.on_the_way("market") == 1)


async def test_cars_survive_a_restart(store, mirror, clock, arrivals):
    await arrivals.count("v1", "market", clock.now() + timedelta(minutes=5))
    reborn = Arrivals(store.client, mirror, clock)
    async with background(reborn):
        await until(lambda: reborn.on_the_way("market") == 1)


async def test_what_signs_send_is_shared_and_lapses(store, mirror, clock, arrivals):
    other = Arrivals(store.client, mirror, clock)
    async with background(arrivals, other):
        arrivals.expect("s1", Followers(clock.now_s() + 120, {"market": 1.25, "hotel": 0.5}))
        await until(lambda: other.on_the_way("market") == pytest.approx(1.2, abs=0.11))
        arrivals.expect("s1", Followers(clock.now_s() + 120, {"hotel": 0.5}))
        await until(lambda: other.on_the_way("market") == 0)
        clock.advance(121)
        await until(lambda: other.on_the_way("hotel") == 0)


async def test_without_redis_the_tap_is_counted_here_and_saved_later(start_redis, mirror, clock):
    server = start_redis()
    async with open_store(server.url) as store:
        arrivals, other = Arrivals(store.client, mirror, clock), None
        await arrivals.count("v0", "market", clock.now() + timedelta(minutes=5))
        server.child.kill()
        assert await arrivals.count("v1", "market", clock.now() + timedelta(minutes=5))
        assert not await arrivals.count("v1", "market", clock.now() + timedelta(minutes=5))
        assert arrivals.on_the_way("market") == 2
        again = start_redis(port=int(server.url.rpartition(":")[2].partition("/")[0]))
        async with open_store(again.url) as back:
            other = Arrivals(back.client, mirror, clock)
            async with background(arrivals, other):
                await until(lambda: other.on_the_way("market") == 2)
