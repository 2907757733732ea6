"""Pure: what is inside a lot, as counters that miss and double-count can tell.

What is inside is followed as a histogram under each of a few dozen suppositions of how the counter
errs (bias per entry, noise per passage). Every look moves the histograms by what was counted; what
then fits badly loses weight. What fits or does not:

    empty          nobody leaves an empty lot
    full           nobody enters a full one: a count that comes back to the same number again and
                   again while cars come and go, and never passes it, stands at a wall
    like hours     every night, every working day and every week's end at its busiest about as many
                   are inside as the last time
    a person       who counts is believed

A count that wanders freely with variance n over n passages goes from v to w spaces off a wall
without touching it; one that the wall holds does so more often, by 1 + exp(-2vw/n): the image of a
walk in a mirror. Only the upper wall is looked for so: cars that stay for days make a floor too.
"""

import math
from typing import Any, Self

import msgspec
import numpy as np

from service.occupancy.drift import Estimate, Tally

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

BAND = 0.95
MOST_CELLS = 512
BIASES = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04)  # an entry, either way
NOISES = (0.001, 0.006, 0.04)  # variance in spaces a passage, beyond that of the misses
BIAS_SD = 0.017  # before it is known
PRESSING = 1.3  # a lot is full because more come than leave
LIVELY, LIVELY_S = 0.25, 1800.0  # passages an hour for each space: residents at home are no wall
FEW = 2.0  # passages to be looked at together, times the square of a cell
WALK = 0.25  # of the spaces: over more passages a count comes back by itself
PAST_A_WALL = 0.03  # the odds of one space further: walls are not quite where they are said to be
CLEARLY = 0.03  # of the spaces
OUTLIER = 18.0  # half squares; a witness can be wrong
RECOUNT_VARIANCE = 0.25
LIKE = ("a working day at its busiest", "a week's end at its busiest", "a night")
NIGHT = 2
LIKE_SHARE, LIKE_SD = 0.5, 1.0  # of the spaces, at like hours, before it is known: anything
LIKE_NOISE_SD = 0.03  # by which like hours differ, of the spaces, before it is known
FORGET_A_DAY = 0.01  # counters age
ALIKE_S = 8 * 86_400.0


class Memory(msgspec.Struct, frozen=True):
    """A `CounterFilter` as it is kept, supposition by supposition.

    inside: weight, mean and variance; alike and before: what was learned of like hours.
    """

    known: Tally
    offset: float
    inside: list[list[float]]
    alike: list[list[list[float]]]
    before: list[Tally | None]
    walled: bool = True


class CounterFilter:
    """At `start`, `occupied` were inside, give or take `start_sd`. Tallies must not run backwards.

    `bias` is what is known of the counter's net misses an entry: mean and standard deviation.
    `walled` is whether nobody is kept out before it is full.
    """

    def __init__(
        self,
        capacity: int,
        start: Tally,
        occupied: float,
        *,
        start_sd: float = 0.7,
        bias: tuple[float, float] = (0.0, BIAS_SD),
    ) -> None:
        self.capacity = self.full = capacity
        self.walled = True
        self.known = self._taken = start
        self.offset = occupied - start.counted  # what was inside before the counter began
        cells = min(max(capacity, 1), MOST_CELLS)
        self._cell = max(capacity, 1) / cells
        self._inside = np.arange(cells + 1) * self._cell
        self._bands = np.arange(capacity)  # one as large as the lot holds all there is
        self._bias, self._noise, self._prior = _suppositions(*bias)
        count = len(self._bias)
        one = self._bell(np.full(count, occupied), np.full(count, max(start_sd, 0.3) ** 2))
        self._odds: Array = (self._prior[:, None] * one).astype(np.float32)
        self._lively = 0.0
        self._beside = 0.0  # spaces that were counted, but are not yet cells
        self._missed = np.zeros(count)  # the same of what was not counted, in cells
        self._spread = np.zeros(count)
        mean, sd, noise = (share * capacity for share in (LIKE_SHARE, LIKE_SD, LIKE_NOISE_SD))
        # Of like hours: what is inside, mean and variance; squares by which it differs; how many.
        like = [[mean] * count, [sd * sd] * count, [noise * noise] * count, [1.0] * count]
        self._alike = [np.array(like) for _ in LIKE]
        self._before: list[Tally | None] = [None] * len(self._alike)

    def memory(self) -> Memory:
        """What a restart must not forget."""
        inside = [self._odds.sum(axis=1), *self._moments()]
        return Memory(
            self.known,
            self.offset,
            [one.tolist() for one in inside],
            [one.tolist() for one in self._alike],
            list(self._before),
            self.walled,
        )

    @classmethod
    def recalled(cls, capacity: int, memory: Memory) -> Self:
        """As it was when `memory` was taken, but for the histograms' shapes."""
        known = cls(capacity, memory.known, memory.known.counted + memory.offset)
        known.walled = memory.walled
        weight, mean, variance = (np.array(one) for one in memory.inside)
        if len(weight) == len(known._prior):
            known._set(weight[:, None] * known._bell(mean, variance))
            known._alike = [np.array(one) for one in memory.alike]
            known._before = list(memory.before)
        return known

    def holding(self, capacity: int) -> Self:
        """The same with as many spaces from now on; who is inside already stays."""
        held = self
        if capacity > self.capacity:
            held = type(self).recalled(capacity, self.memory())
        held.full = capacity
        return held

    # What is told.

    def estimate(self) -> Estimate:
        """What is inside as of the last look; the band is the least around it that holds 95 %."""
        below = np.concatenate([[0.0], np.cumsum(self._odds.sum(axis=0), dtype=float)])
        below /= below[-1]
        edges = np.append(self._where(), self._where()[-1] + self._cell) - self._cell / 2
        occupied = min(max(round(float(np.interp(0.5, below, edges))), 0), self.capacity)
        sides = self._bands + 0.5
        held = np.interp(occupied + sides, edges, below) - np.interp(occupied - sides, edges, below)
        mean, variance = self.inside()
        error = self.known.counted + self.offset - mean
        return Estimate(occupied, int(np.searchsorted(held, BAND)), error, variance)

    def inside(self) -> tuple[float, float]:
        """Mean and variance, in spaces."""
        odds = self._odds.sum(axis=0)
        where = self._where()
        mean = float(odds @ where)
        return mean, float(odds @ (where - mean) ** 2)

    # What is counted.

    def look(self, now: Tally) -> None:
        """Take what has been counted since the last look."""
        self._hear(now)
        self._beside += now.counted - self.known.counted
        self.known = now
        passages = now.passages - self._taken.passages
        if passages < max(FEW * self._cell**2, 1.0) and abs(self._beside) < self._cell:
            return  # less than a cell tells of
        then, self._taken = self._taken, now
        self._weigh(now.counted - then.counted, passages)
        step = round(self._beside / self._cell)
        self._beside -= step * self._cell
        self._odds = _moved(self._odds, step)
        self._missed += self._bias * max(now.entered - then.entered, 0.0) / self._cell
        steps = np.rint(self._missed).astype(int)
        for step in set(steps.tolist()) - {0}:
            rows = steps == step
            self._odds[rows] = _moved(self._odds[rows], step)
        self._missed -= steps
        self._spread += self._noise * passages / self._cell**2
        self._blur()

    def _hear(self, now: Tally) -> None:
        """How lively it is, in passages a second, as of the last while."""
        before = self.known
        kept = math.exp(min(before.at_s - now.at_s, 0.0) / LIVELY_S)
        self._lively = self._lively * kept + (now.passages - before.passages) / LIVELY_S

    def _weigh(self, more: float, passages: float) -> None:
        """How well what was counted fits to the walls, cell by cell."""
        full = float(self.full)
        after = self._where()
        before = after - more
        further = _past(after, full) - _past(before, full) - (self._cell - 1) / 2
        fits: Array = PAST_A_WALL ** np.clip(further, 0.0, 5.0)
        lively = self._lively * 3600 >= LIVELY * self.full
        if self.walled and lively and passages < WALK * self.full:
            fits *= 1.0 + _at_wall(full - before, full - after, passages)
        self._odds *= fits.astype(self._odds.dtype)
        self._odds /= self._odds.sum()

    def _where(self) -> Array:
        """What is inside, cell by cell, in spaces."""
        where: Array = self._inside + self._beside
        return where

    def _blur(self) -> None:
        """Let what miscounts have added to the doubt spread over the cells."""
        while (rows := self._spread > 0.3).any():
            stride = max(int((float(self._spread.max()) / 3) ** 0.5), 1)
            share = np.minimum(self._spread[rows] / (2 * stride * stride), 0.4)
            odds = self._odds[rows]
            side = share[:, None].astype(odds.dtype) * odds
            spread = odds - 2 * side
            spread[:, stride:] += side[:, :-stride]
            spread[:, :-stride] += side[:, stride:]
            spread[:, 0] += side[:, :stride].sum(axis=1)
            spread[:, -1] += side[:, -stride:].sum(axis=1)
            self._odds[rows] = spread
            self._spread[rows] -= 2 * share * stride * stride

    # What else is known.

    def believe(self, occupied: int) -> None:
        """A person counted `occupied`, and is believed however sure the count was before.

        Who counts clearly fewer where it looked full tells that cars are kept out before it is.
        """
        looked, clearly = self.estimate(), CLEARLY * self.full
        looked_full = looked.occupied + looked.band >= self.full - clearly
        if looked_full and occupied < looked.occupied - looked.band - clearly:
            self.walled = False
        count = len(self._bias)
        weight = self._odds.sum(axis=1)
        means, variances = self._moments()
        variances += RECOUNT_VARIANCE
        off = (means - occupied) ** 2 / (2 * variances)
        weight = weight * np.exp(-np.minimum(off - off.min(), OUTLIER)) / np.sqrt(variances)
        bell = self._bell(np.full(count, float(occupied)), np.full(count, RECOUNT_VARIANCE))
        self._beside, self._taken = 0.0, self.known
        self._set(weight[:, None] * bell)

    def like_hour(self, then: Tally, like: int) -> bool:
        """What was inside then is about what was inside at like hours before (an index of LIKE).

        Whether it was used: a day may be unlike the others.
        """
        if like == NIGHT:
            self._forget()
        since = Tally(0.0, self.known.entered - then.entered, self.known.left - then.left)
        back = -(since.counted + self._bias * since.entered)
        level, doubt, squares, days = self._differed(then, like)
        differ = np.maximum(squares / days, 1.0)
        means, variances = self._moments()
        means, variances = means + back, variances + self._noise * since.passages
        known = (means - level) ** 2 <= 16 * (variances + doubt + differ)
        if float(self._odds.sum(axis=1) @ known) < 0.5:
            return False
        self._fit(level - back, doubt + differ + self._noise * since.passages)
        gain = doubt / (doubt + variances + differ)
        level = np.minimum(level + gain * (means - level), self.capacity)
        self._alike[like] = np.array([level, doubt * (1 - gain), squares, days])
        return True

    def _differed(self, then: Tally, like: int) -> Array:
        """How much like hours differ, learned from one to the next."""
        before, self._before[like] = self._before[like], then
        known = self._alike[like]
        if before is None or then.at_s - before.at_s > ALIKE_S:
            return known
        entries, passages = then.entered - before.entered, then.passages - before.passages
        moved = then.counted - before.counted + self._bias * entries
        level, doubt, squares, days = known
        more = np.maximum(moved * moved - self._noise * passages, 0.0) / 2
        return np.array([level, doubt, squares + more, days + 1])

    def _fit(self, inside: Array, variance: Array) -> None:
        """Weigh by a witness who says what is `inside` under each supposition."""
        off = (self._where() - inside[:, None]) ** 2 / (2 * variance[:, None])
        fits = np.exp(-np.minimum(off, OUTLIER)) / np.sqrt(variance)[:, None]
        self._set(self._odds * fits)

    def _forget(self) -> None:
        """Once a day: how a counter errs may change."""
        weight = self._odds.sum(axis=1)
        kept = (1 - FORGET_A_DAY) * weight + FORGET_A_DAY * self._prior
        self._set(self._odds * (kept / np.maximum(weight, 1e-30))[:, None])

    def _set(self, odds: Array) -> None:
        self._odds = (odds / odds.sum()).astype(np.float32)

    def _moments(self) -> tuple[Array, Array]:
        """Mean and variance of what is inside under each supposition."""
        weight = np.maximum(self._odds.sum(axis=1), 1e-30)
        where = self._where()
        mean = self._odds @ where / weight
        square = self._odds @ where**2 / weight
        return mean, np.maximum(square - mean * mean, 0.01)

    def _bell(self, mean: Array, variance: Array) -> Array:
        """A bell a row; what lies beyond a wall stands at it, so that the median stays."""
        size = len(self._inside)
        wide = np.arange(-size, 2 * size) * self._cell
        off = (wide - np.clip(mean, 0, self.capacity)[:, None]) ** 2
        bell = np.exp(-np.minimum(off / (2 * variance[:, None]), 600.0))
        shares: Array = bell[:, size : 2 * size]
        shares[:, 0] += bell[:, :size].sum(axis=1)
        shares[:, -1] += bell[:, 2 * size :].sum(axis=1)
        shares /= shares.sum(axis=1)[:, None]
        return shares


def _moved(odds: Array, step: int) -> Array:
    """Each row moved on by `step` cells; what passes an end stays at it."""
    if step == 0:
        return odds
    moved = np.zeros_like(odds)
    if step > 0:
        kept = max(odds.shape[1] - step, 0)
        moved[:, step:] = odds[:, :kept]
        moved[:, -1] += odds[:, kept:].sum(axis=1)
    else:
        moved[:, :step] = odds[:, -step:]
        moved[:, 0] += odds[:, :-step].sum(axis=1)
    return moved


def _at_wall(before: Array, after: Array, passages: float) -> Array:
    """How much more often than a free one a held count goes from so far off its wall to so far."""
    before, after = np.maximum(before, 0.0), np.maximum(after, 0.0)
    fits: Array = PRESSING * np.exp(-2 * (before + 0.5) * (after + 0.5) / passages)
    return fits


def _past(inside: Array, full: float) -> Array:
    """How far past a wall, in spaces."""
    past: Array = np.maximum(np.maximum(inside - full, -inside), 0.0)
    return past


def _suppositions(mean: float, sd: float) -> tuple[Array, Array, Array]:
    """How a counter may err: bias, noise and how likely that is before it was seen."""
    biases = sorted({sign * bias for bias in BIASES for sign in (1, -1)})
    pairs = [(bias, abs(bias) / 2 + noise) for bias in biases for noise in NOISES]
    bias, noise = np.array(pairs).T
    prior = np.exp(-((bias - mean) ** 2) / (2 * sd * sd)) + 1e-4
    return bias, noise, prior / prior.sum()
