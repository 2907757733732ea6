"""`bowei bench drift`: counters that miss and double-count, over simulated weeks, against truth.

Cars come and go by a seeded day, six for every space, a fifth fewer at the week's end, and find the
lot full on working days; a quarter of who comes in the evening stays the night. Loops miss entries,
or miss and double-count either way. Plate cameras, where there are any, do not see 0.2 % of the
vehicles, leave 2 % of the plates unread and misread a character of 1 %. The counters are looked at
every minute; every five, what the estimate says is held against what is really inside. The band is
95 %, as far as it lies between empty and full; its whole width and half of it (the plus or minus)
are printed against the error.
"""

import heapq
import math
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

import click
import msgspec

from service.bench.report import Report, publish
from service.occupancy.counter_filter import CounterFilter
from service.occupancy.drift import Tally
from service.occupancy.zone_drift import ZoneDrift

TURNOVERS_PER_DAY = 6
TICK_S, LOOK_S = 300, 60
DAY_S = 86400
UNSEEN, UNREAD, MISREAD = 0.002, 0.02, 0.01
ALONE_SEEDS = 5
START_SD = 0.7  # somebody counted before the first day
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


NOTES = [
    "raw_end: how far the uncorrected count is off at the end, of the capacity",
    "held: how often the truth lay within the band",
    "half_width: the band's plus or minus, in mean errors; width: from its least to its most",
    "normal errors: a band that holds 93 % is 4.54 mean errors wide, one that holds 95 % is 4.91",
]


class Case(msgspec.Struct, frozen=True):
    capacity: int
    errors: str
    share: float
    plates: bool


CASES = [
    Case(capacity, errors, share, plates)
    for plates in (True, False)
    for errors in ("entry_misses", "symmetric")
    for share in (0.005, 0.03)
    for capacity in (100, 500)
]


class Score:
    """Absolute errors, the band's hits and its width, tick by tick."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.ticks = 0
        self.error_sum = 0.0
        self.held = 0
        self.width_sum = 0.0
        self.raw_last = 0.0

    def add(self, truth: int, raw: float, occupied: int, band: int) -> None:
        self.ticks += 1
        self.error_sum += abs(occupied - truth)
        self.raw_last = abs(raw - truth)
        least, most = max(occupied - band, 0), min(occupied + band, self.capacity)
        self.held += least <= truth <= most
        self.width_sum += most - least


def busy(hour: float) -> float:
    """How many come at an hour of the day, relative: a morning, an afternoon, a little evening."""
    return (
        0.03
        + math.exp(-(((hour - 9.5) / 2.2) ** 2))
        + 0.85 * math.exp(-(((hour - 14.8) / 2.5) ** 2))
        + 0.25 * math.exp(-(((hour - 19) / 1.5) ** 2))
    )


PEAK = max(busy(tenth / 10) for tenth in range(240))
WHOLE_DAY = sum(busy(tenth / 10) for tenth in range(240)) / 10


def weekend(now_s: float) -> bool:
    return now_s // DAY_S % 7 >= 5


def passages(capacity: int, days: int, chance: random.Random) -> Iterator[tuple[float, int, int]]:
    """(second, +1 in or -1 out, car), in order; the lot starts with 8 % inside (negative ids)."""
    leaving = [(chance.uniform(5, 10) * 3600, -1 - at) for at in range(round(0.08 * capacity))]
    heapq.heapify(leaving)
    inside, car, now_s = len(leaving), 0, 0.0
    rate_per_s = TURNOVERS_PER_DAY * capacity * PEAK / WHOLE_DAY / 3600
    while (now_s := now_s + chance.expovariate(rate_per_s)) < days * DAY_S:
        while leaving and leaving[0][0] <= now_s:
            left_s, who = heapq.heappop(leaving)
            inside -= 1
            yield left_s, -1, who
        hour = now_s / 3600 % 24
        quieter = 0.8 if weekend(now_s) else 1.0
        if inside >= capacity or chance.random() > busy(hour) / PEAK * quieter:
            continue
        inside, car = inside + 1, car + 1
        overnight = chance.random() < (0.25 if hour > 18.5 else 0.004)
        stay_h = chance.uniform(9, 13) if overnight else chance.lognormvariate(math.log(1.5), 0.6)
        heapq.heappush(leaving, (now_s + stay_h * 3600, car))
        yield now_s, 1, car


class Lane:
    """What loops and cameras make of the truth."""

    def __init__(self, case: Case, chance: random.Random, zone: ZoneDrift) -> None:
        self.case = case
        self.chance = chance
        self.zone = zone
        self.loop = [0, 0]

    def passed(self, at_s: float, step: int, car: int) -> None:
        side = 0 if step > 0 else 1
        self.loop[side] += self._counted(side)
        if not self.case.plates or self.chance.random() < UNSEEN:
            return
        self.zone.passed(self._read(car), at_s, into=step > 0)

    def _counted(self, side: int) -> int:
        wrong = self.chance.random() < self.case.share
        if self.case.errors == "entry_misses":
            return int(not (wrong and side == 0))
        return 1 if not wrong else self.chance.choice((0, 2))

    def _read(self, car: int) -> str | None:
        luck = self.chance.random()
        if luck < UNREAD:
            return None
        plate = plate_of(car)
        if luck < UNREAD + MISREAD:
            at = self.chance.randrange(len(plate))
            return f"{plate[:at]}{self.chance.choice(LETTERS)}{plate[at + 1 :]}"
        return plate


def plate_of(car: int) -> str:
    """Six characters that are nobody's, unlike those of the next car."""
    number = car * 2_654_435_761 % 2**30
    return "".join(LETTERS[number >> 5 * at & 31] for at in range(6))


def tried(case: Case, days: int, seed: int) -> Score:
    """One lot, `days` long."""
    chance = random.Random(f"{seed}/{case}")
    score = Score(case.capacity)
    inside = start = round(0.08 * case.capacity)
    zero = Tally(0.0, 0, 0)
    zone = ZoneDrift(CounterFilter(case.capacity, zero, start, start_sd=START_SD))
    lane = Lane(case, chance, zone)
    if case.plates:
        zone.watch_plates(zero)
    look = 1
    for at_s, step, car in passages(case.capacity, days, chance):
        while look * LOOK_S <= at_s:
            loops = Tally(look * LOOK_S, *lane.loop)
            hour = int(loops.at_s % DAY_S / 3600)
            seen = zone.look(loops, hour, weekend=weekend(loops.at_s)).estimate
            if loops.at_s % TICK_S == 0:
                score.add(inside, start + loops.counted, seen.occupied, seen.band)
            look += 1
        inside += step
        lane.passed(at_s, step, car)
    return score


@click.command(
    short_help="Miscounting counters over weeks, corrected and not.",
    help=__doc__.replace("`", "") if __doc__ else None,
)
@click.option("--weeks", default=3, show_default=True, help="Simulated weeks a case.")
@click.option(
    "--seeds",
    default=3,
    show_default=True,
    help="Lots a case with plates; without, five times as many.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def drift(weeks: int, seeds: int, as_json: bool) -> None:
    tries = [(case, weeks * 7, seed) for case in CASES for seed in range(_lots(case, seeds))]
    with ProcessPoolExecutor() as pool:
        done = pool.map(tried, *zip(*tries, strict=True))
        with click.progressbar(done, length=len(tries), label="lots", file=sys.stderr) as told:
            scores = iter(list(told))
    rows = [_row(case, list(islice(scores, _lots(case, seeds)))) for case in CASES]
    publish(Report("drift", rows, _ratios(rows), NOTES), as_json=as_json)


def _lots(case: Case, seeds: int) -> int:
    """Counters alone differ more from lot to lot, and cost less to try."""
    return seeds if case.plates else ALONE_SEEDS * seeds


def _row(case: Case, scores: list[Score]) -> dict[str, str | int | float | None]:
    ticks = sum(score.ticks for score in scores)
    error = sum(score.error_sum for score in scores) / ticks
    width = sum(score.width_sum for score in scores) / ticks
    raw_end = sum(score.raw_last for score in scores) / len(scores)
    return {
        "errors": f"{case.errors} {case.share:.1%}",
        "plates": "yes" if case.plates else "no",
        "capacity_spaces": case.capacity,
        "raw_end_percent": 100 * raw_end / case.capacity,
        "mae_percent": 100 * error / case.capacity,
        "held_percent": 100 * sum(score.held for score in scores) / ticks,
        "width_vs_mae": width / error,
        "half_width_vs_mae": width / error / 2,
    }


def _ratios(rows: list[dict[str, str | int | float | None]]) -> dict[str, float]:
    def worst(key: str, *, plates: str, errors: str = "", most: bool = True) -> float:
        found = [
            float(row[key] or 0)
            for row in rows
            if row["plates"] == plates and errors in str(row["errors"])
        ]
        return max(found) if most else min(found)

    half_percent = "entry_misses 0.5%"
    return {
        "plates_mae_percent": worst("mae_percent", plates="yes"),
        "plates_held_percent": worst("held_percent", plates="yes", most=False),
        "plates_half_width_vs_mae": worst("half_width_vs_mae", plates="yes"),
        "plates_width_vs_mae": worst("width_vs_mae", plates="yes"),
        "counters_mae_percent": worst("mae_percent", plates="no", errors=half_percent),
        "counters_raw_end_percent": worst(
            "raw_end_percent", plates="no", errors=half_percent, most=False
        ),
        "counters_held_percent": worst("held_percent", plates="no", most=False),
        "counters_half_width_vs_mae": worst("half_width_vs_mae", plates="no"),
        "counters_width_vs_mae": worst("width_vs_mae", plates="no"),
    }
