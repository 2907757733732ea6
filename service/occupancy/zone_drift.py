"""Pure: everything that is known of one counter-fed zone's drift, look by look.

    plates       where cameras see every lane: what was inside some hours ago
    full, empty  the count stands at a wall
    quiet_hour   nights are alike
    busy_hour    like days fill a lot alike
    recount      a person counted

Nothing here is told what the truth is; `bowei bench drift` runs exactly this against it.
"""

import copy
import math
from collections import deque
from typing import NamedTuple

from service.occupancy.busy_hours import BusyHours
from service.occupancy.counter_filter import NIGHT, CounterFilter, Memory
from service.occupancy.drift import Drift, Estimate, Tally
from service.occupancy.drift_fusion import Fusion, Moment, seen
from service.occupancy.plate_witness import SAMPLE_S, PlateWitness

QUIET_HOUR = 4  # local
LATE_HOUR = 20
BLIND_PASSAGES = 40  # of the loops, while the cameras see not half as many
SIGHTED_SHARE = 0.8  # of as many, and cameras that were blind are believed again


class Seen(NamedTuple):
    """What is inside, and which witness (None: none) had something new to say at this look."""

    estimate: Estimate
    reason: str | None


class Known(NamedTuple):
    """What was known before a recount, to go back to where it is taken back."""

    alone: CounterFilter
    fusion: Fusion | None
    watching_since_s: float


class ZoneDrift:
    """Feed it the loops' tally every minute or so, and each passage as it comes.

    `alone` is what the loops know by themselves; it rests while cameras see every lane.
    """

    def __init__(self, alone: CounterFilter) -> None:
        self.alone = alone
        self._busy = BusyHours()
        self._hour: int | None = None
        self._witness: PlateWitness | None = None
        self._watching_since_s = math.inf
        self._fusion: Fusion | None = None
        self._camera = [0, 0]
        self._checks: deque[Moment] = deque()
        self._sampled_s = 0.0
        self._latest_s = 0.0
        self._now = alone.known

    def watch_plates(self, now: Tally) -> None:
        """Cameras see every lane from now on."""
        start = Moment(now, Tally(now.at_s, *self._camera))
        self.alone.look(now)
        mean, variance = self.alone.inside()
        loops = Drift(self.alone.capacity, now, mean, start_sd=variance**0.5)
        self._witness = PlateWitness()
        self._fusion = Fusion(loops, start, mean, start_sd=variance**0.5)
        self._checks = deque([start])
        self._sampled_s = now.at_s - SAMPLE_S
        self._watching_since_s = now.at_s

    def passed(self, plate: str | None, at_s: float, *, into: bool, late: bool = False) -> None:
        """A vehicle at a camera; those must come in order, or are taken as coming now.

        What is told `late` and was before we watched stands in the count that we began with.
        """
        if self._watching_since_s == math.inf or (late and at_s < self._watching_since_s):
            return
        at_s = self._latest_s = max(at_s, self._latest_s)
        self._camera[0 if into else 1] += 1
        if self._witness is not None:
            (self._witness.entered if into else self._witness.left)(plate, at_s)

    def look(self, now: Tally, local_hour: int, *, weekend: bool = False) -> Seen:
        """Take the loops' tally; the tallies must not run backwards."""
        self._now = now
        self._check(Moment(now, Tally(now.at_s, *self._camera)))
        if self._witness is None or self._fusion is None:
            return self._alone(now, local_hour, weekend=weekend)
        reason = None
        cameras = Tally(now.at_s, *self._camera)
        if now.at_s - self._sampled_s >= SAMPLE_S:
            self._sampled_s = now.at_s
            for known in self._witness.sample((now, cameras), now.at_s):
                self._fusion.settled(known)
                reason = "plates"
        moment = seen(now, cameras, self._witness.found)
        return Seen(self._fusion.at(moment, self._witness.doubt), reason)

    def _alone(self, now: Tally, local_hour: int, *, weekend: bool) -> Seen:
        self.alone.look(now)
        reason = self._turn(now, local_hour, weekend)
        estimate = self.alone.estimate()
        self._busy.seen(now, now.counted + self.alone.offset - estimate.error)
        if reason is None and estimate.occupied in {0, self.alone.full}:
            reason = "full" if estimate.occupied else "empty"
        return Seen(estimate, reason)

    def recount(self, now: Tally, occupied: int) -> None:
        """A person counted `occupied` inside."""
        if self._fusion is None or self._witness is None:
            self.alone.look(now)
            self.alone.believe(occupied)
            return
        moment = seen(now, Tally(now.at_s, *self._camera), self._witness.found)
        self._fusion.counted_by_hand(moment, occupied)

    def holding(self, capacity: int) -> None:
        """The zone has as many spaces from now on."""
        if capacity != self.alone.full:
            self.alone = self.alone.holding(capacity)
        if self._fusion is not None:
            self._fusion.loops.capacity = max(self._fusion.loops.capacity, capacity)

    def known(self) -> Known:
        """As it is now; what comes later does not change it."""
        return copy.deepcopy(Known(self.alone, self._fusion, self._watching_since_s))

    def go_back(self, known: Known) -> None:
        """To what was known; passages since then stay seen, and blind cameras no witness."""
        self.alone = known.alone
        if known.fusion is not None:
            if self._fusion is not None and known.watching_since_s == self._watching_since_s:
                self._fusion = known.fusion
                return
            self.alone = _by_loops(known.fusion.loops, self._now)
        if self._fusion is not None:  # cameras that began to see since then
            self.watch_plates(self._now)

    def memory(self) -> Memory:
        """What a restart must not forget; plates are learned anew."""
        if self._fusion is None:
            return self.alone.memory()
        return _by_loops(self._fusion.loops, self._now).memory()

    def _turn(self, now: Tally, local_hour: int, weekend: bool) -> str | None:
        """What the hour brings, once, as it begins."""
        before, self._hour = self._hour, local_hour
        if before is None or before == local_hour:
            return None
        if local_hour == LATE_HOUR:
            top = self._busy.end()
            if top is not None:
                return "busy_hour" if self.alone.like_hour(top, int(weekend)) else None
        elif local_hour == QUIET_HOUR:
            return "quiet_hour" if self.alone.like_hour(now, NIGHT) else None
        return None

    def _check(self, now: Moment) -> None:
        """Cameras that have gone blind are no witness, until they see again."""
        checks, passages = self._checks, now.loops.passages
        if not checks or passages == checks[-1].loops.passages:
            return
        checks.append(now)
        while passages - checks[1].loops.passages >= BLIND_PASSAGES:
            checks.popleft()
        then = checks[0]
        if passages - then.loops.passages < BLIND_PASSAGES:
            return
        ways = [
            (now.loops.entered - then.loops.entered, now.cameras.entered - then.cameras.entered),
            (now.loops.left - then.loops.left, now.cameras.left - then.cameras.left),
        ]
        if self._fusion is None:
            if all(saw >= SIGHTED_SHARE * counted for counted, saw in ways):
                self.watch_plates(now.loops)
        elif any(saw < counted / 2 - BLIND_PASSAGES / 4 for counted, saw in ways):
            self.alone = _by_loops(self._fusion.loops, now.loops)
            self._fusion = self._witness = None


def _by_loops(loops: Drift, now: Tally) -> CounterFilter:
    """What loops know by themselves, of which plates told how they err."""
    error, variance = loops.ahead(now)
    bias = (-loops.mean[1], loops.cov[1][1] ** 0.5)
    occupied = now.counted + loops.offset - error
    return CounterFilter(loops.capacity, now, occupied, start_sd=variance**0.5, bias=bias)
