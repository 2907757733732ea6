"""Prices of a stay from now, for all lots at once."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from service.bench.query_world import city
from service.guidance.prices import KEPT, Prices
from service.tariff.pricing import price

HANGZHOU = ZoneInfo("Asia/Shanghai")
MORNING = datetime(2026, 3, 2, 1, 7, tzinfo=UTC)


def test_each_lot_has_the_price_of_its_own_tariff() -> None:
    catalog = city(60, 1)
    prices = Prices(catalog)
    entered_at = MORNING.replace(minute=0)
    for stay in (15, 120, 1500):
        listed = prices.at(MORNING.timestamp(), stay)
        for lot, fen in zip(sorted(catalog.lots), listed.fen, strict=True):
            tariff = catalog.tariffs[catalog.lots[lot].tariff]
            left_at = entered_at + timedelta(minutes=stay)
            assert fen == price(tariff, entered_at, left_at, HANGZHOU).total_fen


def test_equal_lists_are_one_list() -> None:
    prices = Prices(city(60, 1))
    now_s = MORNING.timestamp()
    morning = prices.at(now_s, 120)
    assert prices.at(now_s + 1, 120) is morning
    assert prices.at(now_s + 3600, 120) is morning, "another hour, the same fees"
    night = prices.at(now_s + 12 * 3600, 120)
    assert night is not morning
    assert night.number != morning.number


def test_a_day_of_odd_questions_is_not_kept_for_ever() -> None:
    prices = Prices(city(3, 1))
    for stay in range(1, KEPT + 100):
        prices.at(MORNING.timestamp(), stay)
    assert len(prices._slots) <= KEPT
    assert len(prices._lists) <= KEPT
