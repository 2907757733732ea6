"""The pages in a real browser: readable, light, alive, and deaf to names that are scripts."""

import asyncio
import io
import re
from urllib.parse import urlsplit

import msgspec
import pytest
import zxingcpp
from chromium import DESK, PHONE, Seen, chromium, sideways
from PIL import Image
from playwright.async_api import expect
from town import living

from service.catalog import Name

pytestmark = pytest.mark.chromium
ANDROID = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
PATIENCE_S = 30
expect.set_options(timeout=PATIENCE_S * 1000.0)
LAMPS = """['.lines b', '.lease'].map(
  one => document.querySelector('#sign-market-gate ' + one).innerText
)"""
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202egnihtemos\u202c"
AHEAD = """(() => {
  const real = performance.now.bind(performance);
  let ahead = 0;
  performance.now = () => real() + ahead;
  window.later = (seconds) => { ahead += seconds * 1000; };
})()"""


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        await town.free("market", "all", "market-counter", 87)
        await town.free("hotel", "all", "hotel-count", 0)
        await town.shows("market-gate", "87")
        await town.shows("crossing", "满")
        yield town


async def test_a_driver_sees_the_best_lot_and_the_button_without_scrolling(town):
    async with chromium() as browser:
        page = await browser.new_page(viewport=PHONE, is_mobile=True, has_touch=True)
        seen = Seen(page)
        await page.goto(town.url + town.scan("avenue"))
        assert seen.hosts() == {urlsplit(town.url).netloc}
        assert await seen.weight() <= 30 * 1024
        assert await page.locator(".best .count b").inner_text() == "87"
        links = await page.locator("a").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().height)"
        )
        assert min(links) >= 36
        for size in (PHONE, {"width": 360, "height": 640}):
            await page.set_viewport_size(size)
            button = await page.locator(".navigate").bounding_box()
            assert button["y"] + button["height"] <= size["height"]
            assert button["height"] >= 48
            assert await sideways(page) == 0
        assert seen.complaints == []


async def test_ages_count_on_numbers_come_anew_and_a_tap_leads_to_the_map(town):
    async with chromium() as browser:
        page = await browser.new_page(viewport=PHONE, user_agent=ANDROID)
        opened = asyncio.get_running_loop().create_future()

        async def note(route):
            opened.set_result(route.request.url)
            await route.fulfill(body="a map")

        await page.route("https://uri.amap.com/**", note)
        await page.goto(town.url + town.scan("avenue"))
        before = await seconds_old(page)
        async with asyncio.timeout(PATIENCE_S):
            while await seconds_old(page) < before + 2:
                await asyncio.sleep(0.1)
        await town.free("market", "all", "market-counter", 61)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator(".best .count b")).to_have_text("61")
        before = await coming(town)
        await page.locator(".navigate").click()
        async with asyncio.timeout(PATIENCE_S):
            assert "coordinate=gaode" in await opened
        assert await coming(town) == pytest.approx(before + 1, abs=0.5)


async def seconds_old(page):
    return int(re.search(r"\d+", await page.locator(".best time").inner_text()).group())


async def coming(town):
    """Cars on the way, those that probably follow a sign among them."""
    return (await town.json("/api/v1/lots/market"))["on_the_way"]


async def test_everything_works_without_script(town):
    async with chromium() as browser:
        context = await browser.new_context(java_script_enabled=False, viewport=PHONE)
        page = await context.new_page()
        await page.goto(town.url + town.scan("avenue"))
        assert await page.locator(".best .count b").inner_text() == "87"
        assert "/go/market?" in await page.locator(".navigate").get_attribute("href")
        await page.locator("summary").click()
        await page.get_by_text("停").first.wait_for()
        await page.locator(".chips a", has_text="8 小时").click()
        assert "停 8 小时" in await page.locator(".facts").inner_text()
        await page.locator("a.lang").click()
        assert "Fastest: park here" in await page.locator("main").inner_text()
        await page.goto(town.url + "/signs")
        assert "87" in await page.locator("#sign-market-gate").inner_text()


async def test_the_wall_draws_lamps_codes_can_be_scanned_and_leases_run_out(town):
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1440, "height": 1600})
        seen = Seen(page)
        await page.add_init_script(AHEAD)
        await page.goto(town.url + "/signs")
        gate = page.locator("#sign-market-gate")
        await gate.locator("canvas").wait_for()
        assert await gate.locator(".lines").inner_text() == "87"
        await page.wait_for_function(
            """() => {
              const canvas = document.querySelector('#sign-market-gate canvas');
              const pen = canvas.getContext('2d');
              const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
              let green = 0;
              for (let i = 0; i < data.length; i += 4) {
                if (data[i + 1] > 200 && data[i] < 120) green += 1;
              }
              return green > 200;
            }"""
        )
        async with asyncio.timeout(PATIENCE_S):
            while not await page.evaluate("[...document.images].every(one => one.naturalWidth)"):
                await asyncio.sleep(0.1)
        picture = Image.open(io.BytesIO(await page.screenshot()))
        read = {urlsplit(code.text).path for code in zxingcpp.read_barcodes(picture)}
        assert read == {f"/s/{sign}" for sign in town.catalog.signs}
        assert seen.complaints == []
        async with asyncio.timeout(PATIENCE_S):
            while await page.evaluate(LAMPS) != ["--", "已过期"]:  # a frame may come just then
                await page.evaluate("window.later(3600)")
                await asyncio.sleep(0.3)


async def test_every_page_fits_a_phone_and_a_desk(town):
    paths = ["/", "/signs", "/signs/avenue", "/ops/", town.scan("avenue"), "/s/forged", "/nowhere"]
    async with chromium() as browser:
        for size, lang in ((PHONE, "zh"), (PHONE, "en"), (DESK, "en")):
            page = await browser.new_page(viewport=size)
            for path in paths:
                seen = Seen(page)
                await page.goto(town.url + path + ("&" if "?" in path else "?") + f"lang={lang}")
                await page.wait_for_timeout(100)
                assert await sideways(page) <= 0, (path, size, lang)
                wrong = [one for one in seen.complaints if "status of 40" not in one]
                assert wrong == [], path
            await page.close()


async def test_names_that_are_scripts_stay_names(
    catalog, redis_url, broker_url, sqlite_url, tmp_path
):
    replace = msgspec.structs.replace
    evil = Name(EVIL, EVIL)
    world = replace(
        catalog,
        lots={id_: replace(one, name=evil) for id_, one in catalog.lots.items()},
        signs={id_: replace(one, name=evil) for id_, one in catalog.signs.items()},
        sites={id_: replace(one, name=evil) for id_, one in catalog.sites.items()},
        destinations={id_: replace(one, name=evil) for id_, one in catalog.destinations.items()},
    )
    async with living(world, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        await town.free("market", "all", "market-counter", 87)
        await town.say("bowei/lots/market/zones/all/count", EVIL, free=1)
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESK)
            for path in ("/", "/signs", "/signs/avenue", town.scan("avenue"), "/ops/"):
                seen = Seen(page)
                await page.goto(town.url + path)
                await expect(page.locator("body")).to_contain_text(
                    "<script>alert(1)</script>", use_inner_text=True
                )
                await page.wait_for_timeout(400)
                text = await page.locator("body").inner_text()
                assert "\u202e" not in text, path
                assert seen.complaints == [], path
                assert seen.hosts() == {urlsplit(town.url).netloc}


async def test_operations_sort_filter_open_and_search(town):
    await town.say("bowei/lots/market/zones/all/count", "stranger", free=1)
    async with chromium() as browser:
        page = await browser.new_page(viewport=DESK)
        await page.goto(town.url + "/ops/")
        rows = page.locator("#lots tbody tr.opens")
        await rows.first.wait_for()
        await expect(rows).to_have_count(len(town.catalog.lots))
        await page.locator("#qualities button[value=fresh]").click()
        await expect(rows).to_have_count(2)
        assert "市场停车库" in await page.locator("#lots").inner_text()
        await page.locator("#qualities button[value='']").click()
        await page.locator("#lots th button", has_text="空位").click()
        await expect(rows.first).to_contain_text("市场停车库")
        await rows.first.click()
        await expect(page.locator("#lots tr.more")).to_contain_text("进出计数")
        stranger = page.locator("#unknown td", has_text="stranger").first
        await stranger.wait_for()
        assert 'sensors = [{ id = "stranger" }]' in await page.locator("#unknown").inner_text()
        await page.locator("#find").fill("饭店")
        await expect(rows).to_have_count(1)
        await expect(rows.first).to_contain_text("小城饭店")
