"""A sign's revisions only grow: over restarts, between processes, and when Redis loses them."""

from collections.abc import AsyncIterator

import pytest
from occupancy_scene import open_store
from redis.exceptions import RedisError

from service.guidance.revisions import BLOCK, Revisions
from service.occupancy.store import Store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    async with open_store(redis_url) as store:
        yield store


async def test_numbers_grow_by_one_and_jump_over_a_restart(store):
    first = Revisions(store.client)
    await first.start(["a", "b"])
    assert [first.next("a") for _ in range(3)] == [1, 2, 3]
    assert first.next("b") == 1
    second = Revisions(store.client)
    await second.start(["a"])
    assert second.next("a") == BLOCK + 1


async def test_two_processes_never_share_a_number(store):
    one, other = Revisions(store.client), Revisions(store.client)
    await one.start(["a"])
    await other.start(["a"])
    seen = []
    for _ in range(BLOCK + 50):
        seen += [one.next("a"), other.next("a")]
        await one.refill(["a"])
        await other.refill(["a"])
    assert len(set(seen)) == len(seen)
    assert seen[::2] == sorted(seen[::2])


async def test_a_redis_that_comes_back_empty_does_not_turn_numbers_back(store):
    revisions = Revisions(store.client)
    await revisions.start(["a"])
    used = [revisions.next("a") for _ in range(BLOCK - 10)]
    await store.client.flushall()
    await revisions.refill(["a"])
    assert revisions.next("a") > max(used)
    restarted = Revisions(store.client)
    await restarted.start(["a"])
    assert restarted.next("a") > max(used) + 1


async def test_numbers_grow_on_while_redis_is_away(start_redis):
    server = start_redis()
    async with open_store(server.url) as store:
        revisions = Revisions(store.client)
        await revisions.start(["a"])
        server.child.kill()
        used = [revisions.next("a") for _ in range(BLOCK + 5)]
        with pytest.raises(RedisError):
            await revisions.refill(["a"])
        assert used == list(range(1, BLOCK + 6))
