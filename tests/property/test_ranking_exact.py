"""However it is looked up, a ranking equals looking at every lot."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.bench.query_reference import brute_force
from service.bench.query_world import StillMirror, city, drawn_state, random_point
from service.catalog import Catalog, Name, Point, Site
from service.clock import ManualClock
from service.guidance import shortlist
from service.guidance.guide import Guide
from service.guidance.model import Needs, Request
from service.guidance.prices import Prices
from service.guidance.ranking import Weights

MORNING_S = datetime(2026, 3, 2, 1, 0, tzinfo=UTC).timestamp()
SLOW = Site("slow", Name("慢城", "Slow"), Name("宁波", "Ningbo"), "Asia/Shanghai", 1.6, 12.0)


class Coming:
    """Cars on the way as a test sets them."""

    def __init__(self) -> None:
        self.cars: dict[str, float] = {}
        self._wakes: list[Callable[[frozenset[str]], None]] = []

    def on_the_way(self, lot: str) -> float:
        return self.cars.get(lot, 0.0)

    def watch(self, wake: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: None

    def put(self, lot: str, cars: float) -> None:
        self.cars[lot] = cars
        for wake in self._wakes:
            wake(frozenset({lot}))


class Scene:
    """A city of two sites whose lots change, and the guide that keeps up."""

    def __init__(self, lots: int, seed: int, tariffs: int = 12) -> None:
        self.draw = random.Random(seed)
        self.catalog = _two_sites(city(lots, 3, seed), tariffs)
        self.mirror = StillMirror(self.catalog, seed)
        self.coming = Coming()
        self.clock = ManualClock(shown=[MORNING_S])
        self.guide = Guide(
            self.catalog,
            self.mirror,
            self.coming,  # type: ignore[arg-type]
            self.clock,
            None,
            Prices(self.catalog),
            Weights(),
        )

    def change(self) -> None:
        for lot in self.draw.sample(sorted(self.catalog.lots), min(5, len(self.catalog.lots))):
            self.mirror.put(drawn_state(self.catalog.lots[lot], self.draw, self.clock.now()))
            self.coming.put(lot, round(self.draw.uniform(0, 40), 1))
        self.clock.advance(self.draw.choice((1, 600, 9 * 3600)))

    def agrees(self, request: Request) -> None:
        ranking = self.guide.rank(request)
        expected = brute_force(
            self.catalog,
            self.mirror.states,
            self.coming.on_the_way,
            request,
            self.clock.now_s(),
            Weights(),
        )
        assert [one.lot for one in ranking.choices] == [one.lot for one in expected]
        for got, want in zip(ranking.choices, expected, strict=True):
            assert got.score_s == pytest.approx(want.score_s, abs=0.51)
            assert got.drive_s == pytest.approx(want.drive_s, abs=0.51)
            assert got.walk_s == pytest.approx(want.walk_s, abs=0.51)
            assert got.distance_m == pytest.approx(want.distance_m, abs=0.51)
            assert got.price_fen == want.price_fen
            assert got.on_the_way == round(self.coming.on_the_way(got.lot))
            state = self.mirror.states[got.lot]
            assert (got.openness, got.quality, got.as_of) == (
                state.openness,
                state.quality,
                state.as_of,
            )
            if not request.needs.ev and not request.needs.accessible and want.tier < 4:
                assert got.free == state.free


def _two_sites(catalog: Catalog, tariffs: int) -> Catalog:
    """The east of the city belongs to a slower site; only the first `tariffs` tariffs are used."""
    names = sorted(catalog.tariffs)[:tariffs]
    lots = {
        lot.id: msgspec.structs.replace(lot, tariff=names[at % tariffs])
        for at, lot in enumerate(catalog.lots.values())
    }
    catalog = msgspec.structs.replace(catalog, lots=lots)
    east = {
        lot.id: msgspec.structs.replace(lot, site="slow")
        for lot in catalog.lots.values()
        if lot.position.lng > 120.25
    }
    return msgspec.structs.replace(
        catalog, sites={**catalog.sites, "slow": SLOW}, lots={**catalog.lots, **east}
    )


needs = st.builds(
    Needs,
    ev=st.booleans(),
    accessible=st.booleans(),
    height_m=st.none() | st.sampled_from([1.8, 2.0, 2.5]),
    max_price_fen=st.none() | st.sampled_from([0, 400, 1000]),
    stay_minutes=st.sampled_from([15, 120, 121, 1440]),
)
anyone = st.just(Needs())
anywhere = st.builds(
    Point,
    lat=st.floats(-90, 90, allow_nan=False),
    lng=st.floats(-180, 180, allow_nan=False),
)


@settings(max_examples=40, deadline=None)
@given(
    lots=st.integers(1, 250),
    seed=st.integers(0, 10_000),
    needs=st.one_of(anyone, needs),
    far=st.none() | anywhere,
    to_door=st.booleans(),
    limit=st.sampled_from([1, 3, 10, 50]),
)
def test_rankings_equal_looking_at_every_lot(
    lots: int, seed: int, needs: Needs, far: Point | None, to_door: bool, limit: int
) -> None:
    scene = Scene(lots, seed)
    door = scene.draw.choice(sorted(scene.catalog.destinations)) if to_door else None
    for _ in range(3):
        origin = far or random_point(scene.draw)
        place = scene.catalog.destinations[door].position if door else None
        scene.agrees(Request(origin, place, needs, limit))
        scene.change()


@pytest.mark.parametrize("door", [False, True])
@pytest.mark.parametrize(
    ("levels", "chunks", "limit"),
    [
        (shortlist.LEVELS, shortlist.CHUNKS, 10),  # as it runs
        (((8000.0, 2048, 64), (2000.0, 192, 4096)), (3, 2), 3),
        (((9000.0, 90, 8), (3000.0, 60, 16)), (2, 2), 3),  # heads so short that answers lie beyond
        (((3000.0, 60, 8), (700.0, 14, 16)), (10, 4), 10),
    ],
)
def test_a_dense_city_is_ranked_exactly(
    monkeypatch: pytest.MonkeyPatch, door: bool, levels: tuple, chunks: tuple, limit: int
) -> None:
    """Lots of one price stand so close that every bound decides."""
    monkeypatch.setattr(shortlist, "LEVELS", levels)
    monkeypatch.setattr(shortlist, "CHUNKS", chunks)
    monkeypatch.setattr(shortlist, "STRIDE", 8)
    monkeypatch.setattr(shortlist, "DOOR_HEAD", 60)
    scene = Scene(1200, 5, tariffs=1)
    for _ in range(40):
        to = scene.draw.choice(list(scene.catalog.destinations.values())).position
        scene.agrees(Request(random_point(scene.draw), to if door else None, Needs(), limit))
        scene.change()


def test_equal_scores_keep_one_order() -> None:
    scene = Scene(40, 3)
    spot = Point(30.26, 120.17)
    lots = {
        lot.id: msgspec.structs.replace(lot, position=spot, tariff="t1", site="city")
        for lot in scene.catalog.lots.values()
    }
    scene.catalog = msgspec.structs.replace(scene.catalog, lots=lots)
    scene.guide = Guide(
        scene.catalog,
        scene.mirror,
        scene.coming,  # type: ignore[arg-type]
        scene.clock,
        None,
        Prices(scene.catalog),
        Weights(),
    )
    for _ in range(20):
        scene.agrees(Request(random_point(scene.draw), None, Needs(), 10))
