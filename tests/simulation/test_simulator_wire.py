"""What the simulator sends is read by the real codecs, and means what the street meant."""

from datetime import UTC, datetime

import msgspec
import pytest

from devices.gates import REGISTRY as GATES
from devices.reading import Count, Direction, Health, Heartbeat, Passage, PlateColor, Presence
from devices.sensors import bosch_tps110, bowei, pni_placepod
from devices.sensors.envelopes import open_envelope
from devices.simulator.http_cameras import opens
from devices.simulator.news import Alive, BaySeen, Counted, Passed, Status
from devices.simulator.plan import CameraPlan, SensorPlan
from devices.simulator.wire import Post, Publish, encode, last_will

AT_S = 1772409600.25
AT = datetime.fromtimestamp(AT_S, UTC)
SENSORS = {"bosch_tps110": bosch_tps110, "pni_placepod": pni_placepod}


@pytest.mark.parametrize(
    ("said", "meant"),
    [({"occupied": 12}, Count(occupied=12)), ({"entered": 9, "left": 4}, Count(entered=9, left=4))],
)
def test_counts(said, meant):
    sent = encode(Counted(SensorPlan("d1", "lot", "zone"), AT_S, 7, 3, **said))
    assert isinstance(sent, Publish)
    assert sent.topic == "bowei/lots/lot/zones/zone/count"
    assert sent.retain
    uplink = bowei.decode_count(sent.topic.split("/"), sent.payload)
    assert (uplink.device, uplink.boot, uplink.seq) == ("d1", 7, 3)
    assert uplink.measured_at == AT
    assert uplink.readings == (meant,)


def test_own_bays_and_states():
    sent = encode(BaySeen(SensorPlan("b1", "lot", "z", bay="A1"), AT_S, 7, 3, True, "change"))
    assert sent.topic == "bowei/lots/lot/bays/A1"
    assert bowei.decode_bay(sent.topic.split("/"), sent.payload).readings == (Presence(True),)
    for online in (True, False):
        sent = encode(Status("d1", AT_S, 7, 1, online))
        uplink = bowei.decode_status(sent.topic.split("/"), sent.payload)
        assert uplink.readings == (Health(online=online),)
    topic, payload = last_will("d1", 7)
    uplink = bowei.decode_status(topic.split("/"), payload)
    assert (uplink.boot, uplink.seq, uplink.readings) == (7, 1, (Health(online=False),))
    assert not uplink.gapless


@pytest.mark.parametrize("occupied", [True, False])
@pytest.mark.parametrize("cause", ["start", "change", "alive"])
@pytest.mark.parametrize(
    ("model", "envelope", "device", "names"),
    [
        ("bosch_tps110", "chirpstack_v4", "0102030405060708", ("0102030405060708",)),
        ("pni_placepod", "things_stack_v3", "bay-7", None),
        ("pni_placepod", "chirpstack_v4", "A102030405060708", ("a102030405060708",)),
        ("bosch_tps110", "things_stack_v3", "bay-8", None),
    ],
)
def test_bay_sensors_behind_network_servers(model, envelope, device, names, cause, occupied):
    plan = SensorPlan(device, "lot", "z", model, "A1", envelope)
    sent = encode(BaySeen(plan, AT_S, 7, 3, occupied, cause, temperature_c=-3.4))
    opened = open_envelope(sent.topic, sent.payload)
    assert names is None or opened.names == names
    assert device.lower() in [name.lower() for name in opened.names]
    assert (opened.boot, opened.seq) == (round(AT_S * 1000), 3)
    assert opened.measured_at == AT
    readings = SENSORS[model].decode(opened.port, opened.data)
    assert Presence(occupied) in readings
    health = [one for one in readings if isinstance(one, Health)]
    if cause == "alive":
        assert abs(health[0].temperature_c - -3.4) < 0.5
    if cause == "start" and model == "bosch_tps110":
        assert health[0].reset_cause == "power-on"


def passed(model, **more):
    transport = "http" if model.endswith("http") else "mqtt"
    facts = {
        "direction": "in",
        "plate": "浙AD12345",
        "color": PlateColor.GREEN,
        "confidence": 0.97,
        **more,
    }
    return Passed(CameraPlan("cam-1", "lot", "in", model, transport), AT_S, 7, 3, "7-3", **facts)


def decoded(news):
    sent = encode(news)
    model = GATES[news.camera.model]
    if isinstance(sent, Post):
        return model.decode(sent.body, sent.content_type)
    return model.decode(sent.payload, "")


@pytest.mark.parametrize("model", sorted(GATES))
def test_every_camera_model_says_what_passed(model):
    event = decoded(passed(model))
    assert isinstance(event, Passage)
    assert event.plate == "浙AD12345"
    assert event.plate_color == PlateColor.GREEN
    assert abs((event.passed_at - AT).total_seconds()) < 0.001
    assert event.confidence == pytest.approx(0.97)
    assert not event.buffered
    assert event.device == "cam-1"
    assert event.event_id
    if event.direction is not None:
        assert event.direction == Direction.IN


@pytest.mark.parametrize("model", sorted(GATES))
def test_an_event_sent_again_is_the_same_event_and_another_is_not(model):
    one = decoded(passed(model))
    assert decoded(passed(model)).event_id == one.event_id
    later = msgspec.structs.replace(passed(model), at_s=AT_S + 2, seq=4, event="7-4")
    assert decoded(later).event_id != one.event_id


@pytest.mark.parametrize("model", sorted(GATES))
def test_late_and_unread_passages(model):
    unread = passed(model, plate=None, color=PlateColor.UNKNOWN, confidence=0.0)
    assert decoded(unread).plate is None
    late = decoded(passed(model, buffered=True))
    assert late.buffered
    assert abs((late.passed_at - AT).total_seconds()) < 0.001


@pytest.mark.parametrize("model", sorted(GATES))
def test_heartbeats_are_no_vehicles(model):
    transport = "http" if model.endswith("http") else "mqtt"
    camera = CameraPlan("cam-1", "lot", "in", model, transport)
    sent = encode(Alive(camera, AT_S, 7, 9))
    if model == "bowei":
        uplink = bowei.decode_status(sent.topic.split("/"), sent.payload)
        assert uplink.readings == (Health(online=True),)
        return
    body = sent.body if isinstance(sent, Post) else sent.payload
    kind = sent.content_type if isinstance(sent, Post) else ""
    assert GATES[model].decode(body, kind) == Heartbeat("cam-1")


def test_only_an_awaited_passage_names_an_answer_topic():
    assert encode(passed("bowei")).response_topic is None
    asked = encode(passed("bowei", waits=True))
    assert asked.response_topic == "bowei/lots/lot/lanes/in/answer/7-3"
    assert asked.topic == "bowei/lots/lot/lanes/in/passage"


@pytest.mark.parametrize("model", [name for name in sorted(GATES) if GATES[name].reply])
def test_a_camera_opens_on_its_vendors_opening_reply_alone(model):
    reply = GATES[model].reply
    about = decoded(passed(model))
    assert not opens(model, reply(False, about).body)
    if model != "hikvision_http":  # its replies never open
        assert opens(model, reply(True, about).body)
    late = decoded(passed(model, buffered=True))
    assert not opens(model, reply(True, late).body)
    assert not opens(model, b"\xff nonsense")
