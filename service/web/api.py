"""The API for apps and panels: rankings, lots, signs and their frames.

GET /api/v1/guidance              the best lots from a sign or a position
GET /api/v1/lots                  every lot, by pages
GET /api/v1/lots/{lot}            one lot
GET /api/v1/signs                 every sign
GET /api/v1/signs/{sign}/frame    what a sign shows, with its lease
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from aiohttp import hdrs, web
from multidict import istr

from service.clock import Clock
from service.guidance.model import Frame, Ranking
from service.web import api_query, keys
from service.web.api_query import THINGS, Problem, Thing
from service.web.api_views import (
    ErrorBody,
    LotDetail,
    LotPage,
    Refusal,
    SignList,
    lot_detail,
    lot_view,
    sign_view,
)
from service.web.openapi import Answer, Operation, Parameter

routes = web.RouteTableDef()

JSON: Final = "application/json"
LEASE_HEADER: Final = istr("X-Lease-Remaining")
RANKING_HEADERS: Final = ((hdrs.CONTENT_TYPE, JSON), (hdrs.CACHE_CONTROL, "no-store"))
HELD_HEADERS: Final = ((hdrs.CACHE_CONTROL, "no-cache"),)
FRAME_HEADERS: Final = ((hdrs.CONTENT_TYPE, JSON), *HELD_HEADERS)
PAGE_MOST: Final = 10_000

Part = TypeVar("Part")


@routes.get("/api/v1/guidance")
async def guidance(request: web.Request) -> web.Response:
    asked, problems = api_query.read_guidance(request.query, request.app[keys.CATALOG])
    if asked is None:
        return refuse(problems)
    body = await _part(request, keys.GUIDE).routed_json(asked)
    return web.Response(body=body, headers=dict(RANKING_HEADERS))


@routes.get("/api/v1/lots")
async def lots(request: web.Request) -> web.Response:
    catalog, mirror = request.app[keys.CATALOG], _part(request, keys.MIRROR)
    query = api_query.Query(request.query, frozenset({"site", "limit", "after"}))
    site = query.one_of("site", catalog.sites, "site")
    limit = query.whole("limit", 1, PAGE_MOST, PAGE_MOST)
    after = request.query.get("after", "")
    if query.problems:
        return refuse(query.problems)
    version = mirror.version
    etag = f'"{catalog.version[:12]}-{version}"'
    held = request.headers.get(hdrs.IF_NONE_MATCH)
    if held is not None and holds(held, etag):
        return _not_modified(etag)
    listed = [
        lot
        for lot in sorted(catalog.lots.values(), key=lambda one: one.id)
        if lot.id > after and (site is None or lot.site == site.id)
    ]
    page = LotPage(
        version,
        tuple(lot_view(lot, mirror.states.get(lot.id)) for lot in listed[:limit]),
        listed[limit - 1].id if len(listed) > limit else None,
    )
    return _json(page, etag)


@routes.get("/api/v1/lots/{lot}")
async def lot(request: web.Request) -> web.Response:
    mirror = _part(request, keys.MIRROR)
    found = request.app[keys.CATALOG].lots.get(request.match_info["lot"])
    if found is None:
        return refuse_unknown("lot")
    on_the_way = _part(request, keys.ARRIVALS).on_the_way(found.id)
    outlook = request.app.get(keys.OUTLOOK)
    ahead = outlook.ahead(found.id) if outlook else ()
    state = mirror.states.get(found.id)
    return _json(lot_detail(found, state, on_the_way, mirror.version, ahead))


@routes.get("/api/v1/signs")
async def signs(request: web.Request) -> web.Response:
    at, board = request.app[keys.CLOCK].now(), _part(request, keys.BOARD)
    known = request.app[keys.CATALOG].signs
    views = (sign_view(known[sign], board.deliveries.of(sign, at)) for sign in sorted(known))
    return _json(SignList(tuple(views)))


@routes.get("/api/v1/signs/{sign}/frame")
async def frame(request: web.Request) -> web.Response:
    """The frame's bytes and ETag stand until it changes or is renewed; the header counts down."""
    board, sign = _part(request, keys.BOARD), request.match_info["sign"]
    found = board.frame_bytes(sign)
    if found is not None:
        body, etag, until_s = found
        terms = {hdrs.ETAG: etag, LEASE_HEADER: str(lease_s(until_s, request.app[keys.CLOCK]))}
        held = request.headers.get(hdrs.IF_NONE_MATCH)
        if held is not None and holds(held, etag):
            return web.Response(status=304, headers={**dict(HELD_HEADERS), **terms})
        return web.Response(body=body, headers={**dict(FRAME_HEADERS), **terms})
    if sign not in request.app[keys.CATALOG].signs:
        return refuse_unknown("sign")
    return _error(503, "not_ready", "诱导屏内容尚未生成", "This sign has no frame yet")


def lease_s(until_s: float, clock: Clock) -> int:
    """Whole seconds that a frame may still be shown."""
    return max(0, int(until_s - clock.now_s()))


def _part(request: web.Request, key: web.AppKey[Part]) -> Part:
    """A part of the service; 503 where this process runs without it."""
    part = request.app.get(key)
    if part is None:
        raise web.HTTPServiceUnavailable
    return part


def refuse(problems: Sequence[Problem]) -> web.Response:
    """Every problem at once: 404 where the only trouble is that something named is not there."""
    named = "；".join(f"{one.parameter}（{one.expected_zh}）" for one in problems)
    told = "; ".join(f"{one.parameter}: expected {one.expected}" for one in problems)
    if all(one.names_nothing for one in problems):
        return _error(404, "not_found", f"没有找到：{named}", f"Not found: {told}", problems)
    return _error(400, "bad_request", f"参数有误：{named}", f"Bad parameters: {told}", problems)


def refuse_unknown(thing: Thing) -> web.Response:
    """404: the address names nothing."""
    wanted = THINGS[thing]
    return refuse([Problem(thing, wanted.en, wanted.zh, names_nothing=True)])


def _error(
    status: int, code: str, zh: str, en: str, problems: Sequence[Problem] = ()
) -> web.Response:
    body = msgspec.json.encode(Refusal(ErrorBody(code, zh, en, tuple(problems))))
    return web.Response(body=body, status=status, content_type=JSON)


def _json(answer: msgspec.Struct, etag: str | None = None) -> web.Response:
    response = web.Response(body=msgspec.json.encode(answer), content_type=JSON)
    response.headers[hdrs.CACHE_CONTROL] = "no-cache" if etag else "no-store"
    if etag:
        response.headers[hdrs.ETAG] = etag
    return response


def holds(held: str, etag: str) -> bool:
    """Whether the asker has just this: a list of tags, weak ones too, or any (RFC 9110, 13.1.2)."""
    return held == etag or any(
        one.strip().removeprefix("W/") in {etag, "*"} for one in held.split(",")
    )


def _not_modified(etag: str) -> web.Response:
    return web.Response(status=304, headers={hdrs.ETAG: etag, hdrs.CACHE_CONTROL: "no-cache"})


# The same, as a document.

_ETAG: Final = {"ETag": "Names this version; send it back as If-None-Match."}
_LEASE: Final = {
    LEASE_HEADER: "Whole seconds that the frame may still be shown; at 0 show -- instead.",
    **_ETAG,
}
_HELD: Final = Parameter("If-None-Match", {"type": "string"}, "The ETag that is held.", "header")
_REFUSED: Final = {
    400: Answer("Some parameters cannot be used; all of them are named.", Refusal),
    404: Answer("Something that was named is not there.", Refusal),
    503: Answer("This process runs without that part of the service.", Refusal),
}
_MISSING: Final = {status: _REFUSED[status] for status in (404, 503)}
_ID: Final = {"type": "string"}

OPERATIONS: Final = (
    Operation(
        "/api/v1/guidance",
        "The best lots to park in, best first",
        {200: Answer("The ranking.", Ranking), **_REFUSED},
        details=(
            "From a sign, or from a position (lat and lng). Lots that serve the needs and are"
            " likely to have spaces on arrival come first, by the seconds that driving, walking"
            " and paying cost; nearly full, unknown, full and closed lots come last."
        ),
        parameters=(
            Parameter("sign", _ID, "The sign the driver stands at."),
            Parameter("lat", {"type": "number", "minimum": -90, "maximum": 90}, "WGS-84."),
            Parameter("lng", {"type": "number", "minimum": -180, "maximum": 180}, "WGS-84."),
            Parameter(
                "destination",
                _ID,
                "Whose door the walk leads to: by default the sign's own; `any` counts no walk.",
            ),
            Parameter("ev", {"type": "boolean"}, "Only lots with charging, by its free spaces."),
            Parameter("accessible", {"type": "boolean"}, "Only lots with accessible spaces."),
            Parameter(
                "height_m",
                {"type": "number", "minimum": 0.5, "maximum": api_query.HEIGHT_MOST_M},
                "The vehicle's height.",
            ),
            Parameter(
                "stay_minutes",
                {"type": "integer", "minimum": 1, "maximum": api_query.STAY_MOST},
                "What the price is for; 120 where left out.",
            ),
            Parameter(
                "max_price_fen",
                {"type": "integer", "minimum": 0, "maximum": api_query.PRICE_MOST_FEN},
                "Leave out what costs more.",
            ),
            Parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": api_query.LIMIT_MOST},
                "How many lots; 10 where left out.",
            ),
        ),
    ),
    Operation(
        "/api/v1/lots",
        "Every lot with what is known of it now",
        {
            200: Answer("One page, by id.", LotPage, _ETAG),
            304: Answer("Nothing changed."),
            **_REFUSED,
        },
        parameters=(
            Parameter("site", _ID, "Only the lots of one site."),
            Parameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": PAGE_MOST}, "Lots per page."
            ),
            Parameter("after", {"type": "string"}, "`after` of the page before."),
            _HELD,
        ),
    ),
    Operation(
        "/api/v1/lots/{lot}",
        "One lot with its zones",
        {200: Answer("The lot.", LotDetail), **_MISSING},
        parameters=(Parameter("lot", _ID, "The lot's id.", "path"),),
    ),
    Operation(
        "/api/v1/signs",
        "Every sign and how its newest frame stands",
        {200: Answer("The signs, by id.", SignList), 503: _REFUSED[503]},
    ),
    Operation(
        "/api/v1/signs/{sign}/frame",
        "What a sign shows",
        {
            200: Answer("The frame.", Frame, _LEASE),
            304: Answer("The frame that is held still stands.", None, _LEASE),
            404: _REFUSED[404],
            503: Answer("The sign has no frame yet.", Refusal),
        },
        details=(
            "The body and its ETag stay the same until the frame changes or is renewed; `lease_s`"
            " in the body is what the lease was when it was composed, the header "
            f"{LEASE_HEADER} what is left of it now, also on a 304."
        ),
        parameters=(Parameter("sign", _ID, "The sign's id.", "path"), _HELD),
    ),
)
