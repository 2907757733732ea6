"""The express door and the application answer alike, and neither lets a reader fill our memory."""

import asyncio
import re
import socket
from urllib.parse import urlsplit

import pytest
from town import Town, living, settled

FRAME = "/api/v1/signs/avenue/frame"
OK = b"HTTP/1.1 200 OK"
RANKING = "/api/v1/guidance?lat=30.2560&lng=120.1650"


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        await town.free("market", "all", "market-counter", 87)
        await settled(town, market="87")
        yield town


async def alike(town: Town, path: str, more: str, **headers: str) -> int:
    express = await town.get(path, headers=headers)
    whole = await town.get(path + more, headers=headers)
    varying = {"Date", "X-Lease-Remaining"}
    assert set(express.headers) == set(whole.headers)
    for name in set(express.headers) - varying:
        assert express.headers[name] == whole.headers[name], name
    assert (express.status, await express.read()) == (whole.status, await whole.read())
    return express.status


async def test_the_express_door_answers_as_the_application_does(town):
    """A query leads past the express door; what is asked and answered is the same."""
    assert await alike(town, FRAME, "?again") == 200
    assert await alike(town, RANKING, "&limit=10") == 200
    tag = (await town.get(FRAME)).headers["ETag"]
    assert await alike(town, FRAME, "?again", **{"If-None-Match": tag}) == 304
    assert await alike(town, FRAME.replace("avenue", "nowhere"), "?again") == 404
    labels = 'method="GET",route="/api/v1/guidance",status="200"'
    assert re.search(f"requests_total{{{labels}}} [1-9]", await town.text("/metrics"))
    for method in ("HEAD", "POST"):
        async with town.http.request(method, town.url + FRAME) as answer:
            assert answer.status == (200 if method == "HEAD" else 405)
            assert await answer.read() == b"" or method == "POST"


@pytest.mark.parametrize(
    "asked",
    [
        f"GET {FRAME} HTTP/1.0\r\n\r\n",
        f"GET {FRAME} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["old", "closing"],
)
async def test_who_wants_the_connection_closed_is_answered_and_hung_up_on(town, asked):
    address = urlsplit(town.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(asked.encode())
    answer = await asyncio.wait_for(reader.read(), 10)  # to the end
    assert answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    assert b'"87"' in answer
    writer.close()


async def test_who_asks_and_does_not_read_is_waited_for(town):
    """Megabytes of pipelined requests: they stop being read, and each is answered in the end."""
    address = urlsplit(town.url)
    request = f"GET {RANKING} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.socket() as line:
        for small in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            line.setsockopt(socket.SOL_SOCKET, small, 16_384)
        line.connect((address.hostname, address.port))
        line.setblocking(False)
        asked = await pour(line, request)
        assert (await town.get(FRAME)).status == 200
        answered, rest = 0, b""
        async with asyncio.timeout(60):
            while answered < asked:
                rest += await asyncio.get_running_loop().sock_recv(line, 1 << 20)
                answered += rest.count(OK)
                rest = rest[-len(OK) + 1 :]
    assert answered == asked


async def pour(line: socket.socket, request: bytes) -> int:
    """Ask until nobody has read on for a while; how many whole requests were sent."""
    sent = 0
    while sent < 200_000_000:
        try:
            sent += line.send((request * 100)[sent % len(request) :])
        except BlockingIOError:
            await asyncio.sleep(0.3)
            try:
                sent += line.send((request * 100)[sent % len(request) :])
            except BlockingIOError:
                return sent // len(request)
    pytest.fail("it reads on without end")
