"""One batch after the other into Redis, however long it takes; then its messages are confirmed."""

import asyncio
import time

import structlog

from devices.mqtt import Link
from service import metrics
from service.occupancy.batch import Batch
from service.occupancy.gaps import Gaps
from service.occupancy.gathering import Gathering
from service.occupancy.store import Store, StoreAway

RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger()


class Writer:
    """`away_since_s` is when Redis stopped taking batches, on the loop's clock."""

    def __init__(
        self, gathering: Gathering, store: Store, gaps: Gaps, link: Link, gates: Link, speed: float
    ) -> None:
        self._gathering = gathering
        self._store = store
        self._gaps = gaps
        self._link = link
        self._gates = gates
        self._speed = speed
        self.away_since_s: float | None = None
        self.written = 0

    async def run(self) -> None:
        gathering = self._gathering
        while True:
            await gathering.filled.wait()
            gathering.filled.clear()
            if not gathering.batch.empty:
                gathering.close_batch()
                self._link.resume()
            while gathering.closed:
                await self._write(gathering.closed[0])
                gathering.closed.popleft()

    async def _write(self, batch: Batch) -> None:
        started_s = time.perf_counter()
        parts = batch.parts(self._speed)
        letters = list(batch.letters.values())
        attempt = 0
        while True:
            try:
                if parts:
                    for written in await self._store.write(parts, self._gathering.now_ms()):
                        self._gaps.stored(written.durable)
                if letters:
                    await self._store.keep_letters(letters)
                break
            except StoreAway as error:
                self._note_away(error)
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
        self._note_back()
        self._link.ack_many(batch.owed.connection, batch.owed.mids)
        self._gates.ack_many(batch.owed_gate.connection, batch.owed_gate.mids)
        batch.settle()
        self.written += batch.messages
        metrics.MESSAGES.labels("written").inc(batch.messages)
        metrics.WRITE_SECONDS.observe(time.perf_counter() - started_s)

    def _note_away(self, error: StoreAway) -> None:
        if self.away_since_s is None:
            self.away_since_s = asyncio.get_running_loop().time()
            log.warning("redis is away", error=str(error))

    def _note_back(self) -> None:
        if self.away_since_s is not None:
            away_s = asyncio.get_running_loop().time() - self.away_since_s
            log.info("redis is back", away_s=round(away_s, 1))
            self.away_since_s = None
