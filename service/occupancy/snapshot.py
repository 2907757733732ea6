"""The last minute of Redis in SQL, and Redis filled from it when it comes back empty.

Every number keeps its own time, so what is restored is as old as it says. What passed lanes in the
minute that was lost is not known; zones that count by plates say so until somebody recounts.
"""

import asyncio
import zlib

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.clock import Clock
from service.occupancy.shard import Snapshot
from service.occupancy.store import Store, StoreAway
from service.sql import METADATA, TROUBLE, Moment, Whole, reading, writing

SAVE_EVERY_S = 60.0
LOOK_EVERY_S = 1.0

TABLE = sa.Table(
    "occupancy_snapshot",
    METADATA,
    sa.Column("shard", Whole, primary_key=True, autoincrement=False),
    sa.Column("taken_at", Moment, nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
    sa.Column("version", Whole, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_strict=True,
)

log = structlog.get_logger()


class Body(msgspec.Struct):
    """What a shard held: fields as its change stream tells them, and the devices' marks."""

    fields: dict[str, str]
    marks: dict[str, str]


class Saved(msgspec.Struct):
    epoch: str
    version: int
    body: Body


class Snapshots:
    """Saves every shard once a minute; restores each shard that began again."""

    def __init__(self, store: Store, engine: AsyncEngine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock
        self._epochs: dict[int, str] = {}  # what each shard is known to continue from
        self.lost = asyncio.Event()  # set when a shard was found to have begun again
        self.saves = 0

    async def run(self) -> None:
        """Watch, restore, save until cancelled; while a part is away, try again."""
        saved_s = float("-inf")
        while True:
            try:
                await self.restore()
                now_s = asyncio.get_running_loop().time()
                if now_s - saved_s >= SAVE_EVERY_S:
                    await self.save()
                    saved_s = now_s
            except StoreAway:
                await asyncio.sleep(0)  # the ingester says so; we wait like it
            except TROUBLE as error:
                log.warning("no occupancy snapshot", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def restore(self) -> int:
        """Fill every shard that began again from what was saved; returns how many there were.

        Raises StoreAway, or what SQL raises.
        """
        restored = 0
        for shard, (epoch, _) in enumerate(await self._store.positions()):
            if epoch is not None and self._epochs.get(shard) == epoch:
                continue
            saved = await self._read(shard)
            if saved is not None and saved.epoch != epoch:
                await self._store.restore(
                    shard, saved.epoch, saved.body.fields, saved.body.marks, self._now_ms()
                )
                restored += 1
            if saved is None or saved.epoch != epoch:
                self.lost.set()
            self._epochs[shard] = (await self._store.positions())[shard][0] or ""
        if restored:
            log.warning("redis began again and was restored", shards=restored)
        return restored

    async def save(self) -> None:
        """Save every shard that is not being restored. Raises StoreAway, or what SQL raises."""
        for shard in range(self._store.shards):
            snapshot = await self._store.snapshot(shard)
            if snapshot.epoch is None or snapshot.epoch != self._epochs.get(shard):
                continue
            marks = await self._store.marks_of(shard)
            await self._write(shard, snapshot, Body(snapshot.fields, marks))
        self.saves += 1

    async def _read(self, shard: int) -> Saved | None:
        wanted = sa.select(TABLE.c.epoch, TABLE.c.version, TABLE.c.body).where(
            TABLE.c.shard == shard
        )
        async with reading(self._engine) as sql:
            row = (await sql.execute(wanted)).first()
        if row is None:
            return None
        body = msgspec.msgpack.decode(zlib.decompress(row.body), type=Body)
        return Saved(row.epoch, row.version, body)

    async def _write(self, shard: int, snapshot: Snapshot, body: Body) -> None:
        packed = await asyncio.to_thread(_packed, body)
        row = {
            "shard": shard,
            "taken_at": self._clock.now(),
            "epoch": snapshot.epoch,
            "version": snapshot.version,
            "body": packed,
        }
        async with writing(self._engine) as sql:
            await sql.execute(sa.delete(TABLE).where(TABLE.c.shard == shard))
            await sql.execute(sa.insert(TABLE).values(**row))

    def _now_ms(self) -> int:
        return int(self._clock.now_s() * 1000)


def _packed(body: Body) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(body), 1)
