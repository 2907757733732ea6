"""Pure: the street's news in the devices' own wire formats.

    own formats   `devices.sensors.bowei`, JSON over MQTT
    bay sensors   Bosch TPS110 or PNI PlacePod bytes in a network server's envelope
    cameras       own format, Vzenith (MQTT, HTTP), Hikvision (HTTP)

These encoders are the simulator's own: the codecs under test read what was written without them.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from devices.reading import PlateColor
from devices.simulator.news import Alive, BaySeen, Counted, News, Passed, Status
from devices.simulator.plan import CameraPlan, SensorPlan

APPLICATION = "3c9f6c1e-8f0a-4d1b-9b52-6d0f5a1e7b40"
THINGS_APPLICATION = "parking@bowei"
VZENITH_COLORS = {
    PlateColor.UNKNOWN: 0,
    PlateColor.BLUE: 1,
    PlateColor.YELLOW: 2,
    PlateColor.WHITE: 3,
    PlateColor.BLACK: 4,
    PlateColor.GREEN: 5,
    PlateColor.YELLOW_GREEN: 6,
}
VZENITH_NO_PLATE = "_无_"
BOUNDARY = "bowei-boundary"


class Publish(msgspec.Struct, frozen=True):
    """One MQTT message; `response_topic` where an answer is waited for."""

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None


class Post(msgspec.Struct, frozen=True):
    """One HTTP request of a camera."""

    body: bytes
    content_type: str


def encode(news: News) -> Publish | Post | None:
    """`news` as its device would send it; None where that device has no words for it."""
    match news:
        case Counted():
            return _counted(news)
        case BaySeen():
            return _bay(news)
        case Status():
            topic = f"bowei/devices/{news.device}/status"
            payload = _own(news.device, news, online=news.online)
            return Publish(topic, payload, retain=True)
        case Passed():
            return CAMERAS[news.camera.model][0](news)
        case Alive():
            return CAMERAS[news.camera.model][1](news)


def moment(at_s: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def passage_topic(camera: CameraPlan) -> str:
    return f"bowei/lots/{camera.lot}/lanes/{camera.lane}/passage"


def answer_topic(camera: CameraPlan, event: str) -> str:
    """Where the answer to one event is awaited."""
    return f"bowei/lots/{camera.lot}/lanes/{camera.lane}/answer/{event}"


def last_will(device: str, boot: int) -> tuple[str, bytes]:
    """Topic and payload of the will of the connection that began with the device's first status."""
    payload = {"device": device, "boot": boot, "seq": 1, "online": False}
    return f"bowei/devices/{device}/status", msgspec.json.encode(payload)


def _own(device: str, news: Any, **said: Any) -> bytes:
    return msgspec.json.encode(
        {
            "device": device,
            "boot": news.boot,
            "seq": news.seq,
            "at": moment(news.at_s),
            **{name: value for name, value in said.items() if value is not None},
        }
    )


# sensors


def _counted(news: Counted) -> Publish:
    plan = news.sensor
    payload = _own(plan.id, news, occupied=news.occupied, entered=news.entered, left=news.left)
    return Publish(f"bowei/lots/{plan.lot}/zones/{plan.zone}/count", payload, retain=True)


def _bay(news: BaySeen) -> Publish:
    plan = news.sensor
    if plan.model == "bowei":
        payload = _own(plan.id, news, occupied=news.occupied)
        return Publish(f"bowei/lots/{plan.lot}/bays/{plan.bay}", payload, retain=True)
    port, data = BAY_SENSORS[plan.model](news)
    return ENVELOPES[plan.envelope or "chirpstack_v4"](news, port, data)


def _bosch(news: BaySeen) -> tuple[int, bytes]:
    """Port 1 change, 2 heartbeat with the temperature, 3 start-up (firmware 0.29.2, power-on)."""
    state = int(news.occupied)
    if news.cause == "start":
        return 3, struct.pack("<3I5B", 0, 0, 0, 0, 29, 2, 2, state)
    if news.cause == "alive":
        return 2, struct.pack("Bb", state, round(news.temperature_c))
    return 1, bytes([state])


def _placepod(news: BaySeen) -> tuple[int, bytes]:
    """Cayenne LPP: 21 presence on change, 55 keep-alive; battery (3), temperature (2) routinely."""
    state = int(news.occupied)
    if news.cause == "change":
        return 2, bytes([21, 0x66, state])
    battery = struct.pack(">BBh", 3, 0x02, round(news.battery_v * 100))
    warmth = struct.pack(">BBh", 2, 0x67, round(news.temperature_c * 10))
    return 2, battery + warmth + bytes([55, 0x66, state])


def dev_eui(plan: SensorPlan) -> str:
    """The sensor's own id where it is a devEui, else one that is made from it."""
    if len(plan.id) == 16 and all(digit in "0123456789abcdefABCDEF" for digit in plan.id):
        return plan.id.lower()
    return blake2b(plan.id.encode(), digest_size=8).hexdigest()


def _chirpstack(news: BaySeen, port: int, data: bytes) -> Publish:
    eui = dev_eui(news.sensor)
    payload = {
        "deduplicationId": blake2b(
            f"{eui}/{news.boot}/{news.seq}".encode(), digest_size=16
        ).hexdigest(),
        "time": moment(news.at_s),
        "deviceInfo": {
            "applicationId": APPLICATION,
            "deviceName": news.sensor.id,
            "devEui": eui,
            "tags": {},
        },
        "fCnt": news.seq,
        "fPort": port,
        "data": b64encode(data).decode(),
    }
    topic = f"application/{APPLICATION}/device/{eui}/event/up"
    return Publish(topic, msgspec.json.encode(payload))


def _things_stack(news: BaySeen, port: int, data: bytes) -> Publish:
    payload = {
        "end_device_ids": {"device_id": news.sensor.id, "dev_eui": dev_eui(news.sensor).upper()},
        "received_at": moment(news.at_s),
        "uplink_message": {
            "f_port": port,
            "f_cnt": news.seq,
            "frm_payload": b64encode(data).decode(),
            "rx_metadata": [],
            "settings": {},
        },
    }
    topic = f"v3/{THINGS_APPLICATION}/devices/{news.sensor.id}/up"
    return Publish(topic, msgspec.json.encode(payload))


BAY_SENSORS: dict[str, Callable[[BaySeen], tuple[int, bytes]]] = {
    "bosch_tps110": _bosch,
    "pni_placepod": _placepod,
}
ENVELOPES: dict[str, Callable[[BaySeen, int, bytes], Publish]] = {
    "chirpstack_v4": _chirpstack,
    "things_stack_v3": _things_stack,
}

# cameras


def _own_passage(news: Passed) -> Publish:
    camera = news.camera
    payload = msgspec.json.encode(
        {
            "device": camera.id,
            "boot": news.boot,
            "seq": news.seq,
            "at": moment(news.at_s),
            "event": news.event,
            "direction": news.direction,
            "plate": news.plate,
            "color": str(news.color),
            "confidence": news.confidence,
            "buffered": news.buffered,
        }
    )
    answer = answer_topic(camera, news.event) if news.waits else None
    return Publish(passage_topic(camera), payload, response_topic=answer)


def _own_alive(news: Alive) -> Publish:
    camera = news.camera.id
    topic = f"bowei/devices/{camera}/status"
    return Publish(topic, _own(camera, news, online=True), retain=True)


def _plate_result(news: Passed, plate: str) -> dict[str, Any]:
    """Times in whole and micro seconds; a large plate box in the middle of the picture."""
    whole_s = int(news.at_s)
    return {
        "license": plate,
        "colorType": VZENITH_COLORS[news.color],
        "confidence": round(news.confidence * 100),
        "direction": 0,
        "type": 11 if news.color == PlateColor.GREEN else 1,
        "triggerType": 8,
        "isoffline": int(news.buffered),
        "is_fake_plate": 0,
        "plateid": news.seq,
        "timeStamp": {"Timeval": {"sec": whole_s, "usec": int((news.at_s - whole_s) * 1_000_000)}},
        "location": {"RECT": {"left": 556, "top": 500, "right": 812, "bottom": 590}},
    }


def _vzenith_mqtt(news: Passed) -> Publish:
    plate = b64encode((news.plate or VZENITH_NO_PLATE).encode()).decode()
    alarm = {"ipaddr": "192.0.2.10", "result": {"PlateResult": _plate_result(news, plate)}}
    payload = {"AlarmInfoPlate": alarm}
    return _vzenith_message(news, "ivs_result", payload)


def _vzenith_mqtt_alive(news: Alive) -> Publish:
    return _vzenith_message(news, "keep_alive", {})


def _vzenith_message(news: Passed | Alive, name: str, payload: dict[str, Any]) -> Publish:
    camera = news.camera.id
    message = {
        "sn": camera,
        "name": name,
        "version": "1.0",
        "timestamp": int(news.at_s),
        "payload": payload,
    }
    return Publish(f"device/{camera}/message/up/{name}", msgspec.json.encode(message))


def _vzenith_http(news: Passed) -> Post:
    return _vzenith_post(
        news.camera,
        {"result": {"PlateResult": _plate_result(news, news.plate or VZENITH_NO_PLATE)}},
    )


def _vzenith_http_alive(news: Alive) -> Post:
    return _vzenith_post(news.camera, {"heartbeat": 1})


def _vzenith_post(camera: CameraPlan, said: dict[str, Any]) -> Post:
    alarm = {
        "channel": 0,
        "deviceName": camera.id,
        "ipaddr": "192.0.2.10",
        "serialno": camera.id,
        **said,
    }
    return Post(msgspec.json.encode({"AlarmInfoPlate": alarm}), "application/json")


def _hikvision(news: Passed) -> Post:
    plate = escape(news.plate or "unknown")
    believe = ",".join(["99"] * len(news.plate)) if news.plate else ""
    color = news.color if news.color != PlateColor.YELLOW_GREEN else PlateColor.GREEN
    anpr = (
        f"<ANPR><country>0</country><licensePlate>{plate}</licensePlate><line>1</line>"
        f"<direction>{'forward' if news.direction == 'in' else 'reverse'}</direction>"
        f"<confidenceLevel>{round(news.confidence * 100)}</confidenceLevel>"
        f"<plateColor>{color}</plateColor><plateCharBelieve>{believe}</plateCharBelieve>"
        f"<originalLicensePlate>{plate}</originalLicensePlate></ANPR>"
        f"<UUID>{news.camera.id}-{news.event}</UUID>"
        f"<isDataRetransmission>{str(news.buffered).lower()}</isDataRetransmission>"
    )
    return _hikvision_post(news.camera, news.at_s, "ANPR", "active", anpr)


def _hikvision_alive(news: Alive) -> Post:
    return _hikvision_post(news.camera, news.at_s, "heartBeat", "active", "")


def _hikvision_post(camera: CameraPlan, at_s: float, kind: str, state: str, more: str) -> Post:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        "<ipAddress>192.0.2.20</ipAddress><portNo>80</portNo><channelID>1</channelID>"
        f"<dateTime>{moment(at_s)}</dateTime><eventType>{kind}</eventType>"
        f"<eventState>{state}</eventState><eventDescription>{kind}</eventDescription>"
        f"<channelName>{escape(camera.id)}</channelName>"
        f"<deviceID>{escape(camera.id)}</deviceID>{more}</EventNotificationAlert>"
    )
    body = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="anpr.xml"; filename="anpr.xml"\r\n'
        "Content-Type: application/xml\r\n\r\n"
        f"{xml}\r\n--{BOUNDARY}--\r\n"
    )
    return Post(body.encode(), f"multipart/form-data; boundary={BOUNDARY}")


CAMERAS: dict[
    str, tuple[Callable[[Passed], Publish | Post], Callable[[Alive], Publish | Post | None]]
] = {
    "bowei": (_own_passage, _own_alive),
    "vzenith_mqtt": (_vzenith_mqtt, _vzenith_mqtt_alive),
    "vzenith_http": (_vzenith_http, _vzenith_http_alive),
    "hikvision_http": (_hikvision, _hikvision_alive),
}
