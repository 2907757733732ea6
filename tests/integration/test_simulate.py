"""The district over a real broker and a real HTTP server, read by the real codecs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from click.testing import CliRunner

from devices.gates import REGISTRY as GATES
from devices.mqtt import Link, Message
from devices.reading import Count, Passage, PlateColor
from devices.sensors import REGISTRY as SENSORS
from devices.sensors import bowei
from devices.sensors.envelopes import open_envelope
from devices.simulator import memory
from devices.simulator.cameras import Look
from devices.simulator.http_cameras import Endpoint
from devices.simulator.news import Passed
from devices.simulator.plan import Faults
from devices.simulator.street import Street, remembered
from devices.simulator.world import World
from service.catalog_file import load_catalog
from service.clock import Clock, clock_from
from service.commands.simulate import district, endpoints, simulate
from service.credentials import holder_key
from service.running import Running, announce

SMALL = Path(__file__).parents[1] / "catalogs" / "small"
SPEED = 300.0
BUSY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # a Monday, 09:00 in Hangzhou


class Lived:
    """What a subscriber to everything heard of a street, and what the street said at the end."""

    def __init__(self):
        self.topics = Counter()
        self.uplinks = defaultdict(list)
        self.asked = []
        self.shown = []
        self.refusals = []

    def hear(self, message):
        parts = message.topic.split("/")
        self.topics[parts[0], parts[-1]] += 1
        match parts:
            case ["bowei", "lots", _, "zones", _, "count"]:
                self._keep(bowei.decode_count(parts, message.payload))
            case ["bowei", "lots", _, "bays", _]:
                self._keep(bowei.decode_bay(parts, message.payload))
            case ["bowei", "devices", _, "status"]:
                self._keep(bowei.decode_status(parts, message.payload))
            case ["bowei", "lots", _, "lanes", _, "passage"]:
                self._keep(bowei.decode_passage(parts, message.payload))
                self.asked.append((message.response_topic, parts[2], parts[4]))
            case ["application" | "v3", *_]:
                self._keep_vendor(open_envelope(message.topic, message.payload))
            case ["device", camera, "message", "up", _]:
                event = GATES["vzenith_mqtt"].decode(message.payload, "")
                self.uplinks[camera].append(event)
            case ["bowei", "signs", sign, "shown"]:
                self.shown.append((sign, msgspec.json.decode(message.payload)))

    def _keep(self, uplink):
        self.uplinks[uplink.device].append(uplink)

    def _keep_vendor(self, envelope):
        model = "bosch_tps110" if "0102030405060708" in envelope.names else "pni_placepod"
        assert SENSORS[model](envelope.port, envelope.data)
        self.uplinks[model].append(envelope)


def street(url, clock, **more):
    catalog = load_catalog([SMALL])
    faults = Faults(silences_per_day=0)
    plan = district(catalog, seed=3, speed=clock.speed, faults=faults)
    return Street(World(plan, clock.now_s()), clock, url, **more)


async def live(one, wall_s, meanwhile=None):
    running = asyncio.create_task(one.run())
    if meanwhile is not None:
        await meanwhile()
    await asyncio.sleep(wall_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled() or running.exception() is None


async def test_everything_that_is_said_is_read_by_the_codecs(broker_url):
    clock = clock_from(BUSY, SPEED)
    one, heard = street(broker_url, clock), Lived()

    def enough():
        said, devices = heard.topics, heard.uplinks
        return (
            said["bowei", "count"] > 10
            and said["bowei", "passage"] > 10
            and said["device", "ivs_result"] > 2
            and said["device", "keep_alive"] > 1
            and {"cy-A01", "bosch_tps110", "pni_placepod", "square-cam-in"} <= devices.keys()
            and any(isinstance(told, Count) and told.entered for told in counter())
        )

    def counter():
        return [told.readings[0] for told in heard.uplinks.get("market-counter", [])]

    def gone():
        return getattr(counter()[-1], "online", None) is False

    async with Link(broker_url, "listener") as link:
        await link.subscribe(("#",), heard.hear)
        one.connections.settle = lambda _: asyncio.sleep(2)  # long enough for the last words
        await live(one, 0, partial(until, enough, 60))
        await until(gone)  # it says goodbye
    for device, uplinks in heard.uplinks.items():
        ordered = [one for one in uplinks if hasattr(one, "boot")]
        assert len({one.boot for one in ordered if hasattr(one, "device")}) <= 1, device
    own = [one.seq for one in heard.uplinks["square-cam-in"]]
    assert set(own) == set(range(1, max(own) + 1)), "a camera of ours loses nothing"


async def until(what, wait_s=20.0):
    """Poll: another process and a broker set no Event."""
    deadline = time.monotonic() + wait_s
    while not what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_signs_show_acknowledge_and_go_dark_after_their_lease(broker_url):
    clock = clock_from(BUSY, 1.0)
    one, heard = street(broker_url, clock), Lived()
    panel = one.world.traffic.panels["avenue"]
    topic = "bowei/signs/avenue/frame"
    frame = {
        "sign": "avenue", "revision": 7, "lease_s": 3.0, "lines": [
            {"lot": "market", "value": "33", "state": "free", "name": {"zh": "x", "en": "x"}},
            {"lot": "hotel", "value": "满", "state": "full"},
        ],
    }  # fmt: skip

    def lit():
        return len(panel.read(clock.now_s()))

    async def meanwhile():
        async with Link(broker_url, "board") as link:
            await link.subscribe(("bowei/signs/+/shown",), heard.hear)
            await link.publish("bowei/signs/nowhere/frame", b"{}", retain=True)
            await link.publish("bowei/signs/crossing/frame", b"\xff nonsense")
            await link.publish(topic, msgspec.json.encode(frame), retain=True)
            await until(lambda: lit() == 2)
            assert len(one.world.sign_errors()) == 1
            await until(lambda: lit() == 0)
            assert panel.lines, "nobody told it: the lease ended"
            await link.publish(topic, msgspec.json.encode({**frame, "lease_s": 600}))
            await until(lambda: lit() == 2)
            await link.publish(topic, b"", retain=True)
            await until(lambda: lit() == 0)
            await until(lambda: len(heard.shown) == 2)

    await live(one, 0, meanwhile)
    assert [(sign, said["revision"]) for sign, said in heard.shown] == [("avenue", 7)] * 2
    assert one.frames_refused <= 1  # the nonsense, if the signs were there already


async def test_barriers_open_for_the_answer_to_their_event(broker_url):
    clock = clock_from(BUSY, SPEED)
    one = street(broker_url, clock)
    answered, tally = Counter(), one.world.tally

    async def meanwhile():
        async with Link(broker_url, "gate") as link:

            def answer(message):
                parts = message.topic.split("/")
                if parts[0] == "bowei" and message.response_topic:
                    body = msgspec.json.encode({"open": True, "reason": "ok"})
                    link.publish(message.response_topic, body)
                    answered["own"] += 1
                elif parts[-1] == "ivs_result":
                    event = GATES["vzenith_mqtt"].decode(message.payload, "")
                    if isinstance(event, Passage) and not event.buffered:
                        at = clock.now()
                        link.publish(
                            *GATES["vzenith_mqtt"].command(message.topic, parts[1], "1", at)
                        )
                        answered["vzenith"] += 1

            await link.subscribe(("bowei/lots/+/lanes/+/passage", "device/#"), answer)
            await until(lambda: min(answered["own"], answered["vzenith"]) >= 5, 60)
            await until(lambda: tally.answered_open >= 10)
            # Those who wait for HTTP cameras of nobody are let through by hand.
            await until(lambda: tally.by_hand <= 0.3 * tally.answered_open, 60)

    await live(one, 0, meanwhile)
    assert tally.answered_open > 0.5 * (answered["own"] + answered["vzenith"])
    assert one.waits_ms


async def test_a_command_opens_for_the_car_that_stands_there():
    """It names none; after a car that was let through by hand the next ones get their own."""
    one = street("mqtt://127.0.0.1:1", clock_from(BUSY, SPEED))
    world, cameras = one.world, one.world.cameras
    cameras.faults = Faults(missed=0, resent=0)
    camera = next(plan for plan in world.district.cameras if plan.model == "vzenith_mqtt")
    seen, driven = Look("浙A00001", PlateColor.BLUE, "in"), []
    command = Message(
        f"device/{camera.id}/message/down/gpio_out".encode(), b"{}", False, None, False, 0, 1
    )

    def until(seconds):
        for news in world.advance(world.now_s + seconds):
            if isinstance(news, Passed) and news.camera is camera:
                one._carry_camera(news)

    until(0)
    for car in range(3):
        cameras.passes(camera.lot, camera.lane, seen, barrier=True, go=partial(driven.append, car))
    until(world.district.pace.patience_s + 1)
    assert driven == [0], "by hand: nobody answered"
    until(2)
    one._hear_command(command)
    assert driven == [0, 1]
    until(3)
    one._hear_command(command)
    assert driven == [0, 1, 2]
    assert max(one.waits_ms) < 5000


async def test_http_cameras_show_their_keys_open_on_the_reply_and_send_late_what_failed(broker_url):
    clock = clock_from(BUSY, SPEED)
    posts, turned_away = [], set()
    broken = True

    async def push(request):
        name, _, key = b64decode(request.headers["Authorization"][6:]).decode().partition(":")
        assert key == f"key of {name}"
        model = GATES["vzenith_http" if "vzenith" in request.path else "hikvision_http"]
        event = model.decode(await request.read(), request.headers["Content-Type"])
        if broken:
            turned_away.add((name, getattr(event, "event_id", None)))
            return web.Response(status=503)
        posts.append((name, event))
        reply = model.reply(isinstance(event, Passage), event)
        return web.Response(body=reply.body, content_type=reply.content_type)

    app = web.Application()
    app.router.add_post("/cameras/{camera}/{model}", push)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    doors = {
        "cy-cam-out": Endpoint(f"{base}/cameras/cy-cam-out/vzenith", "key of cy-cam-out"),
        "market-cam-out": Endpoint(
            f"{base}/cameras/market-cam-out/hikvision", "key of market-cam-out"
        ),
    }
    one = street(broker_url, clock, endpoints=doors)

    async def meanwhile():
        nonlocal broken
        await until(lambda: any(event for _, event in turned_away), 60)
        broken = False
        await until(lambda: {name for name, _ in passages()} == set(doors), 60)
        await until(lambda: turned_away & late_ones(), 60)  # sent again after the outage
        await until(lambda: len(posts) > len(passages()), 60)  # heartbeats
        await until(lambda: one.world.tally.answered_open > 0, 60)  # Vzenith's reply opens

    def passages():
        return [(name, event) for name, event in posts if isinstance(event, Passage)]

    def late_ones():
        return {(name, event.event_id) for name, event in passages() if event.buffered}

    try:
        await live(one, 0, meanwhile)
    finally:
        await runner.cleanup()


def test_keys_and_addresses_of_http_cameras(monkeypatch):
    catalog = load_catalog([SMALL])
    key = b"k" * 32
    doors = endpoints(catalog.cameras.values(), "http://h:1", key)
    assert set(doors) == {"cy-cam-out", "market-cam-out"}
    assert doors["cy-cam-out"].url == "http://h:1/cameras/cy-cam-out/vzenith"
    assert doors["market-cam-out"].url == "http://h:1/cameras/market-cam-out/hikvision"
    assert doors["cy-cam-out"].key == holder_key(key, "camera", "cy-cam-out", None, {}).decode()
    camera = msgspec.structs.replace(catalog.cameras["cy-cam-out"], key_env="BOWEI_KEY_X")
    monkeypatch.setenv("BOWEI_KEY_X", "from outside " * 4)
    assert endpoints([camera], "http://h:1", key)["cy-cam-out"].key == "from outside " * 4


def test_what_is_not_simulated_is_left_alone():
    catalog = load_catalog([SMALL])
    quiet = msgspec.structs.replace(catalog.lots["market"], simulated=False)
    catalog = msgspec.structs.replace(catalog, lots={**catalog.lots, "market": quiet})
    plan = district(catalog)
    assert "market" not in {lot.id for lot in plan.lots}
    assert "market-counter" not in {sensor.id for sensor in plan.sensors}
    assert "market-cam-in" not in {camera.id for camera in plan.cameras}
    assert World(plan, 1772409600.0).advance(1772413200.0)


def test_a_foreign_broker_is_refused(broker_url, tmp_path):
    refused = CliRunner().invoke(simulate, ["--mqtt", broker_url, "--state", str(tmp_path)])
    assert refused.exit_code == 2
    assert "--allow-foreign-broker" in refused.output
    assert CliRunner().invoke(simulate, ["--state", str(tmp_path)]).exit_code == 2
    half = [
        "--mqtt",
        broker_url,
        "--allow-foreign-broker",
        "--anchor",
        "5",
        "--state",
        str(tmp_path),
    ]
    assert "belong together" in CliRunner().invoke(simulate, half).output


@pytest.fixture
def beside_run(broker_url, tmp_path):
    """A state folder as a run leaves it; the run is a sleeping process of ours."""
    run = subprocess.Popen(["sleep", "600"])
    announce(
        tmp_path,
        Running(
            run.pid, "http://127.0.0.1:9", broker_url, "", "", own_broker=True,
            clock=Clock(), sites=(str(SMALL),), seed=5,
        ),
    )  # fmt: skip
    yield tmp_path, run
    run.kill()
    run.wait()


def start(state):
    argv = [sys.executable, "-m", "service", "simulate", "--state", str(state)]
    child = subprocess.Popen(
        [*argv, "--report-every", "1"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert "a district of 5 lots" in child.stdout.readline()
    child.stdout.readline()  # the first statistics: it lives
    return child


def test_beside_a_run_it_remembers_and_ends_with_it(beside_run):
    state, run = beside_run
    child = start(state)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
    child.stdout.close()
    kept = remembered(state / "district.json")
    assert len(kept.cars) > 50
    (state / "district.json").write_bytes(b"torn")
    assert memory.decode(b"torn") is None
    child = start(state)
    run.kill()
    run.wait()
    assert child.wait(30) == 0, "the run is gone, so is its district"
    child.stdout.close()


async def test_a_killed_district_is_declared_dead_by_the_broker(beside_run, broker_url):
    state, _ = beside_run
    child = start(state)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    gone = {}

    def hear(message):
        uplink = bowei.decode_status(message.topic.split("/"), message.payload)
        gone[uplink.device] = uplink.readings[0].online

    async with Link(broker_url, "listener") as link:
        await link.subscribe(("bowei/devices/+/status",), hear)
        await until(lambda: gone.get("market-counter") is gone.get("hotel-count") is False, 30)
