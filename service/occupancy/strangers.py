"""Devices that speak and that the catalogue does not know: listed, not counted."""

import msgspec

from service.occupancy.store import Store

REMEMBERED = 2000


class Stranger(msgspec.Struct):
    """reason: unknown_device | unknown_place | other_place (known, but speaks for another's).

    Or oversize: a client of the broker, by its client id, was cut off for what it sent.
    """

    device: str
    topic: str
    reason: str
    first_ms: int
    last_ms: int
    count: int = 0


class Strangers:
    """What one ingester has heard; Redis has what all have."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Stranger] = {}
        self._news: set[str] = set()

    def note(self, device: str, topic: str, reason: str, at_ms: int) -> None:
        name = f"{device}\t{topic}"[:512]
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            known = self._known[name] = Stranger(device, topic[:256], reason, at_ms, at_ms)
        known.reason = reason
        known.last_ms = at_ms
        known.count += 1
        self._news.add(name)

    async def load(self) -> None:
        """Go on from what is in Redis. Raises StoreAway."""
        for name, stranger in (await listed(self._store)).items():
            self._known.setdefault(name, stranger)

    async def save(self) -> None:
        """Store what is new. Raises StoreAway, and then still has it."""
        news = [(name, self._known[name]) for name in self._news if name in self._known]
        if news:
            encode = msgspec.json.encode
            await self._store.keep_strangers(
                [(name, one.last_ms, encode(one).decode()) for name, one in news]
            )
        self._news.difference_update(name for name, _ in news)


async def listed(store: Store) -> dict[str, Stranger]:
    """All that are kept. Raises StoreAway."""
    kept = await store.strangers()
    return {name: msgspec.json.decode(text, type=Stranger) for name, text in kept.items()}
