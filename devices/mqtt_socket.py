"""The wire under a Link: one socket, read in large pieces, framed here.

paho keeps the session (CONNECT, SUBSCRIBE, PING, DISCONNECT) and sees this as its socket. The two
packets that come in thousands, PUBLISH and PUBACK, never reach it: paho asks the socket for each of
their parts and builds tables of properties for each, which costs more than all else that is done
with a message. Writes of one loop step leave in one `send`.

Source: MQTT 5.0 (OASIS), sections 1.5.5, 2.1, 3.3, 3.4.
"""

import asyncio
import socket
import ssl
import struct
from typing import Protocol

CONNECT_TIMEOUT_S = 5.0
READ_BYTES = 64 * 1024
PUBLISH = 3
PUBACK = 4
RESPONSE_TOPIC = 0x08
EXPIRY = 0x02
# How the value of each property that a PUBLISH may carry is measured: bytes, or how to find out.
FIXED_PROPERTY_BYTES = {0x01: 1, 0x02: 4, 0x23: 2}
STRING_PROPERTIES = frozenset((0x03, 0x08, 0x09))
PAIR_PROPERTY = 0x26
VARINT_PROPERTY = 0x0B


class Malformed(Exception):  # noqa: N818 - it names what was received
    """The peer sent bytes that are no MQTT; the connection is of no more use."""


class HungUp(ConnectionError):  # noqa: N818 - it names what the peer did
    """The peer closed the connection without a word."""


class Receiver(Protocol):
    """Who is told what the wire carries; every call comes from the loop."""

    def delivered(self, first: int, topic: bytes, mid: int, properties: bytes, body: bytes) -> None:
        """One PUBLISH; `mid` is 0 at QoS 0."""

    def acknowledged(self, mid: int, reason: int) -> None:
        """One PUBACK."""

    def control(self) -> None:
        """Bytes of another packet wait in `recv`."""

    def lost(self, error: Exception) -> None:
        """The connection ended."""


class Wire:
    """One connected socket, as paho wants it, on an asyncio loop."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        maximum_packet: int,
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._receiver = receiver
        self._maximum_packet = maximum_packet
        self._rest = b""
        self._control = bytearray()
        self._out = bytearray()
        self._flushing = False
        self._writing = False
        self._reading = False
        self.closed = False
        sock.setblocking(False)

    # What paho calls.

    def recv(self, size: int) -> bytes:
        if not self._control:
            raise BlockingIOError
        data = bytes(self._control[:size])
        del self._control[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`, a whole packet, to be written with what else this step sends."""
        self._out += data
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return len(data)

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: ARG002 - it never blocks
        return

    def close(self) -> None:
        if self.closed:
            return
        self.pause()
        if self._writing:
            self._loop.remove_writer(self._sock.fileno())
        elif self._out:
            self._last_words()
        self.closed = True
        self._sock.close()

    # What the link calls.

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were taken and that the peer has not accepted yet."""
        return len(self._out)

    @property
    def has_control(self) -> bool:
        return bool(self._control)

    def resume(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._readable)

    def pause(self) -> None:
        """Stop reading: what the peer sends then waits in its own queue."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _last_words(self) -> None:
        try:
            self._sock.send(self._out)
        except OSError:
            self._out.clear()  # the peer is gone; there is nobody to tell

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
            if isinstance(self._sock, ssl.SSLSocket):
                while self._sock.pending():  # decrypted already: the loop would not wake for it
                    data += self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._receiver.lost(error)
            return
        if not data:
            self._receiver.lost(HungUp("the broker closed the connection"))
            return
        try:
            self._frame(self._rest + data if self._rest else data)
        except Malformed as error:
            self._receiver.lost(error)
        except IndexError:
            self._receiver.lost(Malformed("a packet that ends too soon"))

    def _frame(self, data: bytes) -> None:
        """Hand on every whole packet of `data`, keep the rest."""
        start, end = 0, len(data)
        while end - start >= 2:
            length, body = data[start + 1], start + 2
            if length > 127:  # two bytes are the usual case, spelled out
                if body < end and data[body] < 128:
                    length, body = length & 127 | data[body] << 7, body + 1
                else:
                    length, body = varint(data, start + 1)
                    if body < 0:
                        break
            stop = body + length
            if stop > end:
                if length > self._maximum_packet:
                    raise Malformed(f"a packet of {length} bytes")
                break
            kind = data[start] >> 4
            if kind == PUBLISH:
                self._publish(data, data[start], body, stop)
            elif kind == PUBACK:
                reason = data[body + 2] if length > 2 else 0
                self._receiver.acknowledged(data[body] << 8 | data[body + 1], reason)
            else:
                self._control += data[start:stop]
                self._receiver.control()
            start = stop
            if self.closed:
                return
        self._rest = data[start:] if start < end else b""

    def _publish(self, data: bytes, first: int, body: int, stop: int) -> None:
        topic_end = at = body + 2 + (data[body] << 8 | data[body + 1])
        mid = 0
        if first & 6:
            mid = data[at] << 8 | data[at + 1]
            at += 2
        if at >= stop:
            raise Malformed("a topic beyond its packet")
        topic = data[body + 2 : topic_end]
        size = data[at]
        if size == 0:
            self._receiver.delivered(first, topic, mid, b"", data[at + 1 : stop])
            return
        size, at = varint(data, at)
        if at < 0 or at + size > stop:
            raise Malformed("properties beyond their packet")
        payload = data[at + size : stop]
        self._receiver.delivered(first, topic, mid, data[at : at + size], payload)

    def _flush(self) -> None:
        self._flushing = False
        if self.closed or self._writing:
            return
        self._write()

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._out)
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError as error:
            self._out.clear()
            self._receiver.lost(error)
            return
        del self._out[:sent]
        if self._out and not self._writing:
            self._writing = True
            self._loop.add_writer(self._sock.fileno(), self._write)
        elif not self._out and self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock.fileno())


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """A connected socket, blocking still. Errors: OSError."""
    connecting = asyncio.get_running_loop().run_in_executor(None, _connect, host, port, tls)
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.add_done_callback(_hang_up)
        raise


def _connect(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock if tls is None else tls.wrap_socket(sock, server_hostname=host)


def _hang_up(connecting: asyncio.Future[socket.socket]) -> None:
    """Close what nobody waits for any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer at `at` and where it ends, or (0, -1) where it is not all there."""
    value, shift = 0, 0
    for place in range(at, min(at + 4, len(data))):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        shift += 7
    if len(data) - at >= 4:
        raise Malformed("a length of more than four bytes")
    return 0, -1


def encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def response_topic(properties: bytes) -> str | None:
    """The response topic among a PUBLISH's properties, if there is one."""
    at, end = 0, len(properties)
    try:
        while at < end:
            kind = properties[at]
            at += 1
            if kind in STRING_PROPERTIES:
                size = properties[at] << 8 | properties[at + 1]
                if kind == RESPONSE_TOPIC:
                    return properties[at + 2 : at + 2 + size].decode()
                at += 2 + size
            elif kind == PAIR_PROPERTY:
                at += 2 + (properties[at] << 8 | properties[at + 1])
                at += 2 + (properties[at] << 8 | properties[at + 1])
            elif kind == VARINT_PROPERTY:
                at = varint(properties, at)[1]
            else:
                at += FIXED_PROPERTY_BYTES[kind]
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise Malformed("unreadable properties") from error
    return None


def encode_publish(
    topic: bytes,
    payload: bytes,
    mid: int,
    *,
    retain: bool,
    expires_s: int | None,
    response: bytes | None,
) -> bytes:
    """One PUBLISH packet; QoS 1 where `mid` is not 0."""
    properties = b""
    if expires_s is not None:
        properties += bytes((EXPIRY,)) + expires_s.to_bytes(4, "big")
    if response is not None:
        properties += bytes((RESPONSE_TOPIC,)) + len(response).to_bytes(2, "big") + response
    head = len(topic).to_bytes(2, "big") + topic
    if mid:
        head += mid.to_bytes(2, "big")
    head += encode_varint(len(properties)) + properties
    first = PUBLISH << 4 | (2 if mid else 0) | (1 if retain else 0)
    return bytes((first,)) + encode_varint(len(head) + len(payload)) + head + payload


def encode_pubacks(mids: list[int]) -> bytes:
    """A PUBACK of success for each packet identifier."""
    return struct.pack(f">{len(mids)}I", *[PUBACK << 28 | 2 << 16 | mid for mid in mids])
