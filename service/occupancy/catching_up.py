"""Reports without a time that waited in the broker while we were away.

Nobody says how old they are: until the queue is through, they count from when we were last there.

The end of the queue is told by a marker that we publish to ourselves behind it.
"""

from datetime import datetime

import structlog

from devices.mqtt import Link, Message
from service.clock import Clock
from service.occupancy.passages import publish
from service.occupancy.report import moment
from service.occupancy.store import Store

MARKER_EXPIRES_S = 3600.0

log = structlog.get_logger()


class CatchingUp:
    """`since` is when we were last there, while the queue is not through; else None.

    Where that is not known, it is the beginning of time, and so nothing without a time is new.
    """

    def __init__(self, link: Link, store: Store, clock: Clock) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._topic = f"bowei/ingesters/{link.client_id}/here"
        self._there_ms = 0
        self.since: datetime | None = None

    async def load(self) -> None:
        """When we were last there, before this process began. Raises StoreAway."""
        self._there_ms = max(self._there_ms, await self._store.last_there(self._link.client_id))
        if self.since is not None:
            self.since = moment(self._there_ms)

    def start(self) -> None:
        """To be called once, before the subscriptions whose queue it is about."""
        self._link.on_connected(self._connected)
        self._link.subscribe(self._topic, self._through, replay=False)
        if self._link.connected:
            self._connected()

    async def note(self) -> None:
        """Once a second: we are there. Raises StoreAway."""
        if self._link.connected and self.since is None:
            self._there_ms = int(self._clock.now_s() * 1000)
            await self._store.note_there(self._link.client_id, self._there_ms)

    def _connected(self) -> None:
        if self._link.session_present:
            self.since = moment(self._there_ms)
            body = str(self._link.connection).encode()
            publish(self._link, self._topic, body, expires_s=MARKER_EXPIRES_S)

    def _through(self, message: Message) -> None:
        if message.payload == str(self._link.connection).encode():
            if self.since is not None:
                log.info("the broker's queue is through", since=self.since.isoformat())
            self.since = None
        self._link.ack(message)
