"""What `bowei bench ingest` compares, each in a process of its own: `python -m … KIND JSON`.

    ceiling  a bare socket that acknowledges and discards: what the broker can give to one reader
    bowei    the ingester as it runs in service: decoded, checked, stored, then acknowledged
    naive    what is written first: aiomqtt and one HSET a message (acknowledged on receipt)

Prints one JSON object: wall seconds from the start to the last message done, and CPU seconds.
Each says "ready" and then waits for a word; `bowei` has by then taken every sensor's first message,
as a service has long done.
"""

import asyncio
import json
import resource
import sys
import time

import aiomqtt
import msgspec
import redis.asyncio as redis
import uvloop

from devices.mqtt import Link
from service.bench.ingest_load import COUNTS, RawLine, make_catalog
from service.clock import clock_from
from service.memory import spare_what_stands
from service.occupancy.gathering import BATCH_MOST
from service.occupancy.ingest import REST_S, Ingest
from service.occupancy.store import Store

READ_BYTES = 1 << 20


class Task(msgspec.Struct):
    """What a subject is given."""

    mqtt: str
    redis: str
    client_id: str
    zones: int
    window: int
    warm: int
    messages: int


def ceiling(task: Task) -> tuple[float, float]:
    _tell_ready()
    started = _now()
    line = RawLine(task.mqtt, task.client_id, keep=True)
    done, rest, receive = 0, line.rest, line.sock.recv
    while done < task.messages:
        data = rest + receive(READ_BYTES) if rest else receive(READ_BYTES)
        start, end, acks = 0, len(data), []
        while end - start >= 5:
            length, body = data[start + 1], start + 2
            if length > 127:
                length = length & 127 | data[body] << 7
                body += 1
            stop = body + length
            if stop > end:
                break
            at = body + 2 + (data[body] << 8 | data[body + 1])
            acks.append(b"\x40\x02" + data[at : at + 2])
            start = stop
        rest = data[start:]
        line.sock.sendall(b"".join(acks))
        done += len(acks)
    spent = _since(started)
    line.close()
    return spent


async def bowei(task: Task) -> tuple[float, float]:
    store = Store.open(task.redis)
    link = Link(
        task.mqtt, task.client_id, clean=False, session_expiry_s=3600, manual_ack=True,
        receive_maximum=task.window,
    )  # fmt: skip
    catalog, clock = make_catalog(task.zones), clock_from(None, 1.0)
    ingest = Ingest(catalog, store, link, clock, batch_most=min(BATCH_MOST, task.window))
    async with asyncio.TaskGroup() as tasks:
        await link.connect(wait_s=0)
        running = tasks.create_task(ingest.run())
        await _written(ingest, task.warm)
        await asyncio.sleep(2 * REST_S)  # whoever rested reads on by now
        link.pause()
        await asyncio.to_thread(spare_what_stands().join)
        await asyncio.to_thread(_tell_ready)
        started = _now()
        link.resume()
        await _written(ingest, task.warm + task.messages)
        spent = _since(started)
        running.cancel()
    await link.close()
    await store.close()
    return spent


async def _written(ingest: Ingest, messages: int) -> None:
    while ingest.written < messages:  # noqa: ASYNC110 - nobody else wants to know
        await asyncio.sleep(0.002)


def _tell_ready() -> None:
    """Say that we are, and wait until it begins."""
    print("ready", flush=True)
    sys.stdin.readline()


async def naive(task: Task) -> tuple[float, float]:
    client = redis.Redis.from_url(task.redis)
    await client.ping()
    _tell_ready()
    started = _now()
    parts = task.mqtt.removeprefix("mqtt://").partition(":")
    session = aiomqtt.Client(
        parts[0], int(parts[2]), identifier=task.client_id, clean_session=False,
        protocol=aiomqtt.ProtocolVersion.V311,
    )  # fmt: skip
    async with session as line:
        await line.subscribe(COUNTS, qos=1)
        done = 0
        async for message in line.messages:
            said = json.loads(message.payload)
            await client.hset(
                f"naive:{message.topic}",
                mapping={name: str(value) for name, value in said.items()},
            )
            done += 1
            if done == task.messages:
                break
        spent = _since(started)
    await client.aclose()
    return spent


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def _since(started: tuple[float, float]) -> tuple[float, float]:
    wall_s, cpu_s = _now()
    return wall_s - started[0], cpu_s - started[1]


def main() -> None:
    kind, task = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Task)
    if kind == "ceiling":
        wall_s, cpu_s = ceiling(task)
    elif kind == "bowei":
        wall_s, cpu_s = uvloop.run(bowei(task))
    else:
        wall_s, cpu_s = uvloop.run(naive(task))
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
