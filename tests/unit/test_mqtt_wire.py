"""Framing on the wire: any cut of the stream gives the same messages; nonsense ends the line."""

import asyncio
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.mqtt_socket import Malformed, Wire, encode_publish, encode_varint, response_topic
from devices.mqtt_topics import matches


class Heard:
    """What a wire tells."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes, int, bytes, bytes]] = []
        self.acks: list[tuple[int, int]] = []
        self.controls = b""
        self.errors: list[Exception] = []
        self.wire: Wire | None = None

    def delivered(self, first: int, topic: bytes, mid: int, properties: bytes, body: bytes) -> None:
        self.messages.append((first, topic, mid, properties, body))

    def acknowledged(self, mid: int, reason: int) -> None:
        self.acks.append((mid, reason))

    def control(self) -> None:
        while self.wire.has_control:
            self.controls += self.wire.recv(1)

    def lost(self, error: Exception) -> None:
        self.errors.append(error)


def wire(maximum: int = 1 << 20) -> tuple[Heard, Wire, socket.socket]:
    near, far = socket.socketpair()
    heard = Heard()
    heard.wire = Wire(near, asyncio.new_event_loop(), heard, maximum)
    return heard, heard.wire, far


def feed(pieces: list[bytes], maximum: int = 1 << 20) -> Heard:
    """Send pieces one by one, read after each."""
    heard, one, far = wire(maximum)
    try:
        for piece in pieces:
            far.sendall(piece)
            one._readable()
    finally:
        one.close()
        one._loop.close()
        far.close()
    return heard


def publish(topic: str, body: bytes, mid: int = 0, **more: object) -> bytes:
    options = {"retain": False, "expires_s": None, "response": None, **more}
    return encode_publish(topic.encode(), body, mid, **options)


CONNACK = b"\x20\x03\x00\x00\x00"
STREAM = (
    CONNACK
    + publish("a/b", b"x" * 300, 7)
    + b"\x40\x02\x00\x09"
    + publish("c", b"", 0, retain=True, expires_s=60, response=b"d/e")
    + b"\x40\x03\x01\x00\x97"
    + publish("e", b"y" * 20_000, 65535)
    + b"\xd0\x00"
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_any_cut_of_the_stream_gives_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(set(cuts)), len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in pairwise(places)]
    heard = feed(pieces)
    assert [(m[1], m[2], len(m[4])) for m in heard.messages] == [
        (b"a/b", 7, 300),
        (b"c", 0, 0),
        (b"e", 65535, 20_000),
    ]
    assert heard.acks == [(9, 0), (256, 0x97)]
    assert heard.controls == CONNACK + b"\xd0\x00"
    assert heard.messages[1][0] & 1
    assert response_topic(heard.messages[1][3]) == "d/e"
    assert not heard.errors


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_raise_out_of_the_wire(data: bytes) -> None:
    heard = feed([data])
    assert all(isinstance(error, Malformed) for error in heard.errors)


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32\x05\x00\x09ab\x00",  # a topic beyond its packet
        b"\x30\x06\x00\x01a\x7f\x08\x00",  # properties beyond their packet
        b"\x32\x02\x00\x00",  # no room for an id
        b"\x40\x00\x00",  # an acknowledgement of nothing
    ],
)
def test_malformed_packets_end_the_line(data: bytes) -> None:
    assert feed([data]).errors


def test_a_packet_above_the_maximum_is_refused_before_it_is_read() -> None:
    heard = feed([b"\x30" + encode_varint(5000) + b"\x00" * 100], maximum=4096)
    assert isinstance(heard.errors[0], Malformed)


@pytest.mark.parametrize(
    ("properties", "topic"),
    [
        (b"", None),
        (b"\x02\x00\x00\x00\x05", None),
        (b"\x26\x00\x01a\x00\x01b\x08\x00\x01t", "t"),
        (b"\x0b\x81\x01\x08\x00\x02xy", "xy"),
    ],
)
def test_the_response_topic_is_found_among_others(properties: bytes, topic: str | None) -> None:
    assert response_topic(properties) == topic


@pytest.mark.parametrize("properties", [b"\x7f", b"\x08\x00", b"\x08\x00\x02\xff\xff", b"\x26\x00"])
def test_unreadable_properties_are_malformed(properties: bytes) -> None:
    with pytest.raises(Malformed):
        response_topic(properties)


@pytest.mark.parametrize(
    ("wanted", "topic", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$share/group/a/+", "a/b", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_filters_match_as_the_standard_says(wanted: str, topic: str, expected: bool) -> None:
    assert matches(wanted, topic) is expected
