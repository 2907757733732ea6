"""The service split by role: processes of their own over one Redis, one broker, one database."""

import asyncio
import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from occupancy_scene import say, until
from processes import SMALL, wait_until_gone

from devices.mqtt import Link
from service.embedded import free_port
from service.lifecycle import Child
from service.occupancy.report import read_told
from service.occupancy.store import Store

ENTERED_BEFORE = timedelta(hours=2)
READY_WITHIN_S = 120
STOPPED_WITHIN_S = 30
TOLD_WITHIN_S = 30


class Split:
    """Processes of `bowei serve`, one role each, with a state folder that they share."""

    def __init__(self, folder, redis_url, broker_url, sql_url):
        self.folder = folder
        self.broker_url = broker_url
        self.port = free_port()
        self.processes = {}
        self.file = folder / "my.toml"
        self.file.write_text(
            f'sites = ["{SMALL}"]\nstate_dir = "state"\n[http]\nport = {self.port}\n'
            f'[redis]\nurl = "{redis_url}"\n[mqtt]\nurl = "{broker_url}"\nshare = "bowei"\n'
            f'[sql]\nurl = "{sql_url}"\n[board]\nhold_s = 0\n[payments]\nprovider = "sandbox"\n'
        )

    def start(self, name, role):
        argv = [sys.executable, "-m", "service", "serve", "--config", str(self.file)]
        log = self.folder / f"{name}.log"
        self.processes[name] = Child(name, [*argv, "--role", role], log)

    async def ready(self):
        def all_ready():
            for one in self.processes.values():
                assert one.alive, one.last_words(20)
            return all("\nready: " in one.log.read_text() for one in self.processes.values())

        await until(all_ready, READY_WITHIN_S)

    def stop(self):
        pids = {one.pid for one in self.processes.values()}
        for one in self.processes.values():
            one.process.terminate()
        codes = {name: one.process.wait(STOPPED_WITHIN_S) for name, one in self.processes.items()}
        assert wait_until_gone(pids) == set()
        assert set(codes.values()) == {0}, codes

    async def get(self, path):
        return await asyncio.to_thread(self._get, path)

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def sql_url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def split(tmp_path, redis_url, broker_url, sql_url):
    """Two ingesters, a board, a collector and the web."""
    running = Split(tmp_path, redis_url, broker_url, sql_url)
    running.start("ingest-1", "ingest")
    for name, role in (
        ("ingest-2", "ingest"), ("signs", "signs"), ("settle", "settle"), ("web", "web"),
    ):  # fmt: skip
        running.start(name, role)
    yield running
    for one in running.processes.values():
        one.kill()


async def passes(link, way, car, at=None):
    """One car at the square's lane, and what the gate answers."""
    answers = asyncio.Queue()
    lane = f"bowei/lots/square/lanes/{way}"
    await link.subscribe(f"{lane}/{car}", lambda message: answers.put_nowait(message.payload))
    body = {"event": f"{way}-{car}", "plate": f"浙A{car:05d}", "color": "blue", "confidence": 0.99}
    if at is not None:
        body |= {"at": at.isoformat(), "buffered": True}
    said = say(f"square-cam-{way}", car, direction=way, **body)
    await link.publish(f"{lane}/passage", said, response_topic=f"{lane}/{car}")
    return json.loads(await asyncio.wait_for(answers.get(), TOLD_WITHIN_S))


async def first_bill(link):
    """The bill of a car that stayed two hours; a gate too busy to look up its entry asks none."""
    for car in range(10):
        entered_at = datetime.now(UTC) - ENTERED_BEFORE  # noqa: TID251
        assert (await passes(link, "in", car, entered_at))["reason"] == "recorded"
        left = await passes(link, "out", car)
        assert left["open"]
        if left["bill"]:
            return left["bill"]
    pytest.fail(f"ten cars left without a bill, the last one as {left['reason']}")


@pytest.mark.mosquitto
async def test_pages_gate_and_signs_live_in_processes_of_their_own(split):
    retained = {}
    await split.ready()
    async with Link(split.broker_url, "street") as link:

        def shown(message):
            sign = message.topic.split("/")[2]
            retained[sign] = message.payload
            revision = json.loads(message.payload)["revision"]
            link.publish(f"bowei/signs/{sign}/shown", json.dumps({"revision": revision}).encode())

        link.subscribe("bowei/signs/+/frame", shown)
        for seq, occupied in enumerate((20, 30, 35)):
            said = say("hotel-count", seq, occupied=occupied)
            await link.publish("bowei/lots/hotel/zones/all/count", said)

        # Guidance: what is counted reaches the page, the sign, and the sign's page alike.
        await until(lambda: b'"value":"5"' in retained.get("avenue", b""), TOLD_WITHIN_S)
        await told(split, "/api/v1/lots", hotel_has_five)
        await same_frames(split, retained)
        await told(split, "/api/v1/signs", all_shown)
        assert "小城饭店" in (await split.get("/signs")).decode()
        await told(split, "/readyz", lambda said: said["ready"])

        # Settlement: entry and exit by any ingester, the bill on the web's page.
        bill = await first_bill(link)
        assert "站前广场" in (await bill_page(split, bill)).decode()
    split.stop()


async def told(split, path, holds):
    """Wait until the web says so: it hears of things at a moment of its own."""
    async with asyncio.timeout(TOLD_WITHIN_S):
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                if holds(json.loads(await split.get(path))):
                    return
            await asyncio.sleep(0.1)


def hotel_has_five(said):
    return next(one for one in said["lots"] if one["id"] == "hotel")["free"] == 5


def all_shown(said):
    return {one["delivery"] for one in said["signs"]} == {"shown"}


async def bill_page(split, bill):
    """It may have gone to the gate's journal first, where SQL was slow."""
    for _ in range(150):
        try:
            return await split.get(bill[bill.index("/b/") :])
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            await asyncio.sleep(0.2)
    pytest.fail("no bill behind its link")


async def same_frames(split, retained):
    """Whatever the panels were sent is what the web answers, byte for byte."""
    served = {}
    for _ in range(150):
        for sign in ("avenue", "crossing", "market-gate", "station-road"):
            with contextlib.suppress(urllib.error.HTTPError):  # it has not heard of it yet
                served[sign] = await split.get(f"/api/v1/signs/{sign}/frame")
        if len(served) == 4 and served == retained:
            break
        await asyncio.sleep(0.1)  # a renewal was on its way
    assert served == retained
    assert len(served) == 4


@pytest.mark.mosquitto
@pytest.mark.parametrize("sql_url", ["sqlite_url"], indirect=True)
async def test_two_ingesters_share_and_one_that_is_killed_is_made_up_for(split, redis_url):
    await split.ready()
    names = {one.name for one in (split.folder / "state" / "instances").glob("ingest@*")}
    assert len(names) == 2
    store = Store.open(redis_url)
    async with Link(split.broker_url, "street") as link:
        for seq in range(600):
            body = say("market-counter", seq, entered=seq + 1, left=0)
            link.publish("bowei/lots/market/zones/all/count", body)
            if seq == 300:
                split.processes.pop("ingest-2").kill()
                split.start("ingest-2", "ingest")
            await asyncio.sleep(0.002)
        await split.ready()
        try:
            await asyncio.wait_for(known(store, "z/market/all/market-counter", 600), 120)
            await asyncio.wait_for(without_gaps(store, "g/market-counter"), 120)
        finally:
            await store.close()
    again = {one.name for one in (split.folder / "state" / "instances").glob("ingest@*")}
    assert again == names, "it came back under the name it had, to the messages kept for it"
    said = Counter(one.log.read_text().count("client id") for one in split.processes.values())
    assert set(said) == {0}, "nobody ousted anybody"


async def known(store, field, entered):
    while True:
        text = (await store.snapshot(store.shard(field.rpartition("/")[2]))).fields.get(field)
        if text is not None and read_told(text).entered == entered:
            return
        await asyncio.sleep(0.1)


async def without_gaps(store, field):
    while field in (await store.snapshot(store.shard(field[2:]))).fields:
        await asyncio.sleep(0.2)
