"""Any bytes on any codec decode or are refused, and nothing else happens.

Seeds are the vectors; they are bent, cut, stretched and spliced. The seeded loop is the cheap half:
10,000 inputs a codec here, 1,000,000 in the soak. Hypothesis looks for the odd ones.
"""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devices.gates
import devices.sensors
import devices.sensors.envelopes
from devices import gates, sensors, vectors
from devices.reading import (
    Contact,
    Count,
    Envelope,
    Health,
    Heartbeat,
    Passage,
    Passes,
    Presence,
    Refused,
    Uplink,
)
from devices.sensors import bowei
from devices.sensors.envelopes import ENVELOPES

SEED_BYTES = 4096
REASON = re.compile(r"[a-z][A-Za-z0-9_]{1,40}")
INTERESTING = [
    *(b"NaN", b"Infinity", b"1e999", b"-1", b"9" * 40, b"null", b"true", b'""', b"[]", b"{}"),
    *(b"\x00", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\\ud800", b"&x;", b"<!DOCTYPE a>", b"]]>"),
    *(b"[" * 400, b'{"a":' * 400, b"<a>" * 200, b"2026-02-30T00:00:00Z", b"0001-01-01T00:00:00+23"),
]


class Target:
    """One codec as a function of bytes, in each of the surroundings that its vectors show."""

    def __init__(self, name: str, both: vectors.Vectors, call: Callable[..., object]) -> None:
        self.name = name
        every = [*both.accepted, *both.refused]
        self.calls = list({repr(call(vector)): call(vector) for vector in every}.values())
        pairs = [(vector.payload, call(vector)) for vector in every]
        self.pairs = [pair for pair in pairs if len(pair[0]) <= SEED_BYTES]
        self.seeds = [payload for payload, _ in self.pairs]

    def draw(self, dice: random.Random) -> tuple[Callable[[bytes], object], bytes]:
        """One input, mostly in the surroundings that its seed came in."""
        payload, call = dice.choice(self.pairs)
        if dice.random() < 0.2:
            call = dice.choice(self.calls)
        return call, bent(dice, payload, self.seeds)


def targets() -> list[Target]:
    own = vectors.beside(Path(devices.sensors.__file__).parent)
    found = [
        Target(model, own[model], lambda v, decode=decode: partial(decode, v.port))
        for model, decode in sensors.REGISTRY.items()
    ]
    for name, decode in bowei.FORMATS.items():
        mine = vectors.Vectors(
            tuple(v for v in own["bowei"].accepted if v.format == name),
            tuple(v for v in own["bowei"].refused if v.format == name),
        )
        found.append(
            Target(
                f"bowei {name}",
                mine,
                lambda v, decode=decode: partial(decode, tuple(v.topic.split("/"))),
            )
        )
    wrapped = vectors.beside(Path(devices.sensors.envelopes.__file__).parent)
    found += [
        Target(name, wrapped[name], lambda v, take=take: partial(take, tuple(v.topic.split("/"))))
        for name, take in ENVELOPES.items()
    ]
    cameras = vectors.beside(Path(devices.gates.__file__).parent)
    found += [
        Target(
            f"camera {model}",
            cameras[model],
            lambda v, codec=codec: partial(last_argument, codec.decode, v.content_type),
        )
        for model, codec in gates.REGISTRY.items()
    ]
    return found


def last_argument(decode, content_type, payload):
    return decode(payload, content_type)


TARGETS = targets()
each_codec = pytest.mark.parametrize("target", [pytest.param(t, id=t.name) for t in TARGETS])


def judge(call: Callable[[bytes], object], payload: bytes) -> bool:
    """Whether it was taken; what was taken has to be sound, and a refusal short and stable."""
    try:
        check(call(payload))
    except Refused as refusal:
        stable = REASON.fullmatch(refusal.reason) and len(refusal.detail) <= 120
        if not stable:
            raise AssertionError(refusal.reason) from None
        return False
    return True


def check(said: object) -> None:
    match said:
        case tuple():
            for reading in said:
                check(reading)
        case Uplink():
            assert 0 <= said.boot < 2**63
            assert 0 <= said.seq < 2**63
            assert 1 <= len(said.device) <= 128
            assert said.measured_at is None or said.measured_at.tzinfo is UTC
            check(said.readings)
        case Envelope():
            assert said.boot >= 0
            assert 0 <= said.seq < 2**32
            assert said.measured_at.tzinfo is UTC
            assert 1 <= len(said.data) <= 242
            assert said.names
        case Count():
            assert all(n is None or 0 <= n <= 1_000_000 for n in (said.occupied, said.free))
            assert (said.entered is None) is (said.left is None)
        case Passage():
            assert len(said.event_id) <= 128
            assert said.plate is None or (said.plate.isprintable() and 1 <= len(said.plate) <= 16)
            assert said.passed_at is None or said.passed_at.tzinfo is UTC
            assert not said.buffered or said.passed_at is not None
            shares = (said.confidence, *(said.char_confidence or ()))
            assert all(share is None or 0 <= share <= 1 for share in shares)
        case Contact() | Heartbeat() | Presence() | Passes() | Health():
            pass
        case _:
            raise AssertionError(type(said))
    msgspec.json.encode(said)


def bent(dice: random.Random, payload: bytes, seeds: list[bytes]) -> bytes:
    """One input: `payload` after one to three changes, or noise."""
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(64))
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(payload) + 1)
        match dice.randrange(10):
            case 0 | 7 | 8 | 9 if payload:
                at %= len(payload)
                bit = 1 << dice.randrange(8)
                payload = payload[:at] + bytes([payload[at] ^ bit]) + payload[at + 1 :]
            case 1:
                payload = payload[:at]
            case 2:
                payload += dice.randbytes(dice.randrange(1, 9))
            case 3:
                other = dice.choice(seeds)
                payload = payload[:at] + other[dice.randrange(len(other) + 1) :]
            case 4:
                payload = payload[:at] + dice.choice(INTERESTING) + payload[at:]
            case 5:
                to = min(len(payload), at + dice.randrange(1, 12))
                payload = payload[:at] + dice.choice(INTERESTING) + payload[to:]
            case _:
                to = dice.randrange(len(payload) + 1)
                payload = payload[: min(at, to)] + payload[max(at, to) :]
    return payload


@each_codec
@pytest.mark.parametrize(
    "inputs", [10_000, pytest.param(1_000_000, marks=pytest.mark.soak)], ids=str
)
def test_bent_vectors_are_taken_or_refused(target, inputs):
    dice = random.Random(f"{target.name} {inputs}")
    taken = 0
    for _ in range(inputs):
        taken += judge(*target.draw(dice))
    assert 0 < taken < inputs


@each_codec
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_taken_or_refused(target, data):
    payload = data.draw(st.binary(max_size=300) | st.text(max_size=80).map(str.encode))
    for call in target.calls:
        judge(call, payload)


@each_codec
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_vector_with_anything_in_its_middle_is_taken_or_refused(target, data):
    seed = data.draw(st.sampled_from(target.seeds))
    start = data.draw(st.integers(0, len(seed)))
    stop = data.draw(st.integers(start, len(seed)))
    middle = data.draw(st.binary(max_size=12) | st.text(max_size=6).map(str.encode))
    judge(data.draw(st.sampled_from(target.calls)), seed[:start] + middle + seed[stop:])


NUMBERS = st.integers() | st.sampled_from([0, 1, -1, 10**6, 10**6 + 1, 2**53 - 1, 2**63 - 1])
ANYTHING = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats(-1e6, 1e6).filter(lambda number: not number.is_integer())
    | st.sampled_from(["", "d1", "d 1", "in", "blue", "浙A00001", "2026-03-01T08:00:00Z", "2026"])
    | st.lists(st.floats(0, 1), max_size=3)
)


def schema_of(name):
    path = Path(devices.sensors.__file__).parent / "schemas" / f"{name}.json"
    schema = msgspec.json.decode(path.read_bytes())
    return schema, jsonschema_rs.Draft202012Validator(schema)


SCHEMAS = {name: schema_of(name) for name in bowei.FORMATS}


@pytest.mark.parametrize("name", sorted(bowei.FORMATS))
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_message_is_taken_exactly_when_it_fits_its_schema(name, data):
    schema, check_schema = SCHEMAS[name]
    message = dict(data.draw(st.sampled_from(schema["examples"])))
    for field in data.draw(st.lists(st.sampled_from(sorted(schema["properties"])), max_size=3)):
        if data.draw(st.booleans()):
            message[field] = data.draw(ANYTHING)
        else:
            message.pop(field, None)
    payload = msgspec.json.encode(message)
    topic = ("bowei", "devices", str(message.get("device")), "status")
    taken = judge(partial(bowei.FORMATS[name], topic), payload)
    assert taken is check_schema.is_valid(msgspec.json.decode(payload))


@given(
    st.sampled_from(sorted(sensors.REGISTRY)),
    st.integers(0, 255) | st.none(),
    st.binary(max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_short_frames_on_any_port_are_taken_or_refused(model, port, payload):
    judge(partial(sensors.REGISTRY[model], port), payload)


@given(st.integers(0, 2**40), st.integers(1, 5000), st.integers(0, 255))
def test_a_wrapping_counter_finds_its_way_back(start, modulus, steps):
    steps %= modulus
    earlier, later = start % modulus, (start + steps) % modulus
    assert Passes(later, modulus).since(Passes(earlier, modulus)) == steps


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_any_offset(moment):
    for offset in ("+08:00", "-11:30", "Z"):
        body = (
            b'{"device":"d","boot":1,"seq":1,"occupied":true,"at":"%s"}'
            % (moment.replace(tzinfo=None).isoformat() + offset).encode()
        )
        if moment.year in {1, 9999}:
            judge(partial(bowei.decode_bay, ()), body)
            continue
        said = bowei.decode_bay((), body).measured_at
        assert said == datetime.fromisoformat(moment.replace(tzinfo=None).isoformat() + offset)
