"""The sign wall: every panel as it stands at the roadside, alive; and the code beside each.

GET /signs                   all panels, by site and level
GET /signs/{sign}            one panel, as large as the screen
GET /signs/events            what changes, as server-sent events
GET /signs/{sign}/qr.svg     the code, and .png: an id and a short signature, never a count
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import groupby
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from service import metrics
from service.catalog import Sign
from service.guidance import qr
from service.web import keys, panel_view, words
from service.web.page import language, render, with_query

routes = web.RouteTableDef()

WATCHERS_MOST: Final = 100
PACE_S: Final = 0.25
HEARTBEAT_S: Final = 10.0
LOOK_EVERY_S: Final = 1.0
WRITE_WITHIN_S: Final = 10.0
MODULE_PX_MOST: Final = 40


class Wall:
    """The open event streams, so that they are few and end with the service."""

    def __init__(self) -> None:
        self.open: set[asyncio.Event] = set()
        self.closing = False

    async def close(self, _: web.Application) -> None:
        """Let every stream end: a server that stops waits for them."""
        self.closing = True
        for wake in self.open:
            wake.set()


WALL = web.AppKey("wall", Wall)


def set_up(app: web.Application) -> None:
    app[WALL] = wall = Wall()
    app.on_shutdown.append(wall.close)


@routes.get("/signs")
async def wall(request: web.Request) -> web.Response:
    catalog = request.app[keys.CATALOG]
    site, level = request.query.get("site"), request.query.get("level")
    chosen = [
        sign
        for sign in catalog.signs.values()
        if (site not in catalog.sites or sign.site == site)
        and (level not in {"1", "2", "3"} or sign.level == int(level))
    ]
    chosen.sort(key=lambda sign: (sign.site, sign.level, sign.id))
    groups = [
        {
            "name": catalog.sites[one].name,
            "levels": [
                (level, [_panel(request, sign) for sign in signs])
                for level, signs in groupby(of_site, key=lambda sign: sign.level)
            ],
        }
        for one, of_site in groupby(chosen, key=lambda sign: sign.site)
    ]
    return render(
        request,
        "signs.html",
        solo=None,
        groups=groups,
        filters=_filters(request, site, level),
        events_url="/signs/events",
        tally=_tally(request, chosen),
    )


@routes.get("/signs/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Frames of all signs (or of `?sign=`) once, then those that change."""
    stream, board = request.app[WALL], request.app.get(keys.BOARD)
    if board is None or stream.closing or len(stream.open) >= WATCHERS_MOST:
        raise web.HTTPServiceUnavailable
    signs = request.app[keys.CATALOG].signs
    only = request.query.get("sign")
    changed = set(signs) if only is None else {only} & set(signs)
    watched = frozenset(changed)
    wake = asyncio.Event()
    wake.set()

    def note(named: frozenset[str]) -> None:
        news = named & watched
        if news:
            changed.update(news)
            wake.set()

    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Accel-Buffering": "no",
        }
    )
    stop = board.watch(note)
    stream.open.add(wake)
    metrics.WATCHERS.set(len(stream.open))
    try:
        await response.prepare(request)
        await _feed(request, response, changed, wake)
    except (ConnectionError, TimeoutError):
        pass  # the watcher went away, or is too slow to watch; it will ask again
    finally:
        stop()
        stream.open.discard(wake)
        metrics.WATCHERS.set(len(stream.open))
    return response


async def _feed(
    request: web.Request, response: web.StreamResponse, changed: set[str], wake: asyncio.Event
) -> None:
    stream = request.app[WALL]
    spoke_s = monotonic()
    while not stream.closing and not _gone(request):
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await wake.wait()
        except TimeoutError:
            if monotonic() - spoke_s < HEARTBEAT_S:
                continue
            await _write(response, b": alive\n\n")
        else:
            wake.clear()
            named = sorted(changed)
            changed.clear()
            news = msgspec.json.encode(_news(request, named))
            await _write(response, b"data: " + news + b"\n\n")
            await asyncio.sleep(PACE_S)
        spoke_s = monotonic()


def _gone(request: web.Request) -> bool:
    """Whether the watcher left: a stream that nobody reads must not keep another's place."""
    return request.transport is None or request.transport.is_closing()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        await response.write(data)


def _news(request: web.Request, named: Iterable[str]) -> dict[str, panel_view.News]:
    board, clock = request.app[keys.BOARD], request.app[keys.CLOCK]
    at = clock.now()
    return {
        sign: panel_view.news(frame, board.deliveries.of(sign, at), at, clock.speed)
        for sign in named
        if (frame := board.frames.get(sign)) is not None
    }


@routes.get("/signs/{sign}")
async def one_panel(request: web.Request) -> web.Response:
    sign = _sign(request)
    return render(
        request,
        "signs.html",
        solo=_panel(request, sign),
        groups=[],
        filters=[],
        events_url=f"/signs/events?sign={quote(sign.id, safe='')}",
        tally=_tally(request, [sign]),
    )


@routes.get("/signs/{sign}/qr.svg")
async def qr_svg(request: web.Request) -> web.Response:
    return _code(await _drawn(qr.svg, _address(request, _sign(request))), "image/svg+xml")


@routes.get("/signs/{sign}/qr.png")
async def qr_png(request: web.Request) -> web.Response:
    """`?px=` sets the pixels a module, 1 to 40, for print."""
    asked = request.query.get("px", "10")
    module_px = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 10
    module_px = max(1, min(MODULE_PX_MOST, module_px))
    return _code(await _drawn(qr.png, _address(request, _sign(request)), module_px), "image/png")


async def _drawn(draw: Callable[..., bytes], *what: str | int) -> bytes:
    """Drawing a code takes some 20 ms; signs and gates must not wait for it."""
    return await asyncio.to_thread(draw, *what)


def _code(body: bytes, content_type: str) -> web.Response:
    response = web.Response(body=body, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _sign(request: web.Request) -> Sign:
    sign = request.app[keys.CATALOG].signs.get(request.match_info["sign"])
    if sign is None:
        raise web.HTTPNotFound
    return sign


def _address(request: web.Request, sign: Sign) -> str:
    """What the code says; without a configured public address, the one this page came from."""
    public_url = request.app.get(keys.PUBLIC_URL) or f"{request.scheme}://{request.host}"
    return qr.address(public_url, request.app[keys.SIGNING_KEY], sign.id)


def _panel(request: web.Request, sign: Sign) -> panel_view.Panel:
    board = request.app.get(keys.BOARD)
    frame = None if board is None else board.frames.get(sign.id)
    scan = qr.address("", request.app[keys.SIGNING_KEY], sign.id)
    return panel_view.panel(sign, frame, request.app[keys.CLOCK].now(), scan)


def _tally(request: web.Request, signs: Iterable[Sign]) -> dict[str, int]:
    board, at = request.app.get(keys.BOARD), request.app[keys.CLOCK].now()
    if board is None:
        return panel_view.tally([(None, None) for _ in signs], at)
    known = [(board.frames.get(sign.id), board.deliveries.of(sign.id, at)) for sign in signs]
    return panel_view.tally(known, at)


def _filters(
    request: web.Request, site: str | None, level: str | None
) -> list[tuple[str, str, bool]]:
    """Links that narrow the wall: by site, then by level."""
    lang = language(request)
    t: dict[str, Any] = words.words(lang)
    sites = request.app[keys.CATALOG].sites
    here = {sign.site for sign in request.app[keys.CATALOG].signs.values()}
    filters = [(with_query(request, site=None), t["all_sites"], site not in sites)]
    filters += [
        (with_query(request, site=one.id), words.named(lang, one.name), one.id == site)
        for one in sorted(sites.values(), key=lambda one: one.id)
        if one.id in here
    ]
    filters += [
        (
            with_query(request, level=None if level == number else number),
            t[f"level_{number}"],
            level == number,
        )
        for number in ("1", "2", "3")
    ]
    return filters
