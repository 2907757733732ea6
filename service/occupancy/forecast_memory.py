"""Pure: what the forecast remembers of one lot: its week, its last hour, how right it was."""

import math
from array import array
from collections import deque
from datetime import date, datetime, tzinfo
from typing import Literal

import msgspec

TICK_S = 300
Basis = Literal["cold", "learning", "learned"]
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


class Seen(msgspec.Struct, frozen=True):
    """One tick: what was free (spaces), its net share, and the deviation from the profile."""

    tick: int
    free: float
    share: float
    deviation: float


class Guess(msgspec.Struct, frozen=True):
    """A forecast made at a tick, kept until its time comes and it can be learned from."""

    due: int
    at: int
    share: float
    features: tuple[float, ...] | None
    change: float
    predicted: float
    odds: tuple[float, ...] | None
    full: bool


class LotMemory:
    """What is remembered of one lot; `capacity` in spaces is the basis of every share."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.by_type = Profile(3, TYPE_RATE)
        self.by_weekday = Profile(7, WEEKDAY_RATE)
        self.recent: deque[Seen] = deque(maxlen=RECENT_TICKS)
        self.pending: dict[int, deque[Guess]] = {h: deque() for h in HORIZONS_MIN}
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

    def before(self, ticks: int) -> Seen:
        """The tick so long ago, or the oldest that is remembered with a profile."""
        place = max(0, len(self.recent) - 1 - ticks)
        seen = self.recent[place]
        return self.recent[-1] if math.isnan(seen.deviation) else seen

    def judge(self, place: int, guess: Guess, share: float) -> None:
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
    def basis(self) -> Basis:
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
