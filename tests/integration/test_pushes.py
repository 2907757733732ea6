"""Signed counts over HTTP: taken once, in time, with the lot's own key, and seen in the mirror."""

import asyncio
import json
import os
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio as redis
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from devices.mqtt import Link
from devices.reading import Count, Refused
from service.catalog_file import load_catalog
from service.clock import Clock
from service.credentials import derived_key
from service.exchange.push import MOST_BYTES, read_push, sent_at, signature
from service.exchange.pushes import Pushes
from service.exchange.relay import Relay
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.occupancy.store import Store
from service.web.feeds import PUSHES
from service.web.site import make_app

SMALL = Path(__file__).parents[1] / "catalogs" / "small"
README = Path(__file__).parents[2] / "deploy" / "sites" / "README.md"
SIGNING = b"k" * 64
KEY = derived_key(SIGNING, "feed", "hotel").encode()
PATH = "/api/v1/feeds/hotel"
BODY = b'{"zones": {"all": {"free": 12, "capacity": 40}}}'


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(SMALL, folder)
    (folder / "pushes.toml").write_text(
        '[[pushes]]\nlot = "hotel"\n[[pushes]]\nlot = "garden"\nkey_env = "BOWEI_GARDEN"\n',
        encoding="utf-8",
    )
    return load_catalog([folder])


@asynccontextmanager
async def receiving(world, take, redis_url, clock):
    client = redis.from_url(redis_url)
    pushes = Pushes(world, take, client, clock, SIGNING, {"BOWEI_GARDEN": "the garden's own"})
    async with TestClient(TestServer(make_app({PUSHES: pushes}))) as http:
        yield http
    await client.aclose()


@pytest.fixture
def taken():
    return []


@pytest.fixture
async def http(world, taken, redis_url, clock):
    async def take(uplink):
        taken.append(uplink)

    async with receiving(world, take, redis_url, clock) as http:
        yield http


def headers(clock, *, key=KEY, method="POST", path=PATH, body=BODY, at_s=0.0):
    time = f"{clock.now_s() + at_s:.3f}"
    signed = signature(key, method, path, time, body)
    return {"X-Bowei-Time": time, "X-Bowei-Signature": signed}


async def send(http, clock, *, to=PATH, content=BODY, **signed):
    answer = await http.post(to, data=content, headers=headers(clock, **signed))
    return answer.status, await answer.json()


def code(answer):
    return answer[0], answer[1]["error"]["code"]


async def test_a_signed_message_is_taken(http, clock, taken):
    status, said = await send(http, clock)
    assert (status, said) == (200, {"lot": "hotel", "taken": ["all"], "refused": []})
    (uplink,) = taken
    assert uplink.device == "push:hotel:all"
    assert uplink.readings == (Count(free=12, capacity=40),)
    assert uplink.measured_at is None
    assert (uplink.boot, uplink.gapless) == (int(clock.now_s() * 1000), False)


async def test_the_same_message_is_taken_once(http, clock, taken):
    assert (await send(http, clock))[0] == 200
    assert code(await send(http, clock)) == (409, "replayed")
    assert len(taken) == 1
    clock.advance(1)
    assert (await send(http, clock))[0] == 200
    assert taken[1].boot > taken[0].boot


async def test_a_race_of_one_message_takes_it_once(http, clock, taken):
    answers = await asyncio.gather(*(send(http, clock) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    assert len(taken) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": derived_key(SIGNING, "feed", "garden").encode()},
        {"key": derived_key(SIGNING, "camera", "hotel").encode()},
        {"method": "PUT"},
        {"path": "/api/v1/feeds/garden"},
        {"body": BODY.replace(b"12", b"13")},
        {"content": BODY + b" "},
        {"to": PATH + "?zone=all"},
    ],
)
async def test_what_is_signed_otherwise_is_refused(http, clock, taken, wrong):
    assert code(await send(http, clock, **wrong)) == (401, "bad_signature")
    assert not taken


@pytest.mark.parametrize(("at_s", "status"), [(-299, 200), (299, 200), (-301, 401), (301, 401)])
async def test_the_window_is_five_minutes_either_way(http, clock, at_s, status):
    assert (await send(http, clock, at_s=at_s))[0] == status


async def test_an_old_message_cannot_come_back_while_it_would_be_in_time(http, clock, redis_url):
    """Redis remembers a message for longer than its window can be open."""
    assert (await send(http, clock, at_s=299))[0] == 200
    client = redis.from_url(redis_url)
    (name,) = [key async for key in client.scan_iter("bowei:pushed:hotel:*")]
    assert await client.ttl(name) > 600
    await client.aclose()


async def test_headers_that_are_missing_or_odd(http, clock, taken):
    for time in ("", "now", "-5", "1e9", "１７７２３５２０００"):
        given = headers(clock) | {"X-Bowei-Time": time}
        answer = await http.post(PATH, data=BODY, headers=given)
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "bad_time")
    for odd in ("", "xyz", "0" * 64, "é" * 64, headers(clock)["X-Bowei-Signature"].upper()):
        given = headers(clock) | {"X-Bowei-Signature": odd}
        answer = await http.post(PATH, data=BODY, headers=given)
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "bad_signature")
    assert not taken


async def test_a_lot_that_takes_no_pushes_is_not_found(http, clock):
    for lot in ("nowhere", "clinic-yard"):
        path = f"/api/v1/feeds/{lot}"
        answer = await send(http, clock, to=path, path=path)
        assert code(answer) == (404, "unknown_lot")
        said = answer[1]["error"]["message_en"]
        assert said == "No lot of this id takes pushed counts (a lot with [[pushes]] in its site)"


async def test_a_key_may_come_from_the_environment(http, clock, taken):
    path = "/api/v1/feeds/garden"
    body = b'{"zones": {"shared": {"occupied": 3}}, "at": "2026-03-02T07:59:00+08:00"}'
    status, _ = await send(
        http, clock, to=path, path=path, key=b"the garden's own", content=body, body=body
    )
    assert status == 200
    assert taken[0].measured_at.isoformat() == "2026-03-01T23:59:00+00:00"


async def test_a_bad_zone_costs_itself_only(http, clock, taken):
    body = json.dumps({"zones": {
        "all": {"free": 3}, "attic": {"free": 1}, "x": {"free": -1},
    }}).encode()  # fmt: skip
    status, said = await send(http, clock, content=body, body=body)
    assert status == 200
    assert said["taken"] == ["all"]
    assert {one["zone"]: one["code"] for one in said["refused"]} == {
        "attic": "unknown_zone", "x": "unknown_zone",
    }  # fmt: skip
    assert len(taken) == 1
    body = b'{"zones": {"all": {"free": 1.5}}}'
    status, said = await send(http, clock, content=body, body=body)
    assert (status, said["refused"][0]["code"]) == (422, "bad_zone")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 400),
        (b'{"zones": {}}', 400),
        (b'{"zones": {"all": {"free": 1}}, "at": "yesterday"}', 400),
        (b'{"zones": {"all": {"free": 1}}, "at": "0001-01-01T00:00:00+14:00"}', 400),
        (b'{"zones": {"all": {"free": 1}}, "at": "2026-03-02T08:00:00"}', 400),
        (b'{"zones": {"all": {"free": 1}}, "key": "x"}', 400),
        (b'{"zones": ' + b"[" * 50_000 + b"}", 400),
        (b" " * (MOST_BYTES + 1), 413),
        (b'{"zones": {"all": {}}}', 422),
        (b'{"zones": {"all": 5}}', 422),
    ],
)
async def test_a_body_that_cannot_be_taken(http, clock, taken, body, status):
    answer = await send(http, clock, content=body, body=body)
    assert answer[0] == status
    assert not taken


async def test_without_redis_nothing_is_taken(world, clock, taken):
    """What cannot be remembered could be replayed."""

    async def take(uplink):
        taken.append(uplink)

    async with receiving(world, take, "redis://127.0.0.1:1", clock) as http:
        answer = await http.post(PATH, data=BODY, headers=headers(clock))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert not taken


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="no curl")
async def test_the_recipe_that_we_publish_works(world, taken, redis_url):
    """The shell lines of deploy/sites/README.md, as they stand there."""
    (recipe,) = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)

    async def take(uplink):
        taken.append(uplink)

    async with receiving(world, take, redis_url, Clock()) as http:
        given = {"URL": str(http.make_url(PATH)), "KEY": KEY.decode(), "BODY": BODY.decode()}
        shell = await asyncio.create_subprocess_exec(
            "sh", "-ec", recipe, env=os.environ | given, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await shell.communicate()
    assert json.loads(said) == {"lot": "hotel", "taken": ["all"], "refused": []}
    assert taken[0].readings == (Count(free=12, capacity=40),)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    try:
        _, counts, refused = read_push(body, frozenset({"all"}))
    except Refused:
        return
    assert counts or refused


@given(st.text(max_size=30))
def test_any_time_is_read_or_refused(text):
    from datetime import UTC, datetime

    try:
        moment = sent_at(text, datetime(2026, 3, 2, tzinfo=UTC))
    except Refused:
        return
    assert abs(moment.timestamp() - datetime(2026, 3, 2, tzinfo=UTC).timestamp()) <= 300


@asynccontextmanager
async def running(world, redis_url, broker_url, clock):
    """A real ingester, store and mirror."""
    store = Store.open(redis_url)
    mirror = Mirror(world, store, clock)
    async with Link(broker_url, "ingest", manual_ack=True) as link:
        ingest = Ingest(world, store, link, clock)
        tasks = [asyncio.create_task(part.run()) for part in (mirror, ingest)]
        await mirror.loaded()
        await ingest.subscribed()
        yield ingest, mirror
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()


async def shows(mirror, lot, free):
    async with asyncio.timeout(20):
        while mirror.states[lot].free != free:
            await asyncio.sleep(0.01)


async def test_a_pushed_count_reaches_the_mirror(world, redis_url, broker_url, clock):
    async with (
        running(world, redis_url, broker_url, clock) as (ingest, mirror),
        receiving(world, ingest.take, redis_url, clock) as http,
    ):
        assert (await send(http, clock))[0] == 200
        await shows(mirror, "hotel", 12)
        assert mirror.states["hotel"].received


async def test_a_process_that_does_not_ingest_relays(world, redis_url, broker_url, clock):
    async with (
        running(world, redis_url, broker_url, clock) as (_, mirror),
        Link(broker_url, "web") as link,
        receiving(world, Relay(world, link).take, redis_url, clock) as http,
    ):
        assert (await send(http, clock))[0] == 200
        await shows(mirror, "hotel", 12)
