"""Drive times by road: asked once, kept a while, and done without when nobody answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from service.bench.query_world import StillMirror
from service.catalog import Catalog, Point
from service.clock import ManualClock
from service.guidance import roads as roads_module
from service.guidance.arrivals import Arrivals
from service.guidance.guide import Guide
from service.guidance.model import Request
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.roads import Roads

HERE = Point(30.2560, 120.1650)
A, B, C = Point(30.26, 120.17), Point(30.27, 120.18), Point(30.28, 120.19)


class Router:
    """A routing service that answers as a test tells it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[list[Point]], object] = lambda points: {
            "code": "Ok",
            "durations": [[0, *(60.0 * (at + 1) for at in range(len(points) - 1))]],
        }
        self.status = 200
        self.wait_s = 0.0

    async def table(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        assert request.query["sources"] == "0"
        await asyncio.sleep(self.wait_s)
        places = request.match_info["places"].split(";")
        points = [Point(float(one.split(",")[1]), float(one.split(",")[0])) for one in places]
        answer = self.answer(points)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer, status=self.status)


@asynccontextmanager
async def routing() -> AsyncIterator[tuple[Router, Roads]]:
    router, app = Router(), web.Application()
    app.router.add_get("/osrm/table/v1/driving/{places}", router.table)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield router, Roads(f"http://127.0.0.1:{runner.addresses[0][1]}/osrm/", session)
    await runner.cleanup()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take longer than a driver is asked to wait."""
    monkeypatch.setattr(roads_module, "TIMEOUT_S", 20.0)


@pytest.fixture
async def both() -> AsyncIterator[tuple[Router, Roads]]:
    async with routing() as both:
        yield both


async def test_times_come_in_the_order_asked(both):
    router, roads = both
    assert await roads.drive_s(HERE, [A, B, C]) == [60.0, 120.0, 180.0]
    assert router.asked[0].endswith(
        "/120.165000,30.256000;120.170000,30.260000;120.180000,30.270000;120.190000,30.280000"
    )


async def test_what_is_known_is_not_asked_again(both):
    router, roads = both
    await roads.drive_s(HERE, [A, B])
    assert await roads.drive_s(HERE, [B, A]) == [120.0, 60.0]
    assert await roads.drive_s(Point(30.25601, 120.16503), [A]) == [60.0], "a stone's throw away"
    assert len(router.asked) == 1
    assert await roads.drive_s(HERE, [A, C]) == [60.0, 60.0]
    assert router.asked[1].count(";") == 1, "only the new one"


async def test_what_was_known_grows_old(both, monkeypatch):
    router, roads = both
    monkeypatch.setattr(roads_module, "KEPT_FOR_S", -1.0)
    await roads.drive_s(HERE, [A])
    await roads.drive_s(HERE, [A])
    assert len(router.asked) == 2


async def test_no_road_is_said_so(both):
    router, roads = both
    router.answer = lambda _: {"code": "Ok", "durations": [[0, None, 90.5]]}
    assert await roads.drive_s(HERE, [A, B]) == [None, 90.5]


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "NoTable"},
        {"code": "Ok"},
        {"code": "Ok", "durations": []},
        {"code": "Ok", "durations": [[0, 1]]},
        {"code": "Ok", "durations": [[0, 1, 2, 3]]},
        {"code": "Ok", "durations": [[0, 1, -2]]},
        {"code": "Ok", "durations": [[0, 1, "x"]]},
        {"code": "Ok", "durations": [[0, 1, 1e999]]},
        {"code": "Ok", "durations": [[0, 1, 1e300]]},
        ["Ok"],
        "x" * 2_000_000,
        b"[" * 5000,
        b'{"code":"\xff\xfe","durations":[[0,1,1]]}',
        b"",
    ],
)
async def test_an_answer_that_is_no_table_is_no_answer(both, answer):
    router, roads = both
    router.answer = lambda _: answer
    assert await roads.drive_s(HERE, [A, B]) is None


async def test_a_silent_service_costs_one_wait_and_is_left_alone(both, monkeypatch):
    router, roads = both
    monkeypatch.setattr(roads_module, "TIMEOUT_S", 1.0)
    router.wait_s = 3.0
    assert await roads.drive_s(HERE, [A]) is None
    assert await roads.drive_s(HERE, [A]) is None
    assert len(router.asked) == 1


async def test_nobody_there_is_no_answer():
    async with aiohttp.ClientSession() as session:
        assert await Roads("http://127.0.0.1:1", session).drive_s(HERE, [A]) is None


def guide_over(roads: Roads | None, catalog: Catalog, clock: ManualClock) -> Guide:
    mirror = StillMirror(catalog, seed=2)
    arrivals = Arrivals(None, mirror, clock)
    return Guide(catalog, mirror, arrivals, clock, roads, Prices(catalog), Weights())


async def test_a_ranking_goes_by_road_where_the_roads_answer(both, catalog, clock):
    router, roads = both
    guide = guide_over(roads, catalog, clock)
    request = Request(HERE)
    straight = guide.rank(request)
    assert straight.travel == "straight_line"
    advised = [one.lot for one in straight.choices if one.expected]
    blocked = catalog.lots[advised[0]].position

    def detour(points: list[Point]) -> object:
        near = [abs(p.lat - blocked.lat) + abs(p.lng - blocked.lng) < 1e-6 for p in points[1:]]
        return {"code": "Ok", "durations": [[0, *(9000.0 if one else 60.0 for one in near)]]}

    router.answer = detour
    routed = await guide.routed(request)
    assert routed.travel == "roads"
    assert routed.choices[0].lot != advised[0]
    moved = next(one for one in routed.choices if one.lot == advised[0])
    assert moved.drive_s == 9000
    assert "150 分钟" in moved.why.zh
    assert {one.lot for one in routed.choices} == {one.lot for one in straight.choices}


async def test_a_ranking_says_when_the_roads_were_silent(both, catalog, clock):
    router, roads = both
    router.status, router.answer = 500, lambda _: {"code": "Oops"}
    guide = guide_over(roads, catalog, clock)
    fallen = await guide.routed(Request(HERE))
    assert fallen.travel == "straight_line_fallback"
    assert fallen.choices == guide.rank(Request(HERE)).choices


async def test_without_a_routing_service_nobody_is_asked(catalog, clock):
    guide = guide_over(None, catalog, clock)
    assert await guide.routed(Request(HERE)) == guide.rank(Request(HERE))
