"""Every camera codec against its vectors, and what opens a gate against all that must not."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import devices.gates
from devices import vectors
from devices.gates import REGISTRY, hikvision_http, vzenith_mqtt
from devices.reading import Contact, GateEvent, Heartbeat, Passage, Refused

FOLDER = Path(devices.gates.__file__).parent
CAMERAS = vectors.beside(FOLDER)
RECEIVED_AT = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)


def each(kind):
    return [
        pytest.param(model, vector, id=f"{model}: {vector.name}")
        for model, both in CAMERAS.items()
        for vector in getattr(both, kind)
    ]


def opens(reply):
    """What a camera does with a reply: Vzenith opens on info ok, our own on open true."""
    if not reply.body:
        return False
    answer = msgspec.json.decode(reply.body)
    return answer.get("open", answer.get("Response_AlarmInfoPlate", {}).get("info") == "ok")


def event(model, name):
    (vector,) = [one for one in CAMERAS[model].accepted if one.name == name]
    return REGISTRY[model].decode(vector.payload, vector.content_type)


def test_modules_are_registry_keys_are_vectors_files_with_a_refusal_each():
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert modules == set(REGISTRY) == set(CAMERAS)
    assert all(both.accepted and both.refused for both in CAMERAS.values())


@pytest.mark.parametrize(("model", "vector"), each("accepted"))
def test_a_message_means(model, vector):
    said = REGISTRY[model].decode(vector.payload, vector.content_type)
    assert said == msgspec.convert(vector.means, GateEvent)


@pytest.mark.parametrize(("model", "vector"), each("refused"))
def test_a_message_is_refused(model, vector):
    with pytest.raises(Refused) as refusal:
        REGISTRY[model].decode(vector.payload, vector.content_type)
    assert refusal.value.reason == vector.reason


@pytest.mark.parametrize(("model", "vector"), each("refused"))
def test_a_refusal_repeats_no_plate(model, vector):
    with pytest.raises(Refused) as refusal:
        REGISTRY[model].decode(vector.payload, vector.content_type)
    assert not any(plate in str(refusal.value) for plate in ("00001", "00002", "1234", "浙"))


@pytest.mark.parametrize("model", ["bowei", "vzenith_http"])
def test_a_reply_opens_for_a_decided_passage_only(model):
    reply = REGISTRY[model].reply
    passage = Passage("e", "浙A00001")
    assert opens(reply(True))
    assert opens(reply(True, passage))
    assert not opens(reply(False))
    assert not opens(reply(False, passage))
    assert not opens(reply(True, Heartbeat("c")))
    assert not opens(reply(True, Contact("gio1", True)))
    assert not opens(reply(True, Passage("e", "浙A00001", buffered=True)))


@pytest.mark.parametrize("opened", [True, False])
def test_no_reply_of_hikvision_says_anything(opened):
    reply = hikvision_http.reply(opened, Passage("e", None))
    assert reply.body == b""


def test_a_reply_that_does_not_open_has_no_ok_in_it():
    for model, codec in REGISTRY.items():
        if codec.reply is not None:
            assert b"ok" not in codec.reply(False).body, model


def test_an_outage_record_is_acknowledged_by_number_and_asks_for_the_next():
    said = event("vzenith_http", "kept through an outage")
    answer = msgspec.json.decode(REGISTRY["vzenith_http"].reply(True, said).body)
    (root,) = answer.values()
    assert root["ContinuePushOffline"] == {"plateid": 123, "continue": 1}
    assert root["info"] == "no"


def test_an_event_keeps_its_id_when_sent_again():
    live = event("vzenith_http", "the same record when it was live")
    late = event("vzenith_http", "kept through an outage")
    assert live.event_id == late.event_id
    assert late.buffered
    first = event("hikvision_http", "a vehicle")
    again = event("hikvision_http", "sent again after an outage: the same id")
    assert first.event_id == again.event_id
    assert again.buffered


def test_a_first_look_and_the_full_event_are_one_passage():
    quick = event("vzenith_mqtt", "a first look at the same vehicle has the same id")
    full = event("vzenith_mqtt", "a vehicle")
    assert quick.event_id == full.event_id
    assert quick.preliminary
    assert not full.preliminary


def test_turning_back_is_an_event_of_its_own():
    assert (
        event("vzenith_http", "turned back").event_id != event("vzenith_http", "a vehicle").event_id
    )


def test_events_without_id_or_time_are_never_one_event():
    said = event("hikvision_http", "unread plate")
    later = datetime(2026, 3, 1, 8, 0, 9, tzinfo=UTC)
    assert said.event_id == ""
    assert said.named(RECEIVED_AT).event_id != said.named(later).event_id
    known = event("hikvision_http", "a vehicle")
    assert known.named(RECEIVED_AT) is known


@pytest.mark.parametrize(
    ("came_in", "goes_out"),
    [
        ("device/sn-1/message/up/ivs_result", "device/sn-1/message/down/gpio_out"),
        ("sn-1/device/message/up/ivs_result", "sn-1/device/message/down/gpio_out"),
    ],
)
def test_the_command_that_opens_goes_back_in_the_layout_it_came_in(came_in, goes_out):
    topic, body = vzenith_mqtt.open_command(came_in, "sn-1", "c1", RECEIVED_AT)
    assert topic == goes_out
    command = msgspec.json.decode(body)
    assert command["name"] == "gpio_out"
    assert command["sn"] == "sn-1"
    assert command["payload"]["body"] == {"io": 0, "value": 2, "delay": 500}


def test_pictures_are_carried_past_the_limit_of_small_messages():
    vector = next(one for one in CAMERAS["vzenith_http"].accepted if one.name == "a vehicle")
    doc = msgspec.json.decode(vector.payload)
    picture = base64.b64encode(bytes(3_000_000)).decode()
    doc["AlarmInfoPlate"]["result"]["PlateResult"]["imageFile"] = picture
    said = REGISTRY["vzenith_http"].decode(msgspec.json.encode(doc), "application/json")
    assert said == msgspec.convert(vector.means, GateEvent)


def test_a_form_with_binary_pictures_is_read():
    vector = next(one for one in CAMERAS["hikvision_http"].accepted if "with pictures" in one.name)
    picture = bytes(range(256)) * 4000
    body = vector.payload.replace(b"JFIF not a picture", picture)
    said = REGISTRY["hikvision_http"].decode(body, vector.content_type)
    assert said == msgspec.convert(vector.means, GateEvent)
