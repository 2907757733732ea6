"""Cameras that push over HTTP: per-camera keys, a bounded queue, late events after an outage."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from time import perf_counter

import aiohttp
import msgspec
import structlog

from devices.simulator.news import Alive, Passed
from devices.simulator.wire import Post, encode

WAITING = 2000
SENDERS = 8
RETRY_AFTER_S = 5.0
LATE_AFTER_S = 5.0  # a passage that waited longer to be sent is one of the past
DEADLINE = aiohttp.ClientTimeout(total=10)

log = structlog.get_logger()


class Endpoint(msgspec.Struct, frozen=True):
    """Where a camera posts to, and the key that it shows there as its password."""

    url: str
    key: str


Opened = Callable[[str, str, bool], None]


class HttpCameras:
    """Posts for all cameras; `opened(camera, event, open)` hears what the reply meant."""

    def __init__(self, endpoints: dict[str, Endpoint], opened: Opened) -> None:
        self.endpoints = endpoints
        self.opened = opened
        self.failed = 0
        self.refused = 0
        self.dropped = 0
        self._queue: asyncio.Queue[tuple[float, Passed | Alive]] = asyncio.Queue(WAITING)

    def send(self, news: Passed | Alive) -> None:
        """Queue a passage or a heartbeat; heartbeats are dropped when much is waiting."""
        full = self._queue.qsize() > WAITING // 2 if isinstance(news, Alive) else self._queue.full()
        if full or news.camera.id not in self.endpoints:
            self.dropped += 1
            return
        self._queue.put_nowait((perf_counter(), news))

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=DEADLINE) as session, asyncio.TaskGroup() as group:
            for at in range(SENDERS):
                group.create_task(self._send_all(session), name=f"http camera sender {at}")

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            queued_s, news = await self._queue.get()
            if isinstance(news, Passed) and perf_counter() - queued_s > LATE_AFTER_S:
                news = late(news)
            post = encode(news)
            if not isinstance(post, Post):
                continue
            endpoint = self.endpoints[news.camera.id]
            try:
                body = await self._post(session, endpoint, news.camera.id, post)
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failed += 1
                if self.failed == 1:
                    log.warning("a camera's push failed", error=type(error).__name__)
                if isinstance(news, Passed):
                    await asyncio.sleep(RETRY_AFTER_S)
                    self.send(late(news))
                continue
            if isinstance(news, Passed) and news.waits and body is not None:
                self.opened(news.camera.id, news.event, opens(news.camera.model, body))

    async def _post(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, camera: str, post: Post
    ) -> bytes | None:
        """The reply, or None where the service refused the request."""
        async with session.post(
            endpoint.url,
            data=post.body,
            headers={
                "Content-Type": post.content_type,
                "Authorization": f"Basic {b64encode(f'{camera}:{endpoint.key}'.encode()).decode()}",
            },
        ) as reply:
            body = await reply.read()
            if reply.status >= 500:
                raise aiohttp.ClientError(f"status {reply.status}")
            if reply.status >= 400:
                self.refused += 1
                if self.refused == 1:
                    log.warning("a camera's push was refused", status=reply.status)
                return None
            return body


def late(news: Passed) -> Passed:
    """As it is sent after an outage: nobody waits for an answer any more."""
    return msgspec.structs.replace(news, buffered=True, waits=False)


class _VzenithAnswer(msgspec.Struct):
    info: str = ""


class _VzenithReply(msgspec.Struct):
    answer: _VzenithAnswer = msgspec.field(
        name="Response_AlarmInfoPlate", default_factory=_VzenithAnswer
    )


class _OwnReply(msgspec.Struct):
    open: bool = False


def opens(model: str, body: bytes) -> bool:
    """Whether a camera of this model opens its gate on this reply; no reply opens Hikvision's."""
    try:
        if model == "vzenith_http":
            return msgspec.json.decode(body, type=_VzenithReply).answer.info == "ok"
        if model == "bowei":
            return msgspec.json.decode(body, type=_OwnReply).open
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return False
