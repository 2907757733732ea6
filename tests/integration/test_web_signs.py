"""The sign wall: what panels really show, alive, bounded; and codes that a reader can read."""

import asyncio
import io
import re

import msgspec
import pytest
import zxingcpp
from PIL import Image
from town import living

from service.web import signs

PUBLIC = "https://parking.example.cn"


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(
        catalog, redis_url, broker_url, sqlite_url, tmp_path / "state", PUBLIC
    ) as town:
        yield town


async def news(stream):
    """The next event's data."""
    async with asyncio.timeout(30):
        while True:
            line = await stream.content.readline()
            if line.startswith(b"data: "):
                return msgspec.json.decode(line.removeprefix(b"data: "))


async def test_the_wall_shows_every_sign_and_can_be_narrowed(town):
    await town.free("market", "all", "market-counter", 87)
    page = await town.text("/signs")
    assert set(re.findall(r'data-sign="([^"]+)"', page)) == set(town.catalog.signs)
    assert "大道诱导屏" in page
    assert "Avenue Sign" in page
    third = await town.text("/signs?level=3")
    assert re.findall(r'data-sign="([^"]+)"', third) == ["market-gate"]
    assert (await town.get("/signs?site=nowhere&level=9")).status == 200


async def test_frames_arrive_as_they_change_and_say_what_the_panel_said(town):
    async with town.http.get(town.url + "/signs/events") as stream:
        assert stream.content_type == "text/event-stream"
        first = await news(stream)
        while "market-gate" not in first:  # the board has only just begun
            first = await news(stream)
        assert {line["value"] for line in first["market-gate"]["lines"]} == {"--"}
        await town.free("market", "all", "market-counter", 87)
        while True:
            changed = await news(stream)
            if "market-gate" in changed and changed["market-gate"]["lines"][0]["value"] == "87":
                break
        frame = changed["market-gate"]
        assert frame["lines"][0]["state"] == "free"
        assert 0 < frame["lease_s"] <= 120
    shown = msgspec.json.encode({"revision": frame["revision"], "state": "shown"})
    await town.link.publish("bowei/signs/market-gate/shown", shown)
    async with asyncio.timeout(30):
        while True:
            async with town.http.get(town.url + "/signs/events?sign=market-gate") as stream:
                one = await news(stream)
            assert list(one) == ["market-gate"]
            if one["market-gate"]["state"] == "shown":
                break


async def test_streams_are_few_and_end_with_the_service(
    catalog, redis_url, broker_url, sqlite_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(signs, "WATCHERS_MOST", 2)
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        open_streams = [await town.http.get(town.url + "/signs/events") for _ in range(2)]
        for stream in open_streams:
            await news(stream)
        assert (await town.get("/signs/events")).status == 503
        open_streams.pop().close()
        async with asyncio.timeout(30):
            while await asked(town) == 503:
                await asyncio.sleep(0.05)
        assert (await town.get("/healthz")).status == 200


async def asked(town) -> int:
    """The answer to one more watcher, who leaves at once."""
    async with town.http.get(town.url + "/signs/events") as answer:
        return answer.status


async def test_one_panel_fills_the_screen_and_an_unknown_one_is_not_found(town):
    page = await town.text("/signs/avenue")
    assert re.findall(r'data-sign="([^"]+)"', page) == ["avenue"]
    assert 'data-events="/signs/events?sign=avenue"' in page
    for path in ("/signs/nowhere", "/signs/nowhere/qr.svg", "/signs/nowhere/qr.png"):
        assert (await town.get(path)).status == 404


async def test_a_reader_reads_the_code_and_it_opens_the_page(town):
    answer = await town.get("/signs/avenue/qr.png")
    assert answer.content_type == "image/png"
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(await answer.read())))
    assert code.text.startswith(f"{PUBLIC}/s/avenue?t=")
    assert len(code.text) < 80
    assert (await town.get(code.text.removeprefix(PUBLIC))).status == 200
    assert (await town.get(code.text.removeprefix(PUBLIC)[:-1] + "_")).status == 403


async def test_the_code_is_the_same_in_any_size_and_says_no_count(town):
    svg = await town.text("/signs/avenue/qr.svg")
    assert svg.startswith("<?xml")
    assert "<path" in svg
    assert "<script" not in svg
    await town.free("market", "all", "market-counter", 87)
    assert await town.text("/signs/avenue/qr.svg") == svg
    for px in ("1", "40", "0", "-3", "9999", "一", "%00"):
        answer = await town.get(f"/signs/avenue/qr.png?px={px}")
        assert answer.status == 200
        image = Image.open(io.BytesIO(await answer.read()))
        assert image.width <= 2000
        (code,) = zxingcpp.read_barcodes(image.convert("RGB").resize((400, 400)))
        assert code.text.startswith(PUBLIC)


async def test_drawing_many_codes_does_not_stop_the_service(town):
    drawing = [
        asyncio.create_task(town.get(f"/signs/{sign}/qr.png?px={px}"))
        for px in range(2, 22)
        for sign in town.catalog.signs
    ]
    await asyncio.sleep(0)  # they ask first
    await town.get("/healthz")
    waiting = sum(not one.done() for one in drawing)
    assert waiting > len(drawing) / 4, "the loop drew codes before it answered"
    assert {one.status for one in await asyncio.gather(*drawing)} == {200}
