"""The express door: plain rankings and sign frames, answered ahead of routing.

Panels and apps ask these two thousands of times a second; finding a route and calling through
middleware costs more than a frame does. Whatever is not plainly one of them goes on to the
application, which answers the same, and so does every answer that needs explaining.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.web_request import BaseRequest

from service import metrics
from service.catalog import Catalog
from service.clock import Clock
from service.guidance.frame_mirror import FrameMirror
from service.guidance.guide import Guide
from service.guidance.sign_board import Board
from service.web import api, api_query, keys
from service.web.headers import EVERY
from service.web.keys import ACTIVITY
from service.web.ready import Ready, head_of

_SIGNS: Final = "/api/v1/signs/"
_FRAME: Final = "/frame"
_GUIDANCE: Final = "/api/v1/guidance?"
_FRAMES: Final = "/api/v1/signs/{sign}/frame"
_RANKINGS: Final = "/api/v1/guidance"

_LENGTH: Final = b"Content-Length: %d\r\n"
_TERMS: Final = b"ETag: %b\r\n" + api.LEASE_HEADER.encode() + b": %d\r\n"
_RANKED: Final = head_of(b"200 OK", (*EVERY, *api.RANKING_HEADERS)) + _LENGTH
_FRAMED: Final = head_of(b"200 OK", (*EVERY, *api.FRAME_HEADERS)) + _TERMS + _LENGTH
_HELD: Final = head_of(b"304 Not Modified", (*EVERY, *api.HELD_HEADERS)) + _TERMS

Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


def express(app: web.Application, onward: Handler) -> Handler:
    """A handler before `onward`, the application's own."""
    activity, catalog, clock = app[ACTIVITY], app[keys.CATALOG], app[keys.CLOCK]
    guide, board = app.get(keys.GUIDE), app.get(keys.BOARD)

    async def pass_by(request: BaseRequest) -> web.StreamResponse:
        path, started_s, response = request.raw_path, monotonic(), None
        plain = request.method == hdrs.METH_GET and _kept(request)
        if plain and board is not None and path.startswith(_SIGNS) and path.endswith(_FRAME):
            sign = path[len(_SIGNS) : -len(_FRAME)]
            held = request.headers.get(hdrs.IF_NONE_MATCH)
            route, response = _FRAMES, framed(board, clock, sign, held)
        elif plain and guide is not None and path.startswith(_GUIDANCE):
            route, response = _RANKINGS, ranked(guide, catalog, path)
        if response is None:
            return await onward(request)
        activity[request.protocol] = ended_s = monotonic()
        metrics.REQUESTS.note(route, hdrs.METH_GET, response.status, ended_s - started_s)
        return response

    return pass_by


def _kept(request: BaseRequest) -> bool:
    """Whether the connection is one that a head written beforehand suits."""
    return request.keep_alive and request.version == HttpVersion11


def ranked(guide: Guide, catalog: Catalog, path: str) -> Ready | None:
    """The answer to a plain address; None where one must look closer, or ask for roads."""
    asked = None if guide.by_road else api_query.read_plain(path, catalog)
    if asked is None:
        return None
    body = guide.rank_json(asked)
    return Ready(200, _RANKED % len(body), body)


def framed(board: Board | FrameMirror, clock: Clock, sign: str, held: str | None) -> Ready | None:
    """A sign's frame, 304 for who has it (`held`: If-None-Match); None where there is none."""
    found = board.frame_bytes(sign)
    if found is None:
        return None
    body, etag, until_s = found
    tag, left_s = etag.encode(), api.lease_s(until_s, clock)
    if held is not None and api.holds(held, etag):
        return Ready(304, _HELD % (tag, left_s))
    return Ready(200, _FRAMED % (tag, left_s, len(body)), body)
