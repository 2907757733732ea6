"""What every sign shows: composed from the mirror, sent on change, repeated before the lease ends.

    mirror ─ changed lots ─ affected signs ─ compose (frame.py) ─ retained MQTT frame, HTTP bytes
    panel ─ bowei/signs/{sign}/shown ─ what became of it

A change after a quiet while goes out at once; a sign that has just spoken waits `pace_s`, and has
one frame in flight at most. So a storm of sensor messages costs a sign one frame a pace, each of
them the newest.
"""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from devices.mqtt import Link, Message
from service import metrics
from service.catalog import Catalog, Sign
from service.clock import Clock
from service.config import Config
from service.guidance.answers import SHOWN, read_answer
from service.guidance.arrivals import Arrivals, Followers
from service.guidance.deliveries import Deliveries
from service.guidance.followers import SEEKING_PER_HOUR, followers
from service.guidance.frame import (
    Composed,
    FrameBytes,
    Listed,
    Manner,
    Memory,
    choose_rows,
    compose,
    frame_bytes,
    moment,
    same,
)
from service.guidance.guide import Guide
from service.guidance.model import Frame, Mirrored, Request
from service.guidance.revisions import Revisions

_log = structlog.get_logger()

BATCH: Final = 64  # signs composed before others may use the loop
LANDED_WITHIN_S: Final = 10.0
RETRY_S: Final = 1.0
SHORTEST_WAIT_S: Final = 0.02

Watcher = Callable[[frozenset[str]], None]


class Board:
    """`frames` is what every sign was last sent; `run` keeps them true until cancelled."""

    def __init__(
        self,
        catalog: Catalog,
        mirror: Mirrored,
        guide: Guide,
        arrivals: Arrivals,
        link: Link,
        redis: Any,
        clock: Clock,
        config: Config,
    ) -> None:
        self._catalog = catalog
        self._mirror = mirror
        self._guide = guide
        self._arrivals = arrivals
        self._link = link
        self._clock = clock
        self._pace_s = config.board.pace_s
        self._manner = Manner(hold_s=config.board.hold_s, hysteresis=config.board.hysteresis)
        self._listed = _listed(catalog, config.occupancy.stale_after)
        self._revisions = Revisions(redis)
        self.deliveries = Deliveries()
        self.frames: dict[str, Frame] = {}
        self._bytes: dict[str, FrameBytes] = {}
        self._memory: dict[str, Memory] = defaultdict(Memory)
        self._renew_s: dict[str, float] = {}
        self._flights: dict[str, tuple[asyncio.Future[None], float]] = {}
        self._blocked: set[str] = set()
        self._spoke_s: dict[str, float] = {}
        self._dirty: dict[str, None] = {}
        self._timers: list[tuple[float, str]] = []
        self._timer: dict[str, float] = {}
        self._woken = asyncio.Event()
        self._watchers: list[Watcher] = []
        self._signs_of: dict[str, list[str]] = defaultdict(list)
        for sign in catalog.signs.values():
            for lot in sign.lots:
                self._signs_of[lot].append(sign.id)

    def frame_bytes(self, sign: str) -> FrameBytes | None:
        """The same until the frame changes or is renewed."""
        return self._bytes.get(sign)

    def watch(self, wake: Watcher) -> Callable[[], None]:
        """Call `wake` with the signs that were sent something; returns how to stop it."""
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    async def run(self) -> None:
        """Publish every sign once, then what changes, until cancelled."""
        await self._mirror.loaded()
        await self._revisions.start(self._catalog.signs)
        unwatch = self._mirror.watch(self._touch)
        self._link.subscribe(SHOWN, self._answered)
        self._link.on_connected(self.renew)
        self.renew()
        try:
            while True:
                await self._wait()
                await self.step()
        finally:
            unwatch()
            self._link.unsubscribe([SHOWN])

    def renew(self) -> None:
        """Send every sign again: a broker that was away may have lost what it retained."""
        self._flights.clear()
        self._renew_s.clear()
        self._soil(self._catalog.signs)

    async def step(self) -> None:
        """Compose what is due now, a batch at a time, and send what differs."""
        self._ring()
        dirty, self._dirty = self._dirty, {}
        waiting = iter(dirty)
        while batch := list(islice(waiting, BATCH)):
            sent = [sign for sign in batch if self._look(self._catalog.signs[sign])]
            if sent:
                told = frozenset(sent)
                for wake in list(self._watchers):
                    wake(told)
            await asyncio.sleep(0)
        try:
            await self._revisions.refill(dirty)
        except RedisError as error:
            _log.warning("board: revisions not reserved", error=type(error).__name__)

    # When to look.

    def _touch(self, lots: frozenset[str]) -> None:
        for lot in lots:
            self._soil(self._signs_of.get(lot, ()))

    def _soil(self, signs: Iterable[str]) -> None:
        self._dirty.update(dict.fromkeys(signs))
        if self._dirty:
            self._woken.set()

    async def _wait(self) -> None:
        """Until something changed or a timer is due."""
        wait_s = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _ring(self) -> None:
        """Soil the signs whose timers are due."""
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            at_s, sign = heapq.heappop(self._timers)
            if self._timer.get(sign) == at_s:
                del self._timer[sign]
                self._dirty[sign] = None

    def _set_timer(self, sign: str, in_s: float) -> None:
        at_s = time.monotonic() + max(in_s, SHORTEST_WAIT_S)
        self._timer[sign] = at_s
        heapq.heappush(self._timers, (at_s, sign))

    # What to show.

    def _look(self, sign: Sign) -> bool:
        """Compose one sign and send it if it differs or its lease runs; True where it was sent."""
        wait_s = self._busy_s(sign.id)
        if wait_s > 0:
            self._set_timer(sign.id, wait_s)
            return False
        now_s = self._clock.now_s()
        renew = now_s >= self._renew_s.get(sign.id, 0.0)
        composed = self._composed(sign, now_s, renew=renew)
        self._memory[sign.id] = composed.memory
        self._set_timer(sign.id, self._clock.wall_s(composed.due_s - now_s))
        shown = self.frames.get(sign.id)
        changed = shown is None or not same(shown.lines, composed.lines)
        if not changed and not renew:
            return False
        self._renew_s[sign.id] = composed.renew_s
        revision = self._revisions.next(sign.id) if changed or shown is None else shown.revision
        self._send(self._frame(sign, revision, composed, now_s))
        metrics.FRAMES.labels("change" if changed else "renewal").inc()
        return True

    def _busy_s(self, sign: str) -> float:
        """How long the sign must be left alone: one frame in flight, one a pace."""
        now_s = time.monotonic()
        flight = self._flights.get(sign)
        if flight is not None and not flight[0].done() and now_s < flight[1] + LANDED_WITHIN_S:
            self._blocked.add(sign)
            return flight[1] + LANDED_WITHIN_S - now_s
        return self._spoke_s.get(sign, -self._pace_s) + self._pace_s - now_s

    def _composed(self, sign: Sign, now_s: float, *, renew: bool) -> Composed:
        memory = self._memory[sign.id]
        ranked: list[tuple[str, int]] = []
        if sign.level != 3 and len(sign.lots) > sign.rows:
            ranked = [(lot, tier) for lot, tier, _ in self._ranked(sign, sign.lots)]
        rows = choose_rows(sign, ranked, memory, now_s, self._manner)
        if renew and sign.level in SEEKING_PER_HOUR:
            cars = followers(sign.level, self._ranked(sign, rows))
            self._arrivals.expect(sign.id, Followers(now_s + sign.lease_s, cars))
        states = self._mirror.states
        return compose(sign, rows, self._listed, states, memory, now_s, self._manner, renew=renew)

    def _ranked(self, sign: Sign, lots: Iterable[str]) -> list[tuple[str, int, float]]:
        door = self._catalog.destinations.get(sign.destination or "")
        request = Request(sign.position, door.position if door else None)
        return [(lot, one.tier, one.drive_s) for lot, one in self._guide.order(request, lots)]

    def _frame(self, sign: Sign, revision: int, composed: Composed, now_s: float) -> Frame:
        return Frame(
            sign=sign.id,
            level=sign.level,
            revision=revision,
            snapshot=self._mirror.version,
            composed_at=moment(now_s),
            lease_until=moment(composed.lease_until_s),
            lease_s=round(composed.lease_until_s - now_s, 1),
            lines=composed.lines,
        )

    # Sending, and what became of it.

    def _send(self, frame: Frame) -> None:
        body = msgspec.json.encode(frame)
        self.frames[frame.sign] = frame
        self._bytes[frame.sign] = frame_bytes(frame, body)
        self._spoke_s[frame.sign] = time.monotonic()
        self.deliveries.sent(frame.sign, frame.revision, frame.composed_at)
        if not self._link.connected:  # it would go out late, with its lease as if it were new
            self.deliveries.failed(frame.sign, frame.revision, frame.composed_at, "broker_away")
            return
        sent = self._link.publish(
            f"bowei/signs/{frame.sign}/frame",
            body,
            qos=1,
            retain=True,
            expires_s=self._clock.wall_s(frame.lease_s),
        )
        self._flights[frame.sign] = (sent, self._spoke_s[frame.sign])
        sent.add_done_callback(lambda done: self._landed(frame, done))

    def _landed(self, frame: Frame, sent: asyncio.Future[None]) -> None:
        error = None if sent.cancelled() else sent.exception()
        at = self._clock.now()
        if error is None:
            self.deliveries.accepted(frame.sign, frame.revision, at)
        else:
            self.deliveries.failed(frame.sign, frame.revision, at, "broker")
            self._renew_s[frame.sign] = 0.0
            self._set_timer(frame.sign, RETRY_S)
        if frame.sign in self._blocked:
            self._blocked.discard(frame.sign)
            self._soil([frame.sign])

    def _answered(self, message: Message) -> None:
        answer = read_answer(message, self._catalog.signs)
        if answer is not None:
            self.deliveries.answered(*answer, self._clock.now())


def _listed(catalog: Catalog, stale_after: float) -> dict[str, Listed]:
    """What a line needs of each lot; reports are fresh for `stale_after` of their periods."""
    return {
        lot.id: Listed(
            lot.name,
            stale_after
            * max((zone.report_every_s for zone in lot.zones if zone.public), default=0.0),
        )
        for lot in catalog.lots.values()
    }
