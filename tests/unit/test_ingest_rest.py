"""Reading rests while a full batch waits to be written, and no earlier rest ends a later one."""

import asyncio

from devices.mqtt import Link, Message
from devices.reading import Count, Uplink
from service.clock import Clock
from service.occupancy.gathering import Gathering
from service.occupancy.ingest import Ingest
from service.occupancy.senders import Senders
from service.occupancy.store import Store


async def test_a_rest_that_the_writer_ended_does_not_end_the_next(catalog, monkeypatch):
    link = Link("mqtt://127.0.0.1:1", "unused")
    store = Store.open("redis://127.0.0.1:1/0")
    ingest = Ingest(catalog, store, link, Clock())
    loop = asyncio.get_running_loop()
    ends: list[asyncio.TimerHandle] = []
    call_later = loop.call_later

    def kept(delay_s, call, *arguments):
        ends.append(call_later(delay_s, call, *arguments))
        return ends[-1]

    monkeypatch.setattr(loop, "call_later", kept)
    ingest._rest()
    link.resume()  # as the writer does
    ingest._rest()
    assert [end.cancelled() for end in ends] == [True, False]
    ends[-1].cancel()
    await store.close()


async def test_a_batch_that_grows_while_it_waits_asks_for_rest_again(catalog):
    senders = Senders(catalog, 8)
    source = senders.source("hotel-count")
    assert source is not None
    rests: list[int] = []
    gathering = Gathering(
        senders, None, Clock(), lambda: rests.append(gathering.batch.messages), most=4
    )
    for seq in range(11):
        message = Message(b"", b"", False, None, False, 0, 0)
        uplink = Uplink("hotel-count", 1, seq, (Count(occupied=1),))
        gathering.report(message, source, uplink)
    assert rests == [4, 8]
