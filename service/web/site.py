"""The web application: every route, and the one doorway that all requests go through."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service import metrics
from service.web import (
    api,
    assets,
    cameras,
    driver,
    feeds,
    go,
    health,
    keys,
    landing,
    openapi,
    ops,
    pay,
    signs,
    webhooks,
)
from service.web.errors import error_response
from service.web.headers import EVERY
from service.web.keys import ACTIVITY, ASKING, Activity

_log = structlog.get_logger()

BODY_MAX_BYTES: Final = 4 * 1024 * 1024  # a camera's event carries two pictures
BODY_WITHIN_S: Final = 15.0
_NO_BODY: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
HTTPS_HEADERS: Final = {"Strict-Transport-Security": "max-age=31536000"}


def make_app(parts: Mapping[web.AppKey[Any], Any]) -> web.Application:
    """The application over the parts that this process runs, by their keys."""
    public_url = parts.get(keys.PUBLIC_URL) or ""
    headers = PAGE_HEADERS | (HTTPS_HEADERS if public_url.startswith("https://") else {})
    activity: Activity = {}
    app = web.Application(middlewares=[doorway(headers, activity)], client_max_size=BODY_MAX_BYTES)
    app[ACTIVITY] = activity
    for key, part in parts.items():
        app[key] = part
    app.setdefault(keys.READINESS, {})
    rooms = (assets, landing, driver, go, signs, ops, health, api, feeds, cameras, pay, webhooks)
    for room in rooms:
        app.add_routes(room.routes)
    openapi.serve(app, (*api.OPERATIONS, *feeds.OPERATIONS, *health.OPERATIONS))
    signs.set_up(app)
    ops.set_up(app)
    cameras.set_up(app)
    return app


def doorway(page_headers: Mapping[str, str], activity: Activity) -> Middleware:
    """What every request goes through: the body in time, errors in words, headers, counters.

    Frames and rankings pass here thousands of times a second, so it does little and in one place.
    """

    @web.middleware
    async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        started_s = monotonic()
        method, connection = request.method, request.protocol
        activity[connection] = ASKING
        try:
            if method not in _NO_BODY and request.can_read_body:
                await _take_body(request)
            response = await handler(request)
        except web.HTTPException as error:
            response = _refused(request, error)
        except Exception:  # noqa: BLE001 - the last doorway: the log has the traceback
            _log.exception("request failed", route=_route(request), method=method)
            response = error_response(request, 500)
        activity[connection] = ended_s = monotonic()
        headers = response.headers
        headers.update(EVERY)
        if headers.get(hdrs.CONTENT_TYPE, "").startswith("text/html"):
            for name, value in page_headers.items():
                headers.setdefault(name, value)
        known = method if method in _METHODS else "other"
        metrics.REQUESTS.note(_route(request), known, response.status, ended_s - started_s)
        return response

    return pass_through


async def _take_body(request: web.Request) -> None:
    """Read the whole body while its deadline runs: a drip of bytes must not hold a handler."""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:  # not in the encoding that it says
        metrics.refused("http", "bad_body")
        raise web.HTTPBadRequest from None
    except ConnectionError:  # hung up in the middle; nobody reads the answer
        metrics.refused("http", "body_cut_off")
        raise web.HTTPBadRequest from None


def _refused(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """Redirects and answers with a body of their own pass; bare errors are put in words."""
    if error.status < 400 or not _bare(error):
        return _as_response(error)
    response = error_response(request, error.status)
    if error.status == 405:
        response.headers["Allow"] = error.headers.get("Allow", "GET, HEAD")
    return response


def _bare(error: web.HTTPException) -> bool:
    """Whether the error has no page or JSON of its own, only aiohttp's line of text."""
    return error.content_type == "text/plain"


def _as_response(error: web.HTTPException) -> web.Response:
    response = web.Response(status=error.status, text=error.text, headers=None)
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


def _route(request: web.Request) -> str:
    """The route's pattern, never the path a stranger typed: labels stay few."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical
