"""Half an hour of a city's sensors: nothing lost, memory flat.

`make soak`, or shorter: `BOWEI_SOAK_MINUTES=2 BOWEI_SOAK_RATE=3000 make soak TESTS=tests/soak`
"""

import asyncio
import os
import random
import statistics
import sys
import time
from pathlib import Path

import pytest

from devices.mqtt import Link
from service.lifecycle import Child
from service.occupancy.report import read_told
from service.occupancy.store import Store

MINUTES = float(os.environ.get("BOWEI_SOAK_MINUTES", "30"))
RATE = int(os.environ.get("BOWEI_SOAK_RATE", "3000"))
LOTS, ZONES = 100, 10
CAPACITY = 500
TURN_S = 0.02
SHUFFLED_AT_ONCE = 2000  # messages that may overtake each other
MOST_MB = 200
MOST_GROWTH_MB = 15  # from the second quarter of the run to the last

SITE = """[site]
name = { zh = "久测", en = "Soak" }
city = { zh = "久测", en = "Soak" }
timezone = "Asia/Shanghai"
[[tariffs]]
id = "free"
version = "1"
free_minutes = 15
bands = [{ unit_minutes = 60, unit_fee_fen = 500 }]
"""
LOT = """[[lots]]
id = "lot-{lot}"
name = {{ zh = "停车场{lot}", en = "Lot {lot}" }}
position = {{ lat = 30.{lot:03d}, lng = 120.17 }}
kind = "public"
tariff = "free"
capacity = {capacity}
entrances = [{{ id = "e", position = {{ lat = 30.{lot:03d}, lng = 120.17 }} }}]
"""
ZONE = """[[lots.zones]]
id = "z{zone}"
kind = "general"
capacity = {capacity}
fed_by = "absolute"
sensors = [{{ id = "count-{lot}-{zone}" }}]
"""


class Sensors:
    """Who says what, and what must be known in the end: the newest (boot, seq) of each."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.names = [(lot, zone) for lot in range(LOTS) for zone in range(ZONES)]
        self.order = dict.fromkeys(self.names, (1, -1))
        self.model = {}
        self.held = []
        self.at = 0

    def next(self):
        lot, zone = name = self.names[self.at % len(self.names)]
        self.at += 1
        boot, seq = self.order[name]
        boot, seq = (boot + 1, 0) if self.dice.random() < 1e-5 else (boot, seq + 1)
        self.order[name] = (boot, seq)
        occupied = self.dice.randrange(CAPACITY)
        self.model[f"z/lot-{lot}/z{zone}/count-{lot}-{zone}"] = (boot, seq, occupied)
        body = f'{{"device":"count-{lot}-{zone}","boot":{boot},"seq":{seq},"occupied":{occupied}}}'
        return f"bowei/lots/lot-{lot}/zones/z{zone}/count", body.encode()

    def turn(self, many, share):
        """The next messages: in order, then shuffled and some of them twice, by turns."""
        fresh = [self.next() for _ in range(many)]
        if int(share * 6) % 2 == 0:
            held, self.held = self.held, []
            return held + fresh
        self.held += fresh
        if len(self.held) < SHUFFLED_AT_ONCE:
            return []
        held, self.held = self.held, []
        held += [one for one in held if self.dice.random() < 0.1]
        self.dice.shuffle(held)
        return held


@pytest.fixture
def ingester(tmp_path, start_redis, broker_url, sqlite_url):
    """`bowei serve --role ingest`, and its Redis."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "site.toml").write_text(SITE)
    (site / "lots.toml").write_text(
        "".join(
            LOT.format(lot=lot, capacity=CAPACITY * ZONES)
            + "".join(ZONE.format(lot=lot, zone=zone, capacity=CAPACITY) for zone in range(ZONES))
            for lot in range(LOTS)
        )
    )
    redis = start_redis()
    file = tmp_path / "my.toml"
    file.write_text(
        f'sites = ["site"]\nstate_dir = "state"\n[redis]\nurl = "{redis.url}"\n'
        f'[mqtt]\nurl = "{broker_url}"\n[sql]\nurl = "{sqlite_url}"\n'
    )
    argv = [sys.executable, "-m", "service", "serve", "--config", str(file), "--role", "ingest"]
    child = Child("ingester", argv, tmp_path / "ingester.log")
    yield child, redis.url
    child.stop()


@pytest.mark.soak
@pytest.mark.mosquitto
async def test_a_city_for_half_an_hour(ingester, broker_url, capsys):
    child, redis_url = ingester
    while "\nready: " not in child.log.read_text():
        assert child.alive, child.last_words(20)
        await asyncio.sleep(0.1)
    sensors, memory = Sensors(seed=7), []
    sampling = asyncio.create_task(sample(child, memory))
    store = Store.open(redis_url)
    async with Link(broker_url, "city") as city:
        started_s, cpu_s = time.monotonic(), used_cpu_s(child.pid)
        sent = await publish(city, sensors)
        took_s = time.monotonic() - started_s
        settled_s = await agree(store, sensors.model)
    cpu_s = used_cpu_s(child.pid) - cpu_s
    sampling.cancel()
    gaps = [
        field
        for shard in range(store.shards)
        for field in (await store.snapshot(shard)).fields
        if field.startswith("g/")
    ]
    await store.close()
    quarter = len(memory) // 4
    growth_mb = statistics.fmean(memory[-quarter:]) - statistics.fmean(
        memory[quarter : 2 * quarter]
    )
    slope = statistics.linear_regression(range(quarter, len(memory)), memory[quarter:]).slope
    with capsys.disabled():
        print(
            f"\n{sent:,} messages in {took_s:.0f} s ({sent / took_s:,.0f}/s), all known"
            f" {settled_s:.1f} s after the last; ingester {cpu_s / sent * 1e6:.0f} us CPU each,"
            f" memory {memory[quarter]:.1f} to {memory[-1]:.1f} MB (most {max(memory):.1f}),"
            f" slope {slope * 3600:+.2f} MB an hour"
        )
    assert gaps == []
    assert max(memory) < MOST_MB
    assert growth_mb < MOST_GROWTH_MB
    assert child.alive
    assert "away" not in child.log.read_text()


async def publish(city, sensors):
    """RATE messages a second for MINUTES; returns how many, once the broker has them."""
    started_s = time.monotonic()
    last_s, sent, told = MINUTES * 60, 0, None
    made = 0
    while (now_s := time.monotonic() - started_s) < last_s:
        due = int(now_s * RATE) - made
        made += due
        for topic, body in sensors.turn(due, now_s / last_s):
            told = city.publish(topic, body)
            sent += 1
        await asyncio.sleep(TURN_S)
    for topic, body in sensors.turn(SHUFFLED_AT_ONCE, 0):
        told = city.publish(topic, body)
        sent += 1
    await told
    return sent


async def agree(store, model):
    """Wait until Redis holds the newest word of every sensor; returns how long that took."""
    started_s = time.monotonic()
    while True:
        known = {}
        for shard in range(store.shards):
            for field, text in (await store.snapshot(shard)).fields.items():
                if field.startswith("z/"):
                    known[field] = (int(text[:20]), int(text[20:40]), read_told(text).occupied)
        if known == model:
            return time.monotonic() - started_s
        if time.monotonic() - started_s > 60:
            wrong = {one: (known.get(one), model[one]) for one in model
                     if known.get(one) != model[one]}  # fmt: skip
            pytest.fail(f"{len(wrong)} of {len(model)} differ: {dict(list(wrong.items())[:5])}")
        await asyncio.sleep(0.2)


async def sample(child, memory):
    """The ingester's resident memory in MB, every second."""
    page = os.sysconf("SC_PAGE_SIZE")
    while True:
        pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
        memory.append(pages * page / 1e6)
        await asyncio.sleep(1)


def used_cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
