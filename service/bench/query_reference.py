"""Pure: the ranking by looking at every lot, plainly; what fast answers are held against."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from service.catalog import Catalog, Lot, Point
from service.guidance.model import Request
from service.guidance.ranking import Tier, Weights, fits, kinds_wanted, standing
from service.guidance.travel import Pace, Plane, pace_of, plane_at
from service.occupancy.model import LotState
from service.tariff.pricing import price

SQUARE_M = 8000.0
QUARTER_S = 900


class Ranked(msgspec.Struct, frozen=True, order=True):
    """One lot with everything it is sorted by, and what the answer says of it."""

    tier: int
    score_s: float
    lot: str
    drive_s: float
    walk_s: float
    distance_m: float
    price_fen: int


def brute_force(
    catalog: Catalog,
    states: Mapping[str, LotState],
    on_the_way: Callable[[str], float],
    request: Request,
    moment_s: float,
    weights: Weights,
) -> list[Ranked]:
    """The `limit` best lots of all, each measured by itself."""
    door, needs = request.destination, request.needs
    plane = plane_at((door or request.origin).lat)
    pace = _pace(catalog, plane, door or request.origin)
    x, y = plane.project(request.origin)
    ranked = []
    fees: dict[tuple[str, str], int] = {}  # many lots have one tariff
    for lot in catalog.lots.values():
        pair = (lot.tariff, lot.site)
        if pair not in fees:
            fees[pair] = _fen(catalog, lot, moment_s, needs.stay_minutes)
        fen = fees[pair]
        too_dear = needs.max_price_fen is not None and fen > needs.max_price_fen
        if too_dear or not fits(lot, needs):
            continue
        u, v = plane.project(lot.position)
        distance_m = math.hypot(u - x, v - y)
        walk_s = 0.0
        if door is not None:
            p, q = plane.project(door)
            walk_s = math.hypot(u - p, v - q) * pace.walk_s_per_m
        state = states.get(lot.id)
        stood = standing(state, on_the_way(lot.id), kinds_wanted(needs), weights)
        drive_s = distance_m * pace.drive_s_per_m
        score_s = drive_s + (walk_s + fen * weights.s_per_fen) + stood.risk_s
        ranked.append(Ranked(int(stood.tier), score_s, lot.id, drive_s, walk_s, distance_m, fen))
    ranked.sort()
    return [one for one in ranked if one.tier < Tier.UNFIT][: request.limit]


def _fen(catalog: Catalog, lot: Lot, moment_s: float, stay_minutes: int) -> int:
    entered_at = datetime.fromtimestamp(moment_s // QUARTER_S * QUARTER_S, UTC)
    left_at = entered_at + timedelta(minutes=stay_minutes)
    zone = ZoneInfo(catalog.sites[lot.site].timezone)
    return price(catalog.tariffs[lot.tariff], entered_at, left_at, zone).total_fen


def _pace(catalog: Catalog, plane: Plane, place: Point) -> Pace:
    """As fast as one is in the site whose lot is nearest to the middle of the place's square."""
    x, y = plane.project(place)
    middle = (
        x // SQUARE_M * SQUARE_M + SQUARE_M / 2,
        y // SQUARE_M * SQUARE_M + SQUARE_M / 2,
    )
    nearest = min(
        sorted(catalog.lots),
        key=lambda lot: math.dist(plane.project(catalog.lots[lot].position), middle),
    )
    return pace_of(catalog.sites[catalog.lots[nearest].site])
