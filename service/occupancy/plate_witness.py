"""Pure: how many vehicles were inside some hours ago, told by the plates that left since.

A vehicle whose plate was read on the way in and on the way out was inside in between, whatever the
counters say. Of the others the passages are known, and how long stays usually are:

    a plate leaves that never came    it belongs to one of the entries left unread, or, where none
                                      fits, to a vehicle that no camera saw come
    a plate never leaves              it belongs to one of the exits left unread, or, where none
                                      fits, to a vehicle that no camera saw go

Each is shared out by odds. So the witness knows what was inside `SETTLED_S` ago, and finds what the
cameras did not see. Plates live here in memory only, for a day, and go nowhere.
"""

import math
from collections import deque
from heapq import heappop, heappush

import msgspec

from service.occupancy.drift import Tally
from service.occupancy.plates_inside import PlatesInside
from service.occupancy.stays import DAY_S, Stays

SETTLED_S = 8 * 3600.0
SAMPLE_S = 900.0
LEARNED_S = 2 * DAY_S  # after that stays are known well enough to blame a camera
UNSEEN_SHARE = 0.002
GONE_ODDS = 0.1  # of having stayed so long, against having left without being read
RATE_S = 3600.0
DOUBT = 0.4
UNLEARNED_SHARE = 0.1  # what `inside` may be off by before stays are known
STEP = 0.005  # shares below are not followed
AUTOCORRELATION = 20.0  # neighbouring samples see mostly the same vehicles


class Settled(msgspec.Struct, frozen=True):
    """What was inside when the counters read `tallies`: spaces, and the variance of that.

    `found` is what the cameras had missed by then, net: to be added to their count.
    """

    tallies: tuple[Tally, ...]
    found: float
    inside: float
    variance: float


class _Sample(msgspec.Struct):
    at_s: float
    tallies: tuple[Tally, ...]
    found: float
    inside: float = 0.0


class _Unread(msgspec.Struct):
    """A passage without a plate; `weight` is how far it is still unexplained."""

    at_s: float
    exits_per_s: float
    weight: float = 1.0


class _Ghost(msgspec.Struct):
    """A plate given up: the share of not having been seen, and of each unread exit."""

    came_s: float
    unseen: float
    exits: list[tuple[_Unread, float]]


class PlateWitness:
    """Takes entries and exits as the cameras saw them; `plate` is None where it was not read."""

    def __init__(self) -> None:
        self._found = 0.0
        self._pending = 0.0
        self._inside = PlatesInside()
        self._ghosts: dict[str, _Ghost] = {}
        self._came: list[_Unread] = []
        self._went: list[_Unread] = []
        self._samples: deque[_Sample] = deque()
        self._stays = Stays()
        self._ended: list[tuple[float, float]] = []  # a heap: the first to come first
        self._exits = 0
        self._unread_exits = 0
        self._exits_per_s = 0.0
        self._exit_s = 0.0
        self._began_s: float | None = None

    @property
    def found(self) -> float:
        """What the cameras have missed by now, net: to be added to their count."""
        return self._found + self._pending

    @property
    def doubt(self) -> float:
        """How far `found` may be off on the whole, as a standard deviation."""
        return DOUBT * abs(self._pending)

    def entered(self, plate: str | None, at_s: float) -> None:
        if plate is None:
            self._came.append(_Unread(at_s, 0.0))
        else:
            self._inside.add(plate, at_s)

    def left(self, plate: str | None, at_s: float) -> None:
        self._count_exit(at_s, read=plate is not None)
        if plate is None:
            self._left_unread(at_s)
            return
        taken = self._inside.take(plate)
        if taken is None:
            self._came_unread(at_s)
            return
        name, came_s = taken
        ghost = self._ghosts.pop(name, None)
        if ghost is not None:
            self._blame(ghost, -1.0)
        heappush(self._ended, (came_s, at_s))
        self._was_inside(came_s, at_s, 1.0)

    def sample(self, tallies: tuple[Tally, ...], at_s: float) -> list[Settled]:
        """Remember what the counters read at `at_s`; returns what has become known meanwhile."""
        if self._began_s is None:
            self._began_s = at_s
        self._forget(at_s)
        self._give_up(at_s)
        self._pending = self._unfound(at_s, at_s)
        self._samples.append(_Sample(at_s, tallies, self._found))
        settled = []
        while self._samples[0].at_s <= at_s - SETTLED_S:
            sample = self._samples.popleft()
            # Whoever was inside before the first sample was never read on the way in.
            if sample.at_s >= self._began_s + DAY_S / 2:
                settled.append(self._settle(sample, at_s))
        return settled

    # What nobody read.

    def _left_unread(self, at_s: float) -> None:
        """Perhaps somebody who had come unread as well; else a plate that will never leave."""
        out = _Unread(at_s, self._exits_per_s)
        for one in self._came:
            if one.weight > STEP:
                odds = self._stays.hazard(one.at_s, at_s - one.at_s) / self._exits_per_s
                share = min(one.weight * min(odds, 0.5), out.weight)
                one.weight -= share
                out.weight -= share
                self._was_inside(one.at_s, at_s, share)
        self._went.append(out)

    def _came_unread(self, at_s: float) -> None:
        """A plate left that never came: an unread entry's, or one that no camera saw."""
        claims = [
            (one, one.weight * self._stays.hazard(one.at_s, at_s - one.at_s))
            for one in self._came
            if one.weight > STEP
        ]
        unseen = UNSEEN_SHARE * self._exits_per_s
        total = unseen + sum(claim for _, claim in claims)
        for one, claim in claims:
            one.weight = max(one.weight - claim / total, 0.0)
            self._was_inside(one.at_s, at_s, claim / total)
        known = self._knows_stays(at_s)
        self._found += known * unseen / total
        for sample in self._samples:
            here = unseen / total * self._stays.longer(at_s - 7200, at_s - sample.at_s)
            sample.inside += here
            sample.found += known * here

    def _give_up(self, now_s: float) -> None:
        """Plates that are inside for too long have left, by an unread exit or unseen."""
        if not self._knows_stays(now_s):
            return
        unread = self._unread_share()
        for plate, came_s in self._inside:
            if plate in self._ghosts:
                continue
            if self._stays.longer(came_s, now_s - came_s) < GONE_ODDS * unread:
                self._ghosts[plate] = self._ghost(came_s)
                self._blame(self._ghosts[plate], 1.0)

    def _ghost(self, came_s: float) -> _Ghost:
        claims = []
        for one in self._went:
            stay_s = one.at_s - came_s
            if stay_s > 0 and one.weight > STEP:
                # Who else may have left then: those who came later, as far as they stay less long.
                others = one.exits_per_s * max(1 - self._stays.longer(came_s, stay_s), 0.02)
                claims.append((one, one.weight * self._stays.density(came_s, stay_s) / others))
        total = UNSEEN_SHARE + sum(claim for _, claim in claims)
        shares = [(one, min(claim / total, one.weight)) for one, claim in claims]
        return _Ghost(came_s, UNSEEN_SHARE / total, shares)

    def _blame(self, ghost: _Ghost, sign: float) -> None:
        """Lay a ghost's share on the exits it may have left by; sign -1 takes it back."""
        came_s = ghost.came_s
        for one, share in ghost.exits:
            one.weight -= sign * share
            self._was_inside(came_s, one.at_s, sign * share)
        known = self._knows_stays(came_s)
        self._found -= known * sign * ghost.unseen
        for sample in self._samples:
            if sample.at_s >= came_s:
                here = self._stays.longer(came_s, sample.at_s - came_s)
                sample.inside += sign * ghost.unseen * here
                sample.found -= known * sign * ghost.unseen * (1 - here)

    # What was inside.

    def _was_inside(self, came_s: float, left_s: float, share: float) -> None:
        if abs(share) < STEP:
            return
        for sample in reversed(self._samples):
            if sample.at_s < came_s:
                break
            if sample.at_s <= left_s:
                sample.inside += share

    def _settle(self, sample: _Sample, now_s: float) -> Settled:
        inside = sample.inside
        doubt = 0.0
        for plate, came_s in self._inside:
            if came_s > sample.at_s:
                break
            if plate not in self._ghosts:
                here = self._was_here(came_s, sample.at_s, now_s)
                inside += here
                doubt += here * (1 - here)
        for one in self._came:
            if one.at_s <= sample.at_s and one.weight > STEP:
                inside += one.weight * self._was_here(one.at_s, sample.at_s, now_s)
        variance = 0.25 + doubt / 2 + 0.2 * inside * 2 * self._unread_share()
        if not self._knows_stays(sample.at_s):
            variance += (1 + UNLEARNED_SHARE * inside) ** 2
        found = sample.found + self._unfound(sample.at_s, now_s)
        return Settled(sample.tallies, found, inside, variance * AUTOCORRELATION)

    def _unfound(self, then_s: float, now_s: float) -> float:
        """What was missed by `then_s` and will yet be found, net, as far as can be expected."""
        if not self._knows_stays(now_s):
            return 0.0
        unread, gone, here = self._unread_share(), 0.0, 0.0
        for plate, came_s in self._inside:
            if came_s > then_s:
                break
            if plate not in self._ghosts and self._knows_stays(came_s):
                still = self._stays.longer(came_s, now_s - came_s)
                was = self._stays.longer(came_s, then_s - came_s) if then_s < now_s else still
                left = still + (1 - still) * unread
                gone += (1 - was) / left
                here += still / left
        return UNSEEN_SHARE * (here - gone)

    def _was_here(self, came_s: float, then_s: float, now_s: float) -> float:
        """How likely one who came and was not seen leave by now was inside at `then_s`."""
        still = self._stays.longer(came_s, now_s - came_s)
        was = self._stays.longer(came_s, then_s - came_s)
        here = still / (still + (1 - still) * self._unread_share())
        return here + (1 - here) * max(was - still, 0.0) / max(1 - still, 1e-6)

    def _unread_share(self) -> float:
        return (2 + self._unread_exits) / (100 + self._exits) + UNSEEN_SHARE

    def _count_exit(self, at_s: float, *, read: bool) -> None:
        self._exits += 1
        self._unread_exits += not read
        faded = math.exp(-max(at_s - self._exit_s, 0.0) / RATE_S)
        self._exits_per_s = self._exits_per_s * faded + 1 / RATE_S
        self._exit_s = at_s

    def _knows_stays(self, now_s: float) -> bool:
        return self._began_s is not None and now_s >= self._began_s + LEARNED_S

    def _forget(self, now_s: float) -> None:
        before_s = now_s - DAY_S
        old = []
        for plate, came_s in self._inside:
            if came_s > before_s:
                break
            old.append((plate, came_s))
        for plate, came_s in old:
            self._inside.take(plate)
            if self._ghosts.pop(plate, None) is None and self._knows_stays(now_s):
                self._blame(self._ghost(came_s), 1.0)
        while self._ended and self._ended[0][0] < before_s:
            came_s, left_s = heappop(self._ended)
            self._stays.add(came_s, left_s - came_s)
        self._came = [one for one in self._came if one.at_s > before_s]
        self._went = [one for one in self._went if one.at_s > before_s]
