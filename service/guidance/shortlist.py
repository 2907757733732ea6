"""Pure: which lots can be the best from somewhere, cheapest bound first, without looking at all.

Lots are listed in chunks. A chunk's bound is a number of seconds that no lot in it or after it can
beat, wherever in the cell the driver is: once the k-th best found so far is below the next bound,
the answer is exact. Only the head of a list is kept; who reads past it looks at every lot.

Without a destination the lists belong to square cells of origin: drive ≥ distance to the cell.
With one they belong to the destination: drive(o, l) ≥ drive(o, d) - drive(d, l), in one plane.
"""

import math
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from struct import Struct
from typing import Any, Final

from service.catalog import Point
from service.guidance.travel import Pace, Plane

# Squares within squares: side in metres, how many lots of each list are kept, how many lists.
# A list is made from that of the square around it, the widest from all lots.
LEVELS: Final = ((8000.0, 2048, 64), (2000.0, 320, 1024), (500.0, 96, 8192))
CHUNKS: Final = (24, 12)  # lots in the first chunk of a list, which most often is enough; in others
STRIDE: Final = 64
DOOR_HEAD: Final = 640
DOORS_KEPT: Final = 64
PLANES_KEPT: Final = 32

# (x_m, y_m, fixed_s, lot index): what the score needs of a lot, `fixed_s` being what is the same
# from everywhere (walk and price).
Row = tuple[float, float, float, int]
# Rows packed one after the other: as objects, five to a lot and a city full of lots, they are in no
# processor's cache when the next driver asks from elsewhere.
PACKED: Final = Struct("<dddi")
Chunks = list[tuple[float, bytes]]
Listed = list[tuple[float, Row]]


class Shortlists:
    """Lists by cell and by destination, built when first asked for, the oldest dropped."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._placed: dict[Plane, list[tuple[float, float]]] = {}
        self._rows: dict[Any, list[Row]] = {}
        self._squares: list[dict[Any, Listed]] = [{} for _ in LEVELS]
        self.cell_m = LEVELS[-1][0]
        self.cells: dict[tuple[int, float, float], Chunks] = {}
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
        """For an origin at `at`; `number` names the contents of `fixed`, in that plane.

        Kept in `cells`, where whoever knows `number` may look first.
        """
        found = _chunks(self._square(len(LEVELS) - 1, plane, pace, at, fixed, number))
        key = (number, at[0] // self.cell_m, at[1] // self.cell_m)
        _keep(self.cells, key, found, LEVELS[-1][2])
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

    def _square(
        self,
        level: int,
        plane: Plane,
        pace: Pace,
        at: tuple[float, float],
        fixed: Sequence[float],
        number: int,
    ) -> Listed:
        """The lots with the lowest bounds from anywhere in the square of `level` around `at`.

        A lot that the list around does not hold is no better there than its last: so a list ends
        where that one does.
        """
        side, head, kept = LEVELS[level]
        column, line = at[0] // side, at[1] // side
        key = (plane.band, column, line, pace.drive_s_per_m, number)
        found = self._squares[level].get(key)
        if found is not None:
            return found
        slack_s = side * math.sqrt(0.5) * pace.drive_s_per_m
        middle = ((column + 0.5) * side, (line + 0.5) * side)
        if level:
            around = self._square(level - 1, plane, pace, at, fixed, number)
            whole = len(around) == len(self._points)
            found = _nearest(around, middle, pace.drive_s_per_m, slack_s, head, whole=whole)
            if side != LEVELS[-1][0]:  # the last is kept in chunks
                _keep(self._squares[level], key, found, kept)
        else:
            rows = self._all(plane, fixed, number)
            found = _bounded(rows, middle, pace.drive_s_per_m, slack_s)
            found.sort()
            del found[head:]
            _keep(self._squares[level], key, found, kept)
        return found


def _bounded(
    rows: Iterable[Row], middle: tuple[float, float], s_per_m: float, slack_s: float
) -> Listed:
    """What each row costs at least within `slack_s` of driving from `middle`."""
    x, y = middle
    hypot = math.hypot
    return [(hypot(row[0] - x, row[1] - y) * s_per_m + row[2] - slack_s, row) for row in rows]


def _nearest(
    around: Listed,
    middle: tuple[float, float],
    s_per_m: float,
    slack_s: float,
    head: int,
    *,
    whole: bool,
) -> Listed:
    """The first `head` by bound, read from a wider square's list until no later row can be one."""
    found: Listed = []
    for start in range(0, len(around), STRIDE):
        if len(found) >= head and around[start][0] > found[head - 1][0]:
            break
        rows = [row for _, row in around[start : start + STRIDE]]
        found += _bounded(rows, middle, s_per_m, slack_s)
        found.sort()
    else:
        if not whole:
            ends_s = around[-1][0]
            found = [one for one in found if one[0] <= ends_s]
    return found[:head]


def _chunks(listed: list[tuple[float, Row]]) -> Chunks:
    chunks: Chunks = []
    start, (many, more) = 0, CHUNKS
    while part := listed[start : start + many]:
        chunks.append((part[0][0], b"".join(PACKED.pack(*row) for _, row in part)))
        start, many = start + many, more
    return chunks


def _keep(cache: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    cache[key] = value
    if len(cache) > most:
        del cache[next(iter(cache))]
