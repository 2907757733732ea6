"""What signs show, in a process that does not compose it: followed from the broker.

    bowei/signs/+/frame   retained by the board, wherever it runs
    bowei/signs/+/shown   what became of it

Bytes are kept as they came, so every process serves a frame with the same ETag. A board that is
away for long shows: leases run out here as they do on the panels.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from devices.mqtt import Link, Message
from devices.reading import Refused
from devices.wire import take_json
from service import metrics
from service.catalog import Catalog
from service.clock import Clock
from service.guidance.answers import SHOWN, read_answer
from service.guidance.deliveries import Deliveries
from service.guidance.frame import FrameBytes, frame_bytes
from service.guidance.model import Frame

FRAMES: Final = "bowei/signs/+/frame"

_DECODER: Final = msgspec.json.Decoder(Frame)

Watcher = Callable[[frozenset[str]], None]


class FrameMirror:
    """Answers as `sign_board.Board` does: `frames`, `frame_bytes`, `deliveries`, `watch`."""

    def __init__(self, catalog: Catalog, link: Link, clock: Clock) -> None:
        self._catalog = catalog
        self._link = link
        self._clock = clock
        self.deliveries = Deliveries()
        self.frames: dict[str, Frame] = {}
        self._bytes: dict[str, FrameBytes] = {}
        self._watchers: list[Watcher] = []
        self._news: set[str] = set()

    def frame_bytes(self, sign: str) -> FrameBytes | None:
        """The same until the frame changes or is renewed."""
        return self._bytes.get(sign)

    def watch(self, wake: Watcher) -> Callable[[], None]:
        """Call `wake` with the signs that were sent something; returns how to stop it."""
        self._watchers.append(wake)
        return lambda: self._watchers.remove(wake)

    async def run(self) -> None:
        """Follow until cancelled."""
        self._link.subscribe(FRAMES, self._sent)
        self._link.subscribe(SHOWN, self._answered, replay=False)
        try:
            await asyncio.Event().wait()
        finally:
            self._link.unsubscribe([FRAMES])
            self._link.unsubscribe([SHOWN])

    def _sent(self, message: Message) -> None:
        sign = message.topic.split("/")[2]
        if sign not in self._catalog.signs:
            metrics.refused("frame", "unknown_sign")
            return
        if not message.payload:  # what was retained has been taken away
            self._forget(sign)
            return
        try:
            frame = take_json(_DECODER, message.payload, {})
        except Refused as refused:
            metrics.refused("frame", refused.reason)
            return
        if frame.sign != sign:
            metrics.refused("frame", "other_sign")
            return
        held = self.frames.get(sign)
        if held is not None and frame.composed_at < held.composed_at:
            return  # sent again by a board that lost its connection meanwhile
        known = self._bytes.get(sign)
        if known is None or message.payload != known.body:
            self._hold(frame, message)

    def _hold(self, frame: Frame, message: Message) -> None:
        sign = frame.sign
        self.frames[sign] = frame
        self._bytes[sign] = frame_bytes(frame, message.payload)
        # What a panel said of a retained frame before we listened is not known.
        if not message.retain:
            self.deliveries.sent(sign, frame.revision, frame.composed_at)
            self.deliveries.accepted(sign, frame.revision, self._clock.now())
        self._tell(sign)

    def _forget(self, sign: str) -> None:
        if self.frames.pop(sign, None) is not None:
            del self._bytes[sign]
            self._tell(sign)

    def _answered(self, message: Message) -> None:
        answer = read_answer(message, self._catalog.signs)
        if answer is None:
            return
        sign, at = answer[0], self._clock.now()
        frame = self.frames.get(sign)
        if frame is not None and self.deliveries.of(sign, at) is None:
            self.deliveries.sent(sign, frame.revision, frame.composed_at)
        self.deliveries.answered(*answer, at)

    def _tell(self, sign: str) -> None:
        """All that one step of the loop brought is told at once."""
        if not self._news:
            asyncio.get_running_loop().call_soon(self._wake)
        self._news.add(sign)

    def _wake(self) -> None:
        news, self._news = frozenset(self._news), set()
        for wake in list(self._watchers):
            wake(news)
