"""Counts that a lot's operator pushes: POST /api/v1/feeds/{lot}, signed with the lot's own key.

How a message is signed stands in `service.exchange.push`; `bowei keys` shows the key.
"""

from typing import Final

import msgspec
from aiohttp import web

from devices.reading import Refused
from service import metrics
from service.exchange.push import Pushed
from service.exchange.pushes import PushAway, Pushes, Taken
from service.web.api_views import Refusal
from service.web.errors import api_error
from service.web.openapi import Answer, Operation, Parameter

PUSHES: Final = web.AppKey("pushes", Pushes)
TIME: Final = "X-Bowei-Time"
SIGNATURE: Final = "X-Bowei-Signature"

# reason -> status, Chinese, English; the detail of a refusal follows in English.
_REFUSALS: Final[dict[str, tuple[int, str, str]]] = {
    "unknown_lot": (404, "没有接收推送的这个停车场", "No lot of this id takes pushed counts"),
    "bad_time": (401, "时间头不对", "The time header cannot be read"),
    "outside_window": (401, "时间相差超过五分钟，请校时", "Too far from our time; set your clock"),
    "bad_signature": (401, "签名不对", "The signature is not right"),
    "replayed": (409, "这条消息已经收到过", "This very message was taken before"),
    "too_large": (413, "内容太大", "The message is too large"),
    "bad_body": (400, "内容看不懂", "The message cannot be read"),
}

routes = web.RouteTableDef()


@routes.post("/api/v1/feeds/{lot}")
async def take_counts(request: web.Request) -> web.Response:
    pushes = request.app.get(PUSHES)
    if pushes is None:
        raise web.HTTPServiceUnavailable
    try:
        taken = await pushes.receive(
            request.match_info["lot"],
            request.method,
            request.raw_path,
            request.headers.get(TIME, ""),
            request.headers.get(SIGNATURE, ""),
            await request.read(),
        )
    except Refused as refused:
        metrics.refused("push", refused.reason)
        status, zh, en = _REFUSALS[refused.reason]
        return api_error(status, refused.reason, zh, f"{en} ({refused.detail})")
    except PushAway:
        metrics.refused("push", "away")
        zh, en = "暂时存不下，请重新签名再发", "It could not be stored; sign it and send it again"
        response = api_error(503, "away", zh, en)
        response.headers["Retry-After"] = "5"
        return response
    for zone in taken.refused:
        metrics.refused("push", zone.code)
    status = 200 if taken.taken else 422
    body = msgspec.json.encode(taken)
    return web.Response(body=body, status=status, content_type="application/json")


_HEX: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}

OPERATIONS: Final = (
    Operation(
        "/api/v1/feeds/{lot}",
        "Send a lot's counts",
        {
            200: Answer("The zones that are stored, and those refused beside them.", Taken),
            400: Answer("The message cannot be read.", Refusal),
            401: Answer("Its time or signature is not right.", Refusal),
            404: Answer("No lot of this id takes pushed counts.", Refusal),
            409: Answer("This very message was taken before.", Refusal),
            413: Answer("The message is too large.", Refusal),
            422: Answer("None of its zones could be taken.", Taken),
            503: Answer("It could not be stored now.", Refusal),
        },
        method="post",
        parameters=(
            Parameter("lot", {"type": "string"}, "The lot's id.", "path", required=True),
            Parameter(TIME, {"type": "string"}, "POSIX seconds.", "header", required=True),
            Parameter(SIGNATURE, _HEX, "HMAC-SHA256 in hex.", "header", required=True),
        ),
        body=Pushed,
        details=(
            "The signature is HMAC-SHA256 with the lot's key over four lines, each ended by a line"
            " feed: the method, the path as sent, the time as sent, the body's SHA-256 in hex."
            " A message is taken within five minutes of its time, and once."
        ),
    ),
)
