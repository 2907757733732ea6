"""A synthetic city of lots around Hangzhou, and a mirror that stands still, for measuring."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta

from service.catalog import Catalog, Destination, Entrance, Lot, Name, Point, Sign, Site, Zone
from service.occupancy.model import LotState, Openness, Quality, ZoneState
from service.tariff.model import Band, Tariff

MIDDLE = Point(30.26, 120.17)
SPREAD_DEGREES = 0.18  # about 17 km to each side
DOORS = 12


def city(lots: int, signs: int, seed: int = 7, columns: int = 4) -> Catalog:
    """`lots` lots, denser towards the middle, of a dozen tariffs; `signs` signs of 4 lots each."""
    draw = random.Random(seed)
    tariffs = {
        f"t{at}": Tariff(
            id=f"t{at}",
            version="1",
            bands=(
                Band(time(8), time(20), unit_minutes=30, unit_fee_fen=100 + 50 * at),
                Band(time(20), time(8), visit_fee_fen=500),
            ),
            free_minutes=15 * (at % 3),
            day_cap_fen=6000,
        )
        for at in range(12)
    }
    made = {lot.id: lot for lot in (_lot(draw, at) for at in range(lots))}
    names = list(made)
    return Catalog(
        version="bench",
        sites={"city": Site("city", Name("城", "City"), Name("杭州", "Hangzhou"), "Asia/Shanghai")},
        lots=made,
        destinations={
            f"d{at}": Destination(f"d{at}", "city", Name(f"门{at}", f"Door {at}"), _point(draw))
            for at in range(DOORS)
        },
        signs={
            f"s{at}": Sign(
                f"s{at}",
                "city",
                Name(f"屏{at}", f"Sign {at}"),
                _point(draw),
                level=2,
                lots=tuple(draw.sample(names, min(columns, lots))),
                rows=columns,
            )
            for at in range(signs)
        },
        cameras={},
        sensors={},
        tariffs=tariffs,
        exchanges={},
    )


def _point(draw: random.Random) -> Point:
    return Point(
        round(MIDDLE.lat + draw.triangular(-SPREAD_DEGREES, SPREAD_DEGREES), 6),
        round(MIDDLE.lng + draw.triangular(-SPREAD_DEGREES, SPREAD_DEGREES), 6),
    )


def random_point(draw: random.Random) -> Point:
    """Anywhere in the city's square."""
    return Point(
        round(MIDDLE.lat + draw.uniform(-SPREAD_DEGREES, SPREAD_DEGREES), 6),
        round(MIDDLE.lng + draw.uniform(-SPREAD_DEGREES, SPREAD_DEGREES), 6),
    )


def _lot(draw: random.Random, at: int) -> Lot:
    capacity = draw.choice((20, 60, 150, 400))
    zones = [Zone("g", "general", capacity, "absolute")]
    if draw.random() < 0.3:
        zones.append(Zone("e", "ev", capacity // 10, "absolute"))
    if draw.random() < 0.3:
        zones.append(Zone("a", "accessible", capacity // 20, "absolute"))
    position = _point(draw)
    return Lot(
        id=f"lot-{at:05}",
        site="city",
        name=Name(f"第{at}停车场", f"Car park {at}"),
        position=position,
        kind="public",
        zones=tuple(zones),
        entrances=(Entrance("in", position),),
        lanes=(),
        tariff=f"t{draw.randrange(12)}",
        height_limit_m=draw.choice((None, None, 1.9, 2.2)),
    )


class StillMirror:
    """Drawn states of every lot; `put` changes one and wakes whoever watches."""

    def __init__(self, catalog: Catalog, seed: int = 11) -> None:
        draw = random.Random(seed)
        self.version = 1
        at = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
        self.states: Mapping[str, LotState] = {
            lot.id: drawn_state(lot, draw, at) for lot in catalog.lots.values()
        }
        self._watchers: list[Callable[[frozenset[str]], None]] = []

    def watch(self, wake: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    async def loaded(self) -> None:
        """It always is."""

    def put(self, state: LotState) -> None:
        self.version += 1
        self.states = {**self.states, state.lot: state}
        for wake in self._watchers:
            wake(frozenset({state.lot}))


def drawn_state(lot: Lot, draw: random.Random, at: datetime) -> LotState:
    """Mostly fresh and free; some full, stale, unknown or closed."""
    openness = Openness.CLOSED if draw.random() < 0.03 else Openness.OPEN
    quality = draw.choices(list(Quality), (88, 5, 3, 4))[0]
    unknown = quality is Quality.UNKNOWN
    as_of = at - timedelta(seconds=draw.randrange(60))
    zones = []
    for zone in lot.zones:
        free = None if unknown else max(0, int(draw.uniform(-0.1, 0.6) * zone.capacity))
        zones.append(
            ZoneState(
                lot.id, zone.id, zone.kind, zone.capacity, free, openness, quality, "ok", at, as_of
            )
        )
    return LotState(
        lot=lot.id,
        capacity=lot.public_capacity,
        free=None if unknown else sum(zone.free or 0 for zone in zones),
        openness=openness,
        quality=quality,
        why="ok",
        as_of=as_of,
        received=False,
        band=0,
        zones=tuple(zones),
        version=1,
    )
