"""Settlement's real parts on a real database, put together as the service does."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

from devices.reading import Passage, PlateColor
from service.catalog import Catalog
from service.clock import ManualClock
from service.settlement.gate import Gate
from service.settlement.journal import Journal
from service.settlement.keyring import Keyring
from service.settlement.policy import Policy
from service.settlement.store import Store
from service.settlement.writer import Writer
from service.sql import open_engine

KEY = b"a key for tests, of no use elsewhere"
IN_CAMERA, OUT_CAMERA = "market-cam-in", "market-cam-out"


class Parts:
    """A gate, its writer, journal, store and engine; `passed` takes minutes after the start."""

    def __init__(self, url: str, folder: Path, catalog: Catalog, clock: ManualClock, **options):
        self.clock = clock
        self.start_at = clock.now()
        self.engine = open_engine(url)
        self.store = Store(self.engine)
        self.journal = Journal(folder / "journal")
        self.writer = Writer(self.store, self.journal, patience_s=options.pop("patience_s", 20.0))
        self.keyring = Keyring(KEY)
        policy = options.pop("policy", Policy())
        self.gate = Gate(
            catalog, self.store, self.writer, self.keyring, clock, policy=policy, **options
        )

    def at(self, minute: float) -> datetime:
        return self.start_at + timedelta(minutes=minute)

    async def passed(
        self, direction, minute, plate="浙A00001", *, lot="market", event=None, **more
    ):
        event = event or f"{lot}-{direction}-{minute}-{plate}"
        passage = Passage(
            event, plate, self.at(minute), plate_color=PlateColor.BLUE, direction=None, **more
        )
        received_at = self.clock.now() if passage.buffered else self.at(minute)
        return await self.gate.passed(
            lot, direction, f"{lot}-cam-{direction}", passage, received_at
        )

    async def enter(self, minute, plate="浙A00001", **more):
        return await self.passed("in", minute, plate, **more)

    async def leave(self, minute, plate="浙A00001", **more):
        return await self.passed("out", minute, plate, **more)


@contextlib.asynccontextmanager
async def running(url, folder, catalog, clock, **options) -> AsyncIterator[Parts]:
    """Parts with their loops running; at the end they stop as the service stops."""
    import asyncio

    parts = Parts(url, folder, catalog, clock, **options)
    await parts.gate.start()
    loop = asyncio.create_task(parts.gate.run())
    try:
        yield parts
    finally:
        assert not (folder / "journal" / "refused.log").exists(), "SQL refused a record"
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        await parts.engine.dispose()
