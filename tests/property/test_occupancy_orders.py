"""Case 4: however messages are ordered, doubled and split over ingesters, the end is the same.

Everything runs through the ingester's own handlers into a real Valkey; the reference is a plain
model that knows every message by its (boot, seq).
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from occupancy_scene import HOTEL, MARKET, SQUARE_IN, SQUARE_OUT, bay, say, until

from devices.mqtt import Link, Message
from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.combine import Rules
from service.occupancy.ingest import Ingest
from service.occupancy.picture import Picture
from service.occupancy.report import read_gaps
from service.occupancy.store import Store

_examples = count()


class Said(NamedTuple):
    device: str
    boot: int
    seq: int
    topic: str
    body: bytes
    fact: tuple[object, ...]


def street(dice: random.Random, boots: int, length: int) -> list[Said]:
    """Everything the devices of four kinds say, in the order they say it."""
    said: list[Said] = []
    for boot in range(1, boots + 1):
        entered = left = 0
        for seq in range(1, dice.randint(1, length) + 1):
            entered, left = entered + dice.randrange(3), left + dice.randrange(2)
            said.append(_said("market-counter", boot, seq, MARKET, entered=entered, left=left))
        said += [
            _said("hotel-count", boot, seq, HOTEL, occupied=dice.randrange(41))
            for seq in range(1, dice.randint(1, length) + 1)
        ]
        for number in (1, 2):
            topic, device = bay(number)
            said += [
                _said(device, boot, seq, topic, occupied=dice.random() < 0.5)
                for seq in range(1, dice.randint(1, length) + 1)
            ]
        for way, topic in (("in", SQUARE_IN), ("out", SQUARE_OUT)):
            for seq in range(1, dice.randint(1, length) + 1):
                back = seq > 1 and dice.random() < 0.2
                event = f"{boot}-{seq - 1 if back else seq}"
                said.append(
                    _said(
                        f"square-cam-{way}", boot, seq, topic,
                        event=event, plate=None, direction=way, turned_back=back,
                    )
                )  # fmt: skip
    return said


def _said(device: str, boot: int, seq: int, topic: str, **fact: object) -> Said:
    body = say(device, seq, boot, **fact)
    return Said(device, boot, seq, topic, body, tuple(fact.values()))


class Model:
    """What must be known, from the set of messages alone."""

    def __init__(self, heard: list[Said]) -> None:
        newest: dict[str, Said] = {}
        by_boot: dict[tuple[str, int], Said] = {}
        passed: dict[str, set[str]] = defaultdict(set)
        back: dict[str, set[str]] = defaultdict(set)
        for one in heard:
            if one.device not in newest or newest[one.device][1:3] < one[1:3]:
                newest[one.device] = one
            key = (one.device, one.boot)
            if key not in by_boot or by_boot[key].seq < one.seq:
                by_boot[key] = one
            if one.device.startswith("square"):
                (back if one.fact[3] else passed)[one.device].add(str(one.fact[0]))
        self.newest = newest
        self.market = sum(
            one.fact[0] - one.fact[1]
            for (device, _), one in by_boot.items()
            if device == "market-counter"
        )
        self.passed = {device: len(events - back[device]) for device, events in passed.items()}


async def deliver(
    catalog: Catalog, store: Store, heard: list[Said], dice: random.Random, ingesters: int
) -> tuple[Picture, dict[str, str]]:
    """Give messages to ingesters, in batches as they fall; returns what is then in Redis."""
    clock = Clock()
    parts = []
    for number in range(ingesters):
        link = Link("mqtt://127.0.0.1:1", f"unused-{number}")
        parts.append(Ingest(catalog, store, link, clock))
    writers = [asyncio.create_task(part._writer.run()) for part in parts]
    for one in heard:
        part = dice.choice(parts)
        message = Message(one.topic.encode(), one.body, False, None, False, 0, 0)
        handlers = {
            "count": part._on_count,
            "passage": part._on_passage,
        }
        handlers.get(one.topic.rpartition("/")[2], part._on_bay)(message)
        if dice.random() < 0.3:
            await asyncio.sleep(0)
        if dice.random() < 0.02:
            await asyncio.sleep(0.003)
    await until(lambda: sum(part.written for part in parts) == len(heard))
    for writer in writers:
        writer.cancel()
    await asyncio.wait(writers)
    for part in parts:
        await part._passages.close()
    picture = Picture(catalog, Rules(), int(clock.now_s() * 1000))
    fields: dict[str, str] = {}
    for shard in range(store.shards):
        fields |= (await store.snapshot(shard)).fields
    picture.settle(picture.put(fields.items()), int(clock.now_s() * 1000), 2)
    return picture, fields


@asynccontextmanager
async def fresh_store(url: str) -> AsyncIterator[Store]:
    """Keys of one example's own."""
    opened = Store.open(url, shards=3)
    try:
        yield Store(opened.client, 3, prefix=f"example-{next(_examples)}")
    finally:
        await opened.close()


def agrees(picture: Picture, fields: dict[str, str], model: Model) -> None:
    zones = {(one.lot, one.zone): one for lot in picture.lots.values() for one in lot.zones}
    assert zones["market", "all"].counted == model.market
    assert zones["hotel", "all"].counted == model.newest["hotel-count"].fact[0]
    occupied = {
        number: json.loads(fields[f"b/clinic-yard/yard/A{number:02d}/{bay(number)[1]}"][41:])[3]
        for number in (1, 2)
    }
    assert occupied == {number: int(model.newest[bay(number)[1]].fact[0]) for number in (1, 2)}
    for way, place in (("in", 0), ("out", 1)):
        camera = f"square-cam-{way}"
        total = json.loads(fields.get(f"l/square/{way}/{camera}", "[0,0]"))
        assert total[place] == model.passed.get(camera, 0)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    boots=st.integers(1, 4),
    length=st.integers(1, 12),
    copies=st.integers(1, 5),
    ingesters=st.integers(1, 2),
)
def test_case_4_any_order_any_copies_any_split_end_as_in_order(
    catalog: Catalog, redis_url: str, seed: int, boots: int, length: int, copies: int,
    ingesters: int,
) -> None:  # fmt: skip
    dice = random.Random(seed)
    said = street(dice, boots, length)
    heard = [one for one in said for _ in range(dice.randint(1, copies))]
    dice.shuffle(heard)

    async def run() -> None:
        async with fresh_store(redis_url) as store:
            picture, fields = await deliver(catalog, store, heard, dice, ingesters)
            agrees(picture, fields, Model(said))
            now_ms = int(Clock().now_s() * 1000)
            asks = await store.sweep(now_ms + 60_000, grace_ms=0, ask_every_ms=0)
        # Nothing of the boot that runs is missing in the end.
        current = {(device, one.boot) for device, one in Model(said).newest.items()}
        asked = {(device, int(boot)) for device, ranges in asks.items() for boot, _, _ in ranges}
        assert not asked & current

    asyncio.run(run())


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), lost=st.floats(0.05, 0.5), ingesters=st.integers(1, 2))
def test_case_3_what_is_lost_is_missing_and_nothing_else(
    catalog: Catalog, redis_url: str, seed: int, lost: float, ingesters: int
) -> None:
    dice = random.Random(seed)
    said = street(dice, 1, 40)
    first = {device: min(one.seq for one in said if one.device == device)
             for device in {one.device for one in said}}  # fmt: skip
    kept = [one for one in said if one.seq == first[one.device] or dice.random() > lost]
    heard = [one for one in kept if one.seq == first[one.device]]
    rest = [one for one in kept if one.seq != first[one.device] for _ in range(dice.randint(1, 3))]
    dice.shuffle(rest)

    async def run() -> None:
        async with fresh_store(redis_url) as store:
            await deliver(catalog, store, heard, dice, 1)  # what came before is not ours to miss
            picture, fields = await deliver(catalog, store, rest, dice, ingesters)
            agrees(picture, fields, Model(kept))
            now_ms = int(Clock().now_s() * 1000)
            await store.sweep(now_ms + 60_000, grace_ms=0, ask_every_ms=0)
            missing = await missing_in(store)
        came = {(one.device, one.seq) for one in kept}
        last = {device: max(one.seq for one in kept if one.device == device) for device in first}
        assert missing == {
            (one.device, one.seq)
            for one in said
            if (one.device, one.seq) not in came and one.seq < last[one.device]
        }

    asyncio.run(run())


async def missing_in(store: Store) -> set[tuple[str, int]]:
    missing: set[tuple[str, int]] = set()
    for shard in range(store.shards):
        for field, text in (await store.snapshot(shard)).fields.items():
            if field.startswith("g/"):
                for gap in read_gaps(text):
                    low, high = gap.seqs
                    missing |= {(field[2:], seq) for seq in range(low, high + 1)}
    return missing
