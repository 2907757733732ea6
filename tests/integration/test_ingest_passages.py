"""Passages, other ways in and an ingester that cannot go on: on real parts."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime

import pytest
from occupancy_scene import (
    HOTEL,
    HOTEL_FIELD,
    SQUARE_IN,
    background,
    ingest_link,
    open_store,
    path,
    say,
    until,
)

from devices.mqtt import Link
from devices.reading import Count, Passage, Refused, Uplink
from service.catalog import Catalog
from service.clock import Clock
from service.embedded import Server
from service.occupancy.combine import Rules
from service.occupancy.ingest import Ingest
from service.occupancy.model import Quality
from service.occupancy.report import Told, read_told
from service.occupancy.store import Store

pytestmark = pytest.mark.mosquitto


async def hear_square_out(street: Link) -> None:
    """A zone that plates count is known when all its lanes are heard."""
    status = "bowei/devices/square-cam-out/status"
    await street.publish(status, say("square-cam-out", 0, online=True))


async def stored(store: Store) -> dict[str, str]:
    fields: dict[str, str] = {}
    for shard in range(store.shards):
        fields |= (await store.snapshot(shard)).fields
    return fields


async def last_told(store: Store, field: str = HOTEL_FIELD) -> Told:
    return read_told((await stored(store))[field])


async def test_other_ways_than_mqtt_come_in_by_the_same_door(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (_, ingest, mirror, store):
        await ingest.take(Uplink("hotel-count", 5, 0, (Count(free=12),), gapless=False))
        assert (await last_told(store)).free == 12
        await until(lambda: mirror.states["hotel"].free == 12)
        with pytest.raises(Refused, match="unknown_device"):
            await ingest.take(Uplink("nobody", 1, 1, (Count(free=12),)))


class Gate:
    """A sink that remembers, and opens."""

    open = True
    reason = "enrolled"
    text_zh = "请通行"
    text_en = "go"
    bill = None
    duplicate = False

    def __init__(self) -> None:
        self.passed_by: list[tuple[str, str, str, str]] = []

    async def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, _received_at: datetime
    ) -> "Gate":
        self.passed_by.append((lot, lane, camera, passage.event_id))
        return self


async def test_the_gate_answers_while_redis_is_away_and_is_counted_later(
    catalog: Catalog, start_redis: Callable[..., Server], broker_url: str
) -> None:
    redis = start_redis()
    gate = Gate()
    async with path(catalog, redis.url, broker_url, passages=gate) as (street, _, mirror, _store):
        await hear_square_out(street)
        answers: list[tuple[str, dict[str, object]]] = []
        await street.subscribe(
            "bowei/lots/+/lanes/+/answer/#",
            lambda message: answers.append((message.topic, json.loads(message.payload))),
        )
        below = "bowei/lots/square/lanes/in/answer/e1"
        body = say("square-cam-in", 1, event="e1", plate="浙A00001")
        await street.publish(SQUARE_IN, body, response_topic=below)
        await until(lambda: len(answers) == 1)
        assert (answers[0][0], answers[0][1]["open"]) == (below, True)
        redis.kill()
        elsewhere = "bowei/lots/hotel/lanes/in/answer"
        body = say("square-cam-in", 2, event="e2", plate="浙A00002")
        await street.publish(SQUARE_IN, body, response_topic=elsewhere)
        await until(lambda: len(answers) == 2)
        assert answers[1][0] == "bowei/lots/square/lanes/in/answer"  # never another's lane
        redis.restart()
        await until(lambda: mirror.states["square"].zones[0].counted == 2)
    assert [one[3] for one in gate.passed_by] == ["e1", "e2"]


async def test_a_device_with_a_journal_is_told_what_is_stored(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, ingest, *_):
        told: list[dict[str, int]] = []
        await street.subscribe(
            "bowei/devices/square-cam-in/ack",
            lambda message: told.append(json.loads(message.payload)),
        )
        for seq in (1, 2, 4):
            body = say("square-cam-in", seq, event=f"e{seq}", plate=None)
            await street.publish(SQUARE_IN, body)
        await until(lambda: ingest.written == 3 and told and told[-1]["seq"] >= 2)
        assert told[-1] == {"boot": 1, "seq": 2}  # 3 is missing: nothing after it is confirmed
        await street.publish(SQUARE_IN, say("square-cam-in", 3, event="e3", plate=None))
        await until(lambda: told[-1] == {"boot": 1, "seq": 4})


async def test_a_sink_that_fails_ends_the_ingester_and_its_passage_comes_again(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    class Broken(Gate):
        async def passed(self, *_: object) -> "Gate":
            raise RuntimeError("no disk")

    body = say("square-cam-in", 1, event="e1", plate=None)
    async with (
        open_store(redis_url) as store,
        ingest_link(broker_url) as link,
        Link(broker_url, "street") as street,
    ):
        ingest = Ingest(catalog, store, link, Clock(), Broken())
        running = asyncio.create_task(ingest.run())
        await ingest.subscribed()
        await street.publish(SQUARE_IN, body)
        with pytest.raises(BaseExceptionGroup, match="unhandled"):
            await running
    gate = Gate()
    async with path(catalog, redis_url, broker_url, passages=gate) as (street, _, mirror, _store):
        await hear_square_out(street)
        await until(lambda: gate.passed_by)
        await until(lambda: mirror.states["square"].zones[0].counted == 1)


async def test_it_is_ready_once_the_broker_keeps_for_it_what_is_published(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with open_store(redis_url) as store, ingest_link(broker_url) as link:
        ingest = Ingest(catalog, store, link, Clock())
        assert link.connected
        assert not ingest.healthy
        async with background(ingest):
            await ingest.subscribed()
            assert ingest.healthy


async def test_case_8_a_dead_consumer_is_not_ready_within_ten_seconds(
    catalog: Catalog, start_redis: Callable[..., Server], broker_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("service.occupancy.ingest.DEAD_AFTER_S", 0.5)
    redis = start_redis()
    async with path(catalog, redis.url, broker_url) as (street, ingest, _, _store):
        redis.kill()
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: not ingest.healthy)
        redis.restart()
        await until(lambda: ingest.healthy)


async def test_sources_with_a_rule_of_their_own(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    rules = Rules(stale_after=0.001, unknown_after=0.01)
    async with path(catalog, redis_url, broker_url, rules=rules) as (street, _, mirror, _store):
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].quality is Quality.UNKNOWN)
        await until(lambda: mirror.states["hotel"].why == "silent")  # it grew old by itself
