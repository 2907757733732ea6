"""The driver's page over the whole service: honest, light, and for real codes only."""

import re

import pytest
from town import ALL_ROLES, living

from service.guidance import qr
from service.web.assets import ASSETS

SIGN = "avenue"
MOST_BYTES = 30 * 1024


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    # A sign that shows a lot would count its probable followers as cars on the way.
    roles = ALL_ROLES - {"signs"}
    state = tmp_path / "state"
    async with living(catalog, redis_url, broker_url, sqlite_url, state, roles=roles) as town:
        yield town


@pytest.fixture
async def counted(town):
    """Two lots have spaces, one is full; nobody knows of the rest."""
    await town.free("market", "all", "market-counter", 87)
    await town.free("hotel", "all", "hotel-count", 0)
    return town


def plain(html: str) -> str:
    """What a reader sees, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_the_best_lot_stands_first_with_why_and_how_fresh(counted):
    page = await counted.text(counted.scan(SIGN))
    seen = plain(page)
    best = seen[seen.index("最快：停这里") : seen.index("换个地图")]
    assert "市场停车库" in best
    assert "87 个空位" in best
    assert re.search(r"\d+ 秒前", best)
    assert re.search(r"开车 · [\d.]+ k?m", best)
    assert "分钟 步行" in best
    assert "停 2 小时" in best
    assert re.search(r"¥\d+", best)
    assert "约" in best
    assert "导航" in best
    assert "小城医院" in seen


async def test_what_is_not_known_or_full_is_never_shown_as_free(counted):
    seen = plain(await counted.text(counted.scan(SIGN)))
    rest = seen[seen.index("现在不推荐") :]
    assert "已满" in rest
    assert "小城饭店" in rest
    yard = rest[: rest.index("医院停车场")]
    assert "--" in yard
    assert "从未收到" in rest


async def test_with_nothing_known_no_lot_is_called_best(town):
    seen = plain(await town.text(town.scan(SIGN)))
    assert "附近暂时没有确定的空位" in seen
    assert "最快" not in seen
    assert "--" in seen


async def test_english_is_one_tap_away_and_stays(counted):
    page = await counted.text(counted.scan(SIGN))
    assert '<html lang="zh-CN">' in page
    (tap,) = re.findall(r'<a class="lang" href="([^"]+)"', page)
    tap = tap.replace("&amp;", "&")
    path = counted.scan(SIGN).partition("?")[0]
    english = await counted.text(path + tap)
    assert '<html lang="en">' in english
    assert "Fastest: park here" in english
    assert "Market Garage" in english
    assert '<html lang="en">' in await counted.text(counted.scan(SIGN))


async def test_everything_weighs_at_most_30_kib_and_comes_from_here(counted):
    page = await counted.text(counted.scan(SIGN))
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(one.startswith(("/", "?")) and not one.startswith("//") for one in wanted)
    static = {one.partition("?")[0].removeprefix("/static/") for one in wanted if "static" in one}
    assert {"driver.css", "driver.js"} <= static
    weight = len(page.encode()) + sum(len(ASSETS[name].body) for name in static)
    assert weight <= MOST_BYTES
    assert "@import" not in ASSETS["driver.css"].body.decode()
    assert "url(" not in ASSETS["driver.css"].body.decode()


async def test_every_map_app_is_a_tap_away_from_the_best_lot(counted):
    page = await counted.text(counted.scan(SIGN))
    best = page[page.index('class="best') : page.index("</section>")]
    apps = re.findall(r'href="/go/market\?app=(\w+)&amp;from=avenue&amp;v=', best)
    assert apps[0] == "amap"
    assert set(apps) == {"amap", "baidu", "tencent", "apple", "google"}


async def test_filters_are_plain_links(counted):
    await counted.say("bowei/lots/clinic-yard/bays/A01", "cy-A01", occupied=False)
    page = await counted.text(counted.scan(SIGN) + "&ev=1")
    seen = plain(page)
    assert "医院停车场" in seen
    assert "市场停车库" not in seen
    assert "清除条件" in seen
    anywhere = await counted.text(counted.scan(SIGN) + "&to=any&stay=480")
    assert "附近停车" in plain(anywhere)
    assert "停 8 小时" in plain(anywhere)


async def test_the_small_script_gets_only_what_changes(counted):
    page = await counted.text(counted.scan(SIGN))
    (path,) = re.findall(r'data-live="([^"]+)"', page)
    path = counted.scan(SIGN).partition("?")[0] + path.replace("&amp;", "&")
    before = await counted.text(path)
    assert "<html" not in before
    assert ">87<" in before
    await counted.free("market", "all", "market-counter", 61)
    assert ">61<" in await counted.text(path)


async def test_a_forged_code_gets_a_clear_page_and_another_way(town):
    for token in ["", "x" * 12, "停车", "%00", "%ff", "A" * 4000]:
        answer = await town.get(f"/s/{SIGN}?t={token}")
        page = await answer.text()
        assert answer.status == 403
        assert "这个二维码不是我们的诱导屏" in page
        assert "This code is not from one of our signs" in page
        assert "navigate" not in page
        (way,) = re.findall(r'href="(/park/[^"]+)"', page)
    assert (await town.get(way)).status == 200


async def test_a_code_of_another_sign_or_key_is_foreign(town):
    for token in (qr.sign_token(town.key, "crossing"), qr.sign_token(b"another key", SIGN)):
        assert (await town.get(f"/s/{SIGN}?t={token}")).status == 403
    assert (await town.get(f"/s/nowhere?t={qr.sign_token(town.key, 'nowhere')}")).status == 403


async def test_without_a_sign_the_lots_are_shown_and_nobody_is_counted(counted):
    site = next(iter(counted.catalog.sites))
    page = await counted.text(f"/park/{site}")
    links = re.findall(r'href="(/go/[^"]+)"', page)
    assert links
    assert not any("from=" in link for link in links)
    answer = await counted.get(links[0].replace("&amp;", "&"))
    assert answer.status == 302
    detail = await counted.json("/api/v1/lots/market")
    assert detail["on_the_way"] == 0


async def test_nonsense_in_the_address_is_as_if_not_asked(counted):
    queries = [
        "&ev=%00", "&stay=-1", "&stay=1e9", "&to=%F0%9F%9A%97", "&lang=xx", "&to=../../etc",
        "&live=2", "&ev=1&ev=2", "&" + "a=1&" * 500, "&%ff=%fe",
    ]  # fmt: skip
    for query in queries:
        assert (await counted.get(counted.scan(SIGN) + query)).status == 200, query
