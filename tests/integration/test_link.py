"""A Link against a real broker: reconnects, acknowledges when told, loses nothing silently."""

import asyncio
from collections.abc import Callable

import pytest
from occupancy_scene import until

from devices.mqtt import Link, LinkClosedError, LinkError, Message, Will
from service.embedded import Server

pytestmark = pytest.mark.mosquitto


async def test_what_is_published_arrives_with_all_that_goes_with_it(broker_url: str) -> None:
    heard: list[Message] = []
    async with Link(broker_url, "one") as one, Link(broker_url, "two") as two:
        await one.subscribe(["a/+", "b/#"], heard.append)
        await two.publish("a/x", b"1", response_topic="r/y", expires_s=1.5)
        await two.publish("b/x/y", "泊位".encode(), qos=0)
        await two.publish("c/x", b"not wanted")
        await until(lambda: len(heard) == 2)
    assert (heard[0].topic, heard[0].payload, heard[0].response_topic) == ("a/x", b"1", "r/y")
    assert (heard[1].mid, heard[1].payload.decode()) == (0, "泊位")


async def test_retained_messages_are_marked_and_replayed_only_where_wanted(broker_url: str) -> None:
    async with Link(broker_url, "pub") as street:
        await street.publish("kept/1", b"old", retain=True)
        replayed: list[Message] = []
        quiet: list[Message] = []
        async with Link(broker_url, "s1", clean=False, session_expiry_s=60) as link:
            await link.subscribe("kept/+", quiet.append, replay=False)
            await until(lambda: len(quiet) == 1)  # a new subscription is told
        async with Link(broker_url, "s1", clean=False, session_expiry_s=60) as link:
            await link.subscribe("kept/+", quiet.append, replay=False)
            await link.subscribe("kept/1", replayed.append)
            await until(lambda: len(replayed) == 1)
        assert replayed[0].retain
        assert all(message.retain for message in quiet)
        assert len(quiet) == 2  # the second replay came by the other filter


async def test_a_broker_that_dies_gets_what_it_had_not_confirmed(
    start_broker: Callable[..., Server],
) -> None:
    broker = start_broker()
    heard: list[bytes] = []
    async with Link(broker.url, "sub") as sub, Link(broker.url, "pub") as pub:
        await sub.subscribe("t", lambda message: heard.append(message.payload))
        await pub.publish("t", b"before")
        broker.kill()
        await until(lambda: not pub.connected and not sub.connected)
        late = pub.publish("t", b"while away", retain=True)
        assert not late.done()
        broker.restart()
        await asyncio.wait_for(late, 30)
        await until(lambda: sub.connected)
        await asyncio.wait_for(sub.subscribe("later", lambda _: None), 30)  # so is "t" by then
        await pub.publish("t", b"after")
        await until(lambda: b"after" in heard)
    assert heard[0] == b"before"
    assert b"while away" in heard


async def test_acknowledged_by_hand_or_delivered_again(broker_url: str) -> None:
    options = {"clean": False, "session_expiry_s": 60, "manual_ack": True}
    async with Link(broker_url, "pub") as pub:
        first: list[Message] = []
        async with Link(broker_url, "sub", **options) as sub:
            await sub.subscribe("t", first.append)
            for number in range(4):
                await pub.publish("t", b"%d" % number)
            await until(lambda: len(first) == 4)
            sub.ack(first[0])
            sub.ack_many(first[1].connection, [first[1].mid])
            await asyncio.sleep(0.05)
        again: list[Message] = []
        async with Link(broker_url, "sub", **options) as sub:
            await sub.subscribe("t", again.append)
            await until(lambda: len(again) == 2)
            assert [message.payload for message in again] == [b"2", b"3"]
            assert all(message.dup for message in again)


async def test_an_acknowledgement_is_bound_to_the_connection_that_brought_it(
    broker_url: str,
) -> None:
    heard: list[Message] = []
    options = {"clean": False, "session_expiry_s": 60, "manual_ack": True}
    async with Link(broker_url, "pub") as pub, Link(broker_url, "sub", **options) as sub:
        await sub.subscribe("t", heard.append)
        await pub.publish("t", b"one")
        await until(lambda: len(heard) == 1)
        sub._wire.close()
        sub.lost(ConnectionResetError("cut"))
        await until(lambda: len(heard) == 2)  # delivered again on the next connection
        assert heard[1].connection == heard[0].connection + 1
        sub.ack(heard[0])  # of no effect
        await asyncio.sleep(0.05)
        sub._wire.close()
        sub.lost(ConnectionResetError("cut"))
        await until(lambda: len(heard) == 3)
        sub.ack(heard[2])


async def test_the_last_will_speaks_when_we_vanish(broker_url: str) -> None:
    heard: list[Message] = []
    async with Link(broker_url, "sub") as sub:
        await sub.subscribe("will/#", heard.append)
        async with Link(broker_url, "gone", will=Will("will/gone", b"dead")) as gone:
            gone._wire._sock.shutdown(2)
            await until(lambda: heard)
    assert heard[0].payload == b"dead"


async def test_case_10_a_taken_client_id_is_told_and_does_not_flap(broker_url: str) -> None:
    async with Link(broker_url, "same") as first, Link(broker_url, "same") as second:
        await until(lambda: first.ousted or second.ousted)
        stays = second if first.ousted else first
        await until(lambda: stays.connected)
        before = (first.connection, second.connection)
        await asyncio.sleep(2.0)
        assert (first.connection, second.connection) == before
        assert max(before) <= 16
        assert stays.connected
        assert not stays.ousted


async def test_an_error_in_a_handler_ends_the_link_and_is_raised(broker_url: str) -> None:
    def handler(message: Message) -> None:
        raise KeyError(message.topic)

    sub = Link(broker_url, "sub")
    await sub.connect()
    await sub.subscribe("t", handler)
    with pytest.raises(LinkClosedError):
        await sub.publish("t", b"")
    assert not sub.connected
    await sub.close()
    with pytest.raises(KeyError):
        sub.failed.result()


async def test_nothing_waits_for_ever_when_the_link_closes(broker_url: str) -> None:
    link = Link(broker_url.replace(":", ":", 1), "x")
    await link.connect()
    link._outbox.disconnected()
    waiting = link.publish("t", b"")
    await link.close()
    with pytest.raises(LinkClosedError):
        await waiting


async def test_an_outbox_is_bounded(broker_url: str) -> None:
    async with Link(broker_url, "x", pending_limit=2) as link:
        link._outbox.disconnected()
        kept = [link.publish("t", b"") for _ in range(3)]
        with pytest.raises(LinkError):
            await kept[2]
        assert not kept[0].done()


async def test_no_broker_is_said_within_the_time_given() -> None:
    link = Link("mqtt://127.0.0.1:9", "x")
    with pytest.raises(LinkError):
        await link.connect(wait_s=0.3)


@pytest.mark.parametrize("url", ["tcp://x:1", "mqtt://", "http://x"])
def test_an_address_must_be_mqtt(url: str) -> None:
    with pytest.raises(ValueError, match="mqtt://"):
        Link(url, "x")


async def test_closed_while_it_connects_it_leaves_no_line_open(broker_url: str) -> None:
    """A socket that is forgotten open is an error here, see `filterwarnings`."""
    for pause_s in (0.0, 0.0005, 0.001) * 30:
        link = Link(broker_url, "hasty")
        await link.connect(wait_s=0)
        await asyncio.sleep(pause_s)
        await link.close()
