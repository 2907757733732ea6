"""What `bowei bench query` loads: the web as it is served, over a synthetic city; and a bare hello.

Run as a process of its own: `python -m service.bench.query_server LOTS SIGNS` prints the two ports
as JSON and serves until its standard input closes. Both stand on the same loop.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

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
from service.memory import spare_what_stands
from service.web import keys
from service.web.listening import listening
from service.web.site import make_app

MOMENT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # 09:00 in Hangzhou
NOWHERE = 1  # a port that nothing listens on: frames are composed and served, not published


class Ports(msgspec.Struct, frozen=True):
    hello: int
    api: int


async def _hello(_: web.Request) -> web.Response:
    return web.Response(body=b"hello")


@asynccontextmanager
async def _hosted(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


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
    parts: dict[web.AppKey[Any], Any] = {
        keys.CATALOG: catalog,
        keys.CLOCK: clock,
        keys.GUIDE: guide,
        keys.BOARD: board,
        keys.MIRROR: mirror,
        keys.ARRIVALS: arrivals,
    }
    bare = web.Application()
    bare.router.add_get("/", _hello)
    async with listening(make_app(parts), "127.0.0.1", 0) as address, _hosted(bare) as hello:
        await asyncio.to_thread(spare_what_stands().join)
        ports = Ports(hello, int(address.rpartition(":")[2]))
        sys.stdout.write(msgspec.json.encode(ports).decode() + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    await away.aclose()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
