"""Our own formats against their vectors and against the JSON Schemas that strangers are given."""

from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

import devices.sensors
from devices import vectors
from devices.reading import Refused, Uplink
from devices.sensors import bowei

FOLDER = Path(devices.sensors.__file__).parent
SCHEMAS = {
    path.stem: msgspec.json.decode(path.read_bytes())
    for path in sorted((FOLDER / "schemas").glob("*.json"))
}
OWN = vectors.load(FOLDER / "bowei.json")

# What a schema cannot say: the calendar, sizes of messages, one device speaking for another, and
# text that is no JSON object to begin with.
BEYOND_SCHEMA = {"oversize", "not_json", "not_utf8", "too_deep", "other_device"}
BEYOND_SCHEMA_NAMES = {
    "the 30th of February",
    "time off the calendar's end",
    "time before the calendar",
    "seq with an exponent",
}


def named(found):
    return [pytest.param(vector, id=f"{vector.format}: {vector.name}") for vector in found]


def valid(vector):
    return jsonschema_rs.Draft202012Validator(SCHEMAS[vector.format]).is_valid(
        msgspec.json.decode(vector.payload)
    )


@pytest.mark.parametrize("vector", named(OWN.accepted))
def test_a_message_means(vector):
    uplink = bowei.FORMATS[vector.format](vector.topic.split("/"), vector.payload)
    assert uplink == msgspec.convert(vector.means, Uplink)
    assert uplink.measured_at is None or uplink.measured_at.tzinfo is UTC


@pytest.mark.parametrize("vector", named(OWN.refused))
def test_a_message_is_refused(vector):
    with pytest.raises(Refused) as refusal:
        bowei.FORMATS[vector.format](vector.topic.split("/"), vector.payload)
    assert refusal.value.reason == vector.reason
    assert refusal.value.detail


def test_a_refusal_says_what_would_be_right():
    topic = ["bowei", "lots", "l1", "zones", "a", "count"]
    body = b'{"device":"d1","boot":1,"seq":1,"occupied":1,"at":"2026-03-01T08:00:00"}'
    with pytest.raises(Refused, match="offset, such as 2026-03-01T08:00:00Z"):
        bowei.decode_count(topic, body)


def test_a_refusal_repeats_nothing_of_the_message():
    topic = ["bowei", "lots", "l1", "lanes", "in1", "passage"]
    body = '{"device":"c1","boot":1,"seq":1,"event":"e","plate":"浙A00001","direction":"浙A00001"}'
    with pytest.raises(Refused) as refusal:
        bowei.decode_passage(topic, body.encode())
    assert "00001" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_schemas_are_formats():
    assert set(SCHEMAS) == set(bowei.FORMATS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_sound_and_its_examples_are_taken(name):
    schema = SCHEMAS[name]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"/schemas/{name}.json"
    assert jsonschema_rs.meta.is_valid(schema)
    check = jsonschema_rs.Draft202012Validator(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        assert check.is_valid(example)
        device = example["device"]
        bowei.FORMATS[name](["bowei", "devices", device, "status"], msgspec.json.encode(example))


@pytest.mark.parametrize("vector", named(OWN.accepted))
def test_what_is_taken_fits_its_schema(vector):
    assert valid(vector)


@pytest.mark.parametrize(
    "vector",
    named(
        vector
        for vector in OWN.refused
        if vector.reason not in BEYOND_SCHEMA and vector.name not in BEYOND_SCHEMA_NAMES
    ),
)
def test_what_is_refused_does_not_fit_its_schema(vector):
    assert not valid(vector)


def test_every_field_is_explained_the_same_in_schema_and_refusal():
    for name, schema in SCHEMAS.items():
        for field in schema["properties"]:
            assert field in bowei.EXPECTED, (name, field)


def test_a_time_is_utc_whatever_its_offset():
    body = b'{"device":"d1","boot":1,"seq":1,"occupied":true,"at":"2026-03-01T16:00:00+08:00"}'
    uplink = bowei.decode_bay((), body)
    assert uplink.measured_at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert uplink.measured_at.tzinfo is UTC
