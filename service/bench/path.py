"""`bowei bench path`: from a sensor's publish to the frame in a panel's hands, through real parts.

Mosquitto, Valkey (AOF `always`) and the service are processes of their own; this one is the street:
it publishes counts at QoS 1 and holds every sign's subscription. Every change turns a lot full or
free again, which no hold delays. A sign speaks once a `pace_s` at most, so the bar is over changes
that come to a sign which has been quiet for that long; the others are shown beside it.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec
import uvloop

from devices.mqtt import Link, Message
from service.bench.path_world import REST_S, Change, schedule, street
from service.bench.process import cpu_s
from service.bench.report import Cell, Report, publish
from service.catalog import Catalog
from service.clock import Clock
from service.config import Config
from service.embedded import start_broker, start_valkey
from service.guidance.model import Frame, FrameLine

READY_WITHIN_S = 60.0
LAST_WITHIN_S = 30.0
MARGIN_S = 0.1
TOLERANCE = timedelta(seconds=0.25)  # the service dates no count later than it received it


class Measured(msgspec.Struct):
    """Milliseconds from publish to frame, for signs that were quiet and for those that were not."""

    quiet_ms: list[float]
    paced_ms: list[float]
    overtaken: int
    wrong: int
    frames: int
    wall_s: float


@click.command()
@click.option("--signs", default=200, show_default=True, help="Signs (and lots).")
@click.option("--per-s", default=200.0, show_default=True, help="Sensor events a second.")
@click.option("--seconds", default=12.0, show_default=True, help="How long.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def path(signs: int, per_s: float, seconds: float, as_json: bool) -> None:
    """Sensor publish to sign frame, through real parts."""
    with tempfile.TemporaryDirectory(prefix="bowei-bench-") as folder:
        redis = start_valkey(Path(folder) / "redis")
        broker = start_broker(Path(folder) / "mqtt", say=lambda text: click.echo(text, err=True))
        service = subprocess.Popen(  # noqa: S603 - ourselves
            [
                sys.executable, "-m", "service.bench.path_service",
                redis.url, broker.url, str(signs),
            ],
            stdin=subprocess.PIPE,
        )  # fmt: skip
        try:
            report = uvloop.run(_measured(broker.url, service.pid, street(signs), per_s, seconds))
        finally:
            assert service.stdin is not None
            service.stdin.close()
            service.wait(timeout=30)
            broker.stop()
            redis.stop()
    publish(report, as_json=as_json)


class Wait(msgspec.Struct):
    """For a line that says `state`, measured at `since` or later; lots turn back and forth."""

    since: datetime
    state: str
    seen: asyncio.Future[float]

    def shown_by(self, line: FrameLine) -> bool:
        return line.state == self.state and line.as_of is not None and line.as_of >= self.since


class Panels:
    """Every sign's newest frame, and who waits for one with a count of a lot at least so new."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], list[Wait]] = {}
        self.frames: dict[str, Frame] = {}
        self.received = 0
        self._heard = asyncio.Event()

    def take(self, message: Message) -> None:
        now_s = time.perf_counter()
        frame = msgspec.json.decode(message.payload, type=Frame)
        self.frames[frame.sign] = frame
        self.received += 1
        self._heard.set()
        for line in frame.lines:
            waiting = self.waiting.get((frame.sign, line.lot), [])
            shown = [at for at, wait in enumerate(waiting) if wait.shown_by(line)]
            for _ in range(shown[-1] + 1 if shown else 0):  # older ones were overtaken: late too
                waiting.pop(0).seen.set_result(now_s)

    async def until(self, true: Callable[[dict[str, Frame]], bool]) -> None:
        async with asyncio.timeout(READY_WITHIN_S):
            while not true(self.frames):
                self._heard.clear()
                await self._heard.wait()

    def expect(self, sign: str, lot: str, at: datetime, state: str) -> asyncio.Future[float]:
        wait = Wait(at - TOLERANCE, state, asyncio.get_running_loop().create_future())
        self.waiting.setdefault((sign, lot), []).append(wait)
        return wait.seen


async def _measured(
    mqtt_url: str, pid: int, catalog: Catalog, per_s: float, seconds: float
) -> Report:
    pace_s = Config().board.pace_s
    changes = schedule(catalog, per_s, seconds, pace_s, MARGIN_S)
    async with Link(mqtt_url, "street") as sensors, Link(mqtt_url, "panels") as link:
        panels = Panels()
        await link.subscribe("bowei/signs/+/frame", panels.take)
        await _begin(sensors, panels, catalog)
        before_s = cpu_s(pid)
        measured = await _run(sensors, panels, catalog, changes)
        after_s = cpu_s(pid)
    used_s = None if before_s is None or after_s is None else after_s - before_s
    return _report(measured, len(changes), used_s)


async def _begin(sensors: Link, panels: Panels, catalog: Catalog) -> None:
    """Every lot reports once, and every sign shows all of them."""
    clock = Clock()
    await panels.until(lambda frames: set(frames) == set(catalog.signs))
    for lot in catalog.lots:
        await sensors.publish(*_count(lot, 0, 50, clock.now()))
    await panels.until(
        lambda frames: all(
            line.state == "free" for frame in frames.values() for line in frame.lines
        )
    )
    await asyncio.sleep(1.0)


def _count(lot: str, seq: int, free: int, at: datetime) -> tuple[str, bytes]:
    said = {"device": f"d-{lot}", "boot": 1, "seq": seq, "at": at, "free": free}
    return f"bowei/lots/{lot}/zones/all/count", msgspec.json.encode(said)


async def _run(sensors: Link, panels: Panels, catalog: Catalog, changes: list[Change]) -> Measured:
    clock = Clock()
    showing = {lot: [s.id for s in catalog.signs.values() if lot in s.lots] for lot in catalog.lots}
    seq = dict.fromkeys(catalog.lots, 0)
    waits: list[tuple[bool, float, asyncio.Future[float]]] = []
    frames_before = panels.received
    started_s = time.perf_counter()
    for change in changes:
        pause_s = started_s + change.at_s - time.perf_counter()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        seq[change.lot] += 1
        at = clock.now()
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        published_s = time.perf_counter()
        for sign in showing[change.lot]:
            shown = panels.expect(sign, change.lot, at, "free" if change.free else "full")
            waits.append((sign in change.quiet, published_s, shown))
        sensors.publish(*_count(change.lot, seq[change.lot], change.free, at))
    await asyncio.wait([shown for _, _, shown in waits], timeout=LAST_WITHIN_S)
    wall_s = time.perf_counter() - started_s
    measured = Measured([], [], 0, 0, panels.received - frames_before, wall_s)
    last = {change.lot: "free" if change.free else "full" for change in changes}
    for frame in panels.frames.values():
        measured.wrong += sum(last.get(line.lot, "free") != line.state for line in frame.lines)
    for quiet, published_s, shown in waits:
        took_ms = REST_S * 1000  # at the least: the lot had turned back before it was shown
        if shown.done():
            took_ms = (shown.result() - published_s) * 1000
        else:
            measured.overtaken += 1
        (measured.quiet_ms if quiet else measured.paced_ms).append(took_ms)
    return measured


def _report(measured: Measured, events: int, used_s: float | None) -> Report:
    rows = [
        _row("signs quiet before", measured.quiet_ms),
        _row("signs that had just spoken", measured.paced_ms),
    ]
    notes = [
        f"{events} sensor events, {measured.frames} frames, {measured.overtaken} changes overtaken",
        "every change turns a lot full or free again: no hold delays it, only the sign's own pace",
    ]
    if used_s is not None:
        notes.append(
            f"service: {used_s / events * 1e3:.3f} ms CPU per event,"
            f" {used_s / measured.wall_s:.2f} of a core"
        )
    if measured.wrong:
        raise click.ClickException(f"{measured.wrong} lines show another state than the last told")
    return Report(
        bench="path",
        rows=rows,
        ratios={
            "sensor_to_sign_p50_ms": _percentile(measured.quiet_ms, 50),
            "sensor_to_sign_p99_ms": _percentile(measured.quiet_ms, 99),
        },
        notes=notes,
    )


def _row(changes: str, took_ms: list[float]) -> dict[str, Cell]:
    return {
        "changes": changes,
        "count": len(took_ms),
        "p50_ms": _percentile(took_ms, 50),
        "p90_ms": _percentile(took_ms, 90),
        "p99_ms": _percentile(took_ms, 99),
        "max_ms": max(took_ms, default=0.0),
    }


def _percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return sum(values)
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
