"""The express door: plain rankings and sign frames, answered ahead of routing.

Panels and apps ask these two thousands of times a second; finding a route and calling through
middleware costs more than a frame does. Whatever is not plainly one of them goes on to the
application, which answers the same, and so does every answer that needs explaining.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_request import BaseRequest

from service import metrics
from service.web import api, keys
from service.web.keys import ACTIVITY

_SIGNS: Final = "/api/v1/signs/"
_FRAME: Final = "/frame"
_GUIDANCE: Final = "/api/v1/guidance?"
_FRAMES: Final = "/api/v1/signs/{sign}/frame"
_RANKINGS: Final = "/api/v1/guidance"


Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


def express(app: web.Application, onward: Handler) -> Handler:
    """A handler before `onward`, the application's own."""
    activity, catalog, clock = app[ACTIVITY], app[keys.CATALOG], app[keys.CLOCK]
    guide, board = app.get(keys.GUIDE), app.get(keys.BOARD)

    async def pass_by(request: BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if request.method != hdrs.METH_GET:
            return await onward(request)
        started_s = monotonic()
        if board is not None and path.startswith(_SIGNS) and path.endswith(_FRAME):
            sign = path[len(_SIGNS) : -len(_FRAME)]
            held = request.headers.get(hdrs.IF_NONE_MATCH)
            route, response = _FRAMES, api.framed(board, clock, sign, held)
        elif guide is not None and path.startswith(_GUIDANCE):
            route, response = _RANKINGS, api.ranked(guide, catalog, path)
        else:
            return await onward(request)
        if response is None:
            return await onward(request)
        activity[request.protocol] = ended_s = monotonic()
        metrics.REQUESTS.note(route, hdrs.METH_GET, response.status, ended_s - started_s)
        return response

    return pass_by
