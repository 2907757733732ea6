"""The front door: what this is, one live sign, and where everything else is.

GET /
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from service.catalog import Catalog, Sign
from service.guidance import qr
from service.occupancy.model import LotState, Quality
from service.web import keys, panel_view
from service.web.local import from_this_machine
from service.web.page import render

routes = web.RouteTableDef()

TRY_IT: Final = "try-it"


@routes.get("/")
async def landing(request: web.Request) -> web.Response:
    catalog = request.app[keys.CATALOG]
    mirror, board = request.app.get(keys.MIRROR), request.app.get(keys.BOARD)
    at = request.app[keys.CLOCK].now()
    states = {} if mirror is None else mirror.states
    sign = _showpiece(catalog)
    panel = None
    if sign is not None:
        frame = None if board is None else board.frames.get(sign.id)
        scan = qr.address("", request.app[keys.SIGNING_KEY], sign.id)
        panel = panel_view.panel(sign, frame, at, scan)
    return render(
        request,
        "landing.html",
        panel=panel,
        events_url="" if sign is None else f"/signs/events?sign={panel.path if panel else ''}",
        figures={
            "sites": len(catalog.sites),
            "lots": len(catalog.lots),
            "spaces": sum(lot.public_capacity for lot in catalog.lots.values()),
            "free": _free_now(states),
            "signs": len(catalog.signs),
        },
        sites=sorted(catalog.sites.values(), key=lambda site: site.id),
        local=from_this_machine(request),
        broker=_broker(request),
        try_it=TRY_IT in catalog.lots,
        boot=int(at.timestamp()),  # anew each time it is opened: nothing seems to be missing
    )


def _free_now(states: Mapping[str, LotState]) -> int | None:
    """What is free by numbers of now; None where there is none: old ones are not summed up."""
    fresh = [state.free for state in states.values() if state.quality is Quality.FRESH]
    known = [free for free in fresh if free is not None]
    return sum(known) if known else None


def _showpiece(catalog: Catalog) -> Sign | None:
    """The first arterial sign of the site that has the most signs."""
    if not catalog.signs:
        return None
    most = Counter(sign.site for sign in catalog.signs.values()).most_common(1)[0][0]
    of_site = [sign for sign in catalog.signs.values() if sign.site == most]
    return min(of_site, key=lambda sign: (sign.level, sign.id))


def _broker(request: web.Request) -> tuple[str, int]:
    """Host and port that devices speak to."""
    parts = urlsplit(request.app.get(keys.BROKER_URL) or "mqtt://127.0.0.1:1883")
    return parts.hostname or "127.0.0.1", parts.port or 1883
