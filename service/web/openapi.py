"""The document of every JSON route, from the same types that make the answers.

Operations are declared beside their handlers; `/openapi.json` serves what the application was put
together from. Source: OpenAPI Specification 3.1.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

Schema = dict[str, Any]


class Parameter(msgspec.Struct, frozen=True):
    """where: query | path | header. `schema` is JSON Schema."""

    name: str
    schema: Schema
    about: str
    where: str = "query"
    required: bool = False


class Answer(msgspec.Struct, frozen=True):
    """One status: what it means and the type of its JSON body, if it has one."""

    about: str
    body: Any = None
    headers: dict[str, str] = {}


class Operation(msgspec.Struct, frozen=True):
    """One method of one path; `body` is the type of what is sent, if anything is."""

    path: str
    summary: str
    answers: dict[int, Answer]
    method: str = "get"
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    details: str = ""


_DOCUMENT: Final = web.AppKey("openapi_document", bytes)

routes = web.RouteTableDef()


def serve(app: web.Application, operations: Iterable[Operation]) -> None:
    """Let `app` describe these operations."""
    app[_DOCUMENT] = msgspec.json.encode(document(operations))
    app.add_routes(routes)


@routes.get("/openapi.json")
async def openapi(request: web.Request) -> web.Response:
    return web.Response(body=request.app[_DOCUMENT], content_type="application/json")


def document(operations: Iterable[Operation]) -> Schema:
    """The OpenAPI document of `operations`."""
    listed = tuple(operations)
    types = [answer.body for one in listed for answer in one.answers.values() if answer.body]
    types += [one.body for one in listed if one.body]
    made, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schemas = {id(kind): schema for kind, schema in zip(types, made, strict=True)}
    paths: dict[str, Schema] = {}
    for one in listed:
        paths.setdefault(one.path, {})[one.method] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bowei",
            "version": "1",
            "description": (
                "Smart parking guidance: lots, rankings and sign frames."
                " Times are UTC, durations seconds, money integer fen, positions WGS-84."
            ),
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(one: Operation, schemas: dict[int, Schema]) -> Schema:
    described: Schema = {
        "summary": one.summary,
        "operationId": f"{one.method} {one.path}",
        "responses": {
            str(status): _answer(answer, schemas) for status, answer in one.answers.items()
        },
    }
    if one.details:
        described["description"] = one.details
    if one.parameters:
        described["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required or parameter.where == "path",
                "description": parameter.about,
                "schema": parameter.schema,
            }
            for parameter in one.parameters
        ]
    if one.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[id(one.body)]}},
        }
    return described


def _answer(answer: Answer, schemas: dict[int, Schema]) -> Schema:
    described: Schema = {"description": answer.about}
    if answer.headers:
        described["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    if answer.body is not None:
        described["content"] = {"application/json": {"schema": schemas[id(answer.body)]}}
    return described
