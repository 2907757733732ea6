"""Plate passages on their way through: the gate decides and answers, Redis counts, then we confirm.

The gate does not wait for Redis. A passage is acknowledged when the sink has it durably and Redis
has counted it; where Redis is away for long, the sink's word is enough, so that cars keep moving.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from devices.mqtt import Link, LinkError, Message
from devices.reading import Direction, Passage
from service import metrics
from service.catalog import Camera, Catalog

# How long, and how many, passages wait for Redis before the sink's word is enough. Their link gets
# no more while they wait, so there are to be fewer than its receive maximum.
WAITING_S = 3.0
WAITING_LIMIT = 100

log = structlog.get_logger()


class Answer(Protocol):
    """What a gate decided."""

    @property
    def open(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def text_zh(self) -> str: ...
    @property
    def text_en(self) -> str: ...
    @property
    def duplicate(self) -> bool: ...
    @property
    def bill(self) -> str | None: ...


class PassageSink(Protocol):
    """Takes a passage durably and decides; None where nobody waits for an answer."""

    async def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, received_at: datetime
    ) -> Answer | None: ...


class Passages:
    """Hands passages to the sink and their answers back to the lane."""

    def __init__(self, catalog: Catalog, sink: PassageSink | None) -> None:
        self._catalog = catalog
        self._sink = sink
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: Callable[[BaseException], None] = lambda _: None

    def on_failure(self, failed: Callable[[BaseException], None]) -> None:
        self._failure = failed

    def entry(self, camera: Camera, passage: Passage, received_at: datetime) -> list[str]:
        """The passage as the store counts it: member, lane, way, when in ms."""
        lane = self._catalog.lane(camera.lot, camera.lane)
        way = passage.direction or Direction(lane.direction if lane else "in")
        at = min(passage.passed_at or received_at, received_at)
        return [
            f"{camera.id}|{passage.event_id}",
            f"{camera.lot}/{camera.lane}/{camera.id}",
            "back" if passage.turned_back else way.value,
            str(int(at.timestamp() * 1000)),
        ]

    async def decide(self, camera: Camera, passage: Passage, at: datetime) -> Answer | None:
        if self._sink is None:
            return None
        return await self._sink.passed(camera.lot, camera.lane, camera.id, passage, at)

    def start(
        self,
        camera: Camera,
        passage: Passage,
        received_at: datetime,
        counted: asyncio.Future[None],
        answer: Callable[[Answer], None],
        confirm: Callable[[], None],
    ) -> None:
        """Decide, `answer`, wait until `counted`, `confirm`."""

        async def follow() -> None:
            decided = await self.decide(camera, passage, received_at)
            if decided is not None:
                answer(decided)
            if self._sink is None:
                await asyncio.shield(counted)
            elif len(self._tasks) < WAITING_LIMIT:
                await asyncio.wait([counted], timeout=WAITING_S)
            if not counted.done():  # it is kept here, and counted when Redis is back
                metrics.MESSAGES.labels("confirmed_uncounted").inc()
            confirm()

        task = asyncio.get_running_loop().create_task(follow(), name="passage")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure(error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def send_answer(link: Link, message: Message, camera: Camera, event: str, answer: Answer) -> None:
    """To the message's response topic where it lies below the lane, else to the lane's own."""
    lane = f"bowei/lots/{camera.lot}/lanes/{camera.lane}/"
    wanted = message.response_topic
    below = wanted is not None and wanted.startswith(lane) and not set("+#") & set(wanted)
    body = {
        "device": camera.id,
        "event": event,
        "open": answer.open,
        "reason": answer.reason,
        "text_zh": answer.text_zh,
        "text_en": answer.text_en,
        "bill": answer.bill,
        "duplicate": answer.duplicate,  # told before: whoever drives a barrier opens once
    }
    topic = wanted if wanted is not None and below else lane + "answer"
    publish(link, topic, msgspec.json.encode(body), expires_s=60)


def tell_lane(link: Link, lot: str, lane: str, answer: Answer) -> None:
    """A car that was held has paid: its lane hears that it may go."""
    body = {"open": answer.open, "reason": answer.reason}
    body |= {"text_zh": answer.text_zh, "text_en": answer.text_en}
    topic = f"bowei/lots/{lot}/lanes/{lane}/answer"
    publish(link, topic, msgspec.json.encode(body), expires_s=60)


def publish(link: Link, topic: str, payload: bytes, *, expires_s: float) -> None:
    """Publish without waiting; a broker that refuses is logged, never lost silently."""

    def told(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and isinstance(error := done.exception(), LinkError):
            log.warning("not published", topic=topic, error=str(error))

    link.publish(topic, payload, expires_s=expires_s).add_done_callback(told)
