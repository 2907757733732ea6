"""The live forecast: learns from the mirror, tells a frozen number, and survives in the store."""

import math
from datetime import timedelta

import pytest

from devices.reading import Count
from service.occupancy import report
from service.occupancy.forecast import TICK_S
from service.occupancy.mirror import Mirror
from service.occupancy.model import Quality
from service.occupancy.outlook import Outlook
from service.occupancy.store import Store
from service.web.api_views import lot_detail

LOT, FIELD = "market", "z/market/all/market-counter"


@pytest.fixture
def mirror(catalog, clock):
    return Mirror(catalog, Store.open("redis://127.0.0.1:1"), clock)


def tell(mirror, clock, occupied, seq):
    at_ms = int(clock.now_s() * 1000)
    told = report.told_count(Count(occupied=occupied), at_ms, at_ms, 0)
    mirror._settle(mirror._picture.put([(FIELD, report.value(1, seq, told))]))


def live(outlook, mirror, clock, days, *, start=0, still_from=None):
    """Days of a busy noon; from tick `still_from` on, the same number comes fresh and again."""
    ticks = int(days * 86400 / TICK_S)
    occupied = 0
    for tick in range(start, start + ticks):
        if still_from is None or tick < still_from:
            hour = (clock.now() + timedelta(hours=8)).hour
            occupied = round(20 + 90 * math.exp(-(((hour - 12) / 3) ** 2)))
        tell(mirror, clock, occupied, tick + 1)
        outlook.tick(round(clock.now_s() / TICK_S))
        clock.advance(TICK_S)
    return start + ticks


def test_it_forecasts_what_it_has_learned(catalog, mirror, clock):
    outlook = Outlook(catalog, mirror, mirror._store, clock)
    assert outlook.at_arrival(LOT, 900) is None
    live(outlook, mirror, clock, 3)
    forecast = outlook.at_arrival(LOT, 3600)
    assert forecast is not None
    assert forecast.basis == "learning"
    assert 0 <= forecast.free <= 120
    assert outlook.at_arrival("no-such-lot", 900) is None


def test_a_cold_start_says_how_little_it_knows(catalog, mirror, clock):
    """What a driver's app is told of a lot, from its first minutes on."""
    outlook = Outlook(catalog, mirror, mirror._store, clock)
    lot = catalog.lots[LOT]

    def told():
        return lot_detail(lot, mirror.states[LOT], 0.0, 1, outlook.ahead(LOT)).forecast

    assert told() == ()
    live(outlook, mirror, clock, 0.1)
    cold = told()
    assert [(one.in_min, one.basis) for one in cold] == [(15, "cold"), (30, "cold"), (60, "cold")]
    live(outlook, mirror, clock, 2.9, start=100)
    learning = told()
    assert {one.basis for one in learning} == {"learning"}
    assert all(early.band > later.band for early, later in zip(cold, learning, strict=True))
    assert all(0 <= one.p_free <= 1 for one in (*cold, *learning))


def test_a_number_that_stands_while_it_should_move_is_unverified(catalog, mirror, clock):
    outlook = Outlook(catalog, mirror, mirror._store, clock)
    tick = live(outlook, mirror, clock, 3)
    assert mirror.states[LOT].quality is Quality.FRESH
    tick = live(outlook, mirror, clock, 0.25, start=tick, still_from=tick)
    state = mirror.states[LOT]
    assert (state.quality, state.why) == (Quality.UNVERIFIED, "frozen")
    live(outlook, mirror, clock, 0.02, start=tick)
    assert mirror.states[LOT].quality is Quality.FRESH


async def test_what_was_learned_comes_back_from_the_store(catalog, clock, redis_url):
    store = Store.open(redis_url)
    mirror = Mirror(catalog, store, clock)
    first = Outlook(catalog, mirror, store, clock)
    live(first, mirror, clock, 2)
    for tick in range(0, 24, 6):
        first._tick = tick
        await first._save()
    second = Outlook(catalog, mirror, store, clock)
    await second._load()
    second.tick(round(clock.now_s() / TICK_S))
    assert second.at_arrival(LOT, 900).basis == "learning"
    await store.close()
