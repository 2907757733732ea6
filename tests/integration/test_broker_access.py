"""Case 25: a sensor that publishes on another's topic is denied by the broker."""

import asyncio
from pathlib import Path

import pytest

from service.broker_access import access_file

NOT_AUTHORIZED = 135
PUBACK = 0x40


@pytest.fixture
def guarded(start_broker, tmp_path, catalog) -> int:
    """The port of a broker that keeps to the access file of the small town."""
    file = tmp_path / "acl"
    file.write_text(access_file(catalog))
    file.chmod(0o600)
    return start_broker(settings=f"acl_file {file}\n").port


async def outcome(port: int, user: str, topic: str) -> int:
    """The reason code that the broker acknowledges one MQTT 5 publish of `user` with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        connect = text("MQTT") + b"\x05\x82\x00\x0a\x00" + text(user) + text(user)
        writer.write(packet(0x10, connect) + packet(0x32, text(topic) + b"\x00\x01\x00{}"))
        while True:
            kind, length = await asyncio.wait_for(reader.readexactly(2), 30)
            body = await reader.readexactly(length)
            if kind == PUBACK:
                return body[2] if length > 2 else 0
    finally:
        writer.close()
        await writer.wait_closed()


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


OWN = [
    ("hotel-count", "bowei/lots/hotel/zones/all/count"),
    ("hotel-count", "bowei/devices/hotel-count/status"),
    ("cy-A03", "bowei/lots/clinic-yard/bays/A03"),
    ("market-cam-in", "bowei/lots/market/lanes/in/passage"),
    ("cy-cam-in", "device/cy-cam-in/message/up/ivs_result"),
    ("cy-cam-in", "cy-cam-in/device/message/up/ivs_result"),
    ("avenue", "bowei/signs/avenue/shown"),
    ("chirpstack", "application/1/device/0102030405060708/event/up"),
    ("bowei", "bowei/signs/avenue/frame"),
    ("bowei", "device/cy-cam-in/message/down/gpio_out"),
]
OTHERS = [
    ("hotel-count", "bowei/lots/market/zones/all/count"),
    ("hotel-count", "bowei/devices/market-counter/status"),
    ("hotel-count", "bowei/signs/avenue/frame"),
    ("cy-A03", "bowei/lots/clinic-yard/bays/A04"),
    ("market-cam-in", "bowei/lots/market/lanes/in/answer"),
    ("market-cam-in", "bowei/lots/square/lanes/in/passage"),
    ("cy-cam-in", "device/cy-cam-out/message/up/ivs_result"),
    ("avenue", "bowei/signs/avenue/frame"),
    ("avenue", "bowei/signs/crossing/shown"),
    ("chirpstack", "bowei/lots/hotel/zones/all/count"),
    ("stranger", "bowei/lots/hotel/zones/all/count"),
    ("+", "bowei/devices/hotel-count/status"),
]


@pytest.mark.mosquitto
@pytest.mark.parametrize(("user", "topic"), OWN)
async def test_a_device_speaks_for_itself(guarded, user, topic):
    assert await outcome(guarded, user, topic) != NOT_AUTHORIZED


@pytest.mark.mosquitto
@pytest.mark.parametrize(("user", "topic"), OTHERS)
async def test_25_nobody_speaks_for_another(guarded, user, topic):
    assert await outcome(guarded, user, topic) == NOT_AUTHORIZED


@pytest.mark.mosquitto
def test_an_installed_broker_and_ours_have_the_same_bounds():
    from service import mosquitto

    def bounds(text: str) -> dict[str, str]:
        words = ("max_", "set_tcp", "persistent", "autosave")
        return dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith(words))

    ours = bounds(mosquitto.settings(Path("/data"), "127.0.0.1", 1883))
    assert len(ours) == 7
    for file in ("mosquitto/mosquitto.conf", "compose/mosquitto.conf"):
        assert bounds((Path(__file__).parents[2] / "deploy" / file).read_text()) == ours


def test_an_installed_redis_and_ours_are_set_alike():
    from service.embedded import VALKEY_SETTINGS

    text = (Path(__file__).parents[2] / "deploy" / "redis" / "valkey.conf").read_text()
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    assert {name: value.strip('"') for name, value in lines} == VALKEY_SETTINGS
