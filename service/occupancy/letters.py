"""Dead letters: messages that nobody could read, kept aside with the reason, then acknowledged.

The same message again is the same letter. The oldest make way for new ones, and each is forgotten
after a time. Bodies are kept up to `BODY_BYTES`; what was longer can be looked at but not tried
again.
"""

import asyncio
import base64
import hashlib
from contextlib import suppress
from datetime import datetime

import msgspec

from devices.mqtt import Link
from service.clock import Clock
from service.occupancy.report import moment
from service.occupancy.store import Store, StoreAway

BODY_BYTES = 8192
FORGET_EVERY_S = 60.0


class Letter(msgspec.Struct, frozen=True):
    """One dead letter. `body` is base64 of what came; `size` is what came in bytes."""

    id: str
    topic: str
    reason: str
    detail: str
    at_ms: int
    size: int
    body: str

    @property
    def at(self) -> datetime:
        return moment(self.at_ms)

    @property
    def kept(self) -> bytes:
        """How what came begins, or all of it."""
        return base64.b64decode(self.body)

    @property
    def payload(self) -> bytes | None:
        """What came, or None where it was too long to be kept whole."""
        return self.kept if len(self.kept) == self.size else None


def letter(topic: str, payload: bytes, reason: str, detail: str, at_ms: int) -> Letter:
    name = hashlib.sha256(topic.encode("utf-8", "replace") + b"\0" + payload).hexdigest()[:16]
    body = base64.b64encode(payload[:BODY_BYTES]).decode()
    return Letter(name, topic, reason, detail, at_ms, len(payload), body)


class DeadLetters:
    """For the operator: what is there, one of it, and trying one again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def listed(self) -> list[Letter]:
        """All that are kept, newest first. Raises StoreAway."""
        kept = await self._store.letters()
        letters = [msgspec.json.decode(text, type=Letter) for text in kept.values()]
        return sorted(letters, key=lambda one: -one.at_ms)

    async def get(self, name: str) -> Letter | None:
        """One of them. Raises StoreAway."""
        kept = await self._store.letter(name)
        return None if kept is None else msgspec.json.decode(kept, type=Letter)

    async def retry(self, name: str, link: Link) -> bool:
        """Publish a letter once more where it came from; False where that cannot be done.

        Should it still be unreadable, it comes back as the same letter, with a later time.
        """
        kept = await self._store.letter(name)
        found = None if kept is None else msgspec.json.decode(kept, type=Letter)
        if kept is None or found is None or found.payload is None:
            return False
        await link.publish(found.topic, found.payload)
        await self._store.drop_letter(name, kept)
        return True

    async def run(self, clock: Clock, keep_s: float) -> None:
        """Forget what is older than `keep_s` (clock), once a wall minute until cancelled."""
        while True:
            before_ms = int((clock.now_s() - keep_s) * 1000)
            with suppress(StoreAway):  # the ingester says so
                gone = 1
                while gone:
                    gone = await self._store.forget_letters(before_ms)
            await asyncio.sleep(FORGET_EVERY_S)
