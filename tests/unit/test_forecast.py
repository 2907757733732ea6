"""The forecast learns a daily pattern, says how sure it is, and comes back from its dump."""

import math
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.occupancy.forecast import HORIZONS_MIN, TICK_S, Forecaster, Moment, moment
from service.occupancy.forecast_fit import solve

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 1, 16, tzinfo=UTC)  # a Monday's midnight in Hangzhou
CAPACITY = 200


def occupied_share(when: Moment) -> float:
    """A working-day hump that fills the lot around noon."""
    return 0.1 + 0.85 * math.exp(-(((when.minute - 720) / 180) ** 2))


def walk(forecaster: Forecaster, days: float, *, seed: int = 1, lot: str = "a") -> list[tuple]:
    """Feed noisy days; returns (free now, forecast at each horizon, truth at each horizon)."""
    noise = random.Random(seed)
    ticks = int(days * 86400 / TICK_S)
    at = [moment(START + timedelta(seconds=TICK_S * k), ZONE) for k in range(ticks + 13)]
    free = [
        min(max(round(CAPACITY * (1 - occupied_share(when)) + noise.gauss(0, 2)), 0), CAPACITY)
        for when in at
    ]
    made = []
    for k in range(ticks):
        if at[k].minute == 0:
            forecaster.settle_day()
        ahead = tuple(at[k + h * 60 // TICK_S] for h in HORIZONS_MIN)
        forecaster.observe(lot, k, at[k], ahead, free=free[k], capacity=CAPACITY)
        made.append(
            (
                free[k],
                [
                    forecaster.forecast(lot, h, at[k], when)
                    for h, when in zip(HORIZONS_MIN, ahead, strict=True)
                ],
                [free[k + h * 60 // TICK_S] for h in HORIZONS_MIN],
            )
        )
    return made


def test_after_two_weeks_the_forecast_beats_what_is_now():
    last_day = walk(Forecaster(), 15)[-288:]
    for place in range(len(HORIZONS_MIN)):
        ours = sum(abs(made[place].free - truth[place]) for _, made, truth in last_day)
        persistence = sum(abs(now - truth[place]) for now, _, truth in last_day)
        assert ours < 0.7 * persistence


def test_a_cold_start_says_so_and_is_wide():
    first = walk(Forecaster(), 0.2)[-1][1][0]
    later = walk(Forecaster(), 16)[-1][1][0]
    assert (first.basis, later.basis) == ("cold", "learned")
    assert first.band > 2 * later.band


def test_the_band_holds_about_what_it_promises():
    last = walk(Forecaster(), 20)[-5 * 288 :]
    for place in range(len(HORIZONS_MIN)):
        held = sum(abs(m[place].free - t[place]) <= m[place].band for _, m, t in last) / len(last)
        assert held >= 0.9


def test_probability_of_a_space_is_high_when_empty_and_between_zero_and_one():
    made = walk(Forecaster(), 10)
    assert all(0 <= f.p_free <= 1 for _, forecasts, _ in made for f in forecasts)
    night = [f[0].p_free for now, f, _ in made if now > CAPACITY / 2]
    assert min(night) > 0.99


def test_our_own_parked_cars_do_not_become_the_profile():
    honest, guided = Forecaster(), Forecaster()
    at = moment(START, ZONE)
    for k in range(4):
        honest.observe("a", k, at, (at, at, at), free=100, capacity=200)
        guided.observe("a", k, at, (at, at, at), free=60, guided=40, capacity=200)
    assert guided.lots["a"].at(at) == honest.lots["a"].at(at) == pytest.approx(0.5)
    forecast = guided.forecast("a", 15, at, at)
    assert forecast is not None
    assert forecast.free == pytest.approx(60, abs=0.5)


def test_what_is_not_to_be_learned_leaves_the_profile_alone():
    forecaster, at = Forecaster(), moment(START, ZONE)
    for k in range(3):
        forecaster.observe("a", k, at, (at, at, at), free=5, capacity=200, learn=False)
    assert math.isnan(forecaster.lots["a"].at(at))


def test_a_dump_comes_back_whole():
    before = Forecaster()
    walk(before, 3)
    after = Forecaster()
    after.load("a", before.dump("a"))
    after.load_pool(before.dump_pool())
    for lot in (before, after):
        lot.lots["a"].recent.clear()
        now, ahead = (moment(START + timedelta(days=3, hours=h), ZONE) for h in (9, 9.5))
        lot.observe("a", 999_999, now, (ahead, ahead, ahead), free=90, capacity=CAPACITY)
    assert before.forecast("a", 30, now, ahead) == after.forecast("a", 30, now, ahead)


def test_a_holiday_is_a_sunday():
    day = (START + timedelta(hours=10)).astimezone(ZONE).date()
    plain = moment(START + timedelta(hours=10), ZONE)
    holiday = moment(START + timedelta(hours=10), ZONE, frozenset([day]))
    assert (plain.day_type, holiday.day_type) == (0, 2)


def test_solve_finds_what_it_was_built_from():
    matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]]
    wanted = [1.5, -2.0, 0.25]
    vector = [sum(a * b for a, b in zip(row, wanted, strict=True)) for row in matrix]
    assert solve(matrix, vector) == pytest.approx(wanted)
