"""Pure: two counters of one zone (loops and cameras), each with its own drift, into one number.

The cameras' error is followed, since plates tell it (`plate_witness`); what loops and cameras have
counted apart since then is shared between the two by how much each of them errs. How much the loops
do shows at once in what they count apart within a quarter of an hour, for cameras hardly err. So
bad loops weigh nothing, and good ones slow the growth of the error.
"""

from typing import NamedTuple

from service.occupancy.drift import CAMERA, Drift, Estimate, Tally, estimate
from service.occupancy.plate_witness import Settled

BAND_SIGMAS = 1.96
UNTOLD = 0.3  # variance in spaces: the count is whole, and plates may be off by half for hours
PRIOR_PASSAGES = 200.0
CAMERA_NOISE = 0.002
LEAST_NOISE = 0.0005


class Moment(NamedTuple):
    """Both tallies at one time; the cameras' with what they are known to have missed."""

    loops: Tally
    cameras: Tally


class Fusion:
    """Loops beside cameras of one zone, of which `occupied` were inside at `start`."""

    def __init__(self, loops: Drift, start: Moment, occupied: float, *, start_sd: float) -> None:
        self.loops = loops
        self.cameras = Drift(loops.capacity, start.cameras, occupied, CAMERA, start_sd=start_sd)
        self._settled = start
        self._compared: Moment | None = None
        self._squares = loops.noise * PRIOR_PASSAGES
        self._passages = PRIOR_PASSAGES

    def settled(self, known: Settled) -> None:
        """Plates tell what was inside; the tallies are the loops' and the cameras' own."""
        loops, cameras = known.tallies
        self._compare(Moment(loops, cameras))
        then = seen(loops, cameras, known.found)
        self.loops.plates_say(loops, known.inside, known.variance)
        self.loops.noise = max(self._squares / self._passages - CAMERA_NOISE, LEAST_NOISE)
        if then.cameras.at_s > self.cameras.known.at_s:
            self.cameras.plates_say(then.cameras, known.inside, known.variance)
            self._settled = then

    def counted_by_hand(self, now: Moment, occupied: int) -> None:
        self.loops.counted_by_hand(now.loops, occupied)
        self.cameras.counted_by_hand(now.cameras, occupied)
        self._settled = now

    def at(self, now: Moment, doubt_sd: float = 0.0) -> Estimate:
        """What is inside now; `doubt_sd` is how far the cameras' finds may be off."""
        error, variance = self._ahead(now)
        occupied = self._uncorrected(now) - error
        drift = now.loops.counted + self.loops.offset - occupied
        variance += doubt_sd * doubt_sd + UNTOLD
        return estimate(self.loops.capacity, occupied, drift, variance, BAND_SIGMAS)

    def _uncorrected(self, moment: Moment) -> float:
        return moment.cameras.counted + self.cameras.offset

    def _ahead(self, now: Moment) -> tuple[float, float]:
        """The cameras' error and its variance, as far as known from what has settled."""
        grown, doubt = self._growth(self._settled, now)
        return self.cameras.mean[0] + grown, self.cameras.cov[0][0] + doubt

    def _growth(self, then: Moment, now: Moment) -> tuple[float, float]:
        """How the cameras' error grew in between, and the variance of that."""
        passages = max(now.cameras.passages - then.cameras.passages, 1.0)
        entries = max(now.cameras.entered - then.cameras.entered, 0.0)
        usual = self.cameras.mean[1] * entries
        by_cameras, by_loops = (
            one.noise * passages + one.cov[1][1] * entries * entries
            for one in (self.cameras, self.loops)
        )
        loops = now.loops.counted - then.loops.counted
        loops -= self.loops.mean[1] * (now.loops.entered - then.loops.entered)
        apart = now.cameras.counted - then.cameras.counted - usual - loops
        share = by_cameras / (by_cameras + by_loops)
        return usual + share * apart, share * by_loops

    def _compare(self, now: Moment) -> None:
        """What the two counted apart since the last look is mostly the loops' doing."""
        then, self._compared = self._compared, now
        if then is None:
            return
        loops = now.loops.counted - then.loops.counted
        loops -= self.loops.mean[1] * (now.loops.entered - then.loops.entered)
        apart = loops - (now.cameras.counted - then.cameras.counted)
        self._squares += apart * apart
        self._passages += now.loops.passages - then.loops.passages


def seen(loops: Tally, cameras: Tally, found: float) -> Moment:
    """A moment, with what the cameras missed (net) as further entries."""
    return Moment(loops, Tally(cameras.at_s, cameras.entered + found, cameras.left))
