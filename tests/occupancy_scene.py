"""The small town's devices, and the path from them to the mirror, for tests."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from devices.mqtt import Link
from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.combine import Rules
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.occupancy.store import Store

HOTEL = "bowei/lots/hotel/zones/all/count"
MARKET = "bowei/lots/market/zones/all/count"
SQUARE_IN = "bowei/lots/square/lanes/in/passage"
SQUARE_OUT = "bowei/lots/square/lanes/out/passage"
HOTEL_FIELD = "z/hotel/all/hotel-count"


def say(device: str, seq: int, boot: int = 1, **said: object) -> bytes:
    return json.dumps({"device": device, "boot": boot, "seq": seq, **said}).encode()


def bay(number: int) -> tuple[str, str]:
    """Topic and device of one of the clinic's twenty bays."""
    return f"bowei/lots/clinic-yard/bays/A{number:02d}", f"cy-A{number:02d}"


async def until(true: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait for something to become true; fails with what it was waiting for."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def background(*running: object) -> AsyncIterator[None]:
    """Run the `run()` of parts while the block lasts; their failure fails the test."""
    tasks = [asyncio.create_task(one.run()) for one in running]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def open_store(url: str, **options: object) -> AsyncIterator[Store]:
    store = Store.open(url, **options)
    try:
        yield store
    finally:
        await store.close()


def ingest_link(url: str, name: str = "ingest", **options: object) -> Link:
    return Link(url, name, clean=False, session_expiry_s=600, manual_ack=True, **options)


@asynccontextmanager
async def path(
    catalog: Catalog,
    redis_url: str,
    broker_url: str,
    clock: Clock | None = None,
    rules: Rules | None = None,
    **options: object,
) -> AsyncIterator[tuple[Link, Ingest, Mirror, Store]]:
    """A device's link, an ingester and a mirror on real parts."""
    clock = clock or Clock()
    async with (
        open_store(redis_url) as store,
        ingest_link(broker_url) as link,
        Link(broker_url, "street") as street,
    ):
        ingest = Ingest(catalog, store, link, clock, **options)
        mirror = Mirror(catalog, store, clock, rules)
        async with background(ingest, mirror):
            await mirror.loaded()
            await ingest.subscribed()
            yield street, ingest, mirror, store
