"""An ingester and a mirror over real servers, and a link for the devices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from devices.mqtt import Link
from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.occupancy.store import Store


class Scene:
    """`street` is the devices' own way to the broker."""

    def __init__(self, ingest: Ingest, mirror: Mirror, store: Store, link: Link, street: Link):
        self.ingest = ingest
        self.mirror = mirror
        self.store = store
        self.link = link
        self.street = street

    async def caught_up(self) -> None:
        """Wait until the mirror has all that the store has."""
        async with asyncio.timeout(30):
            while self.mirror._positions != dict(enumerate(await self.store.positions())):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def living(
    catalog: Catalog, broker_url: str, redis_url: str, *, street_url: str | None = None,
    grace_s: float = 0.3, name: str = "ingester",
) -> AsyncIterator[Scene]:  # fmt: skip
    """`redis_url` and `broker_url` may lead through a proxy; `street_url` need not."""
    async with AsyncExitStack() as stack:
        store = Store.open(redis_url)
        stack.push_async_callback(store.close)
        link = Link(broker_url, name, clean=False, session_expiry_s=3600, manual_ack=True)
        await stack.enter_async_context(link)
        street = Link(street_url or broker_url, f"{name}-street")
        await stack.enter_async_context(street)
        ingest = Ingest(catalog, store, link, Clock())
        ingest._gaps.grace_s = grace_s
        mirror = Mirror(catalog, store, Clock())
        tasks = [asyncio.create_task(part.run()) for part in (ingest, mirror)]
        try:
            await asyncio.wait_for(mirror.loaded(), 30)
            await asyncio.wait_for(ingest.subscribed(), 30)
            yield Scene(ingest, mirror, store, link, street)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
