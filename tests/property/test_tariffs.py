"""Whatever the tariff, a price is honest: it adds up, never pays out, and only grows with time."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tariff.model import Band, Tariff
from service.tariff.pricing import price

ZONES = [ZoneInfo(name) for name in ("Asia/Shanghai", "Europe/Berlin", "America/St_Johns")]
# Around both changes of summer time, so that some stays cross one.
BEGINNINGS = st.builds(
    lambda day, after_s: day + timedelta(seconds=after_s),
    st.sampled_from([datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)]),
    st.integers(0, 3 * 86400),
)
times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
fees = st.integers(0, 2000)
bands = st.builds(
    Band,
    from_=times,
    until=times,
    first_minutes=st.sampled_from([0, 15, 60, 120]),
    first_fee_fen=fees,
    unit_minutes=st.sampled_from([1, 15, 30, 45, 60]),
    unit_fee_fen=fees,
    visit_fee_fen=st.none() | fees,
    rounding=st.sampled_from(["up", "down", "exact"]),
    restarts=st.booleans(),
    days=st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
)


@st.composite
def tariffs(draw):
    cap = draw(st.sampled_from([None, "day_cap_fen", "rolling_cap_fen"]))
    return Tariff(
        "t",
        "1",
        tuple(draw(st.lists(bands, min_size=1, max_size=3))),
        free_minutes=draw(st.sampled_from([0, 15, 30])),
        free_deducted=draw(st.booleans()),
        new_energy_free_minutes=draw(st.sampled_from([0, 60])),
        large_factor_percent=draw(st.sampled_from([100, 150, 200])),
        **({cap: draw(st.integers(0, 5000))} if cap else {}),
    )


stays_s = st.integers(0, 4 * 86400)
zones = st.sampled_from(ZONES)


@given(tariffs(), BEGINNINGS, stays_s, zones, st.booleans(), st.booleans())
def test_lines_add_up_and_no_stay_pays_out(rule, entered, stay_s, tz, new_energy, large):
    left = entered + timedelta(seconds=stay_s)
    quote = price(rule, entered, left, tz, new_energy=new_energy, large=large)
    assert sum(line.amount_fen for line in quote.lines) == quote.total_fen >= 0
    assert quote.minutes == stay_s // 60
    assert all(line.zh and line.en and line.minutes >= 0 for line in quote.lines)


@given(tariffs(), BEGINNINGS, zones)
def test_no_time_costs_nothing(rule, entered, tz):
    assert price(rule, entered, entered, tz).total_fen == 0


@given(tariffs(), BEGINNINGS, stays_s, st.integers(0, 3 * 3600), zones, st.booleans())
@settings(max_examples=200)
def test_staying_longer_never_costs_less(rule, entered, stay_s, more_s, tz, new_energy):
    left = entered + timedelta(seconds=stay_s)
    short = price(rule, entered, left, tz, new_energy=new_energy)
    long = price(rule, entered, left + timedelta(seconds=more_s), tz, new_energy=new_energy)
    assert short.total_fen <= long.total_fen


@given(tariffs(), BEGINNINGS, stays_s, zones)
def test_discounts_and_caps_never_raise_a_price(rule, entered, stay_s, tz):
    left = entered + timedelta(seconds=stay_s)
    plain = msgspec.structs.replace(rule, day_cap_fen=None, rolling_cap_fen=None)
    full = price(plain, entered, left, tz).total_fen
    assert price(rule, entered, left, tz).total_fen <= full
    assert price(plain, entered, left, tz, new_energy=True).total_fen <= full
    assert price(plain, entered, left, tz, large=True).total_fen >= full


@given(tariffs(), BEGINNINGS, stays_s, zones)
def test_the_daily_cap_is_kept(rule, entered, stay_s, tz):
    left = entered + timedelta(seconds=stay_s)
    capped = msgspec.structs.replace(rule, day_cap_fen=1000, rolling_cap_fen=None)
    days = (left.astimezone(tz).date() - entered.astimezone(tz).date()).days + 1
    assert price(capped, entered, left, tz).total_fen <= 1000 * days
