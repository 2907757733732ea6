"""The one tap: count the car once as on its way, then hand it to the map app.

    GET /go/{lot}?app=amap&from={sign}&v={visit}&t={signature}

A browser that only looks ahead (HEAD, prefetch) is sent on and not counted; so is a visit that was
counted before, one that is over, and one that did not come from a sign of ours.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import hdrs, web
from redis.exceptions import RedisError

from service import metrics
from service.catalog import Lot, Point, Sign
from service.guidance import navigation
from service.guidance.travel import distance_m, pace_of
from service.web import keys, phone, visit
from service.web.driver import APP_COOKIE

routes = web.RouteTableDef()
_log = structlog.get_logger()

REMEMBER_S: Final = 180 * 86400
COUNT_WITHIN_S: Final = 0.5


@routes.get("/go/{lot}")
async def go(request: web.Request) -> web.StreamResponse:
    catalog = request.app[keys.CATALOG]
    lot = catalog.lots.get(request.match_info["lot"])
    if lot is None:
        raise web.HTTPNotFound
    mainland = catalog.sites[lot.site].timezone in phone.MAINLAND_TIMEZONES
    links = navigation.links(_way_in(lot), lot.name.zh, mainland)
    agent = request.headers.get("User-Agent", "")
    app = request.query.get("app") or phone.preferred(agent, mainland=mainland)
    target = links.get(app)
    if target is None:
        raise web.HTTPNotFound
    if not _only_looking(request):
        metrics.NAVIGATIONS.labels(app).inc()
        sign = _scanned_sign(request, lot)
        if sign is not None:
            await _count(request, lot, sign)
    # Not `raise HTTPFound`: the address is of our own making, scheme `geo:` included, and must
    # arrive as it was made.
    response = web.Response(status=302, headers={hdrs.LOCATION: target})
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.set_cookie(
        APP_COOKIE, app, max_age=REMEMBER_S, path="/", samesite="Lax", httponly=True
    )
    return response


def _way_in(lot: Lot) -> Point:
    """Where a car drives in: the entrance of its first lane in, else any, else the lot itself."""
    ways_in = [lane.entrance for lane in lot.lanes if lane.direction == "in"]
    doors = {one.id: one.position for one in lot.entrances}
    known = [doors[one] for one in ways_in if one in doors] or list(doors.values())
    return known[0] if known else lot.position


def _only_looking(request: web.Request) -> bool:
    """Whether the browser fetches ahead of a tap, or asks for the headers alone."""
    if request.method == hdrs.METH_HEAD:
        return True
    said = [
        request.headers.get(name, "") for name in ("Purpose", "Sec-Purpose", "X-Purpose", "X-Moz")
    ]
    return any("prefetch" in one.lower() or "preview" in one.lower() for one in said)


def _scanned_sign(request: web.Request, lot: Lot) -> Sign | None:
    """The sign that sent this car, where the link is one that its page made, and still runs."""
    query = request.query
    sign = request.app[keys.CATALOG].signs.get(query.get("from", ""))
    if sign is None:
        return None
    genuine = visit.link_genuine(
        request.app[keys.SIGNING_KEY], lot.id, sign.id, query.get("v", ""), query.get("t", "")
    )
    if not genuine:
        metrics.refused("go", "forged")
        return None
    if not visit.running(query["v"], request.app[keys.CLOCK].now()):
        metrics.refused("go", "visit_over")
        return None
    return sign


async def _count(request: web.Request, lot: Lot, sign: Sign) -> None:
    """Note the car; a store that does not answer costs the count, never the driver's time."""
    arrivals = request.app.get(keys.ARRIVALS)
    if arrivals is None:
        return
    pace = pace_of(request.app[keys.CATALOG].sites[lot.site])
    drive_s = distance_m(sign.position, lot.position) * pace.drive_s_per_m
    eta_at = request.app[keys.CLOCK].now() + timedelta(seconds=drive_s)
    try:
        async with asyncio.timeout(COUNT_WITHIN_S):
            await arrivals.count(request.query["v"], lot.id, eta_at)
    except (TimeoutError, RedisError) as error:
        metrics.refused("go", "not_counted")
        _log.warning("car not counted", lot=lot.id, error=type(error).__name__)
