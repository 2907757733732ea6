"""The operations page: everything that lives, plates masked, and for this machine alone."""

import asyncio
import re
import socket

import pytest
from aiohttp import ClientSession
from town import living

PLATE = "浙A00001"


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        yield town


async def until(town, holds):
    """The first state of the page's data for which `holds` is true."""
    async with asyncio.timeout(30):
        while True:
            state = await town.json("/ops/state.json")
            if holds(state):
                return state
            await asyncio.sleep(0.1)


async def test_lots_and_signs_are_there_as_they_are(town):
    await town.free("market", "all", "market-counter", 87)
    state = await until(town, lambda state: any(one["lines"] for one in state["signs"]))
    lots = {one["id"]: one for one in state["lots"]}
    assert set(lots) == set(town.catalog.lots)
    market = lots["market"]
    assert (market["free"], market["capacity"], market["quality"]) == (87, 120, "fresh")
    assert 0 <= market["age_s"] < 30
    assert market["zones"][0]["fed_by"] == "counter"
    yard = lots["clinic-yard"]
    assert (yard["free"], yard["quality"], yard["why"]) == (None, "unknown", "never_heard")
    assert {one["id"] for one in state["signs"]} == set(town.catalog.signs)
    assert state["parts"]["mirror"]["ready"]


async def test_known_devices_tell_how_they_are_and_unknown_ones_what_they_lack(town):
    await town.free("market", "all", "market-counter", 87)
    await town.say("bowei/lots/market/zones/all/count", "stranger", free=3)
    await town.say("bowei/lots/nowhere/bays/B7", "lost-one", occupied=True)
    state = await until(
        town, lambda state: state["devices"] and len(state["devices"]["unknown"]) > 1
    )
    devices = state["devices"]
    unknown = {one["device"]: one for one in devices["unknown"]}
    assert unknown["stranger"]["reason"] == "unknown_device"
    assert unknown["stranger"]["add"] == 'market, all: sensors = [{ id = "stranger" }]'
    assert unknown["stranger"]["topic"] == "bowei/lots/market/zones/all/count"
    assert unknown["lost-one"]["reason"] == "unknown_place"
    assert unknown["lost-one"]["count"] == 1
    known = {one["device"]: one for one in devices["known"]}
    assert known["market-counter"]["state"] == "healthy"
    assert known["hotel-count"]["state"] == "never_heard"
    assert devices["total"] == len(known)


async def test_a_session_is_listed_with_its_plate_masked(town):
    await town.free("market", "all", "market-counter", 87)  # who says so hears the camera, too
    await town.say(
        "bowei/lots/market/lanes/in/passage", "market-cam-in", event="e1", plate=PLATE, color="blue"
    )
    state = await until(town, lambda state: state["sessions"]["newest"])
    (session,) = state["sessions"]["newest"]
    assert session["lot"] == "market"
    assert session["state"] == "entered"
    assert session["plate"].endswith(PLATE[-2:])
    assert "*" in session["plate"]
    assert state["sessions"]["counted"] == {"entered": 1}
    raw = await town.text("/ops/state.json")
    assert PLATE not in raw
    assert PLATE[2:] not in raw


async def test_what_was_refused_is_counted_by_edge_and_reason(town):
    await town.free("market", "all", "market-counter", 87)  # who says so hears the rest, too
    await town.link.publish("bowei/lots/market/zones/all/count", b"\xff{nonsense")
    state = await until(town, lambda state: state["refused"])
    assert all(len(row) == 3 and row[2] > 0 for row in state["refused"])
    await town.get("/go/market?app=amap&from=avenue&v=a&t=b")
    await until(town, lambda state: ["go", "forged"] in [row[:2] for row in state["refused"]])


async def test_only_this_machine_by_its_own_name_is_let_in(town):
    port = town.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST", "[::1]"):
        assert (await town.get("/ops/", headers={"Host": host})).status == 200, host
    strange = [
        {"Host": "parking.example.cn"},
        {"Host": f"127.0.0.1.evil.example:{port}"},
        {"Host": "127.0.0.1:evil"},
        {"Host": f"evil.example@127.0.0.1:{port}"},
        {"Host": "2130706433"},
        {"Host": "0.0.0.0"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ]
    for headers in strange:
        page = await town.get("/ops/", headers=headers)
        assert page.status == 403, headers
        assert "值班台只在本机打开" in await page.text()
        data = await town.get("/ops/state.json", headers=headers)
        assert data.status == 403, headers
        assert (await data.json())["error"]["code"] == "not_local"


async def test_a_machine_elsewhere_is_refused_whatever_host_it_names(
    catalog, redis_url, broker_url, sqlite_url, tmp_path
):
    ours = _own_address()
    if ours is None:
        pytest.skip("this machine has no address but loopback")
    async with (
        living(
            catalog, redis_url, broker_url, sqlite_url, tmp_path / "state", host="0.0.0.0"
        ) as town,
        ClientSession() as http,
    ):
        port = town.url.rpartition(":")[2]
        headers = {"Host": f"127.0.0.1:{port}"}
        async with http.get(f"http://{ours}:{port}/ops/", headers=headers) as answer:
            assert answer.status == 403
        async with http.get(f"http://{ours}:{port}/signs") as answer:
            assert answer.status == 200


def _own_address():
    """This machine's address towards others, found without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


async def test_the_page_speaks_both_languages_and_runs_no_script_of_its_own(town):
    page = await town.text("/ops/")
    assert "值班台" in page
    english = await town.text("/ops/?lang=en")
    assert "Operations" in english
    kinds = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in one or 'type="application/json"' in one for one in kinds)
    assert " style=" not in page
    assert (await town.get("/ops")).headers["Location"] == "/ops/"
