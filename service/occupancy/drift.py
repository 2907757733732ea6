"""Pure: how far a counter has drifted from the truth where plates tell, and how sure that is.

A counter misses some vehicles and counts others twice, so its occupancy walks away from the truth.
Plates tell what was inside some hours ago (`plate_witness`), a person what is inside now. Between
the two the error goes on growing with the traffic; the band says how far it may have. Counters
without plates are in `counter_filter`.

    error after dE entries and n passages:  error + bias·dE,  variance + noise·n
"""

import math

import msgspec

RECOUNT_NOISE = 0.25
COMPARE_S = 86_400.0


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


class Drift:
    """One counter's error and its bias per entry: a Kalman filter over the two, in spaces.

    At the start `occupied` is taken as right to within `start_sd` spaces. Tallies must not run
    backwards.
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
        self.mean = [0.0, 0.0]
        self.cov = [[start_sd * start_sd, 0.0], [0.0, prior.bias * prior.bias]]
        self.noise = prior.noise
        self._prior = prior
        self._moved = 0.0
        self._moved_passages = 0.0
        self._passages_a_day = 12.0 * capacity
        self._compared: tuple[Tally, float, float] | None = None

    def counted_by_hand(self, now: Tally, occupied: int) -> None:
        """A person counted `occupied`, and is believed however sure the count was before."""
        error = now.counted + self.offset - occupied
        self._observe(now, error, RECOUNT_NOISE)
        self.mean[0] = error

    def plates_say(self, then: Tally, inside: float, variance: float) -> None:
        """Plates tell that `inside` were there when the counter read `then`."""
        if then.at_s <= self.known.at_s:
            return
        self._learn_noise(then, inside, variance / 20)
        self._observe(then, then.counted + self.offset - inside, variance)

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

    def _observe(self, at: Tally, error: float, variance: float) -> None:
        """The error was `error` then, known to within `variance`."""
        self._advance(at)
        gain = [self.cov[0][0], self.cov[1][0]]
        total = variance + gain[0]
        surprise = error - self.mean[0]
        self.mean = [
            mean + one * surprise / total for mean, one in zip(self.mean, gain, strict=True)
        ]
        self.cov = [
            [here - one * other / total for here, other in zip(row, gain, strict=True)]
            for row, one in zip(self.cov, gain, strict=True)
        ]

    def _learn_noise(self, now: Tally, inside: float, variance: float) -> None:
        """Day by day: how far the error moved, beyond its bias and the witness's own doubt."""
        before = self._compared
        if before is not None and now.at_s - before[0].at_s < COMPARE_S:
            return
        self._compared = (now, inside, variance)
        if before is None or now.at_s - before[0].at_s > 2 * COMPARE_S:
            return
        then, inside_then, doubt = before
        entries, passages = now.entered - then.entered, now.passages - then.passages
        if passages <= 0:
            return
        known = variance + doubt + self.cov[1][1] * entries * entries
        moved = now.counted - then.counted - (inside - inside_then) - self.mean[1] * entries
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
    capacity: int, occupied: float, error: float, variance: float, sigmas: float
) -> Estimate:
    """Whole spaces within what there is, and their band.

    A band of one holds three whole numbers, so half a space to either side is in it already.
    """
    band = max(round(sigmas * math.sqrt(max(variance, 0.0)) - 0.5), 0)
    return Estimate(min(max(round(occupied), 0), capacity), band, error, variance)
