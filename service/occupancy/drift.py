"""Pure: how far a counter has drifted from the truth, and how sure that is.

A loop counter misses some vehicles and counts others twice, so its occupancy walks away from the
truth. Three witnesses tell by how much: plates (`plate_witness`: how many were inside some hours
ago), quiet hours (who stays the night is about the same share of who came in the evening), and a
person who counts. Between witnesses the error goes on growing with the traffic; the band says how
far it may have. Two facts need no witness: a lot is never emptier than empty, nor usually fuller
than full.

    error after dE entries and n passages:  error + bias·dE,  variance + noise·n
"""

import math
from collections.abc import Sequence
from operator import mul
from typing import Self

import msgspec

BAND_SIGMAS = 2.3  # what a counter is before it is known is a guess, and guesses have heavy tails
LIKE_DAYS = ("work", "week's end")
BUSY_SHARE, BUSY_SD = 0.8, 0.25  # of the spaces, at the busiest hour, before it is known
BUSY_NOISE_SD = 0.03  # by which like days differ, of the spaces, before it is known
RECOUNT_NOISE = 0.25
ERROR_ALONE = (1.0, 0.0, 0.0, *(0.0 for _ in LIKE_DAYS))
SURPRISES = 2.0
SURPRISE_LIMITS = (0.3, 6.0)
COMPARE_S = 86_400.0
NIGHT_SHARE = 0.1  # of the evening's arrivals, before it is known
NIGHT_NOISE = 1.0  # variance of who stays the night, per vehicle that does


class Prior(msgspec.Struct, frozen=True):
    """What a kind of counter is trusted with before it is known.

    `bias` is the spread of its net miss per entry, `noise` the variance in spaces per passage,
    which weighs as much as having been seen for `days`.
    """

    bias: float
    noise: float
    days: float


LOOP = Prior(bias=0.017, noise=0.016, days=1.0)
CAMERA = Prior(bias=0.0005, noise=0.0014, days=30.0)


class Tally(msgspec.Struct, frozen=True):
    """A counter's readings at one moment: cumulative entries and exits, POSIX seconds."""

    at_s: float
    entered: float
    left: float

    @property
    def counted(self) -> float:
        """Occupancy as the counter has it, from an empty lot."""
        return self.entered - self.left

    @property
    def passages(self) -> float:
        return self.entered + self.left


class Estimate(msgspec.Struct, frozen=True):
    """Occupancy with the drift taken off: spaces, the half-width of its 95 % band, the drift."""

    occupied: int
    band: int
    error: float
    variance: float


class Memory(msgspec.Struct, frozen=True):
    """A `Drift` as it is kept; `learned` are its sums: surprises, noise, busy hours."""

    known: Tally
    offset: float
    mean: list[float]
    cov: list[list[float]]
    noise: float
    learned: list[float]


class Drift:
    """One counter's error, its bias per entry and the share that stays the night.

    A Kalman filter over the three, in spaces. At the start `occupied` is taken as right to within
    `start_sd` spaces. Tallies must not run backwards.
    """

    def __init__(
        self,
        capacity: int,
        start: Tally,
        occupied: float,
        prior: Prior = LOOP,
        *,
        start_sd: float = 0.7,
    ) -> None:
        self.capacity = capacity
        self.known = start
        self.offset = occupied - start.counted  # what was inside before the counter began
        self.mean = [0.0, 0.0, NIGHT_SHARE, *(BUSY_SHARE * capacity for _ in LIKE_DAYS)]
        spread = (start_sd, prior.bias, NIGHT_SHARE, *(BUSY_SD * capacity for _ in LIKE_DAYS))
        self.cov = [
            [sd * sd if row == col else 0.0 for col in range(len(spread))]
            for row, sd in enumerate(spread)
        ]
        self.noise = prior.noise
        self._prior = prior
        self._surprise = SURPRISES  # of which one each was to be expected
        self._surprises = SURPRISES
        self._busiest: dict[int, Tally] = {}
        self._differed = [0.0] * len(LIKE_DAYS)
        self._days = [0.0] * len(LIKE_DAYS)
        self._moved = 0.0
        self._moved_passages = 0.0
        self._passages_a_day = 12.0 * capacity
        self._compared: dict[str, tuple[Tally, float, float, float]] = {}

    def memory(self) -> Memory:
        """What a restart must not forget."""
        learned = [self._surprise, self._surprises, self._moved, self._moved_passages]
        learned += [self._passages_a_day, *self._differed, *self._days]
        return Memory(self.known, self.offset, self.mean, self.cov, self.noise, learned)

    @classmethod
    def recalled(cls, capacity: int, memory: Memory, prior: Prior = LOOP) -> Self:
        """As it was when `memory` was taken."""
        drift = cls(capacity, memory.known, memory.known.counted + memory.offset, prior)
        drift.mean, drift.cov, drift.noise = memory.mean, memory.cov, memory.noise
        sums, days = memory.learned[:5], memory.learned[5:]
        drift._surprise, drift._surprises, drift._moved, drift._moved_passages = sums[:4]
        drift._passages_a_day = sums[4]
        drift._differed, drift._days = days[: len(LIKE_DAYS)], days[len(LIKE_DAYS) :]
        return drift

    def at(self, now: Tally) -> Estimate:
        """What is inside now, as far as this counter can tell."""
        error, variance = self.ahead(now)
        return estimate(
            self.capacity, now.counted + self.offset - error, error, variance * self.scale
        )

    @property
    def scale(self) -> float:
        """How much larger the variance has shown itself, at nights and full hours."""
        least, most = SURPRISE_LIMITS
        return min(max(self._surprise / self._surprises, least), most)

    def surprised(self, surprise: float, variance: float) -> None:
        """An independent witness was off by `surprise`, where `variance` was expected."""
        self._surprises += 1
        self._surprise += min(surprise * surprise / variance, 9.0)

    def counted_by_hand(self, now: Tally, occupied: int) -> None:
        """A person counted `occupied`, and is believed however sure the count was before."""
        error = now.counted + self.offset - occupied
        self._observe(now, error, ERROR_ALONE, RECOUNT_NOISE)
        self.mean[0] = error

    def quiet_hour(self, now: Tally, evening: float) -> None:
        """The lot is at its nightly low, after `evening` entries since the late afternoon."""
        raw = now.counted + self.offset
        variance = 1.0 + NIGHT_NOISE * max(self.mean[2] * evening, 1.0)
        self._learn_noise("night", now, 0.0, evening, variance)
        self._advance(now)
        error = self.mean[0] + self.mean[2] * evening
        doubt = self.cov[0][0] + evening * (2 * self.cov[0][2] + evening * self.cov[2][2])
        self.surprised(raw - error, doubt + variance)
        self._observe(now, raw, (1.0, 0.0, evening, 0.0, 0.0), variance)

    def plates_say(self, then: Tally, inside: float, variance: float) -> None:
        """Plates tell that `inside` were there when the counter read `then`."""
        if then.at_s <= self.known.at_s:
            return
        self._learn_noise("plates", then, inside, 0.0, variance / 20)
        self._observe(then, then.counted + self.offset - inside, ERROR_ALONE, variance)

    def busy_hour(self, then: Tally, like: int) -> bool:
        """The busiest hour of a day like others (an index of LIKE_DAYS); whether it was used."""
        if then.at_s < self.known.at_s:
            return False
        raw = then.counted + self.offset
        noise = self._busy_noise(then, like)
        at = 3 + like
        error, variance = self.ahead(then)
        doubt = variance + 2 * self.cov[0][at] + self.cov[at][at] + noise
        surprise = raw - error - self.mean[at]
        if surprise * surprise > 16 * doubt * self.scale:
            return False  # a day unlike the others
        self.surprised(surprise, doubt)
        sees = [0.0] * len(self.mean)
        sees[0] = sees[at] = 1.0
        self._observe(then, raw, sees, noise)
        sees[0] = 0.0
        self._bound(sees, self.capacity)
        return True

    def emptiest(self, now: Tally) -> None:
        """Nothing is emptier than empty: the error is at most what is counted."""
        entries = max(now.entered - self.known.entered, 0.0)
        self._bound((1.0, entries, 0.0, 0.0, 0.0), now.counted + self.offset)

    def _busy_noise(self, then: Tally, like: int) -> float:
        """How much like days' busiest hours differ, as a variance, learned from one to the next."""
        before = self._busiest.get(like)
        self._busiest[like] = then
        if before is not None and then.at_s - before.at_s < 8 * COMPARE_S:
            entries, passages = then.entered - before.entered, then.passages - before.passages
            moved = then.counted - before.counted - self.mean[1] * entries
            grown = self.noise * passages + self.cov[1][1] * entries * entries
            self._differed[like] += max(moved * moved - grown, 0.0) / 2
            self._days[like] += 1
        prior = (BUSY_NOISE_SD * self.capacity) ** 2
        return max((prior + self._differed[like]) / (1 + self._days[like]), 1.0)

    def ahead(self, now: Tally) -> tuple[float, float]:
        """The error to be expected at `now`, and its variance."""
        entries = max(now.entered - self.known.entered, 0.0)
        passages = max(now.passages - self.known.passages, 0.0)
        error = self.mean[0] + self.mean[1] * entries
        variance = (
            self.cov[0][0]
            + 2 * entries * self.cov[0][1]
            + entries * entries * self.cov[1][1]
            + self.noise * passages
        )
        return error, variance

    def _advance(self, to: Tally) -> None:
        """Let the error grow with the traffic up to `to`."""
        entries = max(to.entered - self.known.entered, 0.0)
        passages = max(to.passages - self.known.passages, 0.0)
        self.mean[0] += entries * self.mean[1]
        cov = self.cov
        for col in range(len(cov)):
            cov[0][col] += entries * cov[1][col]
        for row in range(len(cov)):
            cov[row][0] += entries * cov[row][1]
        cov[0][0] += self.noise * passages
        self.known = to

    def _observe(self, at: Tally, value: float, sees: Sequence[float], variance: float) -> None:
        """Take `value`, which is the state times `sees`, known to within `variance`."""
        self._advance(at)
        cov = self.cov
        gain = [sum(map(mul, row, sees)) for row in cov]
        total = variance + sum(map(mul, gain, sees))
        surprise = value - sum(map(mul, sees, self.mean))
        self.mean = [
            mean + one * surprise / total for mean, one in zip(self.mean, gain, strict=True)
        ]
        self.cov = [
            [here - one * other / total for here, other in zip(row, gain, strict=True)]
            for row, one in zip(cov, gain, strict=True)
        ]

    def _bound(self, sees: Sequence[float], most: float) -> None:
        """The state times `sees` is at most `most`, for a fact: the mean goes to where it is.

        The doubt stays as it was, so that saying it again changes nothing.
        """
        beyond = sum(map(mul, sees, self.mean)) - most
        if beyond <= 0:
            return
        gain = [sum(map(mul, row, sees)) for row in self.cov]
        total = sum(map(mul, gain, sees))
        self.mean = [mean - one * beyond / total for mean, one in zip(self.mean, gain, strict=True)]

    def _learn_noise(
        self, witness: str, now: Tally, inside: float, evening: float, variance: float
    ) -> None:
        """Day by day: how far the error moved, beyond its bias and the witness's own doubt."""
        before = self._compared.get(witness)
        if before is not None and now.at_s - before[0].at_s < COMPARE_S:
            return
        self._compared[witness] = (now, inside, evening, variance)
        if before is None or now.at_s - before[0].at_s > 2 * COMPARE_S:
            return
        then, inside_then, evening_then, doubt = before
        entries, passages = now.entered - then.entered, now.passages - then.passages
        if passages <= 0:
            return
        known = variance + doubt + self.cov[1][1] * entries * entries
        moved = now.counted - then.counted - (inside - inside_then)
        moved -= self.mean[1] * entries + self.mean[2] * (evening - evening_then)
        grown = self.noise * passages
        clear = (grown / (grown + known)) ** 2  # how far noise shows beyond what was in doubt
        self._passages_a_day += 0.2 * (passages - self._passages_a_day)
        self._moved += clear * (moved * moved - known)
        self._moved_passages += clear * passages
        weight = self._prior.days * self._passages_a_day
        learned = (self._prior.noise * weight + self._moved) / (weight + self._moved_passages)
        # Misses come one by one: their number varies at least as much as there are of them.
        self.noise = max(learned, self._prior.noise / 5, abs(self.mean[1]) / 2)


def estimate(
    capacity: int, occupied: float, error: float, variance: float, sigmas: float = BAND_SIGMAS
) -> Estimate:
    """Whole spaces within what there is, and their band.

    A band of one holds three whole numbers, so half a space to either side is in it already.
    """
    band = max(round(sigmas * math.sqrt(max(variance, 0.0)) - 0.5), 0)
    return Estimate(min(max(round(occupied), 0), capacity), band, error, variance)
