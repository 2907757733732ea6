"""Which handlers want a message: subscriptions by their filters, remembered per topic."""

from collections.abc import Callable

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


class Subscription(msgspec.Struct):
    """`replay`: retained messages are wanted on every subscription, not only on a new one."""

    filters: tuple[str, ...]
    handler: Handler
    qos: int
    replay: bool


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
        handlers: list[Handler] = []
        for subscription in self.subscriptions:
            wanted = any(matches(one, name) for one in subscription.filters)
            if wanted and subscription.handler not in handlers:
                handlers.append(subscription.handler)
        route = self._known[topic] = (name, tuple(handlers))
        return route


def matches(wanted: str, topic: str) -> bool:
    """Whether `topic` falls under the filter `wanted` (which may be shared: `$share/name/…`).

    Source: MQTT 5.0, 4.7 and 4.8.2.
    """
    levels = wanted.split("/")
    if levels[0] == "$share":
        levels = levels[2:]
    if topic.startswith("$") and levels[0] in ("#", "+"):
        return False
    parts = topic.split("/")
    for at, level in enumerate(levels):
        if level == "#":
            return True
        if at >= len(parts) or level not in ("+", parts[at]):
            return False
    return len(parts) == len(levels)
