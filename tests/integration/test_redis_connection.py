"""A task that waits for Redis ends when it is told to, wherever in a call that meets it."""

import asyncio

import pytest
import redis.exceptions

from service.occupancy.store import Store


async def test_no_cancellation_is_lost_in_a_call(redis_url):
    store = Store.open(redis_url)

    async def ask():
        while True:
            await store.positions()

    try:
        for turn in range(40):
            asking = [asyncio.create_task(ask()) for _ in range(4)]
            await asyncio.sleep(0.01 + turn * 0.0005)
            for task in asking:
                task.cancel()
            _, deaf = await asyncio.wait(asking, timeout=10)
            for task in deaf:  # it is heard sooner or later: nothing is left to the next test
                await _insist(task)
            assert not deaf, f"{len(deaf)} of {len(asking)} went on in turn {turn}"
    finally:
        await store.close()


async def _insist(task):
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.01)


async def test_a_socket_that_takes_nothing_times_out():
    taken = []

    async def silent(_reader, writer):
        taken.append(writer)
        await asyncio.sleep(30)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = Store.open(f"redis://127.0.0.1:{port}/0")
    connection = store.client.connection_pool.make_connection()
    connection.socket_timeout = 0.3
    try:
        with pytest.raises(redis.exceptions.TimeoutError):
            await connection.send_command("SET", "k", "x" * 50_000_000)
        assert not connection.is_connected
    finally:
        await store.close()
        server.close()
        for writer in taken:
            writer.transport.abort()
