"""`bowei bench ingest`: sensor messages at QoS 1 from the broker into Redis, one process.

Every subject drains a session that the broker has queued for it, so that publishing costs nobody
anything while it is measured; or, `--live`, all is published meanwhile, which measures the broker
more than its readers. Rounds are interleaved; medians are told. Redis begins every round with an
empty log, so that no rewrite of what earlier rounds wrote falls into one and not into another.
Totals are checked: a run in which Redis does not hold the last word of every sensor, with no gap,
fails.

Of several sizes each gets the same batches: of half the smallest catalogue, and what one more read
brings. So of 1,000 sensors none speaks twice in one, which would make an event of few cheaper.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import msgspec
from redis.exceptions import ResponseError

from service.bench import report
from service.bench.ingest_load import (
    RECEIVE_MAXIMUM,
    Load,
    forget_session,
    keep_session,
    publish,
)
from service.embedded import Server, start_broker, start_valkey
from service.occupancy.report import ORDER_DIGITS, read_told
from service.occupancy.store import Store

NAIVE_SHARE = 10  # the naive reader gets a tenth of the messages
PATIENCE_S = 120
QUEUED_MOST = 90_000  # the broker keeps 100,000 for a session, and would drop what is more


class Run(msgspec.Struct):
    """One subject's round: messages, wall seconds, CPU seconds of its process and of Redis."""

    messages: int
    wall_s: float
    cpu_s: float
    redis_cpu_s: float
    broker_cpu_s: float

    @property
    def rate(self) -> float:
        return self.messages / self.wall_s

    def each_us(self, seconds: float) -> float:
        return seconds / self.messages * 1e6


@click.command(short_help="Sensor messages to Redis, against a bare reader.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@click.option(
    "--messages", default=60_000, show_default=True, type=click.IntRange(1000, QUEUED_MOST),
    help="Messages a round; all of them may wait in the broker.",
)  # fmt: skip
@click.option("--rounds", default=5, show_default=True, help="Interleaved rounds; medians count.")
@click.option(
    "--zones", default="1000", show_default=True,
    help="Zones in the catalogue; several (1000,100000) compare the cost of an event.",
)  # fmt: skip
@click.option("--live", is_flag=True, help="Publish meanwhile instead of before.")
def ingest(as_json: bool, messages: int, rounds: int, zones: str, *, live: bool) -> None:
    """Sensor messages from the broker to Redis, against a bare reader and a naive one."""
    sizes = [int(size) for size in zones.split(",")]
    with tempfile.TemporaryDirectory(prefix="bowei-bench-") as folder:
        bench = Bench(Path(folder), live=live)
        try:
            bench.warm_up()
            if len(sizes) == 1:
                published = bench.compare(sizes[0], messages, rounds)
            else:
                published = bench.compare_sizes(sizes, messages, rounds)
        finally:
            bench.stop()
    report.publish(published, as_json=as_json)


class Bench:
    """A broker and a Redis of its own, and rounds on them."""

    def __init__(self, folder: Path, *, live: bool) -> None:
        self._live = live
        self._redis = start_valkey(folder / "redis")
        # The naive reader gets a Redis as it is installed, that writes no log: nothing of the
        # ratio may come from a disk that is slow to sync.
        self._plain = start_valkey(folder / "plain", settings=["--appendonly", "no"])
        self._broker = start_broker(folder / "mqtt")
        self._round = 0

    def stop(self) -> None:
        for server in (self._broker, self._redis, self._plain):
            server.stop()

    def warm_up(self) -> None:
        self.run("bowei", 1000, 2000)

    def compare(self, zones: int, messages: int, rounds: int) -> report.Report:
        runs: dict[str, list[Run]] = {"ceiling": [], "bowei": [], "naive": []}
        for _ in range(rounds):
            for kind, done in runs.items():
                share = NAIVE_SHARE if kind == "naive" else 1
                done.append(self.run(kind, zones, messages // share))
        rows = [_row(kind, done) for kind, done in runs.items()]
        rates = {kind: _median([run.rate for run in done]) for kind, done in runs.items()}
        ratios = {
            "vs_naive": rates["bowei"] / rates["naive"],
            "vs_ceiling": rates["bowei"] / rates["ceiling"],
        }
        return report.Report("ingest", rows, ratios, [self._note(zones, messages, rounds)])

    def compare_sizes(self, sizes: list[int], messages: int, rounds: int) -> report.Report:
        runs: dict[int, list[Run]] = {size: [] for size in sizes}
        for _ in range(rounds):
            for size, done in runs.items():
                done.append(self.run("bowei", size, messages, min(sizes) // 2))
        rows = [{"zones": size, **_row("bowei", done)} for size, done in runs.items()]
        costs = [
            _median([run.each_us(run.cpu_s + run.redis_cpu_s) for run in done])
            for done in runs.values()
        ]
        ratios = {f"cost_{sizes[-1]}_vs_{sizes[0]}": costs[-1] / costs[0]}
        notes = [
            self._note(sizes[-1], messages, rounds),
            f"batches of {min(sizes) // 2:,} and what one more read brings; sensors in turn",
        ]
        return report.Report("ingest", rows, ratios, notes)

    def _note(self, zones: int, messages: int, rounds: int) -> str:
        how = "published meanwhile" if self._live else "queued in the broker before"
        return f"{messages:,} messages of {zones:,} sensors, {how}; medians of {rounds} rounds"

    def run(self, kind: str, zones: int, messages: int, window: int = RECEIVE_MAXIMUM) -> Run:
        """One round; at most `window` messages are under way to the reader."""
        self._round += 1
        store = self._plain if kind == "naive" else self._redis
        warm = zones if kind == "bowei" else 0
        load = Load(zones, warm, messages, self._round)
        client_id = f"bench-{kind}-{self._round}"
        asyncio.run(_flush(store.url))
        keep_session(self._broker.url, client_id, window)
        first, packets = load.packets()
        publish(self._broker.url, first)
        task = json.dumps(
            {
                "mqtt": self._broker.url, "redis": store.url, "client_id": client_id,
                "zones": zones, "window": window, "warm": warm, "messages": messages,
            }
        )  # fmt: skip
        argv = [sys.executable, "-m", "service.bench.ingest_subjects", kind, task]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - our own module
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()  # it is ready
            if not self._live:
                publish(self._broker.url, packets)
            began = [_cpu_s(server) for server in (store, self._broker)]
            child.stdin.write(b"go\n")
            child.stdin.flush()
            if self._live:
                publish(self._broker.url, packets)
            told, _ = child.communicate(timeout=PATIENCE_S)
        after = [_cpu_s(server) for server in (store, self._broker)]
        if child.returncode:
            raise click.ClickException(f"{kind} failed")
        said = json.loads(told)
        forget_session(self._broker.url, client_id)
        if kind == "bowei":
            asyncio.run(_check(store.url, load))
        return Run(
            messages, said["wall_s"], said["cpu_s"], after[0] - began[0], after[1] - began[1]
        )


async def _flush(url: str) -> None:
    store = Store.open(url)
    await store.client.flushall()
    with contextlib.suppress(ResponseError):  # one is under way
        await store.client.bgrewriteaof()
    await store.close()


async def _check(url: str, load: Load) -> None:
    """The last word of every sensor is stored, and nothing is missing."""
    store = Store.open(url)
    stored: dict[str, tuple[int, int]] = {}
    for shard in range(store.shards):
        snapshot = await store.snapshot(shard)
        for field, value in snapshot.fields.items():
            occupied = read_told(value).occupied
            stored[field] = (int(value[20:ORDER_DIGITS]), -1 if occupied is None else occupied)
    await store.close()
    if stored != load.last():
        raise click.ClickException("Redis does not hold what was sent")


def _cpu_s(server: Server) -> float:
    """CPU seconds that a server has used."""
    fields = Path(f"/proc/{server.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _row(kind: str, runs: list[Run]) -> dict[str, report.Cell]:
    return {
        "reader": kind,
        "messages_per_s": _median([run.rate for run in runs]),
        "wall_us_each": _median([run.each_us(run.wall_s) for run in runs]),
        "reader_cpu_us_each": _median([run.each_us(run.cpu_s) for run in runs]),
        "redis_cpu_us_each": _median([run.each_us(run.redis_cpu_s) for run in runs]),
        "broker_cpu_us_each": _median([run.each_us(run.broker_cpu_s) for run in runs]),
    }
