"""An ingester as a process of its own, to be killed: `ingester.py BROKER_URL REDIS_URL`."""

import asyncio
import sys
from pathlib import Path

from devices.mqtt import Link
from service.catalog_file import load_catalog
from service.clock import Clock
from service.occupancy.ingest import Ingest
from service.occupancy.store import Store

SMALL = Path(__file__).parents[2] / "catalogs" / "small"


async def main(broker_url: str, redis_url: str) -> None:
    store = Store.open(redis_url)
    async with Link(
        broker_url, "ingester", clean=False, session_expiry_s=3600, manual_ack=True
    ) as link:
        ingest = Ingest(load_catalog([SMALL]), store, link, Clock())
        running = asyncio.create_task(ingest.run())
        await ingest.subscribed()
        print("ready", flush=True)
        await running


asyncio.run(main(*sys.argv[1:]))
