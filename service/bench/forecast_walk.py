"""A recording on a five-minute grid, walked forward: nothing is known before its time."""

import bisect
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from service.occupancy.forecast import (
    HORIZONS_MIN,
    TICK_S,
    TIGHT_SHARE,
    Forecaster,
    Moment,
    moment,
)
from service.replay.recording import Recording

TEST_DAYS = 21
QUIET_TICKS = 3600 // TICK_S
AHEAD = tuple(horizon * 60 // TICK_S for horizon in HORIZONS_MIN)
OPEN_FROM, OPEN_UNTIL = 7 * 60, 20 * 60
SATURDAY = 5
METHODS = ("persistence", "time_of_week", "level_drift", "bowei")


class Grid(msgspec.Struct):
    """Free spaces by lot and tick (the last known value stands); `quiet` ticks teach nothing."""

    first_tick: int
    test_from: int
    moments: list[Moment]
    free: dict[str, list[int | None]]
    capacity: dict[str, int]
    quiet: list[bool]
    standing: list[bool]

    def tested(self, at: int) -> bool:
        when = self.moments[at]
        inside = OPEN_FROM <= when.minute < OPEN_UNTIL and when.weekday <= SATURDAY
        return at >= self.test_from and inside and not self.quiet[at]


def grid(recording: Recording, zone: ZoneInfo) -> Grid:
    """`quiet`: over an hour without a change anywhere; `standing`: known to be so by then."""
    first_s, last_s = recording.span_s
    first, ticks = int(first_s // TICK_S), int((last_s - first_s) // TICK_S) + 1
    span = min(TEST_DAYS * 86400 // TICK_S, ticks // 4)
    test_from = ticks - span
    free, capacity, changes = {}, {}, set()
    for lot in recording.lots:
        series = recording.series(lot)
        values = _filled(series, first, ticks)
        known = sorted(v for v in values[:test_from] if v is not None and v >= 0)
        if not known:
            continue
        top = capacity[lot] = max(1, known[math.ceil(0.999 * len(known)) - 1])
        if recording.counts == "occupied":
            values = [None if v is None else top - v for v in values]
        free[lot] = [None if v is None else min(max(v, 0), top) for v in values]
        changes |= {at for at, (a, b) in enumerate(pairwise(free[lot]), 1) if a != b}
    moments = [
        moment(datetime.fromtimestamp((first + at) * TICK_S, UTC), zone) for at in range(ticks)
    ]
    quiet, standing = _quiet(sorted(changes), ticks)
    return Grid(first, test_from, moments, free, capacity, quiet, standing)


def _filled(series: list[tuple[float, int]], first: int, ticks: int) -> list[int | None]:
    times = [at_s for at_s, _ in series]
    values: list[int | None] = []
    for tick in range(first, first + ticks):
        place = bisect.bisect_left(times, (tick + 1) * TICK_S)
        values.append(series[place - 1][1] if place else None)
    return values


def _quiet(changes: list[int], ticks: int) -> tuple[list[bool], list[bool]]:
    quiet, standing = [False] * ticks, [False] * ticks
    for before, after in pairwise([*changes, ticks]):
        if after - before > QUIET_TICKS:
            quiet[before:after] = [True] * (after - before)
            standing[before + QUIET_TICKS : after] = [True] * (after - before - QUIET_TICKS)
    return quiet, standing


class Tally(msgspec.Struct):
    """Sums of absolute errors as shares of capacity, by method, and of squared ones of P."""

    errors: dict[str, float] = msgspec.field(default_factory=lambda: dict.fromkeys(METHODS, 0.0))
    cases: int = 0
    tight: int = 0
    brier: float = 0.0
    brier_now: float = 0.0
    held: int = 0

    def ratio(self, method: str) -> float:
        """Against persistence; 1 where nothing moved at all."""
        base = self.errors["persistence"]
        return self.errors[method] / base if base else 1.0

    @property
    def brier_ratio(self) -> float:
        return self.brier / self.brier_now if self.brier_now else 1.0


def walk(grid: Grid, tallies: dict[int, Tally]) -> Iterator[int]:
    """Learn and forecast tick by tick, adding up into `tallies` by horizon; yields each tick."""
    forecaster = Forecaster()
    furthest = max(AHEAD)
    for at in range(len(grid.moments) - furthest):
        now = grid.moments[at]
        if now.minute == 0:
            forecaster.settle_day()
        ahead = tuple(grid.moments[at + step] for step in AHEAD)
        judged = grid.tested(at)
        for lot, values in grid.free.items():
            free = values[at]
            if free is None:
                continue
            forecaster.observe(
                lot,
                grid.first_tick + at,
                now,
                ahead,
                free=free,
                capacity=grid.capacity[lot],
                learn=not grid.standing[at],
            )
            if judged:
                _judge(grid, forecaster, lot, at, free, tallies)
        yield at


def _judge(
    grid: Grid, forecaster: Forecaster, lot: str, at: int, free: int, tallies: dict[int, Tally]
) -> None:
    now, capacity = grid.moments[at], grid.capacity[lot]
    memory = forecaster.lots[lot]
    recent = [
        value for value in grid.free[lot][max(0, at - QUIET_TICKS) : at + 1] if value is not None
    ]
    tight = min(recent) <= TIGHT_SHARE * capacity
    for horizon, step in zip(HORIZONS_MIN, AHEAD, strict=True):
        truth = grid.free[lot][at + step]
        if truth is None or grid.quiet[at + step]:
            continue
        when, tally = grid.moments[at + step], tallies[horizon]
        ours = forecaster.forecast(lot, horizon, now, when)
        usual, usual_then = memory.at(now), memory.at(when)
        known = not math.isnan(usual) and not math.isnan(usual_then)
        guesses = {
            "persistence": free,
            "time_of_week": usual_then * capacity if known else free,
            "level_drift": free + (usual_then - usual) * capacity if known else free,
            "bowei": ours.free if ours else free,
        }
        for method, guess in guesses.items():
            tally.errors[method] += abs(min(max(guess, 0), capacity) - truth) / capacity
        tally.cases += 1
        if ours:
            tally.held += abs(ours.free - truth) <= ours.band
        if tight and ours:
            tally.tight += 1
            tally.brier += (ours.p_free - (truth >= 1)) ** 2
            tally.brier_now += (free >= 1) != (truth >= 1)
