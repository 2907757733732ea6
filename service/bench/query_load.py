"""A load generator that costs less than what it loads: raw keep-alive connections, one loop.

Run as a process of its own: `python -m service.bench.query_load` reads `Load`s as lines of JSON
from standard input and answers each with a `Loaded`.
"""

import asyncio
import math
import sys
import time
from typing import cast

import msgspec
import uvloop

GRACE_S = 5.0
ONCE_WITHIN_S = 60.0


class Load(msgspec.Struct, frozen=True):
    """`requests` are whole HTTP requests as text, sent round and round over all connections.

    Without `seconds`, each is sent once.
    """

    port: int
    requests: list[str]
    connections: int = 32
    seconds: float | None = None


class Loaded(msgspec.Struct):
    """What came back; `refused` are answers with another status than 200."""

    seconds: float = 0.0
    answers: int = 0
    refused: int = 0
    body_bytes: int = 0


class Connection(asyncio.Protocol):
    """One request at a time, the next as soon as the answer is whole."""

    def __init__(self, requests: list[bytes], first: int, step: int, most: float) -> None:
        self._requests = requests
        self._next = first
        self._step = step
        self._most = most
        self._rest = b""
        self.loaded = Loaded()
        self.stopped = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self._rest = data
            return
        at = data.find(b"Content-Length: ", 0, head)
        size = int(data[at + 16 : data.find(b"\r", at)]) if at >= 0 else 0
        if len(data) < head + 4 + size:
            self._rest = data
            return
        self._rest = b""
        self.loaded.answers += 1
        self.loaded.body_bytes += size
        if not data.startswith(b"HTTP/1.1 200 "):
            self.loaded.refused += 1
        if self.stopped or self.loaded.answers >= self._most:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._transport.write(self._requests[self._next])
        self._next = (self._next + self._step) % len(self._requests)


async def drive(load: Load) -> Loaded:
    """Load as asked and add up."""
    loop = asyncio.get_running_loop()
    requests = [request.encode() for request in load.requests]
    most = math.inf if load.seconds else -(-len(requests) // load.connections)
    started_s = time.perf_counter()
    made = [
        await loop.create_connection(
            lambda first=first: Connection(  # type: ignore[misc]
                requests, first % len(requests), load.connections, most
            ),
            "127.0.0.1",
            load.port,
        )
        for first in range(load.connections)
    ]
    connections = [protocol for _, protocol in made]
    done = [connection.done for connection in connections]
    await asyncio.wait(done, timeout=load.seconds or ONCE_WITHIN_S)
    total = Loaded(seconds=time.perf_counter() - started_s)
    for connection in connections:
        connection.stopped = True
        total.answers += connection.loaded.answers
        total.refused += connection.loaded.refused
        total.body_bytes += connection.loaded.body_bytes
    await asyncio.wait(done, timeout=GRACE_S)
    return total


def main() -> None:
    for line in sys.stdin.buffer:
        loaded = uvloop.run(drive(msgspec.json.decode(line, type=Load)))
        sys.stdout.buffer.write(msgspec.json.encode(loaded) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
