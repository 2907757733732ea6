"""From a device's message to Redis and the mirror, on a real broker and a real Valkey."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from occupancy_scene import (
    HOTEL,
    HOTEL_FIELD,
    MARKET,
    SQUARE_IN,
    background,
    bay,
    ingest_link,
    open_store,
    path,
    say,
    until,
)

from devices.mqtt import Link, Message
from devices.mqtt_outbox import LinkError
from service.catalog import Catalog
from service.clock import Clock, ManualClock
from service.occupancy.devices import DeviceBook
from service.occupancy.gaps import Gaps
from service.occupancy.ingest import Ingest
from service.occupancy.letters import DeadLetters, Letter
from service.occupancy.mirror import Mirror
from service.occupancy.model import Quality
from service.occupancy.report import ORDER_DIGITS, RECEIVED, SKEWED, Told, read_told
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


async def kept_letters(store: Store, wanted: Callable[[list[Letter]], bool]) -> list[Letter]:
    """Wait for dead letters: they are kept after the reports that came with them."""
    async with asyncio.timeout(30):
        while not wanted(letters := await DeadLetters(store).listed()):
            await asyncio.sleep(0.05)
    return letters


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def test_a_report_reaches_the_mirror(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, ingest, mirror, _):
        woken: list[frozenset[str]] = []
        unwatch = mirror.watch(woken.append)
        await street.publish(HOTEL, say("hotel-count", 1, occupied=31))
        await until(lambda: mirror.states["hotel"].free == 9)
        assert woken == [frozenset({"hotel"})]
        assert (mirror.states["hotel"].quality, mirror.states["hotel"].received) == (
            Quality.FRESH,
            True,
        )
        assert mirror.states["hotel"].version == mirror.version
        unwatch()
        await street.publish(HOTEL, say("hotel-count", 2, occupied=30))
        await until(lambda: mirror.states["hotel"].free == 10)
        assert len(woken) == 1
        assert ingest.healthy
        assert mirror.healthy


async def test_every_way_in_counts_in_its_zone(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, store):
        await street.publish(MARKET, say("market-counter", 1, entered=90, left=20))
        for number in range(1, 16):
            topic, device = bay(number)
            await street.publish(topic, say(device, 1, occupied=number <= 5))
        for event, camera, way in (("e1", "in", "in"), ("e2", "in", "in"), ("e3", "out", "out")):
            topic = f"bowei/lots/square/lanes/{camera}/passage"
            body = say(f"square-cam-{camera}", 1, event=event, plate=None, direction=way)
            await street.publish(topic, body)
            await street.publish(topic, body)  # a camera that sends everything twice
        await until(lambda: mirror.states["square"].free == 59)
        await until(lambda: mirror.states["market"].free == 50)
        yard = lambda: mirror.states["clinic-yard"].zones[0]  # noqa: E731
        await until(lambda: (yard().free, yard().band, yard().quality) == (10, 5, Quality.FRESH))
        known = {one.device: one for one in await DeviceBook(catalog, store).known()}
        assert (known["market-counter"].boot, known["market-counter"].seq) == (1, 1)
        assert known["cy-A20"].heard_at is None


async def test_unknown_devices_are_listed_and_not_counted(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, ingest, mirror, store):
        await street.publish(HOTEL, say("nobody", 1, occupied=1))
        await street.publish(HOTEL, say("nobody", 2, occupied=2))
        await street.publish(HOTEL, say("market-counter", 1, occupied=3))
        await street.publish("bowei/lots/moon/zones/all/count", say("hotel-count", 1, occupied=3))
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].free == 36)
        await until(lambda: ingest.written)
        assert ingest.written == 1
        book = DeviceBook(catalog, store)
        wanted = {
            ("nobody", "unknown_device", 2),
            ("market-counter", "other_place", 1),  # case 25: it speaks for another's zone
            ("hotel-count", "unknown_place", 1),
        }
        async with asyncio.timeout(30):  # they are saved once a second
            while {(one.device, one.reason, one.count) for one in await book.unknown()} != wanted:
                await asyncio.sleep(0.05)


async def test_case_5_a_clock_a_day_ahead_gives_way_to_the_receive_time(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, store):
        before = Clock().now()
        ahead = at(before + timedelta(days=1))
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4, at=ahead))
        await until(lambda: mirror.states["hotel"].free == 36)
        state = mirror.states["hotel"]
        assert (state.quality, state.why, state.received) == (Quality.FRESH, "clock_skew", True)
        assert before - timedelta(seconds=1) <= state.as_of <= Clock().now()
        assert (await last_told(store)).flags == RECEIVED | SKEWED


async def test_case_5_a_clock_a_day_behind_never_makes_an_old_number_new(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, store):
        behind = Clock().now() - timedelta(days=1)
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4, at=at(behind)))
        await until(lambda: mirror.states["hotel"].why == "clock_skew")
        assert (mirror.states["hotel"].quality, mirror.states["hotel"].free) == (
            Quality.UNKNOWN,
            None,
        )
        assert (await last_told(store)).flags == SKEWED


async def test_case_6_a_retained_report_keeps_its_age(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    old = Clock().now() - timedelta(seconds=400)
    async with Link(broker_url, "device") as device:
        await device.publish(HOTEL, say("hotel-count", 9, occupied=4, at=at(old)), retain=True)
        topic, name = bay(1)
        await device.publish(topic, say(name, 3, occupied=False), retain=True)  # of any age
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, store):
        await until(lambda: mirror.states["hotel"].free == 36)
        assert mirror.states["hotel"].quality is Quality.STALE
        assert abs(mirror.states["hotel"].as_of - old) < timedelta(milliseconds=2)
        assert not [field for field in await stored(store) if field.startswith("b/")]
        # What is retained says nothing about what else came: no gap before the next message.
        await street.publish(HOTEL, say("hotel-count", 12, occupied=5))
        await until(lambda: mirror.states["hotel"].free == 35)
        marks = await store.marks()
        assert int(marks["hotel-count"][20:40]) == 13


async def test_case_6_a_retained_last_will_does_not_speak_for_now(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    clock = ManualClock(shown=[1_800_000_000.0])  # all of it comes within one millisecond
    async with path(catalog, redis_url, broker_url, clock) as (street, ingest, _, store):

        async def says(seq: int, *, online: bool, retain: bool = False) -> None:
            said = say("square-cam-in", seq, online=online)
            await street.publish("bowei/devices/square-cam-in/status", said, retain=retain)

        async def told(*, online: bool) -> None:
            async with asyncio.timeout(30):
                while await shown() is not online:
                    await asyncio.sleep(0.02)

        async def shown() -> bool | None:
            book = await DeviceBook(catalog, store).known()
            return next(one.online for one in book if one.device == "square-cam-in")

        await says(1, online=True)
        await told(online=True)
        await says(2, online=False, retain=True)
        await told(online=False)
        await says(3, online=True)
        await told(online=True)
        await ingest.replay_retained()  # the will is told again, as what it is: old
        await asyncio.sleep(0.1)
        assert await shown() is True


POISON = {
    "not_utf8": b'{"device":"\xff"}',
    "not_json": b"{",
    "not_object": b"[1]",
    "too_deep": b"[" * 50_000,
    "nan": b'{"device":"hotel-count","boot":1,"seq":1,"occupied":NaN}',
    "oversize": b'{"x":"' + b"y" * 100_000 + b'"}',
    "empty": b"",
    "null": b"null",
    "float": b'{"device":"hotel-count","boot":1,"seq":1,"occupied":1.5}',
    "huge": b'{"device":"hotel-count","boot":1e400,"seq":1,"occupied":1}',
    "negative": b'{"device":"hotel-count","boot":1,"seq":-1,"occupied":1}',
}


async def test_a_report_without_a_time_that_waited_for_us_is_as_old_as_our_absence(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    clock = Clock()
    async with path(catalog, redis_url, broker_url, clock) as (street, _, mirror, store):
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].free == 36)
        while not await store.last_there("ingest"):
            await asyncio.sleep(0.02)
    left = clock.now()
    async with Link(broker_url, "street") as street:
        await street.publish(HOTEL, say("hotel-count", 2, occupied=5))
    await asyncio.sleep(1.5)
    async with path(catalog, redis_url, broker_url, clock) as (street, ingest, mirror, store):
        await until(lambda: mirror.states["hotel"].free == 35)
        assert mirror.states["hotel"].as_of <= left
        await until(lambda: ingest._catching_up.since is None)  # what comes now is new
        await street.publish(HOTEL, say("hotel-count", 3, occupied=6))
        await until(lambda: mirror.states["hotel"].free == 34)
        assert mirror.states["hotel"].as_of > left


async def test_case_7_poison_is_stored_aside_then_acknowledged(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    topics = [
        HOTEL, bay(1)[0], SQUARE_IN, "bowei/devices/x/status",
        "application/1/device/2/event/up", "v3/a@b/devices/c/up", "device/x/message/up/ivs_result",
    ]  # fmt: skip
    async with path(catalog, redis_url, broker_url) as (street, ingest, mirror, store):
        for topic in topics:
            for body in POISON.values():
                await street.publish(topic, body)
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].free == 36)
        letters = await kept_letters(store, lambda kept: len(kept) == len(topics) * len(POISON))
        assert {one.topic for one in letters} == set(topics)
        assert all(one.reason for one in letters)
        huge = next(one for one in letters if one.size > 100_000)
        assert huge.payload is None  # looked at, not tried again
        again = next(one for one in letters if one.reason == "not_json" and one.topic == HOTEL)
        assert await DeadLetters(store).retry(again.id, street)
        came_back = lambda one: one.id == again.id and one.at_ms > again.at_ms  # noqa: E731
        await kept_letters(store, lambda kept: any(map(came_back, kept)))
        assert not await DeadLetters(store).retry(huge.id, street)
        assert ingest.healthy
        await until(lambda: ingest._gathering.batch.empty and not ingest._gathering.closed)
    # Nothing of it comes again: all of it was acknowledged.
    async with ingest_link(broker_url) as link:
        left: list[Message] = []
        await link.subscribe("#", left.append, replay=False)
        await asyncio.sleep(0.3)
        assert [message.topic for message in left] == []


async def test_case_7_a_message_above_the_brokers_bound_ends_its_sender(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, _store):
        async with Link(broker_url, "fat") as fat:
            lost = fat.publish(HOTEL, b"x" * 10_000_000)
            await until(lambda: not fat.connected)
            assert not lost.done()
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].free == 36)
        with pytest.raises(Exception):  # noqa: B017
            await lost


async def test_who_sends_more_than_the_broker_takes_is_named(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    """Its messages never reach us; the broker tells whom it cut off."""
    async with path(catalog, redis_url, broker_url) as (_, _, _, store):
        book = DeviceBook(catalog, store)
        async with asyncio.timeout(60), Link(broker_url, "big-sender") as sender:
            lost = sender.publish(HOTEL, b"x" * 2_000_000)  # tried again, as devices do
            while not (unknown := await book.unknown()):
                await asyncio.sleep(0.1)
        assert {(one.device, one.reason) for one in unknown} == {("big-sender", "oversize")}
        with pytest.raises(LinkError):
            await lost


async def test_case_3_a_gap_is_noticed_asked_for_and_filled(
    catalog: Catalog, redis_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.occupancy.gaps.GRACE_S", 0.3)
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, _store):
        asked: list[dict[str, list[object]]] = []
        await street.subscribe(
            "bowei/devices/+/resend", lambda message: asked.append(json.loads(message.payload))
        )
        for seq in (1, 2, 3, 7, 8, 11):
            await street.publish(HOTEL, say("hotel-count", seq, occupied=seq))
        await until(lambda: mirror.states["hotel"].why == "gap")
        assert mirror.states["hotel"].quality is Quality.UNVERIFIED
        await until(lambda: mirror.states["hotel"].free == 29)

        def missing() -> list[object]:
            return [one for ask in asked for one in ask["missing"]]

        await until(lambda: len(missing()) >= 2)  # asked in one message or in two
        assert missing() == [
            {"boot": 1, "first": 4, "last": 6},
            {"boot": 1, "first": 9, "last": 10},
        ]
        for seq in (9, 10, 4, 6, 5):
            await street.publish(HOTEL, say("hotel-count", seq, occupied=seq))
        await until(lambda: mirror.states["hotel"].why == "ok")
        assert mirror.states["hotel"].free == 29


async def test_two_ingesters_share_one_subscription_and_see_no_gap_that_is_not_there(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    clock = Clock()
    topics = {
        one.id: f"bowei/lots/{one.lot}/zones/{one.zone}/count"
        for one in catalog.sensors.values()
        if one.bay is None
    }
    async with (
        open_store(redis_url) as store,
        ingest_link(broker_url, "one") as one,
        ingest_link(broker_url, "two") as two,
        Link(broker_url, "street") as street,
    ):
        first = Ingest(catalog, store, one, clock, share="bowei")
        second = Ingest(catalog, store, two, clock, share="bowei")
        mirror = Mirror(catalog, store, clock)
        async with background(first, second, mirror):
            await mirror.loaded()
            await first.subscribed()
            await second.subscribed()
            sent = []
            for seq in range(1, 301):
                for device, topic in topics.items():
                    body = say(device, seq, entered=3 * seq, left=seq)
                    sent.append(street.publish(topic, body))
                passage = say("square-cam-in", seq, event=f"e{seq}", plate=None)
                sent.append(street.publish(SQUARE_IN, passage))
            await asyncio.gather(*sent)
            await until(lambda: first.written + second.written == len(sent), 90)
            assert first.written > 0
            assert second.written > 0
            fields = await stored(store)
            for device in topics:
                field = next(name for name in fields if name.endswith("/" + device))
                assert int(fields[field][20:ORDER_DIGITS]) == 300
            assert json.loads(fields["l/square/in/square-cam-in"])[:2] == [300, 0]
            await Gaps(store, one, clock).sweep()
            sweep = await store.sweep(int(clock.now_s() * 1000), grace_ms=0, ask_every_ms=0)
            assert sweep == {}
            assert not [field for field in await stored(store) if field.startswith("g/")]
