"""One tap to the map app: the car is counted once, and the way never leads anywhere else."""

import asyncio
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from town import ALL_ROLES, living

from service.guidance.navigation import gcj02
from service.web import visit

SIGN = "avenue"
# A sign that shows a lot counts its probable followers as cars on the way to it.
WITHOUT_SIGNS = ALL_ROLES - {"signs"}
HOSTS = {
    "amap": "uri.amap.com",
    "baidu": "api.map.baidu.com",
    "tencent": "apis.map.qq.com",
    "apple": "maps.apple.com",
    "google": "www.google.com",
}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
ANDROID = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(
        catalog, redis_url, broker_url, sqlite_url, tmp_path / "state", roles=WITHOUT_SIGNS
    ) as town:
        await town.free("market", "all", "market-counter", 87)
        await town.free("hotel", "all", "hotel-count", 30)
        yield town


async def links(town, lot):
    """The page's links to `lot`, as a tap would follow them."""
    page = await town.text(town.scan(SIGN))
    return [one.replace("&amp;", "&") for one in re.findall(rf'href="(/go/{lot}\?[^"]+)"', page)]


async def coming(town, lot):
    return (await town.json(f"/api/v1/lots/{lot}"))["on_the_way"]


def refusals(text, reason):
    found = re.search(rf'bowei_refused_total{{edge="go",reason="{reason}"}} (\S+)', text)
    return float(found.group(1)) if found else 0.0


async def test_a_tap_counts_one_car_however_often_it_is_tapped(town):
    (first, *_) = await links(town, "market")
    assert await coming(town, "market") == 0
    for _ in range(3):
        assert (await town.get(first)).status == 302
    assert await coming(town, "market") == 1
    (reloaded, *_) = await links(town, "market")
    await town.get(reloaded)
    assert await coming(town, "market") == 1


async def test_looking_ahead_counts_nobody(town):
    (link, *_) = await links(town, "market")
    head = await town.http.head(town.url + link, allow_redirects=False)
    assert head.status == 302
    ahead = [
        {"Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"X-Moz": "prefetch"},
        {"X-Purpose": "preview"},
    ]
    for headers in ahead:
        assert (await town.get(link, headers=headers)).status == 302
    assert await coming(town, "market") == 0
    await town.get(link)
    assert await coming(town, "market") == 1


async def test_a_driver_who_changes_his_mind_takes_his_car_along(town):
    (market, *_), (hotel, *_) = await links(town, "market"), await links(town, "hotel")
    await town.get(market)
    await town.get(hotel)
    assert await coming(town, "market") == 0
    assert await coming(town, "hotel") == 1


async def test_two_phones_are_two_cars(town):
    (mine, *_) = await links(town, "market")
    town.http.cookie_jar.clear()
    (theirs, *_) = await links(town, "market")
    await town.get(mine)
    await town.get(theirs)
    assert await coming(town, "market") == 2


async def test_every_app_is_opened_at_its_own_host_in_its_own_datum(town):
    position = town.catalog.lots["market"].entrances[0].position
    for app, host in HOSTS.items():
        answer = await town.get(f"/go/market?app={app}")
        assert answer.status == 302
        target = urlsplit(answer.headers["Location"])
        assert (target.scheme, target.hostname) == ("https", host)
    drawn = gcj02(position)
    assert f"{drawn.lat:.6f},{drawn.lng:.6f}" in answer.headers["Location"]
    geo = await town.get("/go/market?app=geo")
    assert geo.headers["Location"].startswith(f"geo:{position.lat:.6f},{position.lng:.6f}")


async def test_the_way_leads_nowhere_else(town):
    for app in ("evil", "https://evil.example", "//evil.example", "%00", "javascript:alert(1)"):
        answer = await town.get("/go/market", params={"app": app})
        assert answer.status == 404
        assert "Location" not in answer.headers
    for lot in ("%2F%2Fevil.example", "..%2F..", "https:%2F%2Fevil.example", "nowhere"):
        assert (await town.get(f"/go/{lot}?app=amap")).status == 404


async def test_forged_and_foreign_links_lead_but_count_nobody(town):
    (link, *_) = await links(town, "market")
    before = refusals(await town.text("/metrics"), "forged")
    forged = [
        re.sub(r"t=[^&]+", "t=AAAAAAAAAAAAAAAA", link),
        re.sub(r"t=[^&]+", "t=停车", link),
        re.sub(r"v=[^&]+", "v=qqqqqq-aaaaaaaaaaaa", link),
        link.replace("/go/market", "/go/hotel"),
        link.replace("from=avenue", "from=crossing"),
    ]
    for one in forged:
        assert (await town.get(one)).status == 302
    assert await coming(town, "market") == 0
    assert await coming(town, "hotel") == 0
    assert refusals(await town.text("/metrics"), "forged") == before + len(forged)


async def test_a_visit_that_is_over_leads_but_counts_nobody(town):
    old = visit.mint(town.clock.now() - timedelta(days=365), b"123456789")
    token = visit.link_token(town.key, "market", SIGN, old)
    answer = await town.get(f"/go/market?app=amap&from={SIGN}&v={old}&t={token}")
    assert answer.status == 302
    assert await coming(town, "market") == 0
    assert refusals(await town.text("/metrics"), "visit_over") >= 1


async def test_the_phone_decides_which_app_and_is_remembered(town):
    for agent, app in (
        (ANDROID, "amap"),
        (IPHONE, "apple"),
        (ANDROID + " MicroMessenger/8.0.40", "tencent"),
        (ANDROID + " AlipayClient/10.5", "amap"),
        (ANDROID + " baiduboxapp/13", "baidu"),
    ):
        page = await town.text(town.scan(SIGN), headers={"User-Agent": agent})
        best = page[page.index('class="navigate"') :]
        assert re.match(rf'class="navigate" href="/go/market\?app={app}&', best), agent
    wechat = await town.text(town.scan(SIGN), headers={"User-Agent": "MicroMessenger"})
    assert "在浏览器打开" in wechat
    assert "app=geo" not in wechat
    await town.get("/go/market?app=baidu")
    page = await town.text(town.scan(SIGN), headers={"User-Agent": IPHONE})
    assert 'class="navigate" href="/go/market?app=baidu&' in page


async def test_with_redis_away_the_page_still_answers_and_the_tap_still_leads(
    catalog, start_redis, broker_url, sqlite_url, tmp_path
):
    redis = start_redis()
    async with living(
        catalog, redis.url, broker_url, sqlite_url, tmp_path / "state", roles=WITHOUT_SIGNS
    ) as town:
        await town.free("market", "all", "market-counter", 87)
        (link, *_) = await links(town, "market")
        redis.child.kill()
        async with asyncio.timeout(10):
            answer = await town.get(link)
        assert answer.status == 302
        async with asyncio.timeout(10):
            page = await town.text(town.scan(SIGN))
        assert ">87<" in page
        assert await coming(town, "market") == 1
