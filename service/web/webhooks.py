"""What payment providers tell us: POST /webhooks/{provider}, verified over the raw bytes.

The answer that a provider waits for is given after the notice is durable. Anything that is not his,
or not ours, is refused and counted; what could not be stored now is asked for again.
"""

from typing import Final

import structlog
from aiohttp import web

from devices.reading import Refused
from service import metrics
from service.clock import Clock
from service.settlement.desk import Desk
from service.settlement.rows import Overtaken
from service.sql import TROUBLE

_log = structlog.get_logger()

DESK: "web.AppKey[Desk]" = web.AppKey("desk", Desk)
_STATUSES: Final = {"unknown_provider": 404, "oversize": 413, "form": 400}
_WALL: Final = Clock()  # signatures are dated by the world's time, whatever our clock shows

routes = web.RouteTableDef()


@routes.post("/webhooks/{provider}")
async def notified(request: web.Request) -> web.Response:
    desk = request.app.get(DESK)
    if desk is None:
        raise web.HTTPServiceUnavailable
    body = await request.read()
    try:
        told = await desk.notified(
            request.match_info["provider"], request.headers, body, _WALL.now()
        )
    except Refused as refused:
        metrics.refused("webhook", refused.reason)
        return _answer(b'{"code":"FAIL"}', "application/json", _STATUSES.get(refused.reason, 401))
    except (Overtaken, *TROUBLE) as error:
        _log.info("a notice could not be stored now", error=type(error).__name__)
        response = _answer(b'{"code":"FAIL"}', "application/json", 503)
        response.headers["Retry-After"] = "5"
        return response
    return _answer(told.body, told.content_type)


def _answer(body: bytes, content_type: str, status: int = 200) -> web.Response:
    return web.Response(body=body, content_type=content_type, status=status)
