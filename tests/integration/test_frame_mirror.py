"""Frames followed over a real broker: as the board sent them, whatever else is said there."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from occupancy_scene import background, until

from devices.mqtt import Link
from service.catalog import Name
from service.guidance.frame_mirror import FrameMirror
from service.guidance.model import Frame, FrameLine

TOPIC = "bowei/signs/avenue/frame"
SHOWN = "bowei/signs/avenue/shown"
NONSENSE = [
    b"\xff\xfe",
    b'{"sign":"\xff"}',
    b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b"NaN",
    b"[]",
    b"x" * 100_000,
]


def frame(clock, revision=1, value="7", sign="avenue"):
    at = clock.now()
    line = FrameLine("market", Name("市场", "Market"), value, "free", "left", at)
    return Frame(sign, 1, revision, 1, at, at + timedelta(seconds=90), 90.0, (line,))


def send(link, told, topic=TOPIC):
    return link.publish(topic, msgspec.json.encode(told), retain=True)


@asynccontextmanager
async def following(catalog, broker_url, clock, name="web"):
    async with Link(broker_url, name) as link:
        mirror = FrameMirror(catalog, link, clock)
        async with background(mirror):
            await asyncio.sleep(0)
            await link.subscribe("probe", lambda _: None)  # agreed to after those of the mirror
            yield mirror


async def test_what_is_retained_is_served_with_the_same_bytes_everywhere(
    catalog, broker_url, clock
):
    told = frame(clock)
    async with Link(broker_url, "board") as board:
        await send(board, told)
        async with (
            following(catalog, broker_url, clock, "web-1") as one,
            following(catalog, broker_url, clock, "web-2") as other,
        ):
            await until(lambda: one.frames and other.frames)
            assert one.frames["avenue"] == told
            assert one.frame_bytes("avenue") == other.frame_bytes("avenue")
            assert one.frame_bytes("avenue")[0] == msgspec.json.encode(told)
            assert one.deliveries.of("avenue", clock.now()) is None, "nobody told us of a panel"
            assert one.frame_bytes("crossing") is None
            await board.publish(SHOWN, b'{"revision":1}')
            await until(lambda: one.deliveries.of("avenue", clock.now()))
            assert one.deliveries.of("avenue", clock.now()).state == "shown"


async def test_changes_wake_and_panels_are_heard(catalog, broker_url, clock):
    woken = []
    async with (
        Link(broker_url, "board") as board,
        following(catalog, broker_url, clock) as mirror,
    ):
        stop = mirror.watch(woken.append)
        await send(board, frame(clock, 1))
        await until(lambda: woken == [frozenset({"avenue"})])
        assert mirror.deliveries.of("avenue", clock.now()).state == "accepted"
        await board.publish(SHOWN, b'{"revision":1}')
        await until(lambda: mirror.deliveries.of("avenue", clock.now()).state == "shown")
        stop()
        clock.advance(1)
        await send(board, frame(clock, 2))
        await until(lambda: mirror.frames["avenue"].revision == 2)
        assert len(woken) == 1


async def test_an_older_frame_and_a_cleared_one(catalog, broker_url, clock):
    old = frame(clock, 1)
    clock.advance(5)
    async with (
        Link(broker_url, "board") as board,
        following(catalog, broker_url, clock) as mirror,
    ):
        await send(board, frame(clock, 2))
        await send(board, old)
        await send(board, frame(clock, 9, sign="crossing"), "bowei/signs/crossing/frame")
        await until(lambda: "crossing" in mirror.frames)
        assert mirror.frames["avenue"].revision == 2
        await board.publish(TOPIC, b"", retain=True)
        await until(lambda: "avenue" not in mirror.frames)
        assert mirror.frame_bytes("avenue") is None


@pytest.mark.parametrize("payload", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_changes_nothing(catalog, broker_url, clock, payload):
    async with (
        Link(broker_url, "board") as board,
        following(catalog, broker_url, clock) as mirror,
    ):
        await send(board, frame(clock, 1))
        for topic in (TOPIC, SHOWN, "bowei/signs/nowhere/frame", "bowei/signs/nowhere/shown"):
            await board.publish(topic, payload)
        await send(board, frame(clock, 3, sign="crossing"))  # of another sign
        clock.advance(1)
        await send(board, frame(clock, 2))
        await until(lambda: mirror.frames.get("avenue") and mirror.frames["avenue"].revision == 2)
        assert set(mirror.frames) == {"avenue"}
