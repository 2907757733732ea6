"""Cases 1 to 9 (10 stands with the link): each ends equal to the model, or says what it lacks."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from fleet import Fleet, agree, no_gaps, open_gaps
from occupancy_scene import until
from scene import living

from devices.mqtt import Link
from service.lifecycle import Child
from service.occupancy.ingest import DEAD_AFTER_S
from service.occupancy.letters import DeadLetters
from service.occupancy.model import Quality
from service.occupancy.store import Store

INGESTER = Path(__file__).with_name("ingester.py")
HOTEL = "bowei/lots/hotel/zones/all/count"


def start_ingester(tmp_path: Path, broker_url: str, redis_url: str) -> Child:
    argv = [sys.executable, str(INGESTER), broker_url, redis_url]
    return Child("ingester", argv, tmp_path / "ingester.log")


async def ready(child: Child, times: int) -> None:
    await until(lambda: child.log.read_text().count("ready") >= times, 90)


@contextlib.asynccontextmanager
async def street(url: str, fleet: Fleet):
    async with Link(url, "street", clean=False, session_expiry_s=3600) as link:
        fleet.listen(link)
        yield link


@pytest.mark.mosquitto
async def test_1_killing_the_ingester_at_random_loses_nothing(
    catalog, broker_url, redis_url, tmp_path
):
    fleet = Fleet(catalog, seed=11)
    store = Store.open(redis_url)
    ingester = start_ingester(tmp_path, broker_url, redis_url)
    await ready(ingester, 1)
    async with street(broker_url, fleet) as link:
        for kills in range(1, 3):
            for _ in range(300):
                fleet.publish(link, fleet.next())
                await asyncio.sleep(0.0005)
            ingester.kill()  # in the middle of it
            for _ in range(100):
                fleet.publish(link, fleet.next())
            ingester = start_ingester(tmp_path, broker_url, redis_url)
            await ready(ingester, kills + 1)
        try:
            await agree(store, fleet)
            await no_gaps(store)
        finally:
            ingester.stop()
            await store.close()


async def test_1_cutting_the_line_to_the_broker_loses_nothing(catalog, start_broker, redis_url):
    """What one connection brought is never acknowledged on the next."""
    broker = start_broker()
    fleet = Fleet(catalog, seed=111)
    async with (
        FaultProxy(broker.port) as proxy,
        living(catalog, proxy.url(broker.url), redis_url, street_url=broker.url) as scene,
    ):
        fleet.listen(scene.street)
        for _ in range(3):  # more at once would look like a twin with our client id
            await until(lambda: scene.link.connected)
            for at in range(150):
                fleet.publish(scene.street, fleet.next())
                await asyncio.sleep(0.0005)
                if at == 100:
                    await proxy.cut()
        await agree(scene.store, fleet)
        await until(lambda: scene.link.connection >= 4)
        await until(lambda: scene.ingest.healthy)
        await no_gaps(scene.store)


@pytest.mark.mosquitto
async def test_2_killing_the_broker_loses_nothing_that_a_journal_holds(
    catalog, start_broker, redis_url
):
    broker = start_broker()
    fleet = Fleet(catalog, seed=12)
    async with (
        living(catalog, broker.url, redis_url) as scene,
        street(broker.url, fleet) as link,
    ):
        for _ in range(3):
            for _ in range(200):
                fleet.publish(link, fleet.next())
                await asyncio.sleep(0.0005)
            before = link.connection, scene.link.connection
            broker.kill()
            for _ in range(20):  # what happens on the street meanwhile
                fleet.publish(link, fleet.next())
            broker.restart()
            await until(lambda: link.connection > before[0] and link.connected)  # noqa: B023
            await until(lambda: scene.link.connection > before[1])  # noqa: B023
            await until(lambda: scene.link.connected)
        # Whoever confirms this subscription has those of the ingester, too.
        await asyncio.wait_for(scene.link.subscribe("probe", lambda _: None), 30)
        for last in fleet.everybody():
            fleet.publish(link, last)
        for _ in range(10):
            await asyncio.sleep(0.5)
            fleet.resend_unconfirmed(link)
        await agree(scene.store, fleet)


@pytest.mark.mosquitto
async def test_3_a_queue_that_overflowed_is_noticed_told_and_asked_for(
    catalog, start_broker, redis_url
):
    broker = start_broker(settings="max_queued_messages 20\nmax_queued_bytes 0\n")
    fleet = Fleet(catalog, seed=13)
    async with living(catalog, broker.url, redis_url) as scene:
        await fleet.publish(scene.street, fleet.count("hotel-count"))
        await agree(scene.store, fleet)
    async with Link(broker.url, "street") as link:  # nobody reads
        for _ in range(1500):
            await fleet.publish(link, fleet.count("hotel-count"))
    async with living(catalog, broker.url, redis_url) as scene:
        asked = []
        await scene.street.subscribe("bowei/devices/hotel-count/resend", asked.append)
        await fleet.publish(scene.street, fleet.count("hotel-count"))

        def hotel():
            return scene.mirror.states["hotel"].zones[0]

        await until(lambda: hotel().quality is Quality.UNVERIFIED)
        assert hotel().why == "gap"
        assert "hotel-count" in await open_gaps(scene.store)
        await until(lambda: asked)
        for one in fleet.sent["hotel-count"]:  # one by one: the queue is as short as before
            await fleet.publish(scene.street, one)
            await until(lambda: len(scene.link._inbox._owed) < 10)
        await agree(scene.store, fleet)
        await until(lambda: hotel().quality is Quality.FRESH)
        await no_gaps(scene.store)


async def test_4_duplicated_shuffled_and_rebooted_devices_end_as_in_order(
    catalog, broker_url, redis_url
):
    fleet = Fleet(catalog, seed=14)
    said = [fleet.next() for _ in range(200)]
    for device in (*fleet.counters, *fleet.bays, *fleet.cameras):
        fleet.reboot(device)
    said += [fleet.next() for _ in range(200)]
    storm = said * 5
    fleet.dice.shuffle(storm)
    async with living(catalog, broker_url, redis_url, grace_s=30) as scene:
        await asyncio.gather(*(fleet.publish(scene.street, one) for one in storm))
        await agree(scene.store, fleet)
        await until(lambda: scene.ingest.written >= len(storm))
        await no_gaps(scene.store)


@pytest.mark.parametrize("skew", [timedelta(days=1), timedelta(days=-1)])
async def test_5_a_clock_a_day_off_is_judged_by_our_own(catalog, broker_url, redis_url, skew):
    fleet = Fleet(catalog)
    async with living(catalog, broker_url, redis_url) as scene:
        before = datetime.now(UTC)  # noqa: TID251
        at = (before + skew).isoformat()
        await fleet.publish(scene.street, fleet.count("hotel-count", at=at))
        await until(lambda: scene.mirror.states["hotel"].zones[0].counted is not None)
        zone = scene.mirror.states["hotel"].zones[0]
        if skew > timedelta(0):  # it cannot have been measured tomorrow
            assert before - timedelta(seconds=1) <= zone.as_of
            assert zone.why == "clock_skew"
        else:  # a day-old word is an old word, whichever clock is wrong: never shown as fresh
            assert zone.quality is not Quality.FRESH
        assert zone.as_of <= datetime.now(UTC)  # noqa: TID251


async def test_6_retained_and_last_words_are_as_old_as_they_are(catalog, broker_url, redis_url):
    fleet = Fleet(catalog)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251
    async with Link(broker_url, "before") as link:
        dated = fleet.count("hotel-count", at=hour_ago.isoformat())
        await fleet.publish(link, dated)
        undated = {"device": "garden-count", "boot": 1, "seq": 0, "occupied": 1}
        topic = "bowei/lots/garden/zones/shared/count"
        await link.publish(topic, json.dumps(undated).encode(), retain=True)
        status = {"device": "market-counter", "boot": 1, "seq": 0, "online": False}
        topic = "bowei/devices/market-counter/status"
        await link.publish(topic, json.dumps(status).encode(), retain=True)
    async with living(catalog, broker_url, redis_url) as scene:
        await until(lambda: scene.mirror.states["hotel"].zones[0].counted is not None)
        hotel = scene.mirror.states["hotel"].zones[0]
        assert abs(hotel.as_of - hour_ago) < timedelta(seconds=1)
        assert hotel.quality is Quality.UNKNOWN
        assert hotel.free is None
        assert scene.mirror.states["garden"].zones[0].why == "never_heard"
        assert scene.mirror.states["market"].free is None


DEEP = b"[" * 50_000 + b"]" * 50_000
POISON = {
    "bad UTF-8": b'{"device":"\xff\xfe","boot":1,"seq":0,"occupied":1}',
    "deep JSON": b'{"device":"hotel-count","boot":1,"seq":0,"occupied":' + DEEP + b"}",
    "NaN": b'{"device":"hotel-count","boot":1,"seq":0,"occupied":NaN}',
    "infinite": b'{"device":"hotel-count","boot":1,"seq":0,"occupied":1e999}',
    "huge integer": b'{"device":"hotel-count","boot":1,"seq":0,"occupied":' + b"9" * 5000 + b"}",
    "negative": b'{"device":"hotel-count","boot":1,"seq":0,"occupied":-1}',
    "empty": b"",
    "zeros": b"\x00" * 100_000,
    "another shape": b"[1,2,3]",
}


async def test_7_poison_is_laid_aside_and_stalls_nobody(catalog, broker_url, redis_url):
    fleet = Fleet(catalog, seed=17)
    async with living(catalog, broker_url, redis_url) as scene:
        for topic in (HOTEL, "bowei/lots/square/lanes/in/passage",
                      "application/1/device/0102030405060708/event/up"):  # fmt: skip
            for poison in POISON.values():
                for _ in range(5):
                    scene.street.publish(topic, poison)
                fleet.publish(scene.street, fleet.next())
        await agree(scene.store, fleet)
        async with asyncio.timeout(30):  # they are kept after the reports that came with them
            while len(letters := await DeadLetters(scene.store).listed()) < 2 * len(POISON):
                await asyncio.sleep(0.05)
        assert all(one.reason for one in letters)


@pytest.mark.mosquitto
async def test_7_ten_megabytes_cost_their_sender_the_connection_only(
    catalog, broker_url, redis_url
):
    fleet = Fleet(catalog)
    async with living(catalog, broker_url, redis_url) as scene:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(broker_url.rpartition(":")[2])
        )
        topic = HOTEL.encode()
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01\x00" + b" " * 10_000_000
        length = len(body)
        sizes = bytes([length & 127 | 128, length >> 7 & 127 | 128,
                       length >> 14 & 127 | 128, length >> 21])  # fmt: skip
        writer.write(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x03big" + b"\x32" + sizes)
        with contextlib.suppress(ConnectionError):
            writer.write(body)
            await writer.drain()
            while await asyncio.wait_for(reader.read(65536), 60):
                pass  # until it hangs up
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await fleet.publish(scene.street, fleet.count("hotel-count"))
        await agree(scene.store, fleet)


async def test_8_a_dead_consumer_is_seen_and_a_mended_one_too(catalog, start_broker, start_redis):
    assert DEAD_AFTER_S < 10, "what is promised"
    broker, redis_server = start_broker(), start_redis()
    async with (
        FaultProxy(broker.port) as proxy,
        living(catalog, proxy.url(broker.url), redis_server.url, street_url=broker.url) as scene,
    ):
        fleet = Fleet(catalog)
        assert scene.ingest.healthy
        proxy.refuse = True
        await proxy.cut()
        await until(lambda: not scene.ingest.healthy)
        proxy.refuse = False
        await until(lambda: scene.ingest.healthy)
        redis_server.kill()
        fleet.publish(scene.street, fleet.count("hotel-count"))
        await until(lambda: not scene.ingest.healthy)
        redis_server.restart()
        await until(lambda: scene.ingest.healthy)
        await agree(scene.store, fleet)


async def stalled(catalog, broker_url, server, tmp_path, *, stall_s, per_s) -> int:
    """Stall Redis under load; everything is stored in the end. Returns the most memory used, MB."""
    fleet = Fleet(catalog, seed=19)
    ingester = start_ingester(tmp_path, broker_url, server.url)
    await ready(ingester, 1)
    store = Store.open(server.url)
    most = 0
    async with street(broker_url, fleet) as link:
        os.kill(server.child.pid, signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + stall_s
        while loop.time() < until_s:
            for _ in range(per_s // 20):
                fleet.publish(link, fleet.next())
            await asyncio.sleep(0.05)
            most = max(most, resident_mb(ingester.pid))
        os.kill(server.child.pid, signal.SIGCONT)
        try:
            await agree(store, fleet, 120)
            await no_gaps(store)
            return max(most, resident_mb(ingester.pid))
        finally:
            ingester.stop()
            await store.close()


def resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


@pytest.mark.mosquitto
async def test_9_a_stalled_store_costs_no_message_and_little_memory(
    catalog, broker_url, start_redis, tmp_path
):
    most = await stalled(catalog, broker_url, start_redis(), tmp_path, stall_s=4, per_s=1000)
    assert most < 200


@pytest.mark.soak
@pytest.mark.mosquitto
async def test_9_a_store_stalled_for_a_minute(catalog, broker_url, start_redis, tmp_path):
    most = await stalled(catalog, broker_url, start_redis(), tmp_path, stall_s=60, per_s=1500)
    assert most < 200
