"""Every sensor codec against the vectors beside it, and the registry against the files."""

from pathlib import Path

import msgspec
import pytest

import devices.sensors
import devices.sensors.envelopes
from devices import vectors
from devices.reading import Envelope, Passes, Reading, Refused, Uplink
from devices.sensors import (
    REGISTRY,
    bosch_tps110,
    bowei,
    cicicom_s_lg_i3,
    decode_uplink,
    libelium_smart_parking_v2,
    pni_placepod,
    tekzitel_tekzipark,
)
from devices.sensors.envelopes import ENVELOPES, open_envelope

FOLDER = Path(devices.sensors.__file__).parent
ENVELOPE_FOLDER = Path(devices.sensors.envelopes.__file__).parent
SENSORS = vectors.beside(FOLDER)
VENDORS = {model: both for model, both in SENSORS.items() if model != "bowei"}
ENVELOPE_VECTORS = vectors.beside(ENVELOPE_FOLDER)
MODULES = {
    "bosch_tps110": bosch_tps110,
    "cicicom_s_lg_i3": cicicom_s_lg_i3,
    "libelium_smart_parking_v2": libelium_smart_parking_v2,
    "pni_placepod": pni_placepod,
    "tekzitel_tekzipark": tekzitel_tekzipark,
}


def each(found, kind):
    return [
        pytest.param(model, vector, id=f"{model}: {vector.name}")
        for model, both in found.items()
        for vector in getattr(both, kind)
    ]


def modules(folder):
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}


def test_modules_are_registry_keys_are_vectors_files_with_a_refusal_each():
    # Our own formats come on topics of their own and stand in FORMATS.
    assert modules(FOLDER) == {"bowei", *REGISTRY} == set(SENSORS)
    assert modules(ENVELOPE_FOLDER) == set(ENVELOPES) == set(ENVELOPE_VECTORS)
    for both in [*SENSORS.values(), *ENVELOPE_VECTORS.values()]:
        assert both.accepted
        assert both.refused
    for own in bowei.FORMATS:
        assert any(vector.format == own for vector in SENSORS["bowei"].accepted)
        assert any(vector.format == own for vector in SENSORS["bowei"].refused)


@pytest.mark.parametrize(("model", "vector"), each(VENDORS, "accepted"))
def test_a_payload_means(model, vector):
    readings = REGISTRY[model](vector.port, vector.payload)
    assert readings == msgspec.convert(vector.means, tuple[Reading, ...])


@pytest.mark.parametrize(
    ("model", "vector"),
    [param for param in each(VENDORS, "accepted") if param.values[1].frame is not None],
)
def test_a_frame_in_the_vendors_words(model, vector):
    frame = msgspec.to_builtins(MODULES[model].parse(vector.port, vector.payload))
    if isinstance(vector.frame, dict):
        frame = {name: frame[name] for name in vector.frame}
    assert msgspec.json.encode(frame) == msgspec.json.encode(vector.frame)


@pytest.mark.parametrize(("model", "vector"), each(VENDORS, "refused"))
def test_a_payload_is_refused(model, vector):
    with pytest.raises(Refused) as refusal:
        REGISTRY[model](vector.port, vector.payload)
    assert refusal.value.reason == vector.reason


@pytest.mark.parametrize(("model", "vector"), each(ENVELOPE_VECTORS, "accepted"))
def test_an_envelope_holds(model, vector):
    expected = msgspec.convert(vector.means, Envelope)
    assert ENVELOPES[model](vector.topic.split("/"), vector.payload) == expected
    assert open_envelope(vector.topic, vector.payload) == expected


@pytest.mark.parametrize(("model", "vector"), each(ENVELOPE_VECTORS, "refused"))
def test_an_envelope_is_refused(model, vector):
    with pytest.raises(Refused) as refusal:
        ENVELOPES[model](vector.topic.split("/"), vector.payload)
    assert refusal.value.reason == vector.reason


@pytest.mark.parametrize("topic", ["", "/", "application", "v3", "bowei/devices/d1/status"])
def test_a_topic_of_no_envelope_is_refused(topic):
    with pytest.raises(Refused) as refusal:
        open_envelope(topic, b"{}")
    assert refusal.value.reason == "topic"


def test_one_uplink_delivered_twice_has_one_order():
    vector = ENVELOPE_VECTORS["chirpstack_v4"].accepted[0]
    once = open_envelope(vector.topic, vector.payload)
    again = open_envelope(vector.topic, vector.payload)
    assert (once.boot, once.seq) == (again.boot, again.seq)


def test_an_enveloped_uplink_is_the_catalogues_device_and_tells_no_gap():
    vector = ENVELOPE_VECTORS["things_stack_v3"].accepted[0]
    envelope = open_envelope(vector.topic, vector.payload)
    uplink = decode_uplink("hz-bay-17", "bosch_tps110", envelope)
    assert uplink == Uplink(
        "hz-bay-17",
        envelope.boot,
        envelope.seq,
        bosch_tps110.decode(1, b"\x01"),
        envelope.measured_at,
        gapless=False,
    )


def test_a_counter_that_wraps_counts_on():
    assert Passes(2, 256).since(Passes(255, 256)) == 3
    assert Passes(255, 256).since(Passes(255, 256)) == 0
    assert Passes(255, 256).since(Passes(0, 256)) == 255
