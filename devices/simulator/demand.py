"""Pure: how many cars come when, and how long they stay.

A zone's demand is a mix of streams. A stream has hourly weights and a lognormal stay; their
convolution gives the occupancy that one daily arrival causes, and so the arrivals a day that fill
a zone to its wanted peak. The same numbers say who is already parked at any hour.
"""

import math
from bisect import bisect_right
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from statistics import NormalDist
from zoneinfo import ZoneInfo

import msgspec

from devices.simulator.plan import Window, ZonePlan

DAY_S = 86_400
SLOT_S = 900
SLOTS = DAY_S // SLOT_S
LOOK_BACK_DAYS = 4
NORMAL = NormalDist()


class Stream(msgspec.Struct, frozen=True):
    """One sort of visitor: arrival weight of each hour, median stay and its log spread.

    `share` is the part of the zone's arrivals a day; `weekend` scales Saturday and Sunday.
    """

    hourly: tuple[float, ...]
    stay_min: float
    spread: float
    share: float = 1.0
    weekend: float = 1.0


def _day(text: str) -> tuple[float, ...]:
    weights = tuple(float(word) for word in text.split())
    assert len(weights) == 24
    return weights


#                 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
CLINIC = _day("   1  1  1  1  2  4 12 40 60 55 42 22 14 28 34 24 14 10  9  8  6  4  3  2")
WARD = _day("     3  2  2  2  2  3  6 10 14 14 12 10 10 12 14 14 14 16 18 16 12  8  6  4")
COMMUTE = _day("  1  1  1  1  1  2 10 45 70 40 12  6  5  8  6  4  3  3  2  2  2  1  1  1")
ERRANDS = _day("  1  1  1  1  1  2  5 12 22 32 36 34 30 30 34 34 32 34 36 30 22 14  7  3")
EVENING = _day("  6  3  2  1  1  1  2  4  6  8 10 16 18 12 10 12 18 30 42 40 34 28 20 12")
TRAINS = _day("   5  3  2  2  4 12 30 40 42 40 36 32 30 32 34 36 38 40 36 30 26 22 18 10")
STREET = _day("   4  3  2  2  3  6 14 26 36 40 40 38 34 36 38 38 36 36 34 28 22 16 10  6")

KINDS: dict[str, tuple[float, tuple[Stream, ...]]] = {
    # kind: (wanted peak as a share of capacity, streams)
    "hospital": (
        1.25,
        (Stream(CLINIC, 95, 0.65, 0.88, weekend=0.85), Stream(WARD, 420, 0.7, 0.12)),
    ),
    "station": (
        0.92,
        (Stream(TRAINS, 32, 0.5, 0.72), Stream(TRAINS, 840, 0.8, 0.28)),
    ),
    "public": (0.82, (Stream(ERRANDS, 100, 0.6, 0.9), Stream(WARD, 540, 0.5, 0.1))),
    "hotel": (0.70, (Stream(EVENING, 660, 0.4, 0.4), Stream(ERRANDS, 90, 0.6, 0.6))),
    "office": (
        0.80,
        (Stream(COMMUTE, 540, 0.15, 0.7, weekend=0.2), Stream(ERRANDS, 70, 0.6, 0.3, weekend=0.3)),
    ),
    "campus": (
        0.84,
        (Stream(COMMUTE, 550, 0.15, 0.75, weekend=0.15), Stream(ERRANDS, 80, 0.6, 0.25)),
    ),
    "street": (0.88, (Stream(STREET, 45, 0.6, 0.92), Stream(EVENING, 600, 0.4, 0.08))),
    "private": (0.62, (Stream(ERRANDS, 110, 0.6, 0.8), Stream(COMMUTE, 480, 0.2, 0.2))),
}
STAFF = (0.75, (Stream(COMMUTE, 530, 0.15, 0.9, weekend=0.4), Stream(WARD, 660, 0.2, 0.1)))
RESIDENTS = (0.78, (Stream(EVENING, 660, 0.2, 0.85), Stream(EVENING, 120, 0.5, 0.15)))
LATE_S = 22 * 3600  # what is open then is slept beside
ZONE_FACTORS = {"general": 1.0, "shared": 1.0, "ev": 0.8, "accessible": 0.5}


class Profile:
    """The demand of one zone over a day, in arrivals a second by local quarter hour."""

    def __init__(self, lot_kind: str, zone: ZonePlan, factor: float = 1.0) -> None:
        peak, self.streams = _wanted(lot_kind, zone)
        wanted = peak * ZONE_FACTORS.get(zone.kind, 1.0) * zone.capacity * factor
        occupancy = [stream.share * _held(stream) for stream in self.streams]
        total = [sum(slot) for slot in zip(*(one.slots for one in occupancy), strict=True)]
        self.arrivals_a_day = wanted / max(total)
        self.windows = zone.windows

    def rates(self, local_s: float, weekday: int) -> list[float]:
        """Arrivals a second of each stream at a local second of the day (ISO weekday)."""
        slot = int(local_s % DAY_S) // SLOT_S
        weekend = weekday >= 6
        return [
            self.arrivals_a_day
            * stream.share
            * _slot_weights(stream.hourly)[slot]
            / SLOT_S
            * (stream.weekend if weekend else 1.0)
            for stream in self.streams
        ]

    def stay_s(self, rng: Random, stream: Stream, least_s: float = 0.0) -> float:
        """A stay of at least `least_s` seconds."""
        mu = math.log(stream.stay_min * 60)
        if least_s <= 0:
            return math.exp(mu + stream.spread * rng.gauss(0, 1))
        done = NORMAL.cdf((math.log(least_s) - mu) / stream.spread)
        share = done + (1 - done) * rng.random()
        return max(
            least_s, math.exp(mu + stream.spread * NORMAL.inv_cdf(min(max(share, 1e-9), 1 - 1e-9)))
        )


def _wanted(lot_kind: str, zone: ZonePlan) -> tuple[float, tuple[Stream, ...]]:
    if zone.kind == "reserved":
        return STAFF
    if zone.windows and open_until_s(zone.windows, LATE_S, 1) is not None:
        return RESIDENTS
    return KINDS.get(lot_kind, KINDS["public"])


class _Held(msgspec.Struct, frozen=True):
    """Cars inside at each slot for one arrival a day."""

    slots: tuple[float, ...]

    def __rmul__(self, share: float) -> "_Held":
        return _Held(tuple(share * slot for slot in self.slots))


@lru_cache
def _slot_weights(hourly: tuple[float, ...]) -> tuple[float, ...]:
    """Hourly weights drawn straight from middle to middle, adding up to one a day."""
    slots = []
    for slot in range(SLOTS):
        hour = (slot + 0.5) * SLOT_S / 3600 - 0.5
        low = math.floor(hour)
        part = hour - low
        slots.append(hourly[low % 24] * (1 - part) + hourly[(low + 1) % 24] * part)
    total = sum(slots)
    return tuple(weight / total for weight in slots)


@lru_cache
def survivals(stay_min: float, spread: float) -> tuple[float, ...]:
    """The share of cars still there, by slots since arrival, over the days looked back."""
    mu = math.log(stay_min * 60)
    return tuple(
        1 - NORMAL.cdf((math.log((back + 0.5) * SLOT_S) - mu) / spread)
        for back in range(SLOTS * LOOK_BACK_DAYS)
    )


@lru_cache
def _held(stream: Stream) -> _Held:
    weights = _slot_weights(stream.hourly)
    alive = survivals(stream.stay_min, stream.spread)
    return _Held(
        tuple(
            sum(weights[(slot - back) % SLOTS] * share for back, share in enumerate(alive))
            for slot in range(SLOTS)
        )
    )


class LocalTime:
    """Local seconds of the day and weekday of one time zone; the offset is kept for an hour."""

    def __init__(self, timezone: str) -> None:
        self.zone = ZoneInfo(timezone)
        self._hour = -1
        self._offset_s = 0.0

    def __call__(self, at_s: float) -> tuple[float, int]:
        hour = int(at_s // 3600)
        if hour != self._hour:
            offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(self.zone).utcoffset()
            self._offset_s = offset.total_seconds() if offset else 0.0
            self._hour = hour
        local_s = at_s + self._offset_s
        return local_s % DAY_S, int(local_s // DAY_S + 3) % 7 + 1


def next_arrival(
    rng: Random, profile: Profile, local: LocalTime, now_s: float, horizon_s: float = DAY_S
) -> tuple[float, int] | None:
    """When the next car comes and of which stream, or None within `horizon_s`.

    The rate is constant within a quarter hour, so a draw that leaves the slot starts again at the
    next one.
    """
    at_s = now_s
    while at_s < now_s + horizon_s:
        rates = profile.rates(*local(at_s))
        total = sum(rates)
        slot_end_s = (at_s // SLOT_S + 1) * SLOT_S
        if total > 0:
            at_s += rng.expovariate(total)
            if at_s < slot_end_s:
                sums = [sum(rates[: one + 1]) for one in range(len(rates))]
                return at_s, min(bisect_right(sums, rng.random() * total), len(rates) - 1)
        at_s = slot_end_s
    return None


def parked_before(
    rng: Random, profile: Profile, local: LocalTime, now_s: float
) -> list[tuple[float, float]]:
    """Who is inside at `now_s`: (entered_at_s, leaves_at_s) of each car."""
    cars: list[tuple[float, float]] = []
    for at, stream in enumerate(profile.streams):
        alive = survivals(stream.stay_min, stream.spread)
        for back, share in enumerate(alive):
            slot_s = now_s - (back + 1) * SLOT_S
            expected = profile.rates(*local(slot_s))[at] * SLOT_S * share
            if expected < 1e-6:
                continue
            for _ in range(poisson(rng, expected)):
                entered_s = slot_s + rng.random() * SLOT_S
                stay_s = profile.stay_s(rng, stream, now_s - entered_s + 1)
                cars.append((entered_s, entered_s + stay_s))
    return cars


def poisson(rng: Random, mean: float) -> int:
    """A Poisson draw, by counting exponential gaps (means here are small)."""
    count, passed = 0, rng.expovariate(1.0)
    while passed < mean:
        count += 1
        passed += rng.expovariate(1.0)
    return count


def open_until_s(windows: tuple[Window, ...], local_s: float, weekday: int) -> float | None:
    """Seconds until the window that is open now closes; None when shut, inf without windows."""
    if not windows:
        return math.inf
    best: float | None = None
    for window in windows:
        for days_back in (0, 1):
            day = (weekday - 1 - days_back) % 7 + 1
            if day not in window.days:
                continue
            length_s = (window.until_s - window.from_s) % DAY_S or DAY_S
            into_s = local_s + days_back * DAY_S - window.from_s
            if 0 <= into_s < length_s:
                best = max(best or 0.0, length_s - into_s)
    return best
