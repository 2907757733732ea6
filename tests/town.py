"""The whole service over the small town, in the test's own loop, with the street in its hands."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import aiohttp
import msgspec

from devices.mqtt import Link
from service import app, credentials
from service.catalog import Catalog
from service.clock import Clock, clock_from
from service.config import Config, Http
from service.guidance import qr

ALL_ROLES = frozenset({"web", "ingest", "signs", "settle"})
# Prices and opening hours decide who is ranked first: a test must not depend on when it is run.
MORNING = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in the town
READY_WITHIN_S = 60
TOLD_WITHIN_S = 30


class Town:
    """`say` speaks as a device; `get` asks as a browser that follows no redirect."""

    def __init__(
        self,
        url: str,
        state: Path,
        catalog: Catalog,
        link: Link,
        http: aiohttp.ClientSession,
        clock: Clock,
    ) -> None:
        self.url = url
        self.clock = clock
        self.state = state
        self.catalog = catalog
        self.link = link
        self.http = http
        self.key = credentials.signing_key({}, state)
        self._seq = defaultdict(lambda: count(1))

    async def ready(self) -> None:
        """Wait until every part is: what a device says before that may be heard by nobody."""
        async with asyncio.timeout(READY_WITHIN_S):
            while (await self.get("/readyz")).status != 200:
                await asyncio.sleep(0.02)

    async def say(self, topic: str, device: str, **said: object) -> None:
        body = {"device": device, "boot": 1, "seq": next(self._seq[device]), **said}
        await self.link.publish(topic, msgspec.json.encode(body))

    async def free(self, lot: str, zone: str, device: str, free: int) -> None:
        """Let a counting device report once, and wait until the service says so too."""
        await self.say(f"bowei/lots/{lot}/zones/{zone}/count", device, free=free)
        async with asyncio.timeout(TOLD_WITHIN_S):
            while True:
                detail = await self.json(f"/api/v1/lots/{lot}")
                zones = {one["zone"]: one["free"] for one in detail["zones"]}
                if zones[zone] == free:
                    return
                await asyncio.sleep(0.02)

    async def shows(self, sign: str, value: str) -> None:
        """Wait until one of the sign's lines has this value."""
        async with asyncio.timeout(TOLD_WITHIN_S):
            while True:
                answer = await self.get(f"/api/v1/signs/{sign}/frame")
                if answer.status == 200:
                    lines = msgspec.json.decode(await answer.read())["lines"]
                    if value in {line["value"] for line in lines}:
                        return
                await asyncio.sleep(0.02)

    async def get(self, path: str, **options: object) -> aiohttp.ClientResponse:
        options.setdefault("allow_redirects", False)
        answer = await self.http.get(self.url + path, **options)
        await answer.read()
        return answer

    async def text(self, path: str, **options: object) -> str:
        return await (await self.get(path, **options)).text()

    async def json(self, path: str, **options: object) -> dict:
        return msgspec.json.decode(await (await self.get(path, **options)).read())

    def scan(self, sign: str) -> str:
        """The path that a sign's code leads to."""
        return qr.address("", self.key, sign)


@asynccontextmanager
async def living(
    catalog: Catalog,
    redis_url: str,
    broker_url: str,
    sqlite_url: str,
    state: Path,
    public_url: str | None = None,
    host: str = "127.0.0.1",
    roles: frozenset[str] = ALL_ROLES,
) -> AsyncIterator[Town]:
    """A town that answers."""
    state.mkdir(exist_ok=True)
    clock = clock_from(MORNING, 1.0)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        app.serve(
            Config(http=Http(host=host, port=0, public_url=public_url)),
            catalog,
            clock,
            roles=roles,
            redis_url=redis_url,
            mqtt_url=broker_url,
            sql_url=sqlite_url,
            state=state,
            ready=ready.set_result,
            stop=stop,
        )
    )
    await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    jar = aiohttp.CookieJar(unsafe=True)  # our addresses are numbers
    async with Link(broker_url, "street") as link, aiohttp.ClientSession(cookie_jar=jar) as http:
        try:
            url = ready.result().replace("0.0.0.0", "127.0.0.1")
            town = Town(url, state, catalog, link, http, clock)
            await town.ready()
            yield town
        finally:
            stop.set()
            await serving


async def settled(town: Town, **counted: str) -> None:
    """Wait until all signs show it: from then on no frame changes before its lease is renewed."""
    async with asyncio.timeout(30):
        for sign in town.catalog.signs:
            while True:
                answer = await town.get(f"/api/v1/signs/{sign}/frame")
                if answer.status == 200:
                    lines = (await answer.json())["lines"]
                    if all(one["value"] == counted.get(one["lot"], one["value"]) for one in lines):
                        break
                await asyncio.sleep(0.05)
