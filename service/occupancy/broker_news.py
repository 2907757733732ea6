"""What a broker tells of itself: whom it cut off for sending more than it takes.

Such a message never reaches us. Mosquitto says so in its log, and publishes that where `log_dest
topic` is set, as in our configurations; a broker that tells nothing is left alone.
"""

import asyncio
import re
from collections.abc import Callable

import structlog

from devices.mqtt import Link, Message
from devices.mqtt_outbox import LinkError

LOG = "$SYS/broker/log/N"
PATIENCE_S = 10.0
_OVERSIZE = re.compile(rb"Client (.{1,256}?) disconnected due to oversize packet")

log = structlog.get_logger()


def oversize(line: bytes) -> str | None:
    """The client that was cut off for a packet too large, where this line of the log says so."""
    found = _OVERSIZE.search(line)
    return found[1].decode("utf-8", "replace") if found else None


async def follow(link: Link, cut_off: Callable[[str], None]) -> None:
    """Tell `cut_off` each such client, beside `link`; returns where the broker tells nothing."""

    def take(message: Message) -> None:
        client = oversize(message.payload)
        if client is not None:
            log.warning("a client sent more than the broker takes, and was cut off", client=client)
            cut_off(client)

    while True:
        twin = link.twin(f"{link.client_id}-news")
        try:
            await twin.connect()
        except LinkError:
            await asyncio.sleep(PATIENCE_S)
            continue
        try:
            agreed = twin.subscribe(LOG, take, qos=0, replay=False)
            while twin.connected and not agreed.done():  # some brokers hang up at the question
                await asyncio.wait([agreed], timeout=0.1)
            if agreed.done():
                await agreed
                await asyncio.Event().wait()
        except LinkError as refused:
            log.debug("the broker's log is not for us", error=str(refused))
        finally:
            await twin.close()
        log.info("the broker tells nothing of itself")
        return
