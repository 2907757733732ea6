"""What `bowei bench query` loads: the API over a synthetic city, and a bare aiohttp hello.

Run as a process of its own: `python -m service.bench.query_server LOTS SIGNS` prints the two ports
as JSON and serves until its standard input closes. Both stand on the same loop.
"""

import asyncio
import sys
from datetime import UTC, datetime

import msgspec
import redis.asyncio
import structlog
import uvloop
from aiohttp import web

from devices.mqtt import Link
from service.bench.query_world import StillMirror, city
from service.clock import ManualClock
from service.config import Config
from service.guidance.arrivals import Arrivals
from service.guidance.guide import Guide
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.sign_board import Board
from service.web import api, keys

MOMENT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # 09:00 in Hangzhou
NOWHERE = 1  # a port that nothing listens on: frames are composed and served, not published


class Ports(msgspec.Struct, frozen=True):
    hello: int
    api: int


async def _hello(_: web.Request) -> web.Response:
    return web.Response(body=b"hello")


async def _listen(app: web.Application) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


async def serve(lots: int, signs: int) -> None:
    """Both applications until standard input closes."""
    catalog = city(lots, signs)
    mirror = StillMirror(catalog)
    clock = ManualClock(shown=[MOMENT.timestamp()])
    away = redis.asyncio.Redis(port=NOWHERE)
    arrivals = Arrivals(away, mirror, clock)
    guide = Guide(catalog, mirror, arrivals, clock, None, Prices(catalog), Weights())
    link = Link(f"mqtt://127.0.0.1:{NOWHERE}", "bench")
    board = Board(catalog, mirror, guide, arrivals, link, away, clock, Config())
    board.renew()
    await board.step()
    app = web.Application()
    app[keys.CATALOG] = catalog
    app[keys.CLOCK] = clock
    app[keys.GUIDE] = guide
    app[keys.BOARD] = board
    app.add_routes(api.routes)
    bare = web.Application()
    bare.router.add_get("/", _hello)
    runners = [await _listen(bare), await _listen(app)]
    ports = Ports(*(port for _, port in runners))
    sys.stdout.write(msgspec.json.encode(ports).decode() + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    for runner, _ in runners:
        await runner.cleanup()
    await away.aclose()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
