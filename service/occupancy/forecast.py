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
from array import array
from collections import deque
from datetime import date, datetime, tzinfo

import msgspec

from service.occupancy.forecast_fit import Fit, Odds, dot

TICK_S = 300
HORIZONS_MIN = (15, 30, 60)
SLOT_MIN = 15
SLOTS = 24 * 60 // SLOT_MIN
TYPE_RATE, WEEKDAY_RATE = 0.1, 0.3
RECENT_TICKS = 13
SPREAD_RATE = 0.02
BAND_RATE = 0.05
MISSED_SHARE = 0.05  # how often the truth may lie outside the band
TRUST = (0.0, 0.25, 0.5, 0.75, 1.0)  # how much of a predicted change is believed
TRUST_RATE = 0.01
DOUBT = 0.05  # so much better must disbelief have done
TIGHT_SHARE = 0.05
LEARNED_DAYS = 14


class Moment(msgspec.Struct, frozen=True):
    """A local time of the week; day_type is 0 working day, 1 Saturday, 2 Sunday or holiday."""

    day_type: int
    weekday: int
    minute: int


def moment(at: datetime, zone: tzinfo, holidays: frozenset[date] = frozenset()) -> Moment:
    local = at.astimezone(zone)
    weekday = local.weekday()
    resting = weekday == 6 or local.date() in holidays
    day_type = 2 if resting else int(weekday == 5)
    return Moment(day_type, weekday, local.hour * 60 + local.minute)


class Profile:
    """Mean free share by kind of day and quarter of an hour; NaN where nothing was seen yet."""

    __slots__ = ("cells", "rate")

    def __init__(self, rows: int, rate: float, cells: bytes | None = None) -> None:
        self.rate = rate
        self.cells = array("f", cells) if cells else array("f", [math.nan] * (rows * SLOTS))

    def at(self, row: int, minute: int) -> float:
        """The share expected then, between two slots; NaN where it is not known."""
        slot, past = divmod(minute, SLOT_MIN)
        value = self.cells[row * SLOTS + slot]
        if past and slot + 1 < SLOTS:
            after = self.cells[row * SLOTS + slot + 1]
            if after == after:  # noqa: PLR0124 - false for NaN alone
                value += (after - value) * past / SLOT_MIN
        return value

    def learn(self, row: int, minute: int, share: float) -> None:
        place = row * SLOTS + minute // SLOT_MIN
        old = self.cells[place]
        self.cells[place] = share if math.isnan(old) else old + self.rate * (share - old)


class Forecast(msgspec.Struct, frozen=True):
    """What will be free at `horizon_min`: spaces, the half-width of its 95 % band, P(>= 1 free).

    `basis` says how sure the forecast is of itself: cold (no profile: what is now, a wide band),
    learning (under two weeks), learned.
    """

    free: float
    band: float
    p_free: float
    basis: str
    horizon_min: float


class _Seen(msgspec.Struct, frozen=True):
    """One tick: what was free (spaces), its net share, and the deviation from the profile."""

    tick: int
    free: float
    share: float
    deviation: float


class _Guess(msgspec.Struct, frozen=True):
    """A forecast made at a tick, kept until its time comes and it can be learned from."""

    due: int
    at: int
    share: float
    features: tuple[float, ...] | None
    change: float
    predicted: float
    odds: tuple[float, ...] | None
    full: bool


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    capacity: float
    by_type: bytes
    by_weekday: bytes
    spread: list[float]
    bands: list[float]
    believed: list[list[float]]
    opened: list[list[float]]
    days_seen: float


class LotMemory:
    """What is remembered of one lot; `capacity` in spaces is the basis of every share."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.by_type = Profile(3, TYPE_RATE)
        self.by_weekday = Profile(7, WEEKDAY_RATE)
        self.recent: deque[_Seen] = deque(maxlen=RECENT_TICKS)
        self.pending: dict[int, deque[_Guess]] = {h: deque() for h in HORIZONS_MIN}
        self.spread = [0.04 * math.sqrt(h / 15) for h in HORIZONS_MIN]
        self.bands = [2.5 * spread for spread in self.spread]
        # Mean absolute errors by how much of the change was believed: in doubt, all of it.
        self.believed = [[0.02 - 0.002 * trust for trust in TRUST] for _ in HORIZONS_MIN]
        self.opened = [[0.5, 1.0], [0.75, 1.0]]  # (event, weight) after full, after not full
        self.days_seen = 0.0
        self.lesson: tuple[Moment, float] | None = None

    def settle_lesson(self) -> None:
        """Put the last tick into the profile.

        Only now, so that a tick's forecasts and what is learned from them rest on one profile.
        """
        if self.lesson is None:
            return
        when, share = self.lesson
        self.lesson = None
        self.days_seen += TICK_S / 86400
        if when.minute % SLOT_MIN < TICK_S // 60:
            self.by_type.learn(when.day_type, when.minute, share)
            self.by_weekday.learn(when.weekday, when.minute, share)

    def trust(self, place: int) -> float:
        """What part of a predicted change has lately come true here."""
        errors = self.believed[place]
        doubted = [e * (1 + DOUBT * (1 - trust)) for e, trust in zip(errors, TRUST, strict=True)]
        return TRUST[doubted.index(min(doubted))]

    def features(self, now: Moment, ahead: Moment) -> tuple[float, ...] | None:
        """Drift and deviation on both profiles, and their trend; None before a profile."""
        seen = self.recent[-1]
        p, p_ahead = self.at(now), self.at(ahead)
        if math.isnan(p) or math.isnan(p_ahead):
            return None
        q = self.by_weekday.at(now.weekday, now.minute)
        q_ahead = self.by_weekday.at(ahead.weekday, ahead.minute)
        if math.isnan(q) or math.isnan(q_ahead):
            q, q_ahead = p, p_ahead
        deviation = seen.deviation
        return (
            p_ahead - p,
            q_ahead - q,
            deviation,
            seen.share - q,
            deviation - self.before(3).deviation,
            deviation - self.before(6).deviation,
            deviation - self.before(12).deviation,
            1.0,
        )

    def at(self, when: Moment) -> float:
        return self.by_type.at(when.day_type, when.minute)

    def before(self, ticks: int) -> _Seen:
        """The tick so long ago, or the oldest that is remembered with a profile."""
        place = max(0, len(self.recent) - 1 - ticks)
        seen = self.recent[place]
        return self.recent[-1] if math.isnan(seen.deviation) else seen

    def judge(self, place: int, guess: _Guess, share: float) -> None:
        """Hold a guess against what came: its spread, its band, how much to believe."""
        error = abs(share - guess.predicted)
        self.spread[place] += SPREAD_RATE * (error - self.spread[place])
        outside = error > self.bands[place]
        step = BAND_RATE * max(self.spread[place], 0.002)
        self.bands[place] += step * ((1 - MISSED_SHARE) if outside else -MISSED_SHARE)
        for at, trust in enumerate(TRUST):
            off = abs(share - guess.share - trust * guess.change)
            self.believed[place][at] += TRUST_RATE * (off - self.believed[place][at])

    @property
    def basis(self) -> str:
        if self.days_seen < 1:
            return "cold"
        return "learned" if self.days_seen >= LEARNED_DAYS else "learning"

    def tight(self) -> bool:
        """Whether it runs near full: now or within the last hour."""
        return min(seen.free for seen in self.recent) <= TIGHT_SHARE * self.capacity

    def odds_features(self, predicted: float, wanted: int) -> tuple[float, ...]:
        """What tells whether `wanted` spaces will be there, from spaces now and `predicted`."""
        recent = self.recent
        free = recent[-1].free - (wanted - 1)
        ahead = predicted - (wanted - 1)
        unit = math.sqrt(self.capacity) / 5 + 0.5
        full = 1.0 if free < 1 else 0.0
        full_share = sum(seen.free < wanted for seen in recent) / len(recent)
        event, weight = self.opened[0 if full else 1]
        memory = math.log(event / (weight - event)) if 0 < event < weight else 0.0
        return (
            1.0,
            full,
            min(max((ahead - 0.5) / unit, -3.0), 4.0),
            min(free / unit, 4.0),
            math.log1p(max(free, 0.0)),
            math.log1p(max(ahead, 0.0)),
            full_share,
            full_share * full,
            min(max((recent[-1].free - self.before(3).free) / unit, -3.0), 3.0),
            min(max((recent[-1].free - self.before(1).free) / unit, -3.0), 3.0),
            memory,
            memory * full,
            min((min(seen.free for seen in recent) - (wanted - 1)) / unit, 3.0),
        )


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
        memory.recent.append(_Seen(tick, free, share, share - memory.at(now)))
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
            _Guess(
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
