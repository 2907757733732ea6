"""What arrives on a Link, on its way to the handlers that want it.

A session of the broker's may bring messages before their handler is here: those that are to be
acknowledged by hand wait for it, for a while.
"""

from collections.abc import Callable, Iterable

import structlog

from devices.mqtt_socket import response_topic
from devices.mqtt_topics import Message, Routes

ORPHANS_S = 60.0

log = structlog.get_logger()


class Inbox:
    """`connection` is the link's present one; `up_s` when it came up, on the loop's clock."""

    def __init__(
        self,
        routes: Routes,
        ack: Callable[[Message], None],
        fail: Callable[[Exception], None],
        *,
        manual_ack: bool,
    ) -> None:
        self._routes = routes
        self._known = routes.known
        self._ack = ack
        self._fail = fail
        self._manual_ack = manual_ack
        self._orphans: list[Message] = []
        self._owed: list[int] = []  # by hand: what came and was not acknowledged, in order
        self._settled: set[int] = set()  # acknowledged by a handler, behind one that was not yet
        self.connection = 0
        self.up_s = 0.0

    def delivered(self, first: int, topic: bytes, mid: int, properties: bytes, body: bytes) -> None:
        """One PUBLISH, as the wire gives it."""
        handlers, about = self._known(topic) or self._routes.find(topic)
        response = response_topic(properties) if properties else None
        retain, dup = first & 1 == 1, first & 8 == 8
        message = Message(topic, body, retain, response, dup, mid, self.connection, about)
        if self._manual_ack:
            if mid:
                self._owed.append(mid)
            if not handlers:
                self._orphans.append(message)
                return
        try:
            for handler in handlers:
                handler(message)
        except Exception as error:  # noqa: BLE001 - ends the link, whose `failed` raises it
            self._fail(error)
            return
        if mid and not self._manual_ack:
            self._ack(message)

    def settle(self, mids: Iterable[int]) -> list[int]:
        """What may be acknowledged now that `mids` are dealt with, in the order it came.

        Source: MQTT 5.0, 4.6 (a broker may hang up on who answers out of order).
        """
        ready = list(mids)
        if not self._manual_ack:
            return ready
        owed, settled = self._owed, self._settled
        many = len(ready)
        if settled or owed[:many] != ready:
            settled.update(ready)
            many = 0
            while many < len(owed) and owed[many] in settled:
                settled.discard(owed[many])
                many += 1
            ready = owed[:many]
        del owed[:many]
        return ready

    def adopt(self) -> None:
        """Hand what waits to the handlers that came since."""
        waiting, self._orphans = self._orphans, []
        for message in waiting:
            handlers, message.about = self._routes.find(message.raw_topic)
            if not handlers:
                self._orphans.append(message)
            for handler in handlers:
                handler(message)

    def let_go(self, now_s: float) -> None:
        """Acknowledge what nobody wanted for long: it must not hold up the session."""
        if self._orphans and now_s - self.up_s > ORPHANS_S:
            log.warning("messages that nobody takes", topic=self._orphans[0].topic)
            for message in self._orphans:
                self._ack(message)
            self._orphans.clear()

    def disconnected(self) -> None:
        """Forget what waits: it will be sent again."""
        self._orphans.clear()
        self._owed.clear()
        self._settled.clear()
