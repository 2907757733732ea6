"""Which lots for whom: exact rankings from memory, for any position, in microseconds.

request ─ shortlist (bounds) ─ standings (tier, risk) ─ the k best ─ JSON, or a `Ranking`
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from service.catalog import Catalog, Lot, Point
from service.clock import Clock
from service.guidance.arrivals import Arrivals
from service.guidance.model import Mirrored, Needs, Ranking, Request
from service.guidance.prices import SLOT_S, PriceList, Prices
from service.guidance.ranking import Tier, Weights, fits
from service.guidance.roads import Roads
from service.guidance.shortlist import PACKED, Chunks, Shortlists
from service.guidance.standings import Answer, Standings
from service.guidance.travel import Pace, Plane, pace_of, plane_at
from service.occupancy.model import LotState

ROUNDING_S: Final = 1e-6  # sums of the same seconds in another order differ by less
REGION_M: Final = 8000.0
KEPT: Final = 256
ROUTED_MOST: Final = 90  # routing services refuse tables of more than a hundred
NOBODY: Final[frozenset[int]] = frozenset()


class Found(NamedTuple):
    """A lot measured by itself: where it stands, what it costs and how far it is."""

    tier: int
    score_s: float
    at: int
    drive_s: float
    away_m: float

    @property
    def answer(self) -> Answer:
        return self[1:]


class View(msgspec.Struct, frozen=True, eq=False):
    """What is the same for all with the same needs who ask for one door, or from one square.

    `fixed_s` is walk plus price, `number` names its contents; `walk_s` is None without a door.
    It stands for the `slot` of time that `prices` are for.
    """

    slot: float
    plane: Plane
    placed: list[tuple[float, float]]
    pace: Pace
    prices: PriceList
    fixed_s: Sequence[float]
    walk_s: Sequence[float] | None
    number: int
    standings: Standings
    barred: frozenset[int]
    door: Point | None


# A request: what it has in common with others, and where it comes from in that plane, in metres.
Asked = tuple[View, float, float]


class Guide:
    """Answers from the mirror's current states; lots are looked at again when they change."""

    def __init__(
        self,
        catalog: Catalog,
        mirror: Mirrored,
        arrivals: Arrivals,
        clock: Clock,
        roads: Roads | None,
        prices: Prices,
        weights: Weights,
    ) -> None:
        self._catalog = catalog
        self._mirror = mirror
        self._arrivals = arrivals
        self._clock = clock
        self._roads = roads
        self._prices = prices
        self._weights = weights
        self._lots: list[Lot] = [catalog.lots[lot] for lot in sorted(catalog.lots)]
        self._index = {lot.id: at for at, lot in enumerate(self._lots)}
        self._shortlists = Shortlists([lot.position for lot in self._lots])
        self._standings: dict[tuple[bool, bool], Standings] = {}
        self._views: dict[Any, View] = {}
        self._fixed: dict[Any, tuple[Sequence[float], Sequence[float] | None, int]] = {}
        self._paces: dict[Any, Pace] = {}
        self._bars: dict[Any, frozenset[int]] = {}
        self._numbers = count(1)
        self._second: tuple[int, bytes] = (-1, b"")
        mirror.watch(self._touch)
        arrivals.watch(self._touch)

    def rank(self, request: Request) -> Ranking:
        """The `limit` best lots, best first, by straight-line drive times."""
        return msgspec.json.decode(self.rank_json(request), type=Ranking)

    def rank_json(self, request: Request) -> bytes:
        """The same as JSON."""
        asked = self._asked(request)
        best = self._best(asked, request.limit)
        if best is None:
            best = [one.answer for one in self._scan(asked, request.limit)]
        return self._written(asked[0], best, "straight_line")

    @property
    def by_road(self) -> bool:
        """Whether a routing service is asked, for which one has to wait."""
        return self._roads is not None

    async def routed(self, request: Request) -> Ranking:
        """As `rank`, with drive times by road where a routing service is configured."""
        return msgspec.json.decode(await self.routed_json(request), type=Ranking)

    async def routed_json(self, request: Request) -> bytes:
        """Ask the roads for the lots that may win by straight line, and say if they are silent."""
        if self._roads is None:
            return self.rank_json(request)
        asked = self._asked(request)
        found = self._scan(asked, min(2 * request.limit + 10, ROUTED_MOST))
        by_road_s = await self._roads.drive_s(
            request.origin, [self._lots[one.at].position for one in found]
        )
        if by_road_s is None:
            best = [one.answer for one in found[: request.limit]]
            return self._written(asked[0], best, "straight_line_fallback")
        routed = [
            one
            if drive_s is None
            else one._replace(score_s=self._score_s(asked[0], one.at, drive_s), drive_s=drive_s)
            for one, drive_s in zip(found, by_road_s, strict=True)
        ]
        best = [one.answer for one in sorted(routed)[: request.limit]]
        return self._written(asked[0], best, "roads")

    def order(self, request: Request, lots: Iterable[str]) -> list[tuple[str, Found]]:
        """Some lots, best first, each with where it stands: what a sign chooses its rows by."""
        asked = self._asked(request)
        found = [self._measured(asked, self._index[lot]) for lot in lots]
        return [(self._lots[one.at].id, one) for one in sorted(found)]

    def lot_view(self, lot: str) -> LotState | None:
        """What is known of a lot now."""
        return self._mirror.states.get(lot)

    def _touch(self, lots: frozenset[str]) -> None:
        touched = [self._index[lot] for lot in lots if lot in self._index]
        for standings in self._standings.values():
            standings.touch(touched)

    def _asked(self, request: Request) -> Asked:
        origin, door, needs = request.origin, request.destination, request.needs
        plane = plane_at((door or origin).lat)
        x, y = plane.project(origin)
        square = None if door else (plane.band, x // REGION_M, y // REGION_M)
        view, slot = self._views.get((door, needs, square)), self._clock.now_s() // SLOT_S
        if view is None or view.slot != slot:
            view = self._view(plane, door, needs, slot, plane.project(door or origin))
            _keep(self._views, (door, needs, square), view)
        if view.standings.dirty:
            view.standings.refresh()
        return view, x, y

    def _best(self, asked: Asked, limit: int) -> list[Answer] | None:
        """The `limit` best by the shortlist; None where it cannot tell."""
        view, x, y = asked
        per_m, extra_s, barred = view.pace.drive_s_per_m, view.standings.extra_s, view.barred
        chunks, nearer_s = self._chunks(asked)
        hypot = math.hypot
        best: list[Answer] = []
        enough_s = math.inf
        for bound_s, rows in chunks:
            if bound_s + nearer_s > enough_s:
                return best
            best += [
                (score_s, at, drive_s, away_m)
                for u, v, fixed_s, at in PACKED.iter_unpack(rows)
                for away_m in (hypot(u - x, v - y),)
                for drive_s in (away_m * per_m,)
                for score_s in (drive_s + fixed_s + extra_s[at],)
                if score_s <= enough_s
            ]
            if barred:
                best = [one for one in best if one[1] not in barred]
            best.sort()
            del best[limit:]
            if len(best) == limit and best[-1][0] < math.inf:
                enough_s = best[-1][0] + ROUNDING_S
        return None

    def _chunks(self, asked: Asked) -> tuple[Chunks, float]:
        view, x, y = asked
        if view.door is None:
            cell_m = self._shortlists.cell_m
            found = self._shortlists.cells.get((view.number, x // cell_m, y // cell_m))
            if found is None:
                found = self._shortlists.near(
                    view.plane, view.pace, (x, y), view.fixed_s, view.number
                )
            return found, 0.0
        chunks = self._shortlists.around(
            view.plane, view.pace, view.door, view.fixed_s, view.number
        )
        u, v = view.plane.project(view.door)
        return chunks, math.hypot(u - x, v - y) * view.pace.drive_s_per_m

    def _scan(self, asked: Asked, limit: int) -> list[Found]:
        """The best of all lots, those that cannot be advised last."""
        view = asked[0]
        found = [
            self._measured(asked, at)
            for at, tier in enumerate(view.standings.tiers)
            if tier < Tier.UNFIT and at not in view.barred
        ]
        found.sort()
        return found[:limit]

    def _measured(self, asked: Asked, at: int) -> Found:
        view, x, y = asked
        u, v = view.placed[at]
        away_m = math.hypot(u - x, v - y)
        drive_s = away_m * view.pace.drive_s_per_m
        score_s = self._score_s(view, at, drive_s)
        return Found(view.standings.tiers[at], score_s, at, drive_s, away_m)

    def _score_s(self, view: View, at: int, drive_s: float) -> float:
        return drive_s + view.fixed_s[at] + view.standings.stood(at).risk_s

    def _written(self, view: View, best: list[Answer], travel: str) -> bytes:
        """The answer as JSON: all the lots' templates, filled in one go."""
        walk_s, fen = view.walk_s, view.prices.fen
        numbers: list[int] = []
        for score_s, at, drive_s, away_m in best:
            score, drive, away = int(score_s + 0.5), int(drive_s + 0.5), int(away_m + 0.5)
            minutes = (drive + 30) // 60 or 1
            if walk_s is None:
                numbers += (minutes, minutes, score, drive, away, fen[at])
            else:
                walk = int(walk_s[at] + 0.5)
                on_foot = (walk + 30) // 60 or 1
                numbers += (minutes, on_foot, minutes, on_foot, score, drive, walk, away, fen[at])
        templates = view.standings.templates(best, walked=walk_s is not None)
        return b'{"version":%d,"at":%b,"travel":"%b","choices":[%b]}' % (
            self._mirror.version,
            self._now_json(),
            travel.encode(),
            b",".join(templates) % tuple(numbers),
        )

    def _now_json(self) -> bytes:
        second = int(self._clock.now_s())
        if second != self._second[0]:
            moment = datetime.fromtimestamp(second, UTC)
            self._second = (second, msgspec.json.encode(moment))
        return self._second[1]

    def _standing(self, needs: Needs) -> Standings:
        key = (needs.ev, needs.accessible)
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = Standings(
                self._lots, needs, self.lot_view, self._arrivals.on_the_way, self._weights
            )
        return found

    def _view(
        self,
        plane: Plane,
        door: Point | None,
        needs: Needs,
        slot: float,
        middle: tuple[float, float],
    ) -> View:
        """`middle` is where the site's pace is taken: the door, or the origin."""
        prices = self._prices.at(slot * SLOT_S, needs.stay_minutes)
        placed, pace = self._shortlists.placed(plane), self._pace(plane, *middle)
        key = (plane.band, pace, door, prices.number)
        if key not in self._fixed:
            paid_s = [fen * self._weights.s_per_fen for fen in prices.fen]
            walk_s, fixed_s = None, paid_s
            if door is not None:
                x, y = middle
                walk_s = [math.hypot(u - x, v - y) * pace.walk_s_per_m for u, v in placed]
                fixed_s = [walk + paid for walk, paid in zip(walk_s, paid_s, strict=True)]
            _keep(self._fixed, key, (fixed_s, walk_s, next(self._numbers)))
        return View(
            slot,
            plane,
            placed,
            pace,
            prices,
            *self._fixed[key],
            self._standing(needs),
            self._barred(needs, prices),
            door,
        )

    def _pace(self, plane: Plane, x: float, y: float) -> Pace:
        """Of the site whose lot is nearest to the middle of the 8 km square around the place."""
        key = (plane.band, x // REGION_M, y // REGION_M)
        found = self._paces.get(key)
        if found is None:
            middle = (key[1] * REGION_M + REGION_M / 2, key[2] * REGION_M + REGION_M / 2)
            placed = self._shortlists.placed(plane)
            nearest = (
                0
                if len(self._catalog.sites) == 1
                else min(range(len(placed)), key=lambda at: math.dist(placed[at], middle))
            )
            found = pace_of(self._catalog.sites[self._lots[nearest].site])
            _keep(self._paces, key, found)
        return found

    def _barred(self, needs: Needs, prices: PriceList) -> frozenset[int]:
        """Lots that are too low or too dear for this driver."""
        if needs.height_m is None and needs.max_price_fen is None:
            return NOBODY
        key = (needs.height_m, needs.max_price_fen, prices.number)
        found = self._bars.get(key)
        if found is None:
            height = Needs(height_m=needs.height_m)
            most_fen = math.inf if needs.max_price_fen is None else needs.max_price_fen
            found = frozenset(
                at
                for at, lot in enumerate(self._lots)
                if prices.fen[at] > most_fen or not fits(lot, height)
            )
            _keep(self._bars, key, found)
        return found


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > KEPT:
        del cache[next(iter(cache))]
