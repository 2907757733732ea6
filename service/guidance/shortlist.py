"""Pure: which lots can be the best from somewhere, cheapest bound first, without looking at all.

Lots are listed in chunks. A chunk's bound is a number of seconds that no lot in it or after it can
beat, wherever in the cell the driver is: once the k-th best found so far is below the next bound,
the answer is exact. Only the head of a list is kept; who reads past it looks at every lot.

Without a destination the lists belong to square cells of origin: drive ≥ distance to the cell.
With one they belong to the destination: drive(o, l) ≥ drive(o, d) - drive(d, l), in one plane.
"""

import math
from collections.abc import Sequence
from heapq import heappop, heappush, nsmallest
from itertools import islice
from typing import Any

from service.catalog import Point
from service.guidance.travel import Pace, Plane

CELL_M = 500.0
REGION_CELLS = 16
CHUNK = 16
HEAD = 160
DOOR_HEAD = 640
CELLS_KEPT = 4096
REGIONS_KEPT = 64
PLANES_KEPT = 32
DOORS_KEPT = 64

# (x_m, y_m, fixed_s, lot index): what the score needs of a lot, `fixed_s` being what is the same
# from everywhere (walk and price).
Row = tuple[float, float, float, int]
Chunks = list[tuple[float, list[Row]]]


class Shortlists:
    """Lists by cell and by destination, built when first asked for, the oldest dropped."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._placed: dict[Plane, list[tuple[float, float]]] = {}
        self._rows: dict[Any, list[Row]] = {}
        self._cells: dict[Any, Chunks] = {}
        self._regions: dict[Any, list[tuple[float, Row]]] = {}
        self._doors: dict[Any, Chunks] = {}

    def placed(self, plane: Plane) -> list[tuple[float, float]]:
        """Every lot's x and y in metres."""
        found = self._placed.get(plane)
        if found is None:
            found = [plane.project(point) for point in self._points]
            _keep(self._placed, plane, found, PLANES_KEPT)
        return found

    def near(
        self, plane: Plane, pace: Pace, at: tuple[float, float], fixed: Sequence[float], number: int
    ) -> Chunks:
        """For an origin at `at`; `number` names the contents of `fixed`."""
        x, y = at
        key = (plane.band, x // CELL_M, y // CELL_M, pace.drive_s_per_m, number)
        found = self._cells.get(key)
        if found is None:
            found = _chunks(self._cell(plane, pace, at, fixed, number))
            _keep(self._cells, key, found, CELLS_KEPT)
        return found

    def around(
        self, plane: Plane, pace: Pace, door: Point, fixed: Sequence[float], number: int
    ) -> Chunks:
        """For a destination at `door`: add the drive from the origin to `door` to every bound."""
        key = (door, pace, number)
        found = self._doors.get(key)
        if found is None:
            x, y = plane.project(door)
            listed = [
                (fixed[at] - pace.drive_s_per_m * math.hypot(u - x, v - y), (u, v, fixed[at], at))
                for at, (u, v) in enumerate(self.placed(plane))
            ]
            found = _chunks(nsmallest(DOOR_HEAD, listed))
            _keep(self._doors, key, found, DOORS_KEPT)
        return found

    def _all(self, plane: Plane, fixed: Sequence[float], number: int) -> list[Row]:
        key = (plane.band, number)
        found = self._rows.get(key)
        if found is None:
            placed = self.placed(plane)
            found = [(x, y, fixed[at], at) for at, (x, y) in enumerate(placed)]
            _keep(self._rows, key, found, PLANES_KEPT)
        return found

    def _cell(
        self, plane: Plane, pace: Pace, at: tuple[float, float], fixed: Sequence[float], number: int
    ) -> list[tuple[float, Row]]:
        """The first HEAD lots of a cell by bound, taken from its region's list, exactly."""
        square = _square(at, CELL_M)
        best: list[tuple[float, Row]] = []
        worst: list[float] = []  # a max-heap of the HEAD lowest bounds
        for region_bound, row in self._region(plane, pace, at, fixed, number):
            if len(worst) == HEAD and region_bound > -worst[0]:
                break
            bound = pace.drive_s_per_m * _away_m(square, row[0], row[1]) + row[2]
            if len(worst) == HEAD and bound >= -worst[0]:
                continue
            best.append((bound, row))
            heappush(worst, -bound)
            if len(worst) > HEAD:
                heappop(worst)
        best.sort()
        return best[:HEAD]

    def _region(
        self, plane: Plane, pace: Pace, at: tuple[float, float], fixed: Sequence[float], number: int
    ) -> list[tuple[float, Row]]:
        side = CELL_M * REGION_CELLS
        key = (plane.band, at[0] // side, at[1] // side, pace.drive_s_per_m, number)
        found = self._regions.get(key)
        if found is None:
            square = _square(at, side)
            found = [
                (pace.drive_s_per_m * _away_m(square, row[0], row[1]) + row[2], row)
                for row in self._all(plane, fixed, number)
            ]
            found.sort()
            _keep(self._regions, key, found, REGIONS_KEPT)
        return found


def _square(at: tuple[float, float], side: float) -> tuple[float, float, float, float]:
    left, low = at[0] // side * side, at[1] // side * side
    return left, low, left + side, low + side


def _away_m(square: tuple[float, float, float, float], x: float, y: float) -> float:
    left, low, right, high = square
    return math.hypot(max(left - x, 0.0, x - right), max(low - y, 0.0, y - high))


def _chunks(listed: list[tuple[float, Row]]) -> Chunks:
    rows = iter(listed)
    chunks: Chunks = []
    while part := list(islice(rows, CHUNK)):
        chunks.append((part[0][0], [row for _, row in part]))
    return chunks


def _keep(cache: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    cache[key] = value
    if len(cache) > most:
        del cache[next(iter(cache))]
