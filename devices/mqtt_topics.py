"""Which handlers want a message: subscriptions by their filters, remembered per topic."""

from collections.abc import Callable
from functools import lru_cache

import msgspec

KNOWN_TOPICS = 300_000


class Message(msgspec.Struct, gc=False):
    """One message as it arrived; `mid` is 0 at QoS 0, `connection` the link's when it came."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None
    dup: bool
    mid: int
    connection: int


Handler = Callable[[Message], None]


class ByTopic(msgspec.Struct):
    """A handler that `make`s one for each topic, once: what a topic stands for is then at hand."""

    make: Callable[[str], Handler]

    def __call__(self, message: Message) -> None:
        self.make(message.topic)(message)


class Subscription(msgspec.Struct):
    """`replay`: retained messages are wanted on every subscription, not only on a new one."""

    filters: tuple[str, ...]
    handler: Handler
    qos: int
    replay: bool

    def wants(self, levels: list[str]) -> bool:
        """Whether one of the filters matches a topic's levels."""
        return any(fits(levels_of(one), levels) for one in self.filters)


class Routes:
    """Subscriptions, and the handlers of a topic; one handler hears a message once."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self._known: dict[bytes, tuple[str, tuple[Handler, ...]]] = {}
        self.known = self._known.get

    def add(self, subscription: Subscription) -> None:
        if subscription not in self.subscriptions:
            self.subscriptions.append(subscription)
        self._known.clear()

    def remove(self, filters: tuple[str, ...]) -> None:
        self.subscriptions = [one for one in self.subscriptions if one.filters != filters]
        self._known.clear()

    def find(self, topic: bytes) -> tuple[str, tuple[Handler, ...]]:
        """The topic as text and who wants it."""
        if len(self._known) >= KNOWN_TOPICS:
            self._known.clear()
        name = topic.decode("utf-8", "replace")
        levels = name.split("/")
        wanted: list[Handler] = []
        for subscription in self.subscriptions:
            if subscription.wants(levels) and subscription.handler not in wanted:
                wanted.append(subscription.handler)
        handlers = (one.make(name) if isinstance(one, ByTopic) else one for one in wanted)
        route = self._known[topic] = (name, tuple(handlers))
        return route


def matches(wanted: str, topic: str) -> bool:
    """Whether `topic` falls under the filter `wanted` (which may be shared: `$share/name/…`)."""
    return fits(levels_of(wanted), topic.split("/"))


@lru_cache(maxsize=1024)
def levels_of(wanted: str) -> list[str]:
    """The levels of a filter, without the name of its share."""
    levels = wanted.split("/")
    return levels[2:] if levels[0] == "$share" else levels


def fits(wanted: list[str], levels: list[str]) -> bool:
    """Source: MQTT 5.0, 4.7."""
    if wanted[-1] != "#":
        if len(wanted) != len(levels):
            return False
    elif len(levels) < len(wanted) - 1:
        return False
    if levels[0].startswith("$") and wanted[0] in ("#", "+"):
        return False
    return all(one in ("+", "#", level) for one, level in zip(wanted, levels, strict=False))
