"""One MQTT 5 connection on the asyncio loop: for the service, the simulator, replay and tests.

paho keeps the session; messages and their acknowledgements pass it by (see `devices.mqtt_socket`).
The link reconnects by itself and subscribes again. What was published at QoS 1 and not acknowledged
is sent again on the next connection, so a publish future is done when the broker has the message,
however long that takes, and fails only when the link closes or the broker refuses.

    LinkError
      NotConnectedError    the broker was not reached, or refused us
      OutboxFullError      too much is waiting to be published
      BrokerRefusedError   the broker refused a message or a subscription
      LinkClosedError      the link was closed before the broker had the message
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from devices.mqtt_inbox import Inbox
from devices.mqtt_outbox import (
    BrokerRefusedError,
    LinkClosedError,
    LinkError,
    Outbox,
)
from devices.mqtt_socket import HungUp, Malformed, Wire, connect, encode_pubacks
from devices.mqtt_topics import Handler, Message, Routes, Subscription, Will

__all__ = ["BrokerRefusedError", "Link", "LinkClosedError", "LinkError", "Message", "Will"]

CONNACK_TIMEOUT_S = 5.0
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 15.0
SHORT_LIFE_S = 3.0
STRIKES = 4  # so many short lives in a row: Mosquitto 2.0 does not say that a session was taken
OUSTED_BACKOFF_S = 60.0  # coming back at once would oust the other, and so on for ever
LONGEST_OUST_S = 960.0
SESSION_TAKEN_OVER = 0x8E
FIRST_FAILURE = 0x80
MOST_INFLIGHT = 65535

log = structlog.get_logger()


class NotConnectedError(LinkError):
    """The broker was not reached, or refused us."""


class _Session(paho.Client):
    """paho with a socket that was connected for it, off the loop."""

    wire: Wire

    def _create_socket(self) -> Wire:
        return self.wire


class Link:
    """One connection to `mqtt://` or `mqtts://[user:password@]host[:port]`.

    With `manual_ack` a QoS 1 message is acknowledged by `ack`, else when its handlers returned.
    `receive_maximum` bounds what the broker sends before it is acknowledged. An exception in a
    handler ends the link; `failed` then raises it, and so does leaving the `async with`.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        clean: bool = True,
        session_expiry_s: int = 0,
        manual_ack: bool = False,
        receive_maximum: int = 8192,
        maximum_packet: int = 1 << 20,
        keepalive_s: int = 30,
        will: Will | None = None,
        tls: ssl.SSLContext | None = None,
        pending_limit: int = 50_000,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("an MQTT address is mqtt://host:port or mqtts://host:port")
        secure = parts.scheme == "mqtts"
        self._url = url
        self._host = parts.hostname
        self._port = parts.port or (8883 if secure else 1883)
        self._tls = tls or ssl.create_default_context() if secure else None
        self._maximum_packet = maximum_packet
        self.client_id = client_id
        self.connection = 0
        self.connected = False
        self.session_present = False
        self.ousted = False
        self.failed: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._lost: asyncio.Future[Exception | None]
        self._up: asyncio.Future[None]
        self._reading = True
        self._outbox = Outbox(pending_limit)
        self._routes = Routes()
        self._inbox = Inbox(self._routes, self.ack, self.lost, manual_ack=manual_ack)
        self.delivered = self._inbox.delivered
        self._subacks: dict[int, asyncio.Future[None]] = {}
        self._unsent: dict[tuple[str, ...], asyncio.Future[None]] = {}
        self._watchers: list[Callable[[], None]] = []
        client = _Session(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        if parts.username is not None:
            password = None if parts.password is None else unquote(parts.password)
            client.username_pw_set(unquote(parts.username), password)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_register_write = self._on_register_write
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wishes.SessionExpiryInterval = session_expiry_s
        wishes.ReceiveMaximum = receive_maximum
        wishes.MaximumPacketSize = maximum_packet
        client.connect_async(
            self._host, self._port, keepalive_s, clean_start=clean, properties=wishes
        )
        self._client = client

    def twin(self, client_id: str) -> "Link":
        """Another link to the same broker, of a clean session and nothing to acknowledge."""
        return Link(self._url, client_id, tls=self._tls)

    # Life.

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self.close()
        if error is None and self.failed.done():
            self.failed.result()

    async def connect(self, wait_s: float = 10.0) -> None:
        """Start, and wait up to `wait_s` for the first connection; 0 does not wait.

        Raises NotConnectedError, and then has stopped again.
        """
        self._loop = asyncio.get_running_loop()
        self.failed = self._loop.create_future()
        self._up = self._loop.create_future()
        self._task = self._loop.create_task(self._keep_connected(), name=f"mqtt {self.client_id}")
        if wait_s <= 0:
            return
        await asyncio.wait([self._up, self._task], timeout=wait_s, return_when="FIRST_COMPLETED")
        if not self._up.done():
            await self.close()
            raise NotConnectedError(f"no connection to the broker at {self._host}:{self._port}")

    async def close(self) -> None:
        """Say goodbye; what the broker does not have yet fails with LinkClosedError."""
        if self._task is not None:
            if self.connected:
                self._client.disconnect()
                self._client.loop_write()
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait([task])
        self._disconnect(None)
        self._outbox.close()

    async def _keep_connected(self) -> None:
        backoff_s, strikes = FIRST_BACKOFF_S, 0
        while True:
            self._inbox.up_s = float("inf")
            hung_up = False
            try:
                await self._live()
            except (OSError, TimeoutError, Malformed, LinkError) as error:
                log.warning("mqtt connection ended", client=self.client_id, error=str(error))
                hung_up = isinstance(error, HungUp)
            except Exception as error:  # noqa: BLE001 - kept for `failed`, which raises it
                self.failed.set_exception(error)
                self.failed.exception()  # seen, should nobody await it
                self._disconnect(None)
                self._outbox.close()
                return
            self._disconnect(None)
            lasted_s = self._loop.time() - self._inbox.up_s
            if lasted_s > SHORT_LIFE_S:
                backoff_s, strikes = FIRST_BACKOFF_S, 0
            elif lasted_s > 0 and hung_up:
                strikes += 1  # accepted, then thrown out: somebody else has our client id
            self.ousted = self.ousted or strikes >= STRIKES
            if self.ousted:
                log.error("another client has this client id", client=self.client_id)
                backoff_s = min(OUSTED_BACKOFF_S * 2 ** max(0, strikes - STRIKES), LONGEST_OUST_S)
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads herds
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)

    async def _live(self) -> None:
        """One connection, from its start to its end, which is always an exception."""
        sock = await connect(self._host, self._port, self._tls)
        self._lost = self._loop.create_future()
        self.connection += 1
        self._inbox.connection = self.connection
        self._client.wire = self._wire = Wire(sock, self._loop, self, self._maximum_packet)
        self._client.reconnect()
        if self._reading:
            self._wire.resume()
        started_s = self._loop.time()
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=1.0)
            if self.connected:
                if self._loop.time() - self._inbox.up_s > SHORT_LIFE_S:
                    self.ousted = False
                self._client.loop_misc()
                self._inbox.let_go(self._loop.time())
            elif self._loop.time() > started_s + CONNACK_TIMEOUT_S:
                raise NotConnectedError("the broker does not answer")
        error = self._lost.result()
        raise error if error is not None else NotConnectedError("the connection was closed")

    def _disconnect(self, error: Exception | None) -> None:
        self.connected = False
        self._inbox.disconnected()
        self._outbox.disconnected()
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            if not self._lost.done():
                self._lost.set_result(error)

    # What others ask for.

    def subscribe(
        self,
        filters: str | Iterable[str],
        handler: Handler,
        *,
        qos: int = 1,
        replay: bool = True,
        about: Callable[[str], Any] | None = None,
    ) -> asyncio.Future[None]:
        """Call `handler` for each message on `filters`, now and after every reconnect.

        `replay`: retained messages are sent with every subscription, else only with a new one.
        `about` tells once what a topic stands for; its messages carry that.
        The future is done when the broker agreed, now or, without a connection, on the next one.
        """
        wanted = (filters,) if isinstance(filters, str) else tuple(filters)
        subscription = Subscription(wanted, handler, qos, replay, about)
        self._routes.add(subscription)
        agreed: asyncio.Future[None] = self._loop.create_future()
        self._inbox.adopt()
        if self.connected:
            self._send_subscription(subscription, agreed)
        else:
            self._unsent[wanted] = agreed
        return agreed

    def unsubscribe(self, filters: Iterable[str]) -> None:
        """Forget the subscription that was made with just these filters."""
        gone = tuple(filters)
        self._routes.remove(gone)
        if self.connected:
            self._client.unsubscribe(list(gone))

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expires_s: float | None = None,
        response_topic: str | None = None,
    ) -> asyncio.Future[None]:
        """Send a message; done when the broker has it (QoS 1) or it is written (QoS 0).

        `expires_s` is wall seconds, rounded up. Fails with OutboxFullError,
        BrokerRefusedError or LinkClosedError.
        """
        expires = None if expires_s is None else max(1, int(-(-expires_s // 1)))
        return self._outbox.put(
            topic, payload, qos, retain=retain, expires_s=expires, response_topic=response_topic
        )

    def ack(self, message: Message) -> None:
        """Acknowledge; without effect when the connection that brought the message is gone."""
        if message.mid:
            self.ack_many(message.connection, (message.mid,))

    def ack_many(self, connection: int, mids: Iterable[int]) -> None:
        """Acknowledge what one connection brought, in one write.

        The broker is told in the order of arrival: what came earlier and is not yet acknowledged
        holds back what came later.
        """
        if connection == self.connection and self._wire is not None:
            ready = self._inbox.settle(mids)
            if ready:
                self._wire.send(encode_pubacks(ready))

    def pause(self) -> None:
        """Stop reading, so that the broker keeps what it has."""
        self._reading = False
        if self._wire is not None:
            self._wire.pause()

    def resume(self) -> None:
        self._reading = True
        if self._wire is not None:
            self._wire.resume()

    def on_connected(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` on every connection, before its messages."""
        self._watchers.append(watcher)

    def _send_subscription(
        self, subscription: Subscription, agreed: asyncio.Future[None] | None
    ) -> None:
        retain = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
        if not subscription.replay:
            retain = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        wanted = [
            (one, SubscribeOptions(qos=subscription.qos, retainHandling=retain))
            for one in subscription.filters
        ]
        _, mid = self._client.subscribe(wanted)
        if agreed is not None and mid is not None:
            self._subacks[mid] = agreed

    # What the wire and paho tell.

    def acknowledged(self, mid: int, reason: int) -> None:
        self._outbox.acknowledged(mid, reason)

    def control(self) -> None:
        while self._wire is not None and self._wire.has_control:
            self._client.loop_read()

    def lost(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_result(error)
        if self._wire is not None:
            self._wire.close()

    def _on_connect(
        self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.value >= FIRST_FAILURE or self._wire is None:
            self.lost(NotConnectedError(f"the broker refused: {reason}"))
            return
        self.connected = True
        self._inbox.up_s = self._loop.time()
        self.session_present = bool(flags.session_present)
        for subscription in self._routes.subscriptions:
            self._send_subscription(subscription, self._unsent.pop(subscription.filters, None))
        for watcher in tuple(self._watchers):
            watcher()
        allowed = getattr(properties, "ReceiveMaximum", MOST_INFLIGHT)
        self._outbox.connected(self._wire, allowed, session_present=self.session_present)
        if not self._up.done():
            self._up.set_result(None)

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self.ousted = self.ousted or reason.value == SESSION_TAKEN_OVER
        self.lost(NotConnectedError(f"disconnected: {reason}"))

    def _on_subscribe(
        self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [reason.value for reason in reasons if reason.value >= FIRST_FAILURE]
        done = self._subacks.pop(mid, None)
        if refused:
            log.error("subscription refused", client=self.client_id, code=refused[0])
        if done is not None and not done.done():
            if refused:
                done.set_exception(BrokerRefusedError("subscribe", refused[0]))
            else:
                done.set_result(None)

    def _on_register_write(self, _client: Any, _data: Any, _sock: Any) -> None:
        self._loop.call_soon(self._client.loop_write)
