"""HTTP plate cameras: POST /cameras/{camera}/{vendor}, and the vendor's own reply.

A camera shows its id and key by HTTP Basic, or its key as `?key=` where it can do no better; `bowei
keys` prints both. The reply opens the gate for one passage that was just decided open, and for
nothing else: not for a heartbeat, a re-send, a report of an outage, an error.
"""

import binascii
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

import structlog
from aiohttp import BasicAuth, hdrs, web

from devices.gates import REGISTRY, Codec
from devices.reading import GateEvent, Passage, Refused, Reply
from service import metrics
from service.catalog import Camera
from service.credentials import holder_key
from service.web import keys

_log = structlog.get_logger()


class Decided(Protocol):
    """As much of a gate's answer as a camera needs."""

    @property
    def open(self) -> bool: ...
    @property
    def duplicate(self) -> bool: ...


# (lot, lane, camera, passage, received at) to the answer; None where nobody decides.
Passed = Callable[[str, str, str, Passage, datetime], Awaitable[Decided | None]]
# (device, where it spoke, reason) of a camera that the catalogue does not know.
Unknown = Callable[[str, str, str], None]

PASSED: "web.AppKey[Passed]" = web.AppKey("camera_passed")
UNKNOWN: "web.AppKey[Unknown]" = web.AppKey("camera_unknown")
_KEYS: "web.AppKey[dict[str, bytes]]" = web.AppKey("camera_keys")
_NO_KEY: Final = b"no camera has this key, and comparing with it takes as long"

routes = web.RouteTableDef()


def set_up(app: web.Application) -> None:
    """Derive every HTTP camera's key once; without a signing key no camera is believed."""
    signing_key, catalog = app.get(keys.SIGNING_KEY), app.get(keys.CATALOG)
    app[_KEYS] = {}
    if signing_key is None or catalog is None:
        return
    for one in catalog.cameras.values():
        if one.transport == "http":
            own = holder_key(signing_key, "camera", one.id, one.key_env, os.environ)
            app[_KEYS][one.id] = own


@routes.post("/cameras/{camera}/{vendor}")
async def take(request: web.Request) -> web.Response:
    camera, codec = _camera(request)
    try:
        event = codec.decode(await request.read(), request.headers.get(hdrs.CONTENT_TYPE, ""))
    except Refused as refused:
        metrics.refused("camera", refused.reason)
        return _reply(codec, opened=False, status=400)
    if not isinstance(event, Passage):
        metrics.MESSAGES.labels("camera_alive").inc()
        return _reply(codec, opened=False, about=event)
    passed = request.app.get(PASSED)
    if passed is None:
        raise web.HTTPServiceUnavailable
    received_at = request.app[keys.CLOCK].now()
    try:
        said = await passed(camera.lot, camera.lane, camera.id, event, received_at)
    except Refused as refused:
        metrics.refused("camera", refused.reason)
        return _reply(codec, opened=False, status=400)
    opened = said is not None and said.open and not said.duplicate
    return _reply(codec, opened=opened, about=event)


def _camera(request: web.Request) -> tuple[Camera, Codec]:
    """Who speaks. Raises 401, and takes as long for a camera that does not exist."""
    name, vendor = request.match_info["camera"], request.match_info["vendor"]
    expected = request.app[_KEYS].get(name)
    good = hmac.compare_digest(_shown_key(request), expected or _NO_KEY)
    if expected is None or not good:
        reason = "unknown_camera" if expected is None else "wrong_key"
        metrics.refused("camera", reason)
        unknown = request.app.get(UNKNOWN)
        if expected is None and unknown is not None:
            unknown(name, f"http {vendor}", "unknown_device")
        raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="bowei"'})
    camera = request.app[keys.CATALOG].cameras[name]
    codec = REGISTRY[camera.model]
    if codec.reply is None or vendor != camera.model.removesuffix("_http"):
        metrics.refused("camera", "other_vendor")
        raise web.HTTPNotFound
    return camera, codec


def _shown_key(request: web.Request) -> bytes:
    shown = request.query.get("key")
    header = request.headers.get(hdrs.AUTHORIZATION)
    if shown is None and header is not None:
        try:
            shown = BasicAuth.decode(header, encoding="utf-8").password
        except (ValueError, binascii.Error):
            shown = None
    return (shown or "").encode(errors="surrogatepass")


def _reply(
    codec: Codec, *, opened: bool, about: GateEvent | None = None, status: int = 200
) -> web.Response:
    assert codec.reply is not None, "only cameras that speak HTTP come here"
    said: Reply = codec.reply(opened, about)
    return web.Response(body=said.body, content_type=said.content_type, status=status)
