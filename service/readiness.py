"""How each part says that it is ready: for /readyz and the ops page."""

import asyncio
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from devices.mqtt import Link
from service.occupancy.ingest import Ingest
from service.occupancy.mirror import Mirror
from service.sql import TROUBLE, reading
from service.web.keys import Check, PartState

SQL_WITHIN_S = 1.5


def of_mirror(mirror: Mirror) -> Check:
    async def check() -> PartState:
        heard_s = mirror.heard_s
        if heard_s == float("inf"):
            return PartState(ready=False, detail="Redis has not been heard yet")
        detail = "" if mirror.healthy else "Redis is away: numbers are shown with their true age"
        return PartState(mirror.healthy, detail, round(heard_s, 3))

    return check


def of_link(link: Link) -> Check:
    async def check() -> PartState:
        if link.ousted:
            return PartState(ready=False, detail="another client uses our client id")
        return PartState(link.connected, "" if link.connected else "no connection to the broker")

    return check


def of_ingest(ingest: Ingest) -> Check:
    async def check() -> PartState:
        if ingest.healthy:
            return PartState(ready=True)
        return PartState(ready=False, detail="messages do not reach Redis: the broker keeps them")

    return check


def of_sql(engine: AsyncEngine) -> Check:
    async def check() -> PartState:
        try:
            async with asyncio.timeout(SQL_WITHIN_S), reading(engine) as sql:
                await sql.execute(sa.text("SELECT 1"))
        except TROUBLE as error:
            return PartState(ready=False, detail=f"{type(error).__name__}: the journal takes over")
        return PartState(ready=True)

    return check


def of_flag(good: Callable[[], bool], otherwise: str) -> Check:
    """A part that knows by itself whether it is well."""

    async def check() -> PartState:
        return PartState(good(), "" if good() else otherwise)

    return check
