"""Staff's word holds over the sensors', is recorded with before and after, and can be undone."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio

from devices.reading import Count
from service.occupancy import report
from service.occupancy.combine import Rules
from service.occupancy.mirror import Mirror
from service.occupancy.model import Openness, Quality
from service.occupancy.store import Part, Store
from service.operations.corrections import Desk, NotPossibleError, Order
from service.sql import open_engine

LOT = "market"
FIELD = "z/market/all/market-counter"


@pytest_asyncio.fixture
async def store(redis_url):
    store = Store.open(redis_url)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def engine(sqlite_url):
    engine = open_engine(sqlite_url)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def desk(catalog, engine, store, clock):
    await counted(store, clock, 70)
    return Desk(catalog, engine, store, clock, Rules())


async def counted(store, clock, occupied, seq=1):
    """The market's counter says how many are inside."""
    at_ms = int(clock.now_s() * 1000)
    told = report.told_count(Count(occupied=occupied), at_ms, at_ms, 0)
    part = Part(reports={FIELD: report.value(1, seq, told)})
    await store.write({store.shard("market-counter"): part}, at_ms)


def order(what, value=None, **more):
    return Order(what, LOT, more.pop("by", "Wang"), more.pop("reason", "seen"), value, **more)


async def shown(catalog, store, clock):
    mirror = Mirror(catalog, store, clock)
    task = asyncio.create_task(mirror.run())
    await asyncio.wait_for(mirror.loaded(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return mirror.states[LOT]


async def test_a_recount_holds_and_goes_on_counting(desk, catalog, store, clock):
    made = await desk.make(order("recount", 50))
    assert (made.before[0].free, made.after[0].free) == (50, 70)
    await counted(store, clock, 73, seq=2)
    state = await shown(catalog, store, clock)
    assert (state.free, state.word) == (67, (made.at,))


async def test_closing_shows_closed_and_undo_opens_again(desk, catalog, store, clock):
    await desk.make(order("close", reason="lift broken"))
    assert (await shown(catalog, store, clock)).openness is Openness.CLOSED
    undone = await desk.undo(LOT, "Li", "mended")
    assert (undone.what, undone.undone_by, undone.undone_reason) == ("close", "Li", "mended")
    assert (await shown(catalog, store, clock)).openness is Openness.OPEN
    with pytest.raises(NotPossibleError, match="nothing to undo"):
        await desk.undo(LOT, "Li", "again")


async def test_undo_brings_back_what_was_replaced(desk, catalog, store, clock):
    await desk.make(order("set-capacity", 100))
    clock.advance(1)
    await desk.make(order("set-capacity", 90))
    assert (await shown(catalog, store, clock)).capacity == 90
    await desk.undo(LOT, "Li", "wrong number")
    assert (await shown(catalog, store, clock)).capacity == 100


async def test_undo_takes_back_what_stands_and_not_what_has_ended(desk, catalog, store, clock):
    await desk.make(order("close", reason="lift broken"))
    clock.advance(1)
    await desk.make(order("reserve", 20, until=clock.now() + timedelta(seconds=100)))
    clock.advance(101)
    assert (await desk.undo(LOT, "Li", "mended")).what == "close"
    assert (await shown(catalog, store, clock)).openness is Openness.OPEN


async def test_a_reserve_ends_by_itself(desk, catalog, store, clock):
    until = clock.now() + timedelta(seconds=100)
    await desk.make(order("reserve", 20, until=until))
    assert (await shown(catalog, store, clock)).free == 30
    clock.advance(101)
    assert (await shown(catalog, store, clock)).free == 50


async def test_a_redis_that_lost_everything_is_told_again(desk, catalog, store, clock):
    await desk.make(order("close"))
    await store.client.flushall()
    await counted(store, clock, 70)
    assert (await shown(catalog, store, clock)).openness is Openness.OPEN
    assert await desk.restore() == 1
    state = await shown(catalog, store, clock)
    assert (state.openness, state.quality) == (Openness.CLOSED, Quality.FRESH)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Order("close", "nowhere", "W", "x"), "no lot"),
        (Order("close", LOT, "W", " "), "say why"),
        (Order("recount", LOT, "W", "x"), "needs a number"),
        (Order("recount", LOT, "W", "x", 121), "121 cars in 120"),
        (Order("recount", LOT, "W", "x", 5, zone="roof"), "no zone"),
        (Order("recount", "clinic-yard", "W", "x", 5), "several zones"),
        (Order("recount", "square", "W", "x", 5), "nothing is counted"),
        (Order("close", LOT, "W", "x", 7), "takes no number"),
        (Order("paint", LOT, "W", "x"), "no order"),
    ],
)
async def test_an_order_that_does_not_fit_says_what_would(desk, wrong, said):
    with pytest.raises(NotPossibleError, match=said):
        await desk.make(wrong)
    assert await desk.history() == []


async def test_an_end_that_is_past_is_refused(desk, clock):
    with pytest.raises(NotPossibleError, match="past"):
        await desk.make(order("close", until=clock.now()))
