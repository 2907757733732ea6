"""LoRaWAN sensors behind their network servers, on a real broker and a real Valkey."""

import asyncio
import base64
import json
from datetime import datetime, timedelta

import pytest
from occupancy_scene import HOTEL, path, say, until

from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.devices import DeviceBook
from service.occupancy.model import Quality
from service.occupancy.report import Told, read_told
from service.occupancy.store import Store

pytestmark = pytest.mark.mosquitto


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def fields_of(store: Store) -> dict[str, str]:
    fields: dict[str, str] = {}
    for shard in range(store.shards):
        fields |= (await store.snapshot(shard)).fields
    return fields


async def told_last(store: Store, field: str) -> Told:
    return read_told((await fields_of(store))[field])


async def test_lorawan_sensors_count_in_their_bays(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    async with path(catalog, redis_url, broker_url) as (street, _, mirror, store):
        now = at(Clock().now())
        event = {
            "deduplicationId": "1", "time": now, "fCnt": 7, "fPort": 1, "data": "AQ==",
            "deviceInfo": {"deviceName": "x", "devEui": "0102030405060708"},
        }  # fmt: skip
        topic = "application/a/device/0102030405060708/event/up"
        await street.publish(topic, json.dumps(event).encode())
        await street.publish(topic, json.dumps(event).encode())  # delivered twice
        up = {
            "end_device_ids": {"device_id": "placepod-e2"}, "received_at": now,
            "uplink_message": {"f_port": 1, "f_cnt": 3, "frm_payload": "FWYA"},
        }  # fmt: skip
        await street.publish("v3/app@t/devices/placepod-e2/up", json.dumps(up).encode())
        charging = lambda: mirror.states["clinic-yard"].zones[1]  # noqa: E731
        await until(lambda: charging().free == 1)
        assert charging().quality is Quality.FRESH
        assert not [field for field in await fields_of(store) if field.startswith("g/")]


def bosch(frame: int, port: int, payload: bytes, time: datetime) -> bytes:
    """An uplink of the Bosch sensor in bay E1, as ChirpStack tells it."""
    data = base64.b64encode(payload).decode()
    return json.dumps({
        "deduplicationId": str(time), "time": at(time), "fCnt": frame, "fPort": port, "data": data,
        "deviceInfo": {"deviceName": "x", "devEui": "0102030405060708"},
    }).encode()  # fmt: skip


async def test_a_frame_delivered_again_later_turns_nothing_back(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    """Its receive time is another; the device's own counter says that it is old."""
    async with path(catalog, redis_url, broker_url) as (street, ingest, mirror, store):
        topic = "application/a/device/0102030405060708/event/up"
        field = "b/clinic-yard/charging/E1/0102030405060708"
        now = Clock().now()
        said = [(7, b"\1", 0), (8, b"\0", 1), (8, b"\0", 2), (7, b"\1", 3)]
        for written, (frame, payload, after_s) in enumerate(said, 1):
            time = now - timedelta(seconds=10 - after_s)
            await street.publish(topic, bosch(frame, 1, payload, time))
            await until(lambda written=written: ingest.written >= min(written, 2))
        await street.publish(HOTEL, say("hotel-count", 1, occupied=4))
        await until(lambda: mirror.states["hotel"].free == 36)
        assert (await told_last(store, field)).occupied == 0
        await street.publish(topic, bosch(0, 1, b"\1", now - timedelta(seconds=5)))  # restarted
        await street.publish(HOTEL, say("hotel-count", 2, occupied=5))
        await until(lambda: mirror.states["hotel"].free == 35)
        assert (await told_last(store, field)).occupied == 1


async def test_a_fault_that_is_over_is_over(
    catalog: Catalog, redis_url: str, broker_url: str
) -> None:
    """A payload that does not speak of faults ends none."""
    async with path(catalog, redis_url, broker_url) as (street, _, _, store):
        book = DeviceBook(catalog, store)

        async def told(frame: int, payload: str) -> None:
            up = {
                "end_device_ids": {"device_id": "placepod-e2"}, "received_at": at(Clock().now()),
                "uplink_message": {
                    "f_port": 2, "f_cnt": frame,
                    "frm_payload": base64.b64encode(bytes.fromhex(payload)).decode(),
                },
            }  # fmt: skip
            await street.publish("v3/app@t/devices/placepod-e2/up", json.dumps(up).encode())

        async def health(wanted: tuple[object, ...]) -> None:
            async with asyncio.timeout(20):
                while True:
                    known = {one.device: one for one in await book.known()}["placepod-e2"]
                    if (known.faults, known.battery_v, known.temperature_c) == wanted:
                        return
                    await asyncio.sleep(0.02)

        await told(1, "050002060000376600")
        await health((("sensor_5",), None, None))
        await told(2, "0302016d026700eb156601")
        await health((("sensor_5",), 3.65, 23.5))
        await told(3, "050000060000376601")
        await health(((), 3.65, 23.5))
