"""Live occupancy in Redis: every key, every script call.

Keys are spread over a fixed number of hash-tagged shards by device, since the order of a device's
news is the device's own; a batch is one script call per shard. Every call may be repeated without
harm, so a lost reply is simply asked for again.

    StoreAway   Redis did not take the call: away, too slow, read-only, out of memory, loading
"""

import secrets
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
import redis.asyncio as redis
import redis.exceptions as failures
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.occupancy import report, scripts, upkeep_scripts
from service.occupancy.connection import Connection, SecureConnection
from service.occupancy.shard import Change, Part, Snapshot, Written

STREAM_ENTRIES = 512  # a mirror that is further behind takes a snapshot
SOCKET_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 2.0
HEALTH_CHECK_S = 10
SCAN_COUNT = 2000
LETTERS = 5000  # dead letters kept on all shards together
STRANGERS = 500  # unknown devices kept per shard
RESTORE_FIELDS = 2000  # reports a call
GAP_KEEP_S = 86_400.0
PASSAGE_KEEP_S = 2 * 86_400.0
OVERLAYS = {"corrections": "k/", "lanes": "l/", "boots": "p"}

# What Redis says when it will take the same call a little later.
LATER = ("READONLY", "OOM", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "BUSY",
         "NOREPLICAS", "UNBLOCKED")  # fmt: skip


class StoreAway(Exception):  # noqa: N818 - it says where the store is
    """Redis did not take the call; nothing is lost by making it again."""


class _Keys:
    """The names of one shard's keys; the tag in braces keeps them on one node of a cluster."""

    def __init__(self, prefix: str, shard: int) -> None:
        self._tag = f"{prefix}:{{{shard}}}:"
        self.meta = self.key("meta")
        self.stream = self.key("stream")
        rest = ("reports", "boots", "marks", "gaps", "passed", "passed_at", "lanes")
        self.write = [self.meta, self.stream, *map(self.key, rest)]
        lost = ("boots", "lanes", "corrections", "marks")
        self.restore = [self.meta, self.stream, *map(self.key, lost)]
        self.sweep = [self.meta, self.stream, *map(self.key, ("gaps", "passed", "passed_at"))]

    def key(self, what: str) -> str:
        return self._tag + what


def _fresh_epoch() -> str:
    """The name of an epoch, should a call begin one: never the same twice."""
    return secrets.token_hex(8)


class Store:
    """One Redis, or one that looks like it (Sentinel, a cluster's proxy)."""

    def __init__(self, client: Any, shards: int = 8, *, prefix: str = "bowei") -> None:
        self.client = client
        self.shards = shards
        self._keys = [_Keys(prefix, shard) for shard in range(shards)]
        self._shas: dict[str, str] = {}
        self.stream_entries = STREAM_ENTRIES
        self.letters_most = LETTERS

    @classmethod
    def open(cls, url: str, shards: int = 8, *, connections: int = 16) -> Self:
        """A store at `redis://` or `rediss://`; it connects at first use."""
        pool = redis.BlockingConnectionPool.from_url(
            url,
            connection_class=SecureConnection if url.startswith("rediss") else Connection,
            max_connections=connections,
            timeout=CONNECT_TIMEOUT_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            health_check_interval=HEALTH_CHECK_S,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
            protocol=3,
        )
        return cls(redis.Redis.from_pool(pool), shards)

    async def close(self) -> None:
        await self.client.aclose()

    def shard(self, device: str) -> int:
        return zlib.crc32(device.encode()) % self.shards

    # Writing.

    async def write(self, parts: Mapping[int, Part], now_ms: int) -> list[Written]:
        """Store a batch; returns when Redis has it all. Raises StoreAway."""
        calls = [
            (
                self._keys[shard].write,
                [now_ms, _fresh_epoch(), self.stream_entries, *part.arguments()],
            )
            for shard, part in parts.items()
        ]
        return [Written.read(answer) for answer in await self._run(scripts.WRITE, calls)]

    async def sweep(
        self, now_ms: int, *, grace_ms: int, ask_every_ms: int, scale: float = 1.0
    ) -> dict[str, list[tuple[str, str, str]]]:
        """Notice gaps that stayed open for `grace_ms`, forget old ones; returns which to ask for.

        `scale` is the clock's speed. Ranges are (boot, above, below) as in `report.Gap`.
        """
        keep_ms = int(GAP_KEEP_S * 1000 * scale)
        passage_keep_ms = int(PASSAGE_KEEP_S * 1000 * scale)
        arguments = [now_ms, _fresh_epoch(), self.stream_entries]
        arguments += [grace_ms, ask_every_ms, keep_ms, passage_keep_ms]
        asks: dict[str, list[tuple[str, str, str]]] = {}
        calls = [(keys.sweep, arguments) for keys in self._keys]
        for answer in await self._run(upkeep_scripts.SWEEP, calls):
            for device, text in zip(answer[::2], answer[1::2], strict=True):
                asks[device] = msgspec.json.decode(text, type=list[tuple[str, str, str]])
        return asks

    async def put_correction(self, lot: str, field: str, text: str) -> None:
        """Lay a correction over a lot (`text` empty takes it off again). Raises StoreAway.

        `field` is `<lot>/<zone or *>/<kind>`, `text` a `correction.Correction` as JSON.
        """
        await self._overlay(self.shard(lot), "corrections", [field, text])

    async def restore(
        self, shard: int, epoch: str, fields: Mapping[str, str], marks: Mapping[str, str],
        now_ms: int,
    ) -> None:  # fmt: skip
        """Fill a shard that began again with what it held in `epoch`; newer news stays.

        May be repeated: lane totals, which add up, are added once an epoch. Raises StoreAway.
        """
        reports = [field for field in fields if field[0] in "zbh"]
        for at in range(0, len(reports), RESTORE_FIELDS):
            part = Part({field: fields[field] for field in reports[at : at + RESTORE_FIELDS]})
            await self.write({shard: part}, now_ms)
        pairs: list[str] = []
        for field, text in fields.items():
            if field[0] in "plk":
                pairs += (field, text)
        for device, text in marks.items():
            pairs += ("m/" + device, text)
        keys = self._keys[shard]
        arguments = [_fresh_epoch(), self.stream_entries, epoch, now_ms, *pairs]
        await self._run(upkeep_scripts.RESTORE, [(keys.restore, arguments)])

    async def marks_of(self, shard: int) -> dict[str, str]:
        async with self._away():
            return await self._scan(self._keys[shard].key("marks"), "")

    async def _overlay(self, shard: int, target: str, pairs: Sequence[str]) -> None:
        keys = self._keys[shard]
        names = [keys.meta, keys.stream, keys.key(target)]
        arguments = [_fresh_epoch(), self.stream_entries, OVERLAYS[target], *pairs]
        await self._run(upkeep_scripts.OVERLAY, [(names, arguments)])

    async def keep_letters(self, letters: Iterable[tuple[str, int, str]]) -> None:
        """Store dead letters (id, time_ms, JSON) aside; the newest are kept. Raises StoreAway."""
        await self._keep("letters", -(-self.letters_most // self.shards), letters)

    async def forget_letters(self, before_ms: int) -> int:
        """Drop the dead letters that came before; returns how many. Raises StoreAway."""
        pairs = [(keys.key("letters"), keys.key("letters_at")) for keys in self._keys]
        calls = [(pair, [before_ms]) for pair in pairs]
        return sum(await self._run(upkeep_scripts.FORGET, calls))

    async def keep_strangers(self, strangers: Iterable[tuple[str, int, str]]) -> None:
        """Store unknown devices (name, last seen in ms, JSON); the newest are kept."""
        await self._keep("strangers", STRANGERS, strangers)

    async def _keep(self, what: str, limit: int, kept: Iterable[tuple[str, int, str]]) -> None:
        by_shard: dict[int, list[Any]] = {}
        for name, at_ms, body in kept:
            by_shard.setdefault(self.shard(name), [limit]).extend((name, at_ms, body))
        calls = [
            ([self._keys[shard].key(what), self._keys[shard].key(what + "_at")], arguments)
            for shard, arguments in by_shard.items()
        ]
        await self._run(upkeep_scripts.KEEP, calls)

    async def drop_letter(self, name: str, body: str) -> None:
        """Drop a dead letter, unless it has come again since it was read. Raises StoreAway."""
        keys = self._keys[self.shard(name)]
        names = [keys.key("letters"), keys.key("letters_at")]
        await self._run(upkeep_scripts.DROP, [(names, [name, body])])

    async def keep_forecasts(self, memories: Mapping[str, str]) -> None:
        """Keep what was learned of each lot. Raises StoreAway."""
        async with self._away(), self.client.pipeline(transaction=False) as pipe:
            for lot, memory in memories.items():
                pipe.hset(self._keys[self.shard(lot)].key("forecasts"), lot, memory)
            await pipe.execute()

    async def note_there(self, ingester: str, now_ms: int) -> None:
        """An ingester is there and has nothing waiting. Raises StoreAway."""
        async with self._away():
            await self.client.hset(self._keys[self.shard(ingester)].key("there"), ingester, now_ms)

    # Reading.

    async def last_there(self, ingester: str) -> int:
        """When an ingester was last there, in ms; 0 where that is not known. Raises StoreAway."""
        async with self._away():
            name = self._keys[self.shard(ingester)].key("there")
            return int(await self.client.hget(name, ingester) or 0)

    async def forecasts(self) -> dict[str, str]:
        """What was learned, by lot."""
        return await self._all("forecasts")

    async def letter(self, name: str) -> str | None:
        """One dead letter. Raises StoreAway."""
        async with self._away():
            found: str | None = await self.client.hget(
                self._keys[self.shard(name)].key("letters"), name
            )
        return found

    async def letters(self) -> dict[str, str]:
        return await self._all("letters")

    async def strangers(self) -> dict[str, str]:
        return await self._all("strangers")

    async def marks(self) -> dict[str, str]:
        """By device: boot (20 digits), number (20), receipt in ms (13); `number` is seq + 1."""
        found = await self._all("marks")
        for field, value in (await self._all("reports")).items():
            if field[0] != "h":
                device, mark = report.mark_of(field, value)
                found[device] = max(mark, found.get(device, ""))
        return found

    async def _all(self, what: str) -> dict[str, str]:
        found: dict[str, str] = {}
        async with self._away():
            for keys in self._keys:
                found |= await self._scan(keys.key(what), "")
        return found

    async def positions(self) -> list[tuple[str | None, int]]:
        """Epoch and version of every shard, in order."""
        async with self._away(), self.client.pipeline(transaction=False) as pipe:
            for keys in self._keys:
                pipe.hmget(keys.meta, "epoch", "version")
            return [(epoch, int(version or 0)) for epoch, version in await pipe.execute()]

    async def snapshot(self, shard: int) -> Snapshot:
        """A shard as it stands: first its position, then, piece by piece, what it holds."""
        keys = self._keys[shard]
        async with self._away():
            epoch, version = await self.client.hmget(keys.meta, "epoch", "version")
            fields = await self._scan(keys.key("reports"), "")
            fields |= await self._scan(keys.key("boots"), "p")
            fields |= await self._scan(keys.key("lanes"), "l/")
            fields |= await self._scan(keys.key("corrections"), "k/")
            for device, text in (await self._scan(keys.key("gaps"), "")).items():
                ranges = [[*one[:3], one[4]] for one in msgspec.json.decode(text) if one[4]]
                if ranges:
                    fields["g/" + device] = msgspec.json.encode(ranges).decode()
        return Snapshot(epoch, int(version or 0), fields)

    async def _scan(self, key: str, prefix: str) -> dict[str, str]:
        found: dict[str, str] = {}
        cursor = 0
        while True:
            cursor, piece = await self.client.hscan(key, cursor, count=SCAN_COUNT)
            found.update(piece if not prefix else {prefix + name: piece[name] for name in piece})
            if not cursor:
                return found

    async def changes(self, after: Mapping[int, int], block_ms: int) -> list[Change]:
        """What happened on each shard after the version given, waiting up to `block_ms`."""
        names = {self._keys[shard].stream: shard for shard in after}
        places = {self._keys[shard].stream: f"{at}-0" for shard, at in after.items()}
        async with self._away():
            answer = await self.client.xread(places, count=64, block=block_ms)
        found = []
        for name, pages in (answer or {}).items():
            for page in pages:
                for entry, body in page:
                    version = int(entry.partition("-")[0])
                    news = body["n"].split("\n")
                    found.append(Change(names[name], body["e"], version, news))
        return found

    @asynccontextmanager
    async def _away(self) -> AsyncIterator[None]:
        """Turn every failure that passes into StoreAway; a refused call is a bug and stays one."""
        try:
            yield
        except (failures.ConnectionError, failures.TimeoutError, OSError) as error:
            raise StoreAway(str(error)) from error
        except failures.ReadOnlyError as error:
            # We speak to a replica: the primary moved, so look it up anew.
            await self.client.connection_pool.disconnect()
            raise StoreAway(str(error)) from error
        except failures.ResponseError as error:
            named = type(error) is not failures.ResponseError  # redis-py cuts the word off then
            if named and not isinstance(error, failures.NoScriptError):
                raise StoreAway(f"{type(error).__name__}: {error}") from error
            if str(error).startswith(LATER):
                raise StoreAway(str(error)) from error
            raise

    async def _run(self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> Any:
        """Run `script` on each (keys, arguments), loading it where Redis does not know it."""
        async with self._away():
            sha = self._shas.get(script)
            if sha is None:
                sha = self._shas[script] = await self.client.script_load(script)
            try:
                return await self._evaluate(sha, calls)
            except failures.NoScriptError:
                await self.client.script_load(script)
                return await self._evaluate(sha, calls)

    async def _evaluate(
        self, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> Any:
        if len(calls) == 1:
            keys, arguments = calls[0]
            return [await self.client.evalsha(sha, len(keys), *keys, *arguments)]
        async with self.client.pipeline(transaction=False) as pipe:
            for keys, arguments in calls:
                pipe.evalsha(sha, len(keys), *keys, *arguments)
            return await pipe.execute()
