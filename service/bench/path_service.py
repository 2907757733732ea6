"""The service between the street and the signs, for `bowei bench path`: ingest, mirror, board.

Run as a process of its own: `python -m service.bench.path_service REDIS MQTT SIGNS` runs until its
standard input closes.
"""

import asyncio
import sys

import structlog
import uvloop

from devices.mqtt import Link
from service.bench.path_world import street
from service.clock import Clock
from service.config import Config
from service.guidance.arrivals import Arrivals
from service.guidance.guide import Guide
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.sign_board import Board
from service.memory import spare_what_stands
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.occupancy.store import Store


async def serve(redis_url: str, mqtt_url: str, signs: int) -> None:
    """Run the parts until standard input closes."""
    catalog, clock, config = street(signs), Clock(), Config()
    store = Store.open(redis_url)
    async with (
        Link(mqtt_url, "counts", clean=False, session_expiry_s=600, manual_ack=True) as counts,
        Link(mqtt_url, "signs") as out,
    ):
        mirror = Mirror(catalog, store, clock)
        arrivals = Arrivals(store.client, mirror, clock)
        guide = Guide(catalog, mirror, arrivals, clock, None, Prices(catalog), Weights())
        board = Board(catalog, mirror, guide, arrivals, out, store.client, clock, config)
        ingest = Ingest(catalog, store, counts, clock)
        running = [asyncio.create_task(part.run()) for part in (ingest, mirror, arrivals, board)]
        spare_what_stands()
        closed = asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        await asyncio.wait({*running, closed}, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    await store.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
