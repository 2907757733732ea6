"""The operations page: everything that lives, read-only, for this machine alone.

GET /ops/              lots, signs, devices, sessions, refusals, parts
GET /ops/state.json    the same as data; the page asks for it every two seconds
"""

import asyncio
from time import monotonic
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from service import metrics
from service.occupancy.devices import DeviceBook, Known, Unknown
from service.occupancy.store import StoreAway
from service.settlement import recent
from service.web import health, keys, ops_devices, ops_view, ops_words
from service.web.local import local_only
from service.web.page import language, render

routes = web.RouteTableDef()
_log = structlog.get_logger()

ASKED_WITHIN_S: Final = 2.0
SESSIONS_MOST: Final = 60
UNKNOWN_MOST: Final = 200
KNOWN_MOST: Final = 400
BOOK_EVERY_S: Final = 5.0
BOOK_WAIT_S: Final = 0.3


class Remembered:
    """The device book as it was read last: reading it costs more than the rest of the page."""

    def __init__(self) -> None:
        self.known: list[Known] = []
        self.unknown: list[Unknown] = []
        self.read_s: float | None = None
        self.away = False
        self._reading: asyncio.Task[None] | None = None

    async def renew(self, book: DeviceBook) -> None:
        """Read again where that was a while ago; wait for it a moment only."""
        if self._reading is None and (
            self.read_s is None or monotonic() - self.read_s > BOOK_EVERY_S
        ):
            self._reading = asyncio.create_task(self._read(book), name="ops device book")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=BOOK_WAIT_S)

    async def _read(self, book: DeviceBook) -> None:
        try:
            self.known, self.unknown = await book.known(), await book.unknown()
            self.away = False
        except StoreAway as error:
            self.away = True
            _log.warning("ops: devices not read", error=type(error).__name__)
        finally:
            self.read_s = monotonic()
            self._reading = None

    async def close(self, _: web.Application) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=BOOK_WAIT_S)


REMEMBERED = web.AppKey("remembered_devices", Remembered)


def set_up(app: web.Application) -> None:
    app[REMEMBERED] = remembered = Remembered()
    app.on_cleanup.append(remembered.close)


@routes.get("/ops")
async def without_slash(_: web.Request) -> web.Response:
    raise web.HTTPFound("/ops/")


@routes.get("/ops/")
@local_only
async def ops(request: web.Request) -> web.Response:
    lang = language(request)
    vocabulary = ops_words.vocabulary(lang)
    sites = sorted(request.app[keys.CATALOG].sites.values(), key=lambda site: site.id)
    return render(
        request,
        "ops.html",
        sites=sites,
        timezone=sites[0].timezone if sites else "UTC",
        o=ops_words.titles(lang),
        vocabulary=vocabulary,
        say=vocabulary["say"],
    )


@routes.get("/ops/state.json")
@local_only
async def state(request: web.Request) -> web.Response:
    app, at = request.app, request.app[keys.CLOCK].now()
    ready, devices, sessions = await asyncio.gather(
        health.readiness(app), _devices(app), _sessions(app)
    )
    mirror = app.get(keys.MIRROR)
    body = {
        "at": at,
        "speed": app[keys.CLOCK].speed,
        "version": None if mirror is None else mirror.version,
        "parts": ready.parts,
        "lots": _lots(app),
        "signs": _signs(app),
        "devices": devices,
        "sessions": sessions,
        "refused": _refused(),
    }
    response = web.Response(body=msgspec.json.encode(body), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.enable_compression()
    return response


def _lots(app: web.Application) -> list[ops_view.LotRow]:
    catalog, at = app[keys.CATALOG], app[keys.CLOCK].now()
    mirror, arrivals = app.get(keys.MIRROR), app.get(keys.ARRIVALS)
    states = {} if mirror is None else mirror.states
    coming = {} if arrivals is None else {lot: arrivals.on_the_way(lot) for lot in catalog.lots}
    return ops_view.lot_rows(catalog, states, coming, at)


def _signs(app: web.Application) -> list[ops_view.SignRow]:
    board, at = app.get(keys.BOARD), app[keys.CLOCK].now()
    signs = app[keys.CATALOG].signs.values()
    if board is None:
        return [ops_view.sign_row(sign, None, None, at) for sign in signs]
    return [
        ops_view.sign_row(sign, board.frames.get(sign.id), board.deliveries.of(sign.id, at), at)
        for sign in signs
    ]


async def _devices(app: web.Application) -> dict[str, Any] | None:
    """Known devices, those in trouble first, and unknown ones; None while Redis is away."""
    book, at, remembered = app.get(keys.BOOK), app[keys.CLOCK].now(), app[REMEMBERED]
    if book is None:
        return None
    await remembered.renew(book)
    if remembered.away or remembered.read_s is None:
        return None
    silent_after = app[keys.CONFIG].occupancy.stale_after
    known = ops_devices.known_rows(app[keys.CATALOG], remembered.known, at, silent_after)
    return {
        "total": len(known),
        "healthy": sum(one.state == "healthy" for one in known),
        "known": known[:KNOWN_MOST],
        "unknown": ops_devices.unknown_rows(remembered.unknown[:UNKNOWN_MOST], at),
    }


async def _sessions(app: web.Application) -> dict[str, Any] | None:
    """The newest sessions and the count of each state; None while the database is away."""
    store, at = app.get(keys.SETTLEMENT), app[keys.CLOCK].now()
    if store is None:
        return None
    try:
        async with asyncio.timeout(ASKED_WITHIN_S):
            newest = await recent.recent(store.engine, SESSIONS_MOST)
            counted = await recent.counted(store.engine)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        _log.warning("ops: sessions not read", error=type(error).__name__)
        return None
    return {"newest": ops_view.session_rows(newest, at), "counted": counted}


def _refused() -> list[tuple[str, str, int]]:
    """Refusals by edge and reason since the process began, most first."""
    rows = [
        (sample.labels["edge"], sample.labels["reason"], int(sample.value))
        for family in metrics.REFUSED.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    ]
    return sorted(rows, key=lambda row: -row[2])
