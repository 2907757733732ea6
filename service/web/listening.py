"""The open port: who may hold a connection, how many, and for how long.

aiohttp waits for a request's head as long as bytes drip in, and takes any number of connections
from one address. A sweep once a second ends what is neither asking nor being answered for too long,
and the newest of an address that has too many. A request in hand is never cut.
"""

import asyncio
import ipaddress
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service import metrics
from service.web.express import express
from service.web.keys import ACTIVITY, Activity

SHUTDOWN_S: Final = 2.0


class Limits(msgspec.Struct, frozen=True):
    """Wall seconds. Private and loopback addresses, where proxies live, may hold any number."""

    first_request_s: float = 10.0
    idle_s: float = 75.0
    per_address: int = 128
    sweep_s: float = 1.0


class Connections:
    """`activity` has, by connection, when its last request ended; ASKING while one is in hand."""

    def __init__(
        self, server: Callable[[], list[RequestHandler]], activity: Activity, limits: Limits
    ) -> None:
        self._server = server
        self._activity = activity
        self._limits = limits
        self._opened_s: dict[RequestHandler, float] = {}

    def sweep(self, now_s: float) -> None:
        """Close what overstays."""
        here = self._server()
        self._opened_s = {one: self._opened_s.get(one, now_s) for one in here}
        for gone in self._activity.keys() - self._opened_s.keys():
            del self._activity[gone]
        by_address: dict[str, list[RequestHandler]] = defaultdict(list)
        for one in here:
            if self._overstays(one, now_s):
                self._close(one, "idle")
            elif (address := _public_address(one)) is not None:
                by_address[address].append(one)
        for held in by_address.values():
            held.sort(key=lambda one: self._opened_s[one])
            for one in held[self._limits.per_address :]:
                self._close(one, "address_greedy")

    def _overstays(self, one: RequestHandler, now_s: float) -> bool:
        used_s = self._activity.get(one)
        if used_s is None:
            return now_s - self._opened_s[one] > self._limits.first_request_s
        return now_s - used_s > self._limits.idle_s

    def _close(self, one: RequestHandler, reason: str) -> None:
        metrics.refused("http", reason)
        one.force_close()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._limits.sweep_s)
            self.sweep(monotonic())


def _public_address(one: RequestHandler) -> str | None:
    peer = one.peername
    if not isinstance(peer, tuple):
        return None
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    return None if address.is_private or address.is_loopback else str(address)


class _Count(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - it may hold the request
        metrics.refused("http", "unreadable")


def _unreadable() -> logging.Logger:
    """Counts what is not HTTP, where aiohttp would log a traceback for each.

    Faults of ours are logged at the doorway.
    """
    logger = logging.getLogger("bowei.http")
    logger.propagate = False
    logger.handlers = [_Count(logging.ERROR)]
    return logger


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, limits: Limits | None = None
) -> AsyncIterator[str]:
    """Serve `app` for as long as the context is open; yields the address to open."""
    limits = limits or Limits()
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_unreadable(),
        keepalive_timeout=limits.idle_s,
        shutdown_timeout=SHUTDOWN_S,
    )

    def open_connections() -> list[RequestHandler]:
        return [] if runner.server is None else runner.server.connections

    connections = Connections(open_connections, app[ACTIVITY], limits)
    await runner.setup()
    assert runner.server is not None
    runner.server.request_handler = express(app, runner.server.request_handler)
    sweeping = asyncio.create_task(connections.run(), name="connections")
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await runner.cleanup()
