"""Static files, read once, served from memory under a name that changes with their content."""

import hashlib
from importlib.resources import files
from typing import Final

import msgspec
from aiohttp import web

_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
routes = web.RouteTableDef()


class Asset(msgspec.Struct, frozen=True):
    body: bytes
    content_type: str
    digest: str


def _read() -> dict[str, Asset]:
    assets = {}
    for entry in files("service.web").joinpath("static").iterdir():
        content_type = _TYPES.get("." + entry.name.rpartition(".")[2])
        if content_type is not None:
            body = entry.read_bytes()
            assets[entry.name] = Asset(body, content_type, hashlib.sha256(body).hexdigest()[:12])
    return assets


ASSETS: Final = _read()


def url(name: str) -> str:
    """Where a page finds a static file; a new content is a new address."""
    return f"/static/{name}?v={ASSETS[name].digest}"


@routes.get("/static/{name}")
async def static(request: web.Request) -> web.Response:
    asset = ASSETS.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    current = request.query.get("v") == asset.digest
    response = web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if current else "no-cache"
    )
    response.enable_compression()
    return response
