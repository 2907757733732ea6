"""The API over the whole service: rankings, lots, signs and frames, and clear refusals."""

import asyncio

import msgspec
import pytest
from town import Town, living, settled

from service.guidance.model import Frame, Ranking

HERE = "lat=30.2560&lng=120.1650"


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        await town.free("market", "all", "market-counter", 87)
        await town.free("hotel", "all", "hotel-count", 0)
        await settled(town, market="87", hotel="满")
        yield town


async def ranked(town: Town, query: str) -> Ranking:
    answer = await town.get(f"/api/v1/guidance?{query}")
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/json"
    return msgspec.json.decode(await answer.read(), type=Ranking)


async def problems(town: Town, path: str, status: int) -> set[str]:
    answer = await town.get(path)
    assert answer.status == status, await answer.text()
    error = msgspec.json.decode(await answer.read())["error"]
    assert error["message_zh"]
    assert error["message_en"]
    for problem in error["problems"]:
        assert problem["expected"] in error["message_en"]
        assert problem["expected_zh"] in error["message_zh"]
    return {problem["parameter"] for problem in error["problems"]}


async def test_the_best_lot_comes_first_and_what_cannot_be_advised_last(town):
    ranking = await ranked(town, "sign=avenue&destination=clinic")
    first, *rest = ranking.choices
    assert (first.lot, first.free) == ("market", 87)
    assert first.why.zh.startswith("车程 ")
    assert first.why.zh.endswith("，剩 87 位")
    said = [one.why.en.rpartition(", ")[2] for one in rest]
    order = ("free spaces unknown", "full", "closed")
    assert [order.index(one) for one in said] == sorted(order.index(one) for one in said)
    assert next(one.lot for one in rest if one.why.en.endswith("full")) == "hotel"
    assert ranking.travel == "straight_line"


async def test_the_quick_reading_of_an_address_equals_the_careful_one(town):
    plain = await ranked(town, HERE)
    careful = await ranked(town, "lng=120.1650&lat=30.2560&limit=10")
    assert plain.choices == careful.choices
    to_door = await ranked(town, f"{HERE}&destination=clinic")
    assert to_door.choices == (await ranked(town, f"destination=clinic&{HERE}")).choices
    assert any(one.walk_s for one in to_door.choices)
    assert not any(one.walk_s for one in plain.choices)


async def test_a_sign_ranks_for_whom_it_guides_unless_told_otherwise(town):
    own = town.catalog.signs["avenue"].destination
    assert own is not None
    by_sign = await ranked(town, "sign=avenue")
    assert any(one.walk_s for one in by_sign.choices)
    assert by_sign.choices == (await ranked(town, f"sign=avenue&destination={own}")).choices
    anywhere = await ranked(town, "sign=avenue&destination=any")
    assert not any(one.walk_s for one in anywhere.choices)


async def test_needs_are_met(town):
    charging = await ranked(town, f"{HERE}&ev=true")
    assert {one.lot for one in charging.choices} == {
        lot.id for lot in town.catalog.lots.values() if any(zone.kind == "ev" for zone in lot.zones)
    }
    low = await ranked(town, f"{HERE}&height_m=2.05")
    assert "market" not in {one.lot for one in low.choices}
    free = await ranked(town, f"{HERE}&max_price_fen=0&stay_minutes=600")
    assert all(one.price_fen == 0 for one in free.choices)
    assert len((await ranked(town, f"{HERE}&limit=2")).choices) == 2
    short, long = [
        {
            one.lot: one.price_fen
            for one in (await ranked(town, f"{HERE}&stay_minutes={stay}")).choices
        }
        for stay in (30, 600)
    ]
    assert any(long[lot] > short[lot] for lot in short)


async def test_a_tap_sends_the_next_driver_by_what_is_left(town):
    before = (await ranked(town, HERE)).choices[0]
    page = await town.text(town.scan("avenue"))
    link = next(
        part.split('"')[0].replace("&amp;", "&")
        for part in page.split('href="')
        if part.startswith("/go/market?")
    )
    assert (await town.get(link)).status == 302
    after = (await ranked(town, HERE)).choices[0]
    assert after.on_the_way == before.on_the_way + 1
    assert after.expected == pytest.approx(before.expected - 0.85, abs=0.06)


BAD = [
    ("", {"lat", "lng"}),
    ("lat=30", {"lng"}),
    ("lat=91&lng=181", {"lat", "lng"}),
    ("lat=nan&lng=inf", {"lat", "lng"}),
    ("lat=x&lng=&limit=0&ev=maybe&height_m=-1", {"lat", "lng", "limit", "ev", "height_m"}),
    (
        f"{HERE}&limit=51&stay_minutes=0&max_price_fen=-1",
        {"limit", "stay_minutes", "max_price_fen"},
    ),
    (f"{HERE}&limit=1.5", {"limit"}),
    (f"{HERE}&lat=30", {"lat"}),
    (f"sign=avenue&{HERE}", {"lat", "lng"}),
    (f"{HERE}&lon=3", {"lon"}),
    (f"{HERE}&destination=nowhere&limit=0", {"destination", "limit"}),
    ("lat=1_0&lng=%D9%A1", {"lat", "lng"}),
]


async def test_every_bad_parameter_is_named_at_once(town):
    for query, named in BAD:
        assert await problems(town, f"/api/v1/guidance?{query}", 400) == named, query


async def test_what_is_not_there_is_not_found(town):
    assert await problems(town, "/api/v1/guidance?sign=nowhere", 404) == {"sign"}
    assert await problems(town, f"/api/v1/guidance?{HERE}&destination=x", 404) == {"destination"}
    assert await problems(town, "/api/v1/lots/nowhere", 404) == {"lot"}
    assert await problems(town, "/api/v1/signs/nowhere/frame", 404) == {"sign"}
    assert await problems(town, "/api/v1/lots?site=nowhere", 404) == {"site"}


async def test_lots_by_pages_are_all_lots_once(town):
    seen, after = [], ""
    while after is not None:
        page = await town.json(f"/api/v1/lots?limit=2&after={after}")
        assert len(page["lots"]) <= 2
        seen += [lot["id"] for lot in page["lots"]]
        after = page["after"]
    assert seen == sorted(town.catalog.lots)
    market = next(lot for lot in (await town.json("/api/v1/lots"))["lots"] if lot["id"] == "market")
    assert (market["free"], market["quality"], market["openness"]) == (87, "fresh", "open")


async def test_unchanged_lots_are_not_sent_again(town):
    first = await town.get("/api/v1/lots?site=small")
    tag = first.headers["ETag"]
    again = await town.get("/api/v1/lots?site=small", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status, await again.read()) == (304, b"")
    await town.free("market", "all", "market-counter", 86)
    changed = await town.get("/api/v1/lots?site=small", headers={"If-None-Match": tag})
    assert changed.status == 200


async def test_one_lot_has_its_zones(town):
    yard = await town.json("/api/v1/lots/clinic-yard")
    assert isinstance(yard["forecast"], list), "empty until it was heard for some minutes"
    assert {zone["zone"] for zone in yard["zones"]} == {"yard", "charging", "accessible", "staff"}
    assert yard["lot"]["free"] is None
    assert yard["lot"]["why"] == "never_heard"


async def test_a_frame_is_what_the_panel_was_sent_with_the_lease_that_is_left(town):
    sent: list[bytes] = []
    await town.link.subscribe(
        "bowei/signs/market-gate/frame", lambda message: sent.append(message.payload)
    )
    async with asyncio.timeout(30):
        while True:  # the panel and the asker hear of a frame at moments of their own
            answer = await town.get("/api/v1/signs/market-gate/frame")
            body = await answer.read()
            if answer.status == 200 and b'"87"' in body and sent[-1:] == [body]:
                break
            await asyncio.sleep(0.05)
    frame = msgspec.json.decode(body, type=Frame)
    assert frame.lines[0].value == "87"
    left_s = int(answer.headers["X-Lease-Remaining"])
    assert frame.lease_s / 4 <= left_s <= frame.lease_s, "renewed at half of it"
    tag = answer.headers["ETag"]
    held = await town.get("/api/v1/signs/market-gate/frame", headers={"If-None-Match": tag})
    assert (held.status, await held.read()) == (304, b"")
    assert held.headers["ETag"] == tag
    assert int(held.headers["X-Lease-Remaining"]) <= left_s
    again = await town.get("/api/v1/signs/market-gate/frame")
    assert (await again.read(), again.headers["ETag"]) == (body, tag)


async def test_signs_say_how_their_frames_fared(town):
    frame = await town.json("/api/v1/signs/avenue/frame")
    await town.link.publish(
        "bowei/signs/avenue/shown", msgspec.json.encode({"revision": frame["revision"]})
    )
    async with asyncio.timeout(30):
        while True:
            signs = {one["id"]: one for one in (await town.json("/api/v1/signs"))["signs"]}
            if signs["avenue"]["delivery"] == "shown":
                break
            await asyncio.sleep(0.02)
    assert set(signs) == set(town.catalog.signs)


async def test_the_api_only_reads(town):
    for method in ("POST", "PUT", "DELETE"):
        async with town.http.request(method, f"{town.url}/api/v1/guidance?{HERE}") as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET,HEAD"
            assert "error" in msgspec.json.decode(await answer.read())
