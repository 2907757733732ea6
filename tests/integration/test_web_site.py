"""What holds on every route: headers, errors in words, deadlines, limits, no 500 on nonsense."""

import asyncio
import io
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace
from urllib.parse import quote

import aiohttp
import pytest
import structlog
from aiohttp import web
from guidance_parts import lot_state
from town import living

from devices.sensors.bowei import decode_count
from service.clock import Clock
from service.occupancy.model import Quality
from service.web import keys, site
from service.web.keys import PartState
from service.web.listening import Limits, listening

NASTY = [
    "x", "..", "%2e%2e%2fetc", "%00", "%ff%fe", "停车", "<script>alert(1)</script>", "'--",
    "{{7*7}}", "a" * 3000, "%e2%80%aetxt", "=cmd|calc", "-1", "\u200b", " ",
]  # fmt: skip


@asynccontextmanager
async def bare(catalog, limits=None, **more):
    """The pages over a catalogue alone: no part runs."""
    parts = {
        keys.CATALOG: catalog,
        keys.CLOCK: Clock(),
        keys.SIGNING_KEY: b"k" * 32,
        keys.PUBLIC_URL: more.get("public_url"),
        keys.READINESS: more.get("checks", {}),
    } | more.get("parts", {})
    app = site.make_app(parts)
    app.add_routes(more.get("routes", []))
    async with (
        listening(app, "127.0.0.1", 0, limits) as url,
        aiohttp.ClientSession(base_url=url) as http,
    ):
        yield http


async def test_pages_carry_a_strict_policy_and_data_is_not_sniffed(catalog):
    async with bare(catalog) as http:
        for path in ("/", "/signs", "/ops/", "/nowhere", "/s/x"):
            async with http.get(path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "*" not in policy
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store"
        for path in ("/healthz", "/openapi.json", "/static/driver.css", "/api/v1/nowhere"):
            async with http.get(path) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "Python" not in answer.headers["Server"]
                assert "Strict-Transport-Security" not in answer.headers
    async with bare(catalog, public_url="https://p.example.cn") as http, http.get("/") as answer:
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


async def test_the_front_page_adds_up_only_what_is_known_now(catalog):
    old = lot_state("market", 900, quality=Quality.STALE)
    for fresh, told in (((), "--"), ((lot_state("hotel", 12), lot_state("clinic-yard", 0)), "12")):
        states = {state.lot: state for state in (old, *fresh)}
        parts = {keys.MIRROR: SimpleNamespace(states=states)}
        async with bare(catalog, parts=parts) as http, http.get("/") as answer:
            assert f'<p class="figure"><b>{told}</b>' in await answer.text()


async def test_a_missing_page_is_friendly_and_a_missing_route_is_json(catalog):
    async with bare(catalog) as http:
        async with http.get("/nowhere") as answer:
            assert answer.status == 404
            page = await answer.text()
            assert "没有这个页面" in page
            assert 'href="/"' in page
        async with http.get("/api/v1/nowhere") as answer:
            assert answer.status == 404
            error = (await answer.json())["error"]
            assert set(error) >= {"code", "message_zh", "message_en"}
        async with http.post("/signs") as answer:
            assert answer.status == 405
            assert "GET" in answer.headers["Allow"]
        async with http.request("PROPFIND", "/signs") as answer:
            assert answer.status == 405
        async with http.head("/signs") as answer:
            assert answer.status == 200
            assert await answer.read() == b""


async def test_a_fault_of_ours_is_an_answer_in_words_without_its_secrets(catalog):
    async def breaks(_: web.Request) -> web.Response:
        raise RuntimeError("secret 浙A00001")

    routes = [web.get("/breaks", breaks), web.get("/breaks.json", breaks)]
    async with bare(catalog, routes=routes) as http:
        for path in ("/breaks", "/breaks.json"):
            async with http.get(path) as answer:
                assert answer.status == 500
                assert "secret" not in await answer.text()
        async with http.get("/healthz") as answer:
            assert answer.status == 200


async def test_a_body_that_drips_or_is_too_large_is_refused(catalog, monkeypatch):
    monkeypatch.setattr(site, "BODY_WITHIN_S", 1.0)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def drip():
        for _ in range(200):
            yield b"x"
            await asyncio.sleep(0.05)

    async with bare(catalog, routes=[web.post("/echo.json", echo)]) as http:
        async with http.post("/echo.json", data=b"whole") as answer:
            assert await answer.read() == b"whole"
        async with http.post("/echo.json", data=drip()) as answer:
            assert answer.status == 408
            assert (await answer.json())["error"]["code"] == "too_slow"
        monkeypatch.setattr(site, "BODY_WITHIN_S", 30.0)
        async with http.post(
            "/echo.json", data=io.BytesIO(b"x" * (site.BODY_MAX_BYTES + 1))
        ) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "too_large"


async def test_a_body_that_is_cut_off_or_wrongly_packed_is_refused_and_not_logged(catalog):
    with structlog.testing.capture_logs() as logged:
        async with bare(catalog) as http:
            for encoding in ("gzip", "deflate"):
                async with http.post(
                    "/healthz",
                    data=b"neither",
                    headers={"Content-Encoding": encoding, "Connection": "close"},
                ) as answer:
                    assert answer.status == 400
            _, writer = await asyncio.open_connection("127.0.0.1", http._base_url.port)
            writer.write(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfour")
            await writer.drain()
            writer.close()
            async with asyncio.timeout(20):
                text = ""
                while 'edge="http",reason="body_cut_off"' not in text:
                    async with http.get("/metrics") as answer:
                        text = await answer.text()
            assert 'bowei_refused_total{edge="http",reason="bad_body"}' in text
    assert logged == []


async def closed_within(reader, writer, wait_s):
    """Seconds until the server hung up, sending a byte of a head every now and then."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(wait_s):
        while True:
            try:
                writer.write(b"a")
                async with asyncio.timeout(0.05):
                    if await reader.read(100) == b"":
                        break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    return asyncio.get_running_loop().time() - began


async def test_a_head_that_drips_loses_its_connection(catalog):
    limits = Limits(first_request_s=1.0, idle_s=1.5, sweep_s=0.05)
    async with bare(catalog, limits) as http:
        port = http._base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Drip: ")
        assert await closed_within(reader, writer, 20) > 0.2
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"alive" in await reader.readuntil(b"}")
        writer.write(b"GET / HTTP/1.1\r\nX-Drip: ")
        assert await closed_within(reader, writer, 20) > 0.4
        writer.close()


async def test_a_request_in_hand_is_never_cut(catalog):
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(2.5)
        return web.Response(text="done")

    limits = Limits(first_request_s=1.0, idle_s=0.2, sweep_s=0.05)
    routes = [web.get("/slow", slow)]
    async with bare(catalog, limits, routes=routes) as http, http.get("/slow") as answer:
        assert await answer.text() == "done"


async def test_readiness_tells_each_part_and_fails_for_one(catalog):
    async def well() -> PartState:
        return PartState(ready=True, age_s=0.1)

    async def ill() -> PartState:
        return PartState(ready=False, detail="Redis is away")

    async def stuck() -> PartState:
        await asyncio.sleep(60)
        return PartState(ready=True)

    async def broken() -> PartState:
        raise ValueError("secret")

    async with bare(catalog, checks={"a": well}) as http, http.get("/readyz") as answer:
        assert answer.status == 200
        assert (await answer.json())["parts"]["a"]["ready"]
    async with bare(catalog, checks={"a": well, "b": ill, "c": stuck, "d": broken}) as http:
        async with http.get("/readyz") as answer:
            assert answer.status == 503
            parts = (await answer.json())["parts"]
        assert [parts[one]["ready"] for one in "abcd"] == [True, False, False, False]
        assert parts["b"]["detail"] == "Redis is away"
        assert parts["d"]["detail"] == "ValueError"
        async with http.get("/healthz") as answer:
            assert answer.status == 200


async def test_counters_and_schemas_are_there_for_machines(catalog):
    async with bare(catalog) as http:
        for path in ("/a1", "/a2", "/a3"):
            async with http.get(path):
                pass
        async with http.get("/metrics") as answer:
            text = await answer.text()
        routes = set(re.findall(r'bowei_http_requests_total{[^}]*route="([^"]+)"', text))
        assert "none" in routes
        assert not routes & {"/a1", "/a2", "/a3"}
        assert "bowei_refused_total" in text
        async with http.get("/schemas/") as answer:
            listed = await answer.json()
        assert listed
        for path in listed.values():
            async with http.get(path) as answer:
                schema = await answer.json(content_type="application/schema+json")
                assert "$schema" in schema
    assert callable(decode_count)


async def test_static_files_are_kept_for_good_under_their_content_only(catalog):
    async with bare(catalog) as http:
        async with http.get("/") as answer:
            (url,) = re.findall(r'"(/static/landing\.css\?v=[0-9a-f]+)"', await answer.text())
        async with http.get(url) as answer:
            assert "immutable" in answer.headers["Cache-Control"]
        async with http.get("/static/landing.css?v=old") as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
        for path in ("/static/..%2fsite.py", "/static/%2e%2e/keys.py", "/static/"):
            async with http.get(path) as answer:
                assert answer.status == 404


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        yield town


async def test_nonsense_on_any_route_never_breaks_it(town):
    """Every route of the real router, its variables and its query filled with nonsense."""
    app = site.make_app({keys.CATALOG: town.catalog, keys.CLOCK: Clock(), keys.SIGNING_KEY: b"k"})
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.method in {"GET", "POST"} and route.resource.canonical != "/signs/events"
    }
    assert len(routes) > 20
    broken = []
    for method, path in sorted(routes):
        for nasty in NASTY:
            safe = nasty if "%" in nasty else quote(nasty, safe="")
            filled = re.sub(r"{[^}]+}", safe, path)
            query = f"?t={safe}&lang={safe}&site={safe}&limit={safe}&lat={safe}&{safe}={safe}"
            async with town.http.request(
                method,
                town.url + filled + query,
                data=b"\xff\x00{nonsense" if method == "POST" else None,
                headers={"Cookie": "visit=\xe9.\xff; lang=\xa0", "Accept-Language": "\xff"},
                allow_redirects=False,
            ) as answer:
                if answer.status >= 500:
                    broken.append((answer.status, method, filled[:60]))
    assert broken == []


async def test_a_path_never_becomes_a_link_elsewhere(town):
    for path in ("//evil.example/", "//evil.example/%2e%2e", "/\\evil.example"):
        reader, writer = await asyncio.open_connection(*town.url[7:].split(":"))
        head = f"GET {path}?lang=en HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        page = (await reader.read()).decode()
        writer.close()
        assert page.startswith("HTTP/1.1 40")
        assert not re.search(r'(href|src)="(//|/\\|https?:)', page)
        assert "\nLocation:" not in page


async def test_what_is_not_http_is_counted_and_not_logged(catalog, caplog):
    async with bare(catalog) as http:
        for nonsense in (
            b"\x16\x03\x01\x02\x00",
            b"BREW /pot HTCPCP/1.0\r\n\r\n",
            b"GET / HTTP/1.1\r\na\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", http._base_url.port)
            writer.write(nonsense + b"\r\n")
            async with asyncio.timeout(20):
                assert b"400" in await reader.readline()
            writer.close()
        async with http.get("/metrics") as answer:
            text = await answer.text()
    assert 'bowei_refused_total{edge="http",reason="unreadable"}' in text
    assert not caplog.records
