"""What a Link published and the broker has not acknowledged yet, in order."""

import asyncio
from collections import deque

import msgspec

from devices.mqtt_socket import Wire, encode_publish

FIRST_MID = 1024  # below: paho's own, for subscriptions
LAST_MID = 65535
DUPLICATE = 0x08
HIGHEST_SUCCESS = 0x7F


class LinkError(Exception):
    """Something with the broker."""


class OutboxFullError(LinkError):
    """Too much is waiting to be published."""


class LinkClosedError(LinkError):
    """The link was closed before the broker had the message."""


class BrokerRefusedError(LinkError):
    """The broker refused a message or a subscription: `code` is MQTT's (5.0, 2.4)."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: reason code 0x{code:02x}")
        self.code = code


class Outgoing(msgspec.Struct):
    mid: int
    packet: bytes
    done: asyncio.Future[None]


class Outbox:
    """At most `limit` (< 64,000) messages, of which the broker's receive maximum are under way."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._wire: Wire | None = None
        self._waiting: deque[Outgoing] = deque()
        self._inflight: dict[int, Outgoing] = {}
        self._allowed = 1
        self._last_mid = FIRST_MID
        self._used: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._inflight)

    def put(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        *,
        retain: bool,
        expires_s: int | None,
        response_topic: str | None,
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self) >= self._limit:
            done.set_exception(OutboxFullError(f"{self._limit} messages wait for the broker"))
            return done
        mid = self._mid() if qos else 0
        response = None if response_topic is None else response_topic.encode()
        packet = encode_publish(
            topic.encode(), payload, mid, retain=retain, expires_s=expires_s, response=response
        )
        self._waiting.append(Outgoing(mid, packet, done))
        if self._wire is not None:
            self._pump(self._wire)
        return done

    def acknowledged(self, mid: int, reason: int) -> None:
        outgoing = self._inflight.pop(mid, None)
        self._used.discard(mid)
        if outgoing is not None and not outgoing.done.done():
            if reason > HIGHEST_SUCCESS:
                outgoing.done.set_exception(BrokerRefusedError("publish", reason))
            else:
                outgoing.done.set_result(None)
        if self._waiting and self._wire is not None:
            self._pump(self._wire)

    def connected(self, wire: Wire, allowed: int, *, session_present: bool) -> None:
        """Send again what was under way; as duplicates where the broker knows the session."""
        self._wire = wire
        self._allowed = allowed
        again = list(self._inflight.values())
        self._inflight.clear()
        if session_present:
            for outgoing in again:
                first = outgoing.packet[0] | DUPLICATE
                outgoing.packet = bytes((first,)) + outgoing.packet[1:]
        self._waiting.extendleft(reversed(again))
        self._pump(wire)

    def disconnected(self) -> None:
        self._wire = None

    def close(self) -> None:
        for outgoing in (*self._inflight.values(), *self._waiting):
            if not outgoing.done.done():
                outgoing.done.set_exception(LinkClosedError("the link was closed"))
                outgoing.done.exception()  # nobody need be listening any more
        self._inflight.clear()
        self._waiting.clear()

    def _pump(self, wire: Wire) -> None:
        waiting, inflight = self._waiting, self._inflight
        while waiting and len(inflight) < self._allowed:
            outgoing = waiting.popleft()
            wire.send(outgoing.packet)
            if outgoing.mid:
                inflight[outgoing.mid] = outgoing
            elif not outgoing.done.done():
                outgoing.done.set_result(None)

    def _mid(self) -> int:
        """The next packet id; there are more of them than messages, so one in use is rare."""
        while True:
            self._last_mid = self._last_mid + 1 if self._last_mid < LAST_MID else FIRST_MID
            if self._last_mid not in self._used:
                self._used.add(self._last_mid)
                return self._last_mid
