"""How a refusal looks: one JSON shape below /api, one friendly page everywhere else."""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from service.web.page import render

# What the pages and the API say where a handler said nothing better.
_SAYINGS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("bad_request", "这个请求看不懂", "We could not read this request"),
    401: (
        "unauthorized",
        "没有出示正确的密钥（bowei keys 会列出）",
        "The right key was not shown (`bowei keys` prints it)",
    ),
    403: ("forbidden", "这里不对外开放", "This is not open to you"),
    404: ("not_found", "没有这个页面", "There is no such page"),
    405: ("method_not_allowed", "这里不支持这种请求", "This method does not work here"),
    408: ("too_slow", "请求发得太慢了", "The request came in too slowly"),
    413: ("too_large", "发来的内容太大了", "What was sent is too large"),
    429: ("too_many", "请求太频繁，请稍等", "Too many requests; please wait a little"),
    500: ("internal", "我们这里出了错，已经记录", "Something broke on our side; it is logged"),
    503: ("not_ready", "服务暂时不可用", "The service is not available right now"),
}


def saying(status: int) -> tuple[str, str, str]:
    """(code, zh, en) of a status."""
    known = _SAYINGS.get(status)
    if known is not None:
        return known
    phrase = HTTPStatus(status).phrase
    return phrase.lower().replace(" ", "_").replace("-", "_"), phrase, phrase


def api_error(status: int, code: str, zh: str, en: str) -> web.Response:
    """The one JSON shape of a refusal: {"error": {"code", "message_zh", "message_en"}}."""
    body = msgspec.json.encode({"error": {"code": code, "message_zh": zh, "message_en": en}})
    return web.Response(body=body, status=status, content_type="application/json")


def error_response(request: web.Request, status: int) -> web.Response:
    code, zh, en = saying(status)
    if request.path.startswith("/api/") or request.path.endswith(".json"):
        return api_error(status, code, zh, en)
    return error_page(request, status, (zh, en))


def error_page(
    request: web.Request,
    status: int,
    title: tuple[str, str],
    *,
    more: tuple[str, str] = ("", ""),
    ways: tuple[tuple[str, str, str], ...] = (("/", "回到首页", "Home"),),
) -> web.Response:
    """A page in both languages; `ways` are (address, zh, en) of where to go from here."""
    return render(request, "error.html", status=status, title=title, more=more, ways=ways)
