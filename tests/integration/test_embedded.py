"""The embedded servers: real, loopback only, durable, and gone when they should be."""

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import pytest
import redis
from occupancy_scene import HOTEL, path, say, until

from devices.mqtt import Link
from service import embedded, mosquitto
from service.lifecycle import InstanceLock, StartProblem


def test_valkey_keeps_every_acknowledged_write_over_a_kill(start_redis):
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        for at in range(200):
            client.set(f"key:{at}", at)
    server.kill()
    server.restart()
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 200


def test_valkey_may_use_large_pages(start_redis):
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("disable-thp") == {"disable-thp": "no"}
    told = Path(f"/proc/{server.child.pid}/environ").read_bytes().split(b"\0")
    assert b"GLIBC_TUNABLES=glibc.malloc.hugetlb=1" in told


def test_each_test_gets_an_empty_redis(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


test_each_test_gets_an_empty_redis_again = test_each_test_gets_an_empty_redis


@pytest.mark.parametrize("start", [embedded.start_broker, embedded.start_fallback_broker])
def test_servers_listen_on_loopback_only(start, tmp_path):
    servers = [start(tmp_path / "mqtt"), embedded.start_valkey(tmp_path / "redis")]
    try:
        for server in servers:
            assert _listening(server.port) == {"127.0.0.1"}
    finally:
        for server in servers:
            server.stop()


def test_a_busy_port_is_told_with_advice(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for start in (embedded.start_valkey, embedded.start_broker):
            with pytest.raises(StartProblem, match=rf"port {port} .* busy\n.*another port"):
                start(tmp_path / "x", port=port)


def test_a_server_that_cannot_start_tells_its_last_words(tmp_path):
    with pytest.raises(
        StartProblem, match=r"(?s)valkey did not start: .*must be a memory.*valkey\.log"
    ):
        embedded.start_valkey(tmp_path / "redis", settings=["--maxmemory", "a lot"])


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_started_them(tmp_path, end):
    program = textwrap.dedent(
        f"""
        import pathlib, signal, time
        from service import embedded
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind a shell's &
        folder = pathlib.Path({str(tmp_path)!r})
        servers = [embedded.start_valkey(folder / "redis"), embedded.start_broker(folder / "mqtt"),
                   embedded.start_fallback_broker(folder / "fallback")]
        print(*(server.child.pid for server in servers), flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent, parent.stdout:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 3
        parent.send_signal(end)
        parent.wait(30)
    deadline = time.monotonic() + 30
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_alive, children))


def test_a_second_instance_is_refused_until_the_first_is_gone(tmp_path):
    with (
        InstanceLock(tmp_path),
        pytest.raises(StartProblem, match=rf"in use by bowei, process {os.getpid()}\n.*--state"),
    ):
        InstanceLock(tmp_path)
    with InstanceLock(tmp_path):
        pass


async def test_the_fallback_broker_carries_a_report_to_the_mirror(
    fallback_broker, redis_url, catalog
):
    async with path(catalog, redis_url, fallback_broker.url) as (street, _ingest, mirror, _store):
        await street.publish(HOTEL, say("hotel-count", 1, occupied=33))
        await until(lambda: mirror.states["hotel"].free == 7)


async def test_the_fallback_broker_keeps_what_is_retained(fallback_broker):
    heard = []
    async with Link(fallback_broker.url, "one") as one, Link(fallback_broker.url, "two") as two:
        await one.publish("bowei/signs/avenue/frame", b"{}", retain=True, expires_s=60)
        await two.subscribe("bowei/signs/+/frame", heard.append)
        await until(lambda: heard)


@pytest.mark.mosquitto
def test_mosquitto_is_bounded_as_documented():
    text = mosquitto.settings(Path("/data"), "127.0.0.1", 1883)
    assert {"set_tcp_nodelay true", "max_queued_messages 100000", "max_packet_size 1048576",
            "persistent_client_expiration 1d"} <= set(text.splitlines())  # fmt: skip


def test_postgres_is_real_and_each_test_has_its_own_database(postgres_url):
    async def version() -> str:
        connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""), ssl=False)
        try:
            return await connection.fetchval("SHOW server_version_num")
        finally:
            await connection.close()

    assert int(asyncio.run(version())) >= 180000


def test_postgres_does_not_run_as_root(postgres):
    owner = Path(f"/proc/{postgres.child.pid}").stat().st_uid
    assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())


def _listening(port: int) -> set[str]:
    """The addresses that listen on `port`, from the kernel's own tables."""
    found = set()
    for table, size in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, at = fields[1].partition(":")
            if fields[3] == "0A" and int(at, 16) == port:
                raw = bytes.fromhex(address)
                found.add(socket.inet_ntoa(raw[::-1]) if size == 8 else address)
    return found


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
async def test_the_broker_hears_acknowledgements_in_the_order_of_arrival(fallback_broker, order):
    """The fallback hangs up on whoever does otherwise."""
    heard = []
    sub = Link(fallback_broker.url, "sub", clean=False, session_expiry_s=60, manual_ack=True)
    async with sub, Link(fallback_broker.url, "pub") as pub:
        await sub.subscribe("t", heard.append)
        for number in range(3):
            await pub.publish("t", b"%d" % number)
        await until(lambda: len(heard) == 3)
        for at in order:
            sub.ack(heard[at])
        await pub.publish("t", b"last")
        await until(lambda: len(heard) == 4)
        assert sub.connection == 1
