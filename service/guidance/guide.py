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
from service.guidance.prices import PriceList, Prices
from service.guidance.ranking import Tier, Weights, fits
from service.guidance.roads import Roads
from service.guidance.shortlist import PACKED, Chunks, Shortlists
from service.guidance.standings import Standings
from service.guidance.travel import Pace, Plane, pace_of, plane_at
from service.occupancy.model import LotState

ROUNDING_S: Final = 1e-6  # sums of the same seconds in another order differ by less
REGION_M: Final = 8000.0
KEPT: Final = 256
ROUTED_MOST: Final = 90  # routing services refuse tables of more than a hundred
NOBODY: Final[frozenset[int]] = frozenset()


# One lot of an answer: score, its index, drive, and metres in a straight line.
Answer = tuple[float, int, float, float]


class Digits(dict[int, bytes]):
    """Whole numbers as JSON has them, those of most answers ready."""

    def __missing__(self, number: int) -> bytes:
        return b"%d" % number


DIGITS: Final = Digits((number, b"%d" % number) for number in range(20_000))


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


class Ground(msgspec.Struct, frozen=True, eq=False):
    """What is the same for everyone who asks for one door and one price list.

    `fixed_s` is walk plus price, `number` names its contents; `walk_s` is None without a door.
    """

    pace: Pace
    fixed_s: Sequence[float]
    walk_s: Sequence[float] | None
    number: int


class Asked(msgspec.Struct, frozen=True, eq=False):
    """A request, seen from its plane: `x`, `y` in metres."""

    plane: Plane
    placed: list[tuple[float, float]]
    x: float
    y: float
    ground: Ground
    prices: PriceList
    standings: Standings
    barred: frozenset[int]
    door: Point | None


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
        self._grounds: dict[Any, Ground] = {}
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
        return self._written(asked, best, "straight_line")

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
            return self._written(asked, best, "straight_line_fallback")
        routed = [
            one
            if drive_s is None
            else one._replace(score_s=self._score_s(asked, one.at, drive_s), drive_s=drive_s)
            for one, drive_s in zip(found, by_road_s, strict=True)
        ]
        best = [one.answer for one in sorted(routed)[: request.limit]]
        return self._written(asked, best, "roads")

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
        needs, door = request.needs, request.destination
        plane = plane_at((door or request.origin).lat)
        x, y = plane.project(request.origin)
        prices = self._prices.at(self._clock.now_s(), needs.stay_minutes)
        standings = self._standing(needs)
        standings.refresh()
        return Asked(
            plane=plane,
            placed=self._shortlists.placed(plane),
            x=x,
            y=y,
            ground=self._ground(plane, x, y, door, prices),
            prices=prices,
            standings=standings,
            barred=self._barred(needs, prices),
            door=door,
        )

    def _best(self, asked: Asked, limit: int) -> list[Answer] | None:
        """The `limit` best by the shortlist; None where it cannot tell."""
        x, y, per_m = asked.x, asked.y, asked.ground.pace.drive_s_per_m
        extra_s, barred, hypot = asked.standings.extra_s, asked.barred, math.hypot
        chunks, nearer_s = self._chunks(asked)
        best: list[Answer] = []
        enough_s = math.inf
        for bound_s, rows in chunks:
            if bound_s + nearer_s > enough_s:
                return best
            best += [
                (score_s, at, drive_s, away_m)
                for u, v, fixed_s, at in PACKED.iter_unpack(rows)
                if (
                    score_s := (drive_s := (away_m := hypot(u - x, v - y)) * per_m)
                    + fixed_s
                    + extra_s[at]
                )
                <= enough_s
            ]
            if barred:
                best = [one for one in best if one[1] not in barred]
            best.sort()
            del best[limit:]
            if len(best) == limit and best[-1][0] < math.inf:
                enough_s = best[-1][0] + ROUNDING_S
        return None

    def _chunks(self, asked: Asked) -> tuple[Chunks, float]:
        ground = asked.ground
        if asked.door is None:
            at = (asked.x, asked.y)
            return self._shortlists.near(
                asked.plane, ground.pace, at, ground.fixed_s, ground.number
            ), 0.0
        chunks = self._shortlists.around(
            asked.plane, ground.pace, asked.door, ground.fixed_s, ground.number
        )
        u, v = asked.plane.project(asked.door)
        return chunks, math.hypot(u - asked.x, v - asked.y) * ground.pace.drive_s_per_m

    def _scan(self, asked: Asked, limit: int) -> list[Found]:
        """The best of all lots, those that cannot be advised last."""
        tiers = asked.standings.tiers
        found = [
            self._measured(asked, at)
            for at in range(len(self._lots))
            if tiers[at] < Tier.UNFIT and at not in asked.barred
        ]
        found.sort()
        return found[:limit]

    def _measured(self, asked: Asked, at: int) -> Found:
        u, v = asked.placed[at]
        away_m = math.hypot(u - asked.x, v - asked.y)
        drive_s = away_m * asked.ground.pace.drive_s_per_m
        tier = asked.standings.tiers[at]
        return Found(tier, self._score_s(asked, at, drive_s), at, drive_s, away_m)

    def _score_s(self, asked: Asked, at: int, drive_s: float) -> float:
        return drive_s + asked.ground.fixed_s[at] + asked.standings.stood(at).risk_s

    def _written(self, asked: Asked, best: list[Answer], travel: str) -> bytes:
        """The answer as JSON: each lot's pieces with its numbers between them."""
        walk_s, fen, pieces = asked.ground.walk_s, asked.prices.fen, asked.standings.pieces
        walked = walk_s is not None
        out = [
            b'{"version":%d,"at":%b,"travel":"%b","choices":['
            % (self._mirror.version, self._now_json(), travel.encode())
        ]
        for score_s, at, drive_s, away_m in best:
            minutes = DIGITS[int(drive_s / 60 + 0.5) or 1]
            score, drive = DIGITS[int(score_s + 0.5)], DIGITS[int(drive_s + 0.5)]
            away, price = DIGITS[int(away_m + 0.5)], DIGITS[fen[at]]
            if walk_s is None:
                a, b, c, d, e, f, g = pieces(at, walked=walked)
                out += (a, minutes, b, minutes, c, score, d, drive, e, away, f, price, g, b",")
            else:
                a, b, c, d, e, f, g, h, i, j = pieces(at, walked=walked)
                walk = DIGITS[int(walk_s[at] + 0.5)]
                on_foot = DIGITS[int(walk_s[at] / 60 + 0.5) or 1]
                out += (a, minutes, b, on_foot, c, minutes, d, on_foot, e, score, f)
                out += (drive, g, walk, h, away, i, price, j, b",")
        if best:
            out.pop()
        out.append(b"]}")
        return b"".join(out)

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

    def _ground(
        self, plane: Plane, x: float, y: float, door: Point | None, prices: PriceList
    ) -> Ground:
        if door is not None:
            x, y = plane.project(door)
        pace = self._pace(plane, x, y)
        key = (pace, door, prices.number)
        found = self._grounds.get(key)
        if found is None:
            paid_s = [fen * self._weights.s_per_fen for fen in prices.fen]
            walk_s = None
            fixed_s = paid_s
            if door is not None:
                placed = self._shortlists.placed(plane)
                walk_s = [math.hypot(u - x, v - y) * pace.walk_s_per_m for u, v in placed]
                fixed_s = [walk + paid for walk, paid in zip(walk_s, paid_s, strict=True)]
            found = Ground(pace, fixed_s, walk_s, next(self._numbers))
            _keep(self._grounds, key, found)
        return found

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
