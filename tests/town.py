"""The whole service over the small town, in the test's own loop, with the street in its hands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import msgspec

from devices.mqtt import Link
from service import app, credentials
from service.catalog import Catalog
from service.clock import Clock
from service.config import Config, Http
from service.guidance import qr

ALL_ROLES = frozenset({"web", "ingest", "signs", "settle"})


class Town:
    """`say` speaks as a device; `get` asks as a browser that follows no redirect."""

    def __init__(
        self, url: str, state: Path, catalog: Catalog, link: Link, http: aiohttp.ClientSession
    ) -> None:
        self.url = url
        self.state = state
        self.catalog = catalog
        self.link = link
        self.http = http
        self.key = credentials.signing_key({}, state)
        self._seq = count(1)

    async def say(self, topic: str, device: str, **said: object) -> None:
        body = {"device": device, "boot": 1, "seq": next(self._seq), **said}
        await self.link.publish(topic, msgspec.json.encode(body))

    async def free(self, lot: str, zone: str, device: str, free: int) -> None:
        """Let a counting device report, and wait until the service says so too."""
        await self.say(f"bowei/lots/{lot}/zones/{zone}/count", device, free=free)
        async with asyncio.timeout(10):
            while True:
                detail = await self.json(f"/api/v1/lots/{lot}")
                zones = {one["zone"]: one["free"] for one in detail["zones"]}
                if zones[zone] == free:
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
) -> AsyncIterator[Town]:
    """A town that answers."""
    state.mkdir(exist_ok=True)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        app.serve(
            Config(http=Http(host=host, port=0, public_url=public_url)),
            catalog,
            Clock(),
            roles=ALL_ROLES,
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
            yield Town(url, state, catalog, link, http)
        finally:
            stop.set()
            await serving
