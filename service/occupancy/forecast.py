"""Pure: how many spaces a lot will have when a driver arrives, and how sure that is.

Streaming, a few microseconds a lot and tick: a time-of-week profile of the free share, and on it a
small regression that learns, over all lots together, how much of the profile's drift, of the
present deviation and of its recent trend carries over to +15, +30 and +60 minutes. A logistic layer
on top learns P(at least k free) where lots run tight, with a memory per lot of how often "full"
and "not full" were followed by a space.

What is observed is net of the cars we guided ourselves (they are added back before learning and
taken off again in the answer), so that guidance does not learn its own shadow.

Source: the occupancy mean of a queue with time-varying arrivals, N(t+τ) = N̄(t+τ) + decay·(N − N̄).
"""

import math

import msgspec

from service.occupancy.forecast_fit import Fit, Odds, dot
from service.occupancy.forecast_memory import (
    HORIZONS_MIN,
    RECENT_TICKS,
    TICK_S,
    TIGHT_SHARE,
    TYPE_RATE,
    WEEKDAY_RATE,
    Basis,
    Guess,
    LotMemory,
    Moment,
    Profile,
    Seen,
    moment,
)

__all__ = ["HORIZONS_MIN", "TICK_S", "TIGHT_SHARE", "Forecast", "Forecaster", "Moment", "moment"]


class Forecast(msgspec.Struct, frozen=True):
    """What will be free at `horizon_min`: spaces, the half-width of its 95 % band, P(>= 1 free).

    `basis` says how sure the forecast is of itself: cold (no profile: what is now, a wide band),
    learning (under two weeks), learned.
    """

    free: float
    band: float
    p_free: float
    basis: Basis
    horizon_min: float


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    capacity: float
    by_type: bytes
    by_weekday: bytes
    spread: list[float]
    bands: list[float]
    believed: list[list[float]]
    opened: list[list[float]]
    days_seen: float


class Forecaster:
    """All lots of one pool, fed once a tick; pure: time and numbers come in as arguments."""

    def __init__(self) -> None:
        self.lots: dict[str, LotMemory] = {}
        self.fits = [Fit.fresh(8, prior_at=0) for _ in HORIZONS_MIN]
        self.odds = [Odds.fresh(13) for _ in HORIZONS_MIN]

    def observe(
        self,
        lot: str,
        tick: int,
        now: Moment,
        ahead: tuple[Moment, ...],
        *,
        free: float,
        capacity: float,
        guided: float = 0.0,
        learn: bool = True,
    ) -> None:
        """Take what is free in `lot` at `tick` (count of `TICK_S` since 1970).

        `ahead` holds the moments of `HORIZONS_MIN`; `guided` the cars of our own that are parked
        there. `learn` false (a frozen or doubtful value) keeps the memory but teaches nothing.
        """
        memory = self.lots.get(lot)
        if memory is None or memory.capacity != capacity:
            memory = self.lots[lot] = LotMemory(capacity)
        share = (free + guided) / capacity
        memory.settle_lesson()
        if memory.recent and tick - memory.recent[-1].tick > RECENT_TICKS:
            memory.recent.clear()
        memory.recent.append(Seen(tick, free, share, share - memory.at(now)))
        self._learn(memory, tick, now, share, free >= 1, learn=learn)
        if learn:
            for place, when in enumerate(ahead):
                self._guess(memory, place, now, when, tick)
            memory.lesson = (now, share)

    def _guess(self, memory: LotMemory, place: int, now: Moment, when: Moment, tick: int) -> None:
        features = memory.features(now, when)
        share = memory.recent[-1].share
        change = dot(self.fits[place].weights, features) if features else 0.0
        predicted = min(max(share + change * memory.trust(place), 0.0), 1.0)
        spaces = predicted * memory.capacity
        odds = None
        if memory.tight() or spaces <= 2 * TIGHT_SHARE * memory.capacity:
            odds = memory.odds_features(spaces, 1)
        horizon = HORIZONS_MIN[place]
        memory.pending[horizon].append(
            Guess(
                due=tick + horizon * 60 // TICK_S,
                at=now.minute,
                share=share,
                features=features,
                change=change,
                predicted=predicted,
                odds=odds,
                full=memory.recent[-1].free < 1,
            )
        )

    def _learn(
        self, memory: LotMemory, tick: int, now: Moment, share: float, free: bool, *, learn: bool
    ) -> None:
        for place, horizon in enumerate(HORIZONS_MIN):
            pending = memory.pending[horizon]
            while pending and pending[0].due <= tick:
                guess = pending.popleft()
                if guess.due != tick or not learn:
                    continue
                if 6 * 60 <= now.minute < 22 * 60:  # nights are easy and would flatter it
                    memory.judge(place, guess, share)
                    if guess.features:
                        self.fits[place].learn(guess.features, share - guess.share)
                if guess.odds:
                    self.odds[place].learn(guess.odds, happened=free)
                    self._remember(memory, place, full=guess.full, happened=free)

    @staticmethod
    def _remember(memory: LotMemory, place: int, *, full: bool, happened: bool) -> None:
        if place == 0:
            pair = memory.opened[0 if full else 1]
            pair[0] = min(pair[0] * 0.999 + happened, pair[1] * 0.999 + 0.99)
            pair[1] = pair[1] * 0.999 + 1

    def settle_day(self) -> None:
        """Once a day: solve the regressions anew and let old days fade."""
        for fit in self.fits:
            fit.settle()

    def forecast(
        self, lot: str, horizon_min: float, now: Moment, ahead: Moment, *, wanted: int = 1
    ) -> Forecast | None:
        """What `lot` will have in `horizon_min` (up to 60); None where it was never observed.

        Own guided cars must be taken off by the caller. Between the learned horizons the nearest
        regression is used, scaled by time.
        """
        memory = self.lots.get(lot)
        if memory is None or not memory.recent:
            return None
        place = min(range(3), key=lambda one: abs(HORIZONS_MIN[one] - horizon_min))
        scale = min(horizon_min / HORIZONS_MIN[place], 1.0)
        features = memory.features(now, ahead)
        change = dot(self.fits[place].weights, features) if features else 0.0
        share = memory.recent[-1].share
        guided = share * memory.capacity - memory.recent[-1].free
        change *= scale * memory.trust(place)
        spaces = min(max(share + change, 0.0), 1.0) * memory.capacity - guided
        spaces = max(spaces, 0.0)
        caution = {"cold": 3.0, "learning": 1.5, "learned": 1.0}[memory.basis]
        wider = math.sqrt(max(scale, 0.05)) * caution * memory.capacity
        if memory.tight() or spaces <= 2 * TIGHT_SHARE * memory.capacity:
            likely = self.odds[place].probability(memory.odds_features(spaces, wanted))
        else:
            likely = 0.5 * (
                1 + math.erf((spaces - wanted + 0.5) / (memory.spread[place] * wider * 1.77 + 0.5))
            )
        return Forecast(spaces, memory.bands[place] * wider, likely, memory.basis, horizon_min)

    def dump(self, lot: str) -> bytes:
        """One lot's profiles and odds, about 4 KB, to be kept in the store."""
        memory = self.lots[lot]
        return msgspec.msgpack.encode(
            _Kept(
                memory.capacity,
                memory.by_type.cells.tobytes(),
                memory.by_weekday.cells.tobytes(),
                memory.spread,
                memory.bands,
                memory.believed,
                memory.opened,
                memory.days_seen,
            )
        )

    def load(self, lot: str, kept: bytes) -> None:
        """Take back what `dump` gave; raises msgspec.DecodeError on anything else."""
        read = msgspec.msgpack.decode(kept, type=_Kept)
        memory = LotMemory(read.capacity)
        memory.by_type = Profile(3, TYPE_RATE, read.by_type)
        memory.by_weekday = Profile(7, WEEKDAY_RATE, read.by_weekday)
        memory.spread, memory.bands = read.spread, read.bands
        memory.believed, memory.opened = read.believed, read.opened
        memory.days_seen = read.days_seen
        self.lots[lot] = memory

    def dump_pool(self) -> bytes:
        """What all lots share: the regressions and the odds."""
        return msgspec.msgpack.encode((self.fits, self.odds))

    def load_pool(self, kept: bytes) -> None:
        self.fits, self.odds = msgspec.msgpack.decode(kept, type=tuple[list[Fit], list[Odds]])

    def expected_change(self, lot: str, before: Moment, now: Moment) -> float | None:
        """Spaces that should have changed between two moments, to tell a frozen value."""
        memory = self.lots.get(lot)
        if memory is None or memory.basis == "cold":
            return None
        change = memory.at(now) - memory.at(before)
        return None if math.isnan(change) else change * memory.capacity
