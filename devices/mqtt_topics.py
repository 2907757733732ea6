"""Messages and which handlers want them: subscriptions by their filters, remembered per topic."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

KNOWN_TOPICS = 300_000


class Message(msgspec.Struct, gc=False):
    """One message as it arrived; `mid` is 0 at QoS 0, `connection` the link's when it came.

    `about` is what a subscription says that the topic stands for.
    """

    raw_topic: bytes
    payload: bytes
    retain: bool
    response_topic: str | None
    dup: bool
    mid: int
    connection: int
    about: Any = None

    @property
    def topic(self) -> str:
        return self.raw_topic.decode("utf-8", "replace")


Handler = Callable[[Message], None]


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes for us when we vanish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Subscription(msgspec.Struct):
    """`replay`: retained messages are wanted on every subscription, not only on a new one.

    `about` is asked once what a topic stands for; messages carry the answer.
    """

    filters: tuple[str, ...]
    handler: Handler
    qos: int
    replay: bool
    about: Callable[[str], Any] | None = None

    def wants(self, levels: list[str]) -> bool:
        """Whether one of the filters matches a topic's levels."""
        return any(fits(levels_of(one), levels) for one in self.filters)


Route = tuple[tuple[Handler, ...], Any]


class Routes:
    """Subscriptions, and the handlers of a topic; one handler hears a message once."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self._known: dict[bytes, Route] = {}
        self._alike: dict[tuple[Handler, ...], tuple[Handler, ...]] = {}
        self.known = self._known.get

    def add(self, subscription: Subscription) -> None:
        if subscription not in self.subscriptions:
            self.subscriptions.append(subscription)
        self._known.clear()

    def remove(self, filters: tuple[str, ...]) -> None:
        self.subscriptions = [one for one in self.subscriptions if one.filters != filters]
        self._known.clear()

    def find(self, topic: bytes) -> Route:
        """Who wants a topic, and what it is about."""
        if len(self._known) >= KNOWN_TOPICS:
            self._known.clear()
        name = topic.decode("utf-8", "replace")
        levels = name.split("/")
        wanted = [one for one in self.subscriptions if one.wants(levels)]
        handlers = tuple(dict.fromkeys(one.handler for one in wanted))
        about = next((one.about(name) for one in wanted if one.about is not None), None)
        # One tuple for all topics alike: what thousands of messages touch should be little.
        handlers = self._alike.setdefault(handlers, handlers)
        route = self._known[topic] = (handlers, about)
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
