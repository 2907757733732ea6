"""Published counts, fetched at their own pace and handed on as what devices say.

fetch ─ feed_records ─ Uplink of the feed's own device in the zone ─ take
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from random import Random
from typing import Any

import aiohttp
import msgspec
import structlog
from redis.exceptions import RedisError

from devices.reading import Refused, Uplink
from service import metrics
from service.catalog import Catalog, Feed
from service.clock import Clock
from service.config import Exchanges
from service.exchange.feed_records import FeedNews, RecordError, Report, read_feed
from service.exchange.fetch import FetchFailed, fetch, open_session

SLOWEST = 10.0  # a source that fails is asked at most this many times more seldom
JITTER = 0.1  # share of the period, so that sources are not asked in step

Take = Callable[[Uplink], Awaitable[None]]

log = structlog.get_logger()


class FeedState(msgspec.Struct):
    """What came of a feed: `failure` is why the last fetch brought nothing, None where it did."""

    heard_at: datetime | None = None
    failure: str | None = None
    failures: int = 0
    reports: int = 0
    errors: tuple[RecordError, ...] = ()
    ignored: int = 0


class Feeds:
    """Fetches every feed of `catalog` and gives its reports to `take`.

    Feeds are asked in wall time, since their sources live there. `states` is by feed id. With
    `redis`, processes that follow the same feeds take turns: `bowei:fetched:<feed>` stands while
    a feed need not be asked again.
    """

    def __init__(
        self, catalog: Catalog, take: Take, clock: Clock, config: Exchanges, redis: Any = None
    ) -> None:
        self._catalog = catalog
        self._take = take
        self._clock = clock
        self._config = config
        self._redis = redis
        self.states = {feed: FeedState() for feed in catalog.feeds}

    async def run(self) -> None:
        """Fetch until cancelled; a source that fails or lies never ends it."""
        if not self._config.pull or not self._catalog.feeds:
            await asyncio.Event().wait()
        async with open_session(self._config.timeout_s) as session, asyncio.TaskGroup() as tasks:
            for feed in self._catalog.feeds.values():
                poll = _Poll(feed, session, self._config.max_bytes)
                tasks.create_task(self._follow(poll), name=f"feed {feed.id}")

    async def _follow(self, poll: "_Poll") -> None:
        feed, state = poll.feed, self.states[poll.feed.id]
        random = Random(feed.id)  # noqa: S311 - spreads requests, guards nothing
        while True:
            wait_s = feed.every_s
            if not await self._my_turn(feed):
                await asyncio.sleep(wait_s * random.random())
                continue
            received_at = self._clock.now()
            try:
                news = await poll.ask(received_at)
            except (FetchFailed, Refused) as failed:
                state.failures += 1
                self._note_failure(feed, state, failed.reason)
                wait_s *= min(2.0 ** (state.failures - 1), SLOWEST)
                wait_s = max(wait_s, getattr(failed, "retry_after_s", None) or 0.0)
            else:
                self._note_success(feed, state, news, received_at)
                await self._deliver(feed, poll.unsaid(news), received_at)
            await asyncio.sleep(wait_s * (1 + JITTER * random.random()))

    async def _my_turn(self, feed: Feed) -> bool:
        """Whether nobody asked this feed just now; without Redis everybody asks for himself."""
        if self._redis is None:
            return True
        held_ms = int(feed.every_s * (1 - JITTER) * 1000)
        try:
            name = f"bowei:fetched:{feed.id}"
            return bool(await self._redis.set(name, 1, nx=True, px=held_ms))
        except (RedisError, OSError, TimeoutError):
            return True

    async def _deliver(
        self, feed: Feed, reports: tuple[Report, ...], received_at: datetime
    ) -> None:
        order = int(received_at.timestamp() * 1000)
        taken = await asyncio.gather(
            *(self._take(uplink(feed, report, order)) for report in reports),
            return_exceptions=True,
        )
        for result in taken:
            if isinstance(result, Refused):
                metrics.refused("feed", result.reason)
            elif isinstance(result, BaseException):
                raise result

    def _note_failure(self, feed: Feed, state: FeedState, reason: str) -> None:
        metrics.refused("feed", reason)
        if state.failure != reason:
            log.warning("feed failed", feed=feed.id, reason=reason)
        state.failure = reason

    def _note_success(
        self, feed: Feed, state: FeedState, news: FeedNews, received_at: datetime
    ) -> None:
        if state.failure is not None:
            log.info("feed is back", feed=feed.id)
        if news.errors != state.errors and news.errors:
            reasons = dict(Counter(one.reason for one in news.errors))
            log.warning("feed has bad records", feed=feed.id, taken=len(news.reports), bad=reasons)
        # What is as bad as it was is not refused anew at every fetch.
        known = Counter((one.id, one.reason) for one in state.errors)
        for _, reason in (Counter((one.id, one.reason) for one in news.errors) - known).elements():
            metrics.refused("feed", reason)
        state.heard_at, state.failure, state.failures = received_at, None, 0
        state.reports, state.errors, state.ignored = len(news.reports), news.errors, news.ignored


class _Poll:
    """One feed's conversation with its server: its validators, and what was said last."""

    def __init__(self, feed: Feed, session: aiohttp.ClientSession, max_bytes: int) -> None:
        self.feed = feed
        self._session = session
        self._max_bytes = max_bytes
        self._validators: dict[str, str] = {}
        self._news: FeedNews | None = None
        self._said: dict[tuple[str, str], Report] = {}

    async def ask(self, received_at: datetime) -> FeedNews:
        """What the source says now; where it says "not changed", what it said before.

        Errors: FetchFailed, Refused.
        """
        found = await fetch(self._session, self.feed.url, self._validators, self._max_bytes)
        if found.body is None:
            if self._news is not None:
                return self._news
            raise FetchFailed("status", "304 to a question without conditions")
        self._validators = {}  # kept only with a body that could be read
        # In a thread: a large list must not hold the loop that answers gates and signs.
        self._news = await asyncio.to_thread(read_feed, self.feed, found.body, received_at)
        self._validators = found.validators
        return self._news

    def unsaid(self, news: FeedNews) -> tuple[Report, ...]:
        """The reports that are news: a measurement once; one without a time whenever received."""
        unsaid = tuple(
            report
            for report in news.reports
            if report.measured_at is None or self._said.get((report.lot, report.zone)) != report
        )
        self._said = {(report.lot, report.zone): report for report in news.reports}
        return unsaid


def uplink(feed: Feed, report: Report, order: int) -> Uplink:
    """The report as the word of the feed's device; `order` (ms) grows with every fetch."""
    device = feed.device(report.lot, report.zone)
    return Uplink(device, order, 0, (report.count,), report.measured_at, gapless=False)
