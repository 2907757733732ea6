"""HTTP cameras: who is believed, and the one reply that opens a gate."""

import base64
import io
import json

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY as METRICS
from settlement_parts import KEY, running

from service.credentials import derived_key
from service.web import cameras, keys
from service.web.site import make_app

CAMERA = "cy-cam-out"  # vzenith_http, at the clinic's exit
ADDRESS = f"/cameras/{CAMERA}/vzenith"
OWN = derived_key(KEY, "camera", CAMERA)
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{CAMERA}:{OWN}".encode()).decode()}


def alarm(sec, plate="浙A00001", **result):
    """A push of the camera, `sec` its own clock."""
    read = {"license": plate, "colorType": 1, "type": 1, "confidence": 96, "triggerType": 1,
            "timeStamp": {"Timeval": {"sec": sec, "usec": 0}}} | result  # fmt: skip
    said = {"AlarmInfoPlate": {"channel": 0, "serialno": "fd495d6ee960dbec",
                               "result": {"PlateResult": read}}}  # fmt: skip
    return json.dumps(said).encode()


@pytest.fixture
async def gate(sqlite_url, tmp_path, catalog, clock):
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        parts.strangers = []
        app = make_app({
            keys.CATALOG: catalog, keys.CLOCK: clock, keys.SIGNING_KEY: KEY,
            cameras.PASSED: parts.gate.passed,
            cameras.UNKNOWN: lambda *told: parts.strangers.append(told),
        })  # fmt: skip
        async with TestClient(TestServer(app)) as parts.client:
            yield parts


async def push(gate, body, address=ADDRESS, headers=BASIC):
    async with gate.client.post(address, data=body, headers=headers) as response:
        return response.status, await response.read()


def opens(body: bytes) -> bool:
    return b'"ok"' in body


def refused(reason: str) -> float:
    return (
        METRICS.get_sample_value("bowei_refused_total", {"edge": "camera", "reason": reason}) or 0
    )


async def test_the_gate_opens_once_for_a_car_that_may_go(gate):
    await gate.enter(0, lot="clinic-yard")
    now = int(gate.at(5).timestamp())
    gate.clock.advance(300)
    first, again = await push(gate, alarm(now)), await push(gate, alarm(now))
    assert (first[0], opens(first[1])) == (200, True)
    assert (again[0], opens(again[1])) == (200, False)  # a re-send: the barrier was told


async def test_a_key_in_the_address_will_do(gate):
    await gate.enter(0, lot="clinic-yard")
    gate.clock.advance(300)
    body = alarm(int(gate.at(5).timestamp()))
    status, reply = await push(gate, body, f"{ADDRESS}?key={OWN}", {})
    assert (status, opens(reply)) == (200, True)


async def test_who_must_pay_stays(gate):
    await gate.enter(0, lot="clinic-yard")
    gate.clock.advance(61 * 60)
    status, reply = await push(gate, alarm(int(gate.at(61).timestamp())))
    assert (status, opens(reply)) == (200, False)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"AlarmInfoPlate": {"serialno": "s", "heartbeat": 1}}).encode(),
        b'{"AlarmGioIn": {"result": {"TriggerResult": {"source": 1, "value": 1}}}}',
        alarm(1772409900, isoffline=1),
        alarm(1772409900, triggerType=66),
    ],
)  # fmt: skip
async def test_nothing_but_a_live_passage_opens(gate, body):
    await gate.enter(0, lot="clinic-yard")
    gate.clock.advance(300)
    status, reply = await push(gate, body)
    assert (status, opens(reply)) == (200, False)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 20_000, b'{"AlarmInfoPlate": {}}'])
async def test_nonsense_is_answered_closed_and_counted(gate, body):
    status, reply = await push(gate, body)
    assert (status, opens(reply)) == (400, False)


async def test_a_body_beyond_the_limit_is_refused(gate):
    status, _ = await push(gate, io.BytesIO(b" " * (5 * 1024 * 1024)))
    assert status == 413


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (ADDRESS, {}),
        (ADDRESS, {"Authorization": "Basic !!!"}),
        (ADDRESS, {"Authorization": "Bearer x"}),
        (f"{ADDRESS}?key=wrong", {}),
        (f"{ADDRESS}?key=%ff", {}),
        (f"{ADDRESS}?key={derived_key(KEY, 'camera', 'market-cam-out')}", {}),
        ("/cameras/market-cam-in/bowei", BASIC),
        ("/cameras/cy-cam-in/vzenith", {}),  # an MQTT camera has no HTTP key
    ],
)
async def test_without_its_own_key_nobody_is_believed(gate, address, headers):
    await gate.enter(0, lot="clinic-yard")
    gate.clock.advance(300)
    status, reply = await push(gate, alarm(int(gate.at(5).timestamp())), address, headers)
    assert (status, opens(reply)) == (401, False)


async def test_an_unknown_camera_is_listed_and_refused(gate):
    before = refused("unknown_camera")
    status, _ = await push(gate, alarm(1), "/cameras/new-one/vzenith", BASIC)
    assert status == 401
    assert gate.strangers == [("new-one", "http vzenith", "unknown_device")]
    assert refused("unknown_camera") == before + 1


async def test_another_vendors_address_is_not_found(gate):
    status, _ = await push(gate, alarm(1), f"/cameras/{CAMERA}/hikvision")
    assert status == 404


async def test_hikvision_is_taken_and_never_opens_by_its_reply(gate):
    own = derived_key(KEY, "camera", "market-cam-out")
    await gate.enter(0)
    gate.clock.advance(300)
    body = (
        "<EventNotificationAlert><eventType>ANPR</eventType>"
        f"<dateTime>{gate.at(5).isoformat()}</dateTime><UUID>u1</UUID><ANPR>"
        "<licensePlate>浙A00001</licensePlate><confidenceLevel>92</confidenceLevel>"
        "</ANPR></EventNotificationAlert>"
    ).encode()
    status, reply = await push(
        gate, body, f"/cameras/market-cam-out/hikvision?key={own}", {"Content-Type": "text/xml"}
    )
    assert (status, reply) == (200, b"")
    stays = [msgspec.structs.asdict(one) for one in gate.gate.book.sessions.values()]
    assert [one["exit_lane"] for one in stays] == ["out"]
