"""The I/O shell: moves the world with the clock and carries its news to broker and service.

It hears the signs' frames and the gates' answers, shows and obeys them, and remembers the parked
cars in a file, so that a district that is started again goes on where it stopped.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from devices.mqtt import Message
from devices.simulator import memory
from devices.simulator.connections import Connections
from devices.simulator.drivers import Line
from devices.simulator.http_cameras import Endpoint, HttpCameras, late
from devices.simulator.news import Alive, News, Passed, Status
from devices.simulator.tally import Tally
from devices.simulator.wire import Publish, encode, moment
from devices.simulator.world import World

SLICE_S = 0.25  # wall: answers and frames are heard at least this often
SHORTEST_NAP_S = 0.02
MEMORY_EVERY_S = 5.0
FRAMES = "bowei/signs/+/frame"
ANSWERS = "bowei/lots/+/lanes/+/answer/#"
COMMANDS = ("device/+/message/down/gpio_out", "+/device/message/down/gpio_out")
COMMANDED = "vzenith_mqtt"  # its gate opens by a command of its own, not by the lane's answer


class ClockLike(Protocol):
    """Clock seconds that run `speed` times as fast as the wall's."""

    @property
    def speed(self) -> float: ...

    def now_s(self) -> float: ...


class _Line(msgspec.Struct):
    lot: str
    value: str
    state: str


class _Frame(msgspec.Struct):
    revision: int
    lease_s: float
    lines: tuple[_Line, ...]
    lease_until: datetime | None = None


class _Answer(msgspec.Struct):
    open: bool
    event: str | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_ANSWER = msgspec.json.Decoder(_Answer)


class Street:
    """One running district. `say` gets a line of statistics every `report_every_s` wall seconds."""

    def __init__(
        self,
        world: World,
        clock: ClockLike,
        url: str,
        *,
        endpoints: dict[str, Endpoint] | None = None,
        name: str = "simulator",
        memory_file: Path | None = None,
        say: Callable[[str], None] = print,
        report_every_s: float = 30.0,
    ) -> None:
        self.world, self.clock, self.say = world, clock, say
        self.memory_file, self.report_every_s = memory_file, report_every_s
        self.connections = Connections(world.district, url, name, world.boot)
        self.http = HttpCameras(endpoints or {}, self._opened)
        self.lot_of: dict[str, str] = {
            **{sensor.id: sensor.lot for sensor in world.district.sensors},
            **{camera.id: camera.lot for camera in world.district.cameras},
        }
        self.camera_at = {(one.lot, one.lane): one.id for one in world.district.cameras}
        self.models = {one.id: one.model for one in world.district.cameras}
        self.signs = {sign.id for sign in world.district.signs}
        self.sent = 0
        self.frames = 0
        self.frames_refused = 0
        self.waits_ms: deque[float] = deque(maxlen=2000)
        self._asked: dict[str, dict[str, float]] = {}  # camera: event: when (wall)

    async def run(self) -> None:
        """Live until cancelled; then say goodbye and remember."""
        async with self.connections:
            await self.connections.listen((FRAMES,), self._hear_frame)
            await self.connections.listen((ANSWERS,), self._hear_answer)
            await self.connections.listen(COMMANDS, self._hear_command)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.http.run(), name="http cameras")
                    group.create_task(self._live(), name="the district")
                    group.create_task(self._report(), name="statistics")
                    group.create_task(self._remember(), name="memory")
                    group.create_task(self._listen(), name="signs and gates")
            finally:
                self._carry(self.world.farewell())
                self._save()
                with contextlib.suppress(asyncio.CancelledError):
                    await self.connections.settle(0.2)

    async def _live(self) -> None:
        world, clock = self.world, self.clock
        while True:
            target_s = clock.now_s()
            while world.now_s < target_s:
                self._carry(world.advance(min(target_s, world.now_s + SLICE_S * clock.speed)))
                await asyncio.sleep(0)
            next_s = world.next_s
            nap_s = SLICE_S if next_s is None else (next_s - clock.now_s()) / clock.speed
            await asyncio.sleep(min(max(nap_s, SHORTEST_NAP_S), SLICE_S))

    async def _listen(self) -> None:
        """Raise what a handler of ours could not survive."""
        await asyncio.shield(self.connections.signs.failed)

    # out

    def _carry(self, news: list[News]) -> None:
        for one in news:
            match one:
                case Passed() | Alive():
                    self._carry_camera(one)
                case Status():
                    self._publish(self.lot_of[one.device], one, keep=False)
                case _:
                    self._publish(one.sensor.lot, one, keep=False)
        self.sent += len(news)

    def _carry_camera(self, news: Passed | Alive) -> None:
        if isinstance(news, Passed) and news.waits:
            asked = self._asked.setdefault(news.camera.id, {})
            asked.setdefault(news.event, time.perf_counter())
            while len(asked) > 64:
                del asked[next(iter(asked))]
        if news.camera.transport == "http":
            self.http.send(news)
            return
        if isinstance(news, Passed) and not self.connections.up(news.camera.lot):
            news = late(news)
        # An own-format camera numbers all that it says, so even a heartbeat must not go missing.
        keep = isinstance(news, Passed) or news.camera.model == "bowei"
        self._publish(news.camera.lot, news, keep=keep)

    def _publish(self, lot: str, news: News, *, keep: bool) -> None:
        message = encode(news)
        if isinstance(message, Publish):
            self.connections.publish(lot, message, keep=keep)

    # in

    def _hear_frame(self, message: Message) -> None:
        sign = message.topic.split("/")[2]
        if sign not in self.signs:
            return
        if not message.payload:
            self.world.show(sign, (), float("-inf"))
            return
        try:
            frame = _FRAME.decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.frames_refused += 1
            return
        now_s = self.clock.now_s()
        until_s = now_s + frame.lease_s
        if frame.lease_until is not None:
            until_s = min(until_s, frame.lease_until.timestamp())
        lines = tuple(Line(line.lot, line.value, line.state) for line in frame.lines)
        self.world.show(sign, lines, until_s)
        self.frames += 1
        shown = msgspec.json.encode({"revision": frame.revision, "at": moment(now_s)})
        self.connections.acknowledge(f"bowei/signs/{sign}/shown", shown)

    def _hear_answer(self, message: Message) -> None:
        parts = message.topic.split("/")
        camera = self.camera_at.get((parts[2], parts[4]))
        if camera is None:
            return
        try:
            answer = _ANSWER.decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        event = parts[6] if len(parts) > 6 else answer.event
        if self.models[camera] != COMMANDED:
            self._opened(camera, event, answer.open)

    def _hear_command(self, message: Message) -> None:
        camera = message.topic.removeprefix("device/").partition("/")[0]
        if self.models.get(camera) == COMMANDED:
            self._opened(camera, None, True)

    def _opened(self, camera: str, event: str | None, opened: bool) -> None:
        asked = self._asked.get(camera, {})
        since: float | None = None
        if event is not None:
            since = asked.pop(event, None)
        elif asked:
            # A command names no car: it opens for the one that stands there, the last that asked.
            # Those before it were never answered, and were let through by hand.
            since = asked.pop(next(reversed(asked)))
            asked.clear()
        if since is not None:
            self.waits_ms.append((time.perf_counter() - since) * 1000)
        self.world.answered(camera, event, opened=opened)

    # now and then

    async def _report(self) -> None:
        before = self.world.tally.copy()
        while True:
            await asyncio.sleep(self.report_every_s)
            now = self.world.tally.copy()
            self.say(self.line(now.since(before), now))
            before = now

    def line(self, lately: Tally, whole: Tally) -> str:
        """One line of statistics: what happened lately, and how it went since the start."""
        errors = self.world.sign_errors()
        waits = sorted(self.waits_ms)
        parts = [
            f"in {lately.entered}, out {lately.left}, met full {lately.met_full}",
            f"guided {lately.guided} (sent elsewhere {lately.diverted})",
            f"{lately.minutes_to_park:.1f} min to park",
            f"inside {sum(self.world.truth().values())}",
        ]
        if errors:
            parts.append(f"signs off by {sum(errors) / len(errors):.1f}")
        if waits:
            p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
            parts.append(f"gate answers p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        if whole.by_hand:
            parts.append(f"opened by hand {whole.by_hand}")
        lost = self.connections.dropped + self.connections.overflowed + self.http.dropped
        if lost:
            parts.append(f"not sent {lost}")
        return f"[{moment(self.world.now_s)[:19]}Z] " + ", ".join(parts)

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_EVERY_S)
            self._save()

    def _save(self) -> None:
        """A few milliseconds, in one replace: a killed run leaves the last whole file."""
        if self.memory_file is None:
            return
        part = self.memory_file.with_suffix(".part")
        part.write_bytes(memory.encode(self.world.memory()))
        part.replace(self.memory_file)


def remembered(file: Path | None) -> memory.Memory | None:
    """What an earlier run left in `file`, if it can be read."""
    if file is None or not file.exists():
        return None
    return memory.decode(file.read_bytes())
