"""The bill page: the fee line by line, a button that pays, nothing for those without the link."""

import asyncio
import io
import re

import aiohttp
import msgspec
import pytest
import zxingcpp
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image
from settlement_money import POLITE, trading
from settlement_parts import KEY

from service.clock import Clock
from service.guidance import qr
from service.settlement.providers.sandbox import Said
from service.settlement.providers.signature import kept_key, signed
from service.web import keys
from service.web.site import make_app
from service.web.webhooks import DESK

UNENROLLED = msgspec.structs.replace(POLITE, enrolled_share=0.0)
MOST_BYTES = 30 * 1024


@pytest.fixture
async def shop(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=UNENROLLED) as money:
        app = make_app({
            keys.CATALOG: catalog, keys.CLOCK: clock, keys.SIGNING_KEY: KEY, DESK: money.desk,
        })  # fmt: skip
        async with TestClient(TestServer(app)) as money.client:
            await money.parts.enter(0)
            went = await money.parts.leave(61)
            money.path = went.bill
            clock.advance(61 * 60 + 120)
            for _ in range(20):
                await money.collector.collect()
                await asyncio.sleep(0.02)
            yield money


async def page(shop, path, **options):
    async with shop.client.get(path, **options) as response:
        return response.status, await response.text(), response.headers


def seen(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_the_bill_explains_itself_in_both_languages(shop):
    status, html, headers = await page(shop, shop.path)
    text = seen(html)
    assert status == 200
    for words in ("停车账单", "应付", "¥10.00", "市场停车库", "浙A***01", "1 小时 1 分钟", "合计",
                  "3月2日 08:00", "3月2日 09:01", "支付 ¥10.00"):  # fmt: skip
        assert words in text
    assert "浙A00001" not in html
    assert len(html.encode()) < MOST_BYTES
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex"
    assert "script" not in html
    _, english, _ = await page(shop, f"{shop.path}?lang=en")
    for words in ("Parking bill", "Market Garage", "1 h 1 min", "Pay ¥10.00", "2 Mar 08:00"):
        assert words in seen(english)


async def test_paying_leads_to_the_cashier_and_back_to_a_paid_bill(shop):
    async with shop.client.post(f"{shop.path}/pay") as response:
        going = await response.text()
    cashier = re.search(r'content="0;url=(http[^"]+)"', going).group(1)
    assert cashier.startswith(shop.house.url)
    async with aiohttp.ClientSession() as driver:
        async with driver.get(cashier) as response:
            till = await response.text()
        assert "¥10.00" in till
        assert "no money moves" in till
        async with driver.post(cashier, data={"do": "pay"}, allow_redirects=False) as response:
            back = response.headers["Location"]
    assert back == str(shop.client.make_url(f"{shop.path}?r=1"))
    for _ in range(400):
        _, html, _ = await page(shop, back.removeprefix(str(shop.client.make_url("/")).rstrip("/")))
        if "已支付" in seen(html):
            break
        assert "正在确认支付结果" in seen(html)
        assert 'http-equiv="refresh"' in html
        await asyncio.sleep(0.05)
    assert "谢谢，一路平安" in seen(html)
    assert "<form" not in html
    async with shop.client.post(f"{shop.path}/pay", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, shop.path)


async def test_the_page_stops_asking_after_a_while(shop):
    _, html, _ = await page(shop, f"{shop.path}?r=16")
    assert 'http-equiv="refresh"' not in html
    for odd in ("?r=-1", "?r=x", "?r=999999", "?r=%E2%91%A0"):
        assert (await page(shop, shop.path + odd))[0] == 200


@pytest.mark.parametrize("token", ["x", "A" * 27, "A" * 5000, "%00", "%E6%9D%AD", "..%2f..%2fetc"])
async def test_without_the_link_there_is_no_bill(shop, token):
    status, html, _ = await page(shop, f"/b/{token}")
    assert status == 404
    assert "¥" not in html
    assert (await page(shop, f"/b/{token}/qr.svg"))[0] == 404
    async with shop.client.post(f"/b/{token}/pay", allow_redirects=False) as response:
        assert response.status in (303, 404)


async def test_the_code_of_a_bill_leads_to_it(shop):
    status, svg, headers = await page(shop, f"{shop.path}/qr.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert headers["Cache-Control"] == "private, no-store"
    address = str(shop.client.make_url(shop.path))
    assert svg.encode() == qr.svg.__wrapped__(address)
    drawn = Image.open(io.BytesIO(qr.png.__wrapped__(address)))
    assert zxingcpp.read_barcode(drawn).text == address


async def test_a_provider_that_is_away_is_said_kindly(shop, tmp_path):
    (tmp_path / "sandbox" / "address").write_text("http://127.0.0.1:1")
    async with shop.client.post(f"{shop.path}/pay") as response:
        assert response.status == 503
        assert "暂时打不开账单" in await response.text()


async def test_a_webhook_is_answered_as_the_provider_wants(shop, tmp_path):
    async def tell(body, headers, provider="sandbox"):
        async with shop.client.post(
            f"/webhooks/{provider}", data=body, headers=headers
        ) as response:
            return response.status, await response.json()

    async with shop.client.post(f"{shop.path}/pay"):
        [order] = shop.house.orders
    body = msgspec.json.encode(Said("bowei-sandbox", order, "SUCCESS", 1000, "r", "n1"))
    key = kept_key(tmp_path / "sandbox" / "house.pem")
    headers = signed(key, Clock().now(), body)
    assert await tell(body, {}) == (401, {"code": "FAIL"})
    assert await tell(body + b" ", headers) == (401, {"code": "FAIL"})
    assert await tell(body, headers, "other") == (404, {"code": "FAIL"})
    for _ in range(2):
        assert await tell(body, headers) == (200, {"code": "SUCCESS"})
    assert (await shop.desk.bill(shop.path.removeprefix("/b/"))).status == "paid"
