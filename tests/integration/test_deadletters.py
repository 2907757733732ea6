"""`bowei deadletters`: what nobody could read is listed without its content, shown, tried again."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from click.testing import CliRunner
from occupancy_scene import HOTEL, background, ingest_link, say

from devices.mqtt import Link
from service.cli import main
from service.clock import Clock
from service.occupancy.ingest import Ingest
from service.occupancy.letters import DeadLetters
from service.occupancy.letters import letter as make_letter
from service.occupancy.store import Store

PLATE = "浙A00001"
LETTERS = {
    "cut": (HOTEL, f'{{"device":"hotel-count","plate":"{PLATE}"'.encode()),
    "binary": ("bowei/lots/hotel/zones/all/count", b"\x00\x1b[31m\xff"),
    "large": (HOTEL, b'{"x":"' + b"y" * 20_000),
}


@pytest_asyncio.fixture
async def store(redis_url):
    store = Store.open(redis_url)
    yield store
    await store.close()


@pytest.fixture
def bowei(redis_url, broker_url, tmp_path):
    """Runs `bowei deadletters …` in a thread, against the servers of the test."""
    file = tmp_path / "my.toml"
    file.write_text(f'[redis]\nurl = "{redis_url}"\n[mqtt]\nurl = "{broker_url}"\n')

    async def call(*words, config=file):
        told = ["deadletters", "--config", str(config), *words]
        return await asyncio.to_thread(CliRunner().invoke, main, told)

    return call


@asynccontextmanager
async def ingesting(catalog, store, broker_url):
    async with ingest_link(broker_url) as link:
        ingest = Ingest(catalog, store, link, Clock())
        async with background(ingest):
            await ingest.subscribed()
            yield ingest


async def bury(catalog, store, broker_url, *names):
    """Have the ingester refuse these messages."""
    async with ingesting(catalog, store, broker_url), Link(broker_url, "street") as street:
        for name in names:
            await street.publish(*LETTERS[name])
        await kept(store, len(names))


async def kept(store, many):
    for _ in range(600):
        letters = await DeadLetters(store).listed()
        if len(letters) == many:
            return letters
        await asyncio.sleep(0.05)
    pytest.fail(f"{len(letters)} letters, not {many}")


async def test_nothing_is_kept_and_nothing_runs(bowei, tmp_path):
    assert (await bowei("list")).output == "no dead letters\n"
    empty = tmp_path / "empty.toml"
    empty.write_text(f'state_dir = "{tmp_path / "nobody"}"\n')
    told = await bowei("list", config=empty)
    assert told.exit_code == 2
    assert "nothing runs" in told.output


async def test_a_list_says_everything_but_the_content(catalog, store, broker_url, bowei):
    await bury(catalog, store, broker_url, "cut", "binary")
    told = (await bowei("list")).output
    assert told.count(HOTEL) == 2
    assert "not_json" in told
    assert '{"xxxxxx":"xxxxx-xxxxx",…' in told
    assert PLATE not in told
    assert "00001" not in told
    assert "\x1b" not in told
    assert "and 1 older ones" in (await bowei("list", "--limit", "1")).output


async def test_a_long_topic_does_not_fill_the_list(store, bowei):
    topic = "bowei/devices/" + "x" * 3000 + "/status"
    long = make_letter(topic, b"{", "not_json", "", 1000)
    await store.keep_letters([(long.id, 1000, json.dumps(_struct(long)))])
    told = (await bowei("list")).output
    assert max(map(len, told.splitlines())) < 200
    assert "bowei/devices/xxx" in told
    assert topic in (await bowei("show", long.id)).output


async def test_show_tells_text_as_text_and_bytes_as_hex(catalog, store, broker_url, bowei):
    await bury(catalog, store, broker_url, "cut", "binary", "large")
    by_size = {one.size: one.id for one in await DeadLetters(store).listed()}
    cut, binary, large = (by_size[len(LETTERS[name][1])] for name in ("cut", "binary", "large"))
    assert LETTERS["cut"][1].decode() in (await bowei("show", cut)).output
    told = (await bowei("show", binary[:8])).output
    assert "00 1b 5b 33 31 6d ff" in told
    assert "\x1b" not in told
    assert "of which 8,192 were kept" in (await bowei("show", large)).output
    assert "no letter begins" in (await bowei("show", "nothing")).output
    assert "several letters begin" in (await bowei("show", "")).output


async def test_retry_publishes_again_and_drops(catalog, store, broker_url, bowei):
    """Whatever could not be read then and can be read now counts; the rest comes back."""
    readable = say("hotel-count", 0, occupied=9)
    mended = make_letter(HOTEL, readable, "not_json", "", 1000)
    await store.keep_letters([(mended.id, 1000, json.dumps(_struct(mended)))])
    async with ingesting(catalog, store, broker_url), Link(broker_url, "street") as street:
        await street.publish(*LETTERS["cut"])
        first = {one.id: one.at for one in await kept(store, 2)}
        told = await bowei("retry", "--all")
        assert told.exit_code == 0, told.output
        assert told.output.count("published again") == 2
        (left,) = await kept(store, 1)
        assert left.id != mended.id
        for _ in range(600):
            if (await DeadLetters(store).get(left.id)).at > first[left.id]:
                break
            await asyncio.sleep(0.05)
        assert (await DeadLetters(store).get(left.id)).at > first[left.id], "it came back"
        fields = (await store.snapshot(store.shard("hotel-count"))).fields
    assert "z/hotel/all/hotel-count" in fields


async def test_a_letter_that_is_not_whole_stays(catalog, store, broker_url, bowei):
    await bury(catalog, store, broker_url, "large")
    told = await bowei("retry", "--all")
    assert told.exit_code == 1
    assert "only be shown" in told.output
    await kept(store, 1)


async def test_a_broker_that_is_away_costs_no_letter(
    catalog, store, broker_url, bowei, redis_url, tmp_path
):
    await bury(catalog, store, broker_url, "cut")
    away = tmp_path / "away.toml"
    away.write_text(f'[redis]\nurl = "{redis_url}"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n')
    told = await bowei("retry", "--all", config=away)
    assert told.exit_code == 1
    assert "still kept" in told.output
    await kept(store, 1)
    assert (await bowei("retry")).exit_code == 2


async def test_letters_are_forgotten_by_age_and_by_number(store, clock):
    now_ms = int(clock.now_s() * 1000)
    day_ms = 86_400_000
    for age, days in (("old", 8), ("young", 6)):
        one = make_letter("t", age.encode(), "not_json", "", now_ms - days * day_ms)
        await store.keep_letters([(one.id, one.at_ms, json.dumps(_struct(one)))])
    keeping = asyncio.create_task(DeadLetters(store).run(clock, 7 * 86_400))
    (left,) = await kept(store, 1)
    assert left.payload == b"young"
    keeping.cancel()
    store.letters_most = 16
    many = [make_letter("t", b"%d" % at, "not_json", "", now_ms + at) for at in range(200)]
    for one in many:
        await store.keep_letters([(one.id, one.at_ms, json.dumps(_struct(one)))])
    letters = await DeadLetters(store).listed()
    assert len(letters) == 16
    assert letters[0].id == many[-1].id


def _struct(one):
    return {name: getattr(one, name) for name in one.__struct_fields__}
