"""The bill page behind an unguessable link: what a stay cost, why, and one button to pay it.

GET  /b/{token}          the bill          POST /b/{token}/pay      on to the provider's cashier
GET  /b/{token}/qr.svg   its code, for a gate's display
"""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web

from service import metrics
from service.guidance import qr
from service.settlement.desk import BillView, Desk
from service.settlement.providers.protocol import Unanswered
from service.sql import TROUBLE
from service.tariff.money import shown
from service.web import keys, pay_words
from service.web.errors import error_page
from service.web.page import language, render
from service.web.webhooks import DESK

_log = structlog.get_logger()
_TOKEN_LIMIT: Final = 64
_LOOKS: Final = 15  # how often the page asks again whether a payment has come
_UNKNOWN: Final = ("没有这张账单", "There is no such bill")
_UNKNOWN_MORE: Final = (
    "链接可能不完整，请从出口屏幕或短信重新打开。",
    "The link may be cut short; please open it again from the gate's screen or your message.",
)
_AWAY: Final = ("暂时打不开账单", "The bill cannot be opened right now")
_AWAY_MORE: Final = (
    "出口不会因此拦车，账单稍后仍可支付。",
    "No gate holds you for it; the bill can be paid later.",
)

routes = web.RouteTableDef()


@routes.get("/b/{token}")
async def bill(request: web.Request) -> web.Response:
    view = await _view(request)
    return _unknown(request) if view is None else _page(request, view)


@routes.post("/b/{token}/pay")
async def pay(request: web.Request) -> web.Response:
    desk, token = _desk(request), request.match_info["token"]
    back = f"{_base(request)}/b/{token}?r=1"
    try:
        url = await desk.pay(token, back) if len(token) <= _TOKEN_LIMIT else None
    except (Unanswered, *TROUBLE) as error:
        _log.info("a bill could not be paid now", error=type(error).__name__)
        metrics.refused("pay", "away")
        return error_page(
            request, 503, _AWAY, more=_AWAY_MORE, ways=((f"/b/{token}", "再试一次", "Try again"),)
        )
    if url is None:
        raise web.HTTPSeeOther(f"/b/{token}")
    if urlsplit(url).scheme not in ("http", "https"):
        raise web.HTTPBadGateway
    # A page that moves on, not a redirect: a form may be sent to ourselves only.
    return _render(request, "pay_go.html", url=url)


@routes.get("/b/{token}/qr.svg")
async def code(request: web.Request) -> web.Response:
    if await _view(request) is None:
        raise web.HTTPNotFound
    address = f"{_base(request)}/b/{request.match_info['token']}"
    drawn = await asyncio.to_thread(qr.svg.__wrapped__, address)
    response = web.Response(body=drawn, content_type="image/svg+xml")
    response.headers["Cache-Control"] = "private, no-store"
    return response


async def _view(request: web.Request) -> BillView | None:
    token = request.match_info["token"]
    if len(token) > _TOKEN_LIMIT or not token.isascii():
        return None
    try:
        view = await _desk(request).bill(token)
    except TROUBLE as error:
        _log.info("a bill could not be read now", error=type(error).__name__)
        raise web.HTTPServiceUnavailable from None
    if view is None:
        metrics.refused("pay", "unknown_bill")
    return view


def _page(request: web.Request, view: BillView) -> web.Response:
    lang, catalog = language(request), request.app[keys.CATALOG]
    lot = catalog.lots.get(view.session.lot)
    tz = ZoneInfo(catalog.sites[lot.site].timezone if lot else "UTC")
    looks = request.query.get("r", "")
    look = int(looks) if looks.isascii() and looks.isdigit() and len(looks) < 3 else 0
    waiting = view.status == "under_way" or (view.status == "due" and 0 < look <= _LOOKS)
    session, drawn = view.session, view.bill
    return _render(
        request,
        "pay_bill.html",
        view=view,
        lot=lot,
        waiting=waiting,
        next_look=look + 1 if look else 0,
        amount=shown(drawn.amount_fen, drawn.currency),
        entered=pay_words.moment(lang, session.entered_at, tz),
        left=pay_words.moment(lang, session.left_at, tz) if session.left_at else None,
        stayed=pay_words.length(lang, drawn.minutes),
        lines=[
            (one.zh if lang == "zh" else one.en, shown(one.amount_fen, drawn.currency))
            for one in drawn.lines
        ],
        token=request.match_info["token"],
    )


def _render(request: web.Request, template: str, **values: Any) -> web.Response:
    response = render(request, template, p=pay_words.words(language(request)), **values)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _unknown(request: web.Request) -> web.Response:
    return error_page(request, 404, _UNKNOWN, more=_UNKNOWN_MORE)


def _desk(request: web.Request) -> Desk:
    desk = request.app.get(DESK)
    if desk is None:
        raise web.HTTPServiceUnavailable
    return desk


def _base(request: web.Request) -> str:
    return request.app.get(keys.PUBLIC_URL) or f"{request.scheme}://{request.host}"
