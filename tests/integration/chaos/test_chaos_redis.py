"""Cases 11 to 15: Redis gone, empty, read-only, full, loading, or behind a bad line."""

import asyncio
import shutil
from datetime import UTC, datetime

import pytest
import redis.asyncio as redis
from fault_proxy import FaultProxy
from fleet import Fleet, agree
from occupancy_scene import until
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from scene import Scene, living

from service.occupancy.mirror import HEALTHY_S
from service.occupancy.model import Quality
from service.occupancy.store import Store


async def filled(scene: Scene, fleet: Fleet, count: int = 150) -> None:
    for _ in range(count):
        fleet.publish(scene.street, fleet.next())
    for last in fleet.everybody():
        fleet.publish(scene.street, last)
    await agree(scene.store, fleet)
    hotel = fleet.sent["hotel-count"][-1].body["occupied"]
    await until(lambda: scene.mirror.states["hotel"].zones[0].counted == hotel)
    await scene.caught_up()


@pytest.mark.parametrize("empty", [False, True], ids=["restarted", "lost and empty"])
async def test_11_the_mirror_answers_on_at_its_age_and_is_soon_rebuilt(
    catalog, broker_url, start_redis, tmp_path, empty
):
    server = start_redis()
    fleet = Fleet(catalog, seed=21)
    async with living(catalog, broker_url, server.url) as scene:
        await filled(scene, fleet)
        before = dict(scene.mirror.states)
        server.kill()
        await asyncio.sleep(0.5)
        for lot, state in scene.mirror.states.items():
            assert (state.free, state.as_of) == (before[lot].free, before[lot].as_of)
        if empty:
            shutil.rmtree(tmp_path / "redis" / "appendonlydir")
        server.restart()
        fleet.publish(scene.street, fleet.count("hotel-count"))
        hotel = fleet.sent["hotel-count"][-1].body["occupied"]
        await until(lambda: scene.mirror.states["hotel"].zones[0].counted == hotel)
        for lot, state in scene.mirror.states.items():
            if lot != "hotel":
                assert (state.free, state.as_of) == (before[lot].free, before[lot].as_of)
                assert state.as_of is None or state.as_of <= datetime.now(UTC)  # noqa: TID251


async def test_12_a_replica_is_no_place_to_write_and_nothing_is_lost_by_it(
    catalog, broker_url, start_redis
):
    server = start_redis()
    fleet = Fleet(catalog, seed=22)
    async with (
        living(catalog, broker_url, server.url) as scene,
        redis.Redis.from_url(server.url) as admin,
    ):
        await filled(scene, fleet)
        await admin.config_set("replica-serve-stale-data", "yes")
        await admin.replicaof("127.0.0.1", 1)
        for _ in range(100):
            fleet.publish(scene.street, fleet.next())
        await asyncio.sleep(1)
        await admin.replicaof("NO", "ONE")
        await agree(scene.store, fleet)


async def test_13_a_full_redis_is_waited_for(catalog, broker_url, start_redis):
    server = start_redis()
    fleet = Fleet(catalog, seed=23)
    async with (
        living(catalog, broker_url, server.url) as scene,
        redis.Redis.from_url(server.url) as admin,
    ):
        await filled(scene, fleet)
        await admin.config_set("maxmemory", "1")
        for _ in range(100):
            fleet.publish(scene.street, fleet.next())
        await asyncio.sleep(1)
        assert scene.mirror.states["hotel"].free is not None
        await admin.config_set("maxmemory", "0")
        await agree(scene.store, fleet)


async def asked_until(url: str, done: asyncio.Task[object]) -> None:
    while not done.done():
        async with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
            await client.get("ballast:1")


async def test_13_a_redis_that_loads_is_waited_for(catalog, broker_url, start_redis):
    server = start_redis(settings=["--enable-debug-command", "local"])
    fleet = Fleet(catalog, seed=24)
    async with (
        living(catalog, broker_url, server.url) as scene,
        redis.Redis.from_url(server.url) as admin,
    ):
        await filled(scene, fleet)
        for at in range(300):
            await admin.set(f"ballast:{at}", "x" * 1000)
        await admin.config_set("loading-process-events-interval-bytes", "1024")
        await admin.config_set("key-load-delay", "10000")
        reloading = asyncio.create_task(admin.execute_command("DEBUG", "RELOAD"))
        with pytest.raises(redis.BusyLoadingError):
            await asked_until(server.url, reloading)  # it writes before it loads
        for _ in range(100):
            fleet.publish(scene.street, fleet.next())
        await reloading
        await agree(scene.store, fleet)


async def test_14_every_reply_cut_off_and_still_each_car_counts_once(
    catalog, broker_url, start_redis
):
    server = start_redis()
    fleet = Fleet(catalog, seed=25)
    async with (
        FaultProxy(server.port) as proxy,
        living(catalog, broker_url, proxy.url(server.url)) as scene,
    ):
        await filled(scene, fleet)
        for _ in range(5):
            proxy.drop_replies = 4
            for _ in range(40):
                fleet.publish(scene.street, fleet.next())
            await until(lambda: not proxy.drop_replies)
        assert proxy.dropped == 20
        await agree(scene.store, fleet)


async def test_14_slow_replies_make_larger_batches_not_a_backlog(catalog, broker_url, start_redis):
    server = start_redis()
    fleet = Fleet(catalog, seed=125)
    async with (
        FaultProxy(server.port) as proxy,
        living(catalog, broker_url, proxy.url(server.url)) as scene,
    ):
        await filled(scene, fleet)
        proxy.delay_s = 0.4
        for _ in range(500):
            fleet.publish(scene.street, fleet.next())
        direct = Store.open(server.url)
        await agree(direct, fleet)  # one write for each message would take minutes
        await direct.close()
        await until(lambda: scene.mirror.healthy and scene.ingest.healthy)


async def test_15_a_black_hole_is_known_as_one(catalog, broker_url, start_redis):
    server = start_redis()
    fleet = Fleet(catalog, seed=26)
    async with (
        FaultProxy(server.port) as proxy,
        living(catalog, broker_url, proxy.url(server.url)) as scene,
    ):
        await filled(scene, fleet)
        assert scene.mirror.healthy
        proxy.hole = True
        for _ in range(50):
            fleet.publish(scene.street, fleet.next())
        assert HEALTHY_S <= 6, "what is promised"
        await until(lambda: not scene.mirror.healthy)
        assert scene.mirror.states["hotel"].quality is Quality.FRESH  # by its own age
        proxy.hole = False
        await until(lambda: scene.mirror.healthy)
        await agree(scene.store, fleet)
