"""Is the process alive, are its parts ready, and what has it counted.

GET /healthz   alive: nothing else is asked
GET /readyz    every part's own state; 503 while one is not ready
GET /metrics   Prometheus
GET /schemas/  the JSON Schemas of our own device messages
"""

import asyncio
from importlib.resources import files
from typing import Final

import msgspec
import prometheus_client
from aiohttp import web

from service.web import keys
from service.web.keys import Check, PartState
from service.web.openapi import Answer, Operation

routes = web.RouteTableDef()
CHECK_WITHIN_S: Final = 2.0


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    parts: dict[str, PartState]


async def _asked(check: Check) -> PartState:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            return await check()
    except TimeoutError:
        return PartState(ready=False, detail=f"no answer within {CHECK_WITHIN_S:g} s")
    except Exception as error:  # noqa: BLE001 - a check that breaks is a part that is not ready
        return PartState(ready=False, detail=type(error).__name__)


async def readiness(app: web.Application) -> Readiness:
    """Every part asked at once."""
    checks = app[keys.READINESS]
    states = await asyncio.gather(*(_asked(check) for check in checks.values()))
    parts = dict(zip(checks, states, strict=True))
    return Readiness(all(state.ready for state in states), parts)


class Alive(msgspec.Struct, frozen=True):
    alive: bool


OPERATIONS: Final = (
    Operation("/healthz", "Whether the process is alive", {200: Answer("It is.", Alive)}),
    Operation(
        "/readyz",
        "Whether every part is ready, and how each is",
        {200: Answer("All are.", Readiness), 503: Answer("One is not.", Readiness)},
    ),
)


@routes.get("/healthz")
async def healthz(_: web.Request) -> web.Response:
    return _json(b'{"alive":true}')


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    state = await readiness(request.app)
    return _json(msgspec.json.encode(state), status=200 if state.ready else 503)


@routes.get("/metrics")
async def metrics(_: web.Request) -> web.Response:
    response = web.Response(body=prometheus_client.generate_latest())
    response.headers["Content-Type"] = prometheus_client.CONTENT_TYPE_LATEST
    return response


def _schemas() -> dict[str, bytes]:
    folder = files("devices.sensors").joinpath("schemas")
    if not folder.is_dir():
        return {}
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.endswith(".json")}


SCHEMAS: Final = _schemas()


@routes.get("/schemas/")
async def schema_list(_: web.Request) -> web.Response:
    return _json(msgspec.json.encode({name: f"/schemas/{name}" for name in sorted(SCHEMAS)}))


@routes.get("/schemas/{name}")
async def schema(request: web.Request) -> web.Response:
    body = SCHEMAS.get(request.match_info["name"])
    if body is None:
        raise web.HTTPNotFound
    return web.Response(body=body, content_type="application/schema+json")


def _json(body: bytes, status: int = 200) -> web.Response:
    response = web.Response(body=body, status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
