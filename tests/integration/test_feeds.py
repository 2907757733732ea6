"""Feeds from a real server: polite, bounded, and never led astray."""

import asyncio
import gzip
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from time import monotonic

import msgspec
import pytest
from aiohttp import web
from prometheus_client import REGISTRY as METRICS

from devices.reading import Count
from service.catalog import Feed, FeedFields
from service.config import Exchanges
from service.exchange.feeds import Feeds
from service.exchange.fetch import FetchFailed, PublicResolver, fetch, open_session, redirected
from service.occupancy.store import Store

GOOD = b'[{"id": "p1", "free": 7, "at": "2026-03-02T00:00:00Z"}]'
UNDATED = b'[{"id": "p1", "free": 7}]'


class City:
    """A server that publishes `body`, and remembers how and when it was asked."""

    def __init__(self):
        self.body = GOOD
        self.answer = None
        self.asked = []
        self.asked_s = []
        self.tag = '"one"'

    async def handle(self, request):
        self.asked.append(dict(request.headers))
        self.asked_s.append(monotonic())
        if self.answer is not None:
            return await self.answer(request)
        if request.headers.get("If-None-Match") == self.tag:
            return web.Response(status=304, headers={"ETag": self.tag})
        return web.Response(body=self.body, headers={"ETag": self.tag})


@asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_get("/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/feed.json"
    await runner.cleanup()


@pytest.fixture
async def city():
    city = City()
    async with serving(city.handle) as city.url:
        yield city


def feed_at(url, **changes):
    fields = changes.pop("fields", FeedFields("id", free="free", time="at"))
    return Feed("f", "small", url, "json", fields, {"p1": ("north", "general")}, every_s=0.05,
                **changes)  # fmt: skip


@asynccontextmanager
async def following(catalog, clock, feed, redis=None, **config):
    """The feed being followed; yields what was taken, and its state."""
    taken = []

    async def take(uplink):
        taken.append(uplink)

    world = msgspec.structs.replace(catalog, feeds={"f": feed})
    settings = Exchanges(**({"timeout_s": 30.0, "max_bytes": 4096} | config))
    feeds = Feeds(world, take, clock, settings, redis)
    running = asyncio.create_task(feeds.run())
    try:
        yield taken, feeds.states["f"]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def refusals(reason):
    return METRICS.get_sample_value("bowei_refused_total", {"edge": "feed", "reason": reason})


async def until(condition, within_s=30.0):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_report_is_handed_on_once_while_it_does_not_change(city, catalog, clock):
    async with following(catalog, clock, feed_at(city.url)) as (taken, state):
        await until(lambda: len(city.asked) >= 4)
        (uplink,) = taken
        assert uplink.device == "feed:f:north:general"
        assert uplink.readings == (Count(free=7),)
        assert uplink.measured_at == datetime(2026, 3, 2, tzinfo=UTC)
        assert (uplink.boot, uplink.gapless) == (int(clock.now_s() * 1000), False)
        assert (state.failure, state.reports, state.heard_at) == (None, 1, clock.now())
        clock.advance(60)
        city.body, city.tag = GOOD.replace(b"7", b"8"), '"two"'
        await until(lambda: len(taken) == 2)
        assert taken[1].readings == (Count(free=8),)
        assert taken[1].boot > uplink.boot


async def test_an_unchanged_document_is_not_sent_again(city, catalog, clock):
    async with following(catalog, clock, feed_at(city.url)):
        await until(lambda: len(city.asked) >= 3)
    assert "If-None-Match" not in city.asked[0]
    assert all(asked["If-None-Match"] == '"one"' for asked in city.asked[1:])
    assert all("bowei" in asked["User-Agent"] for asked in city.asked)


async def test_a_source_without_a_time_is_received_anew_each_time(city, catalog, clock):
    city.body = UNDATED
    feed = feed_at(city.url, fields=FeedFields("id", free="free"))
    async with following(catalog, clock, feed) as (taken, _):
        await until(lambda: len(taken) >= 3)
    assert {uplink.measured_at for uplink in taken} == {None}
    assert "If-None-Match" in city.asked[-1]


async def test_a_bad_record_costs_one_record(city, catalog, clock):
    city.body = b'[{"id": "p1", "free": -7, "at": "2026-03-02T00:00:00Z"}, {"free": 1}]'
    async with following(catalog, clock, feed_at(city.url)) as (taken, state):
        await until(lambda: state.errors)
        assert [one.reason for one in state.errors] == ["bad_free", "no_id"]
        asked, refused = len(city.asked), refusals("no_id")
        await until(lambda: len(city.asked) > asked + 2)
        assert refusals("no_id") == refused, "the same record, fetched again, is the same refusal"
        assert not taken
        city.body, city.tag = GOOD, '"two"'
        await until(lambda: taken)
        assert not state.errors


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"x" * 5000, "too_large"), (b"{", "not_json"), (b"{}", "no_records")],
)
async def test_a_source_that_talks_nonsense_is_named_and_comes_back(
    city, catalog, clock, body, reason
):
    city.body = body
    async with following(catalog, clock, feed_at(city.url)) as (taken, state):
        await until(lambda: state.failure)
        assert state.failure == reason
        city.body = GOOD
        await until(lambda: taken)
        assert (state.failure, state.failures) == (None, 0)


async def test_a_packed_bomb_stops_at_the_limit(city, catalog, clock):
    packed = gzip.compress(b" " * 30_000_000)

    async def bomb(_):
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    city.answer = bomb
    async with following(catalog, clock, feed_at(city.url), max_bytes=100_000) as (_, state):
        await until(lambda: state.failure)
        assert state.failure == "too_large"


async def test_a_source_that_hangs_times_out(city, catalog, clock):
    async def hang(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        await asyncio.sleep(30)

    city.answer = hang
    async with following(catalog, clock, feed_at(city.url), timeout_s=0.2) as (_, state):
        await until(lambda: state.failure)
        assert state.failure == "timeout"


async def test_a_source_that_fails_is_asked_more_and_more_seldom(city, catalog, clock):
    async def down(_):
        return web.Response(status=503)

    city.answer = down
    async with following(catalog, clock, feed_at(city.url)) as (_, state):
        await until(lambda: len(city.asked) == 6)
        waits_s = [after - before for before, after in pairwise(city.asked_s)]
        # Its usual pace is 0.05 s; an answer may be on its way for a while, a question never.
        assert all(wait_s > 0.02 * 2**at for at, wait_s in enumerate(waits_s[:4]))
        await until(lambda: state.failures == len(city.asked))


async def test_a_source_that_asks_for_patience_gets_it(city, catalog, clock):
    async def busy(_):
        return web.Response(status=429, headers={"Retry-After": "600"})

    city.answer = busy
    async with following(catalog, clock, feed_at(city.url)) as (_, state):
        await until(lambda: state.failure)
        await asyncio.sleep(0.6)
    assert (len(city.asked), state.failure) == (1, "status")


async def test_a_redirect_on_the_same_host_is_followed(city, catalog, clock):
    async def moved(request):
        if request.path == "/new.json":
            return web.Response(body=GOOD)
        return web.Response(status=302, headers={"Location": "/new.json"})

    city.answer = moved
    async with following(catalog, clock, feed_at(city.url)) as (taken, _):
        await until(lambda: taken)


async def test_a_redirect_elsewhere_is_refused_and_not_followed(city, catalog, clock):
    """Neither another host nor another port of the same host is ever asked."""
    secret = City()
    async with serving(secret.handle) as elsewhere:

        async def lead_astray(_):
            return web.Response(status=302, headers={"Location": elsewhere})

        city.answer = lead_astray
        async with following(catalog, clock, feed_at(city.url)) as (taken, state):
            await until(lambda: state.failure)
            assert state.failure == "redirect"
            assert not taken
    assert not secret.asked


async def test_a_redirect_in_circles_ends(city):
    async def around(request):
        return web.Response(status=302, headers={"Location": request.path})

    city.answer = around
    async with open_session(2.0) as session:
        with pytest.raises(FetchFailed, match="redirect"):
            await fetch(session, city.url, {}, 4096)


@pytest.mark.parametrize(
    ("url", "location", "leads"),
    [
        ("https://a.cn/x", "/y?z=1", "https://a.cn/y?z=1"),
        ("http://a.cn/x", "https://a.cn/x", "https://a.cn/x"),
        ("https://a.cn/x", "http://a.cn/x", None),
        ("https://a.cn/x", "https://b.cn/x", None),
        ("https://a.cn/x", "//b.cn/x", None),
        ("https://a.cn/x", "https://a.cn:8443/x", None),
        ("https://a.cn/x", "https://me@a.cn/x", None),
        ("https://a.cn/x", "file:///etc/passwd", None),
        ("https://a.cn/x", "http://169.254.169.254/", None),
        ("https://a.cn/x", "", None),
    ],
)
def test_where_a_redirect_may_lead(url, location, leads):
    if leads:
        assert redirected(url, location) == leads
    else:
        with pytest.raises(FetchFailed):
            redirected(url, location)


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1"])
async def test_a_name_does_not_resolve_to_a_place_of_no_server(address):
    """Names that point at a cloud's metadata service are not followed."""
    resolver = PublicResolver()
    with pytest.raises(OSError, match="no server"):
        await resolver.resolve(address, 80)
    assert await resolver.resolve("127.0.0.1", 80)
    await resolver.close()


async def test_feeds_can_be_switched_off(city, catalog, clock):
    async with following(catalog, clock, feed_at(city.url), pull=False):
        await asyncio.sleep(0.2)
    assert not city.asked


async def test_processes_take_turns(city, catalog, clock, redis_url):
    """Three that follow one feed ask its source no more often than one does."""
    store = Store.open(redis_url)
    feed = msgspec.structs.replace(feed_at(city.url), every_s=0.5)
    began_s = monotonic()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(following(catalog, clock, feed, redis=store.client))
        await until(lambda: len(city.asked) >= 4)
    await store.close()
    assert city.asked_s[3] - began_s > 1.3, "three turns of 0.45 s"


async def test_without_redis_everybody_asks(city, catalog, clock):
    away = Store.open("redis://127.0.0.1:1")
    async with following(catalog, clock, feed_at(city.url), redis=away.client) as (taken, _):
        await until(lambda: taken)
    await away.close()
