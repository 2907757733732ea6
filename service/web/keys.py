"""Where the web finds its parts: one typed key each; a part that a role runs without is absent."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.catalog import Catalog
from service.clock import Clock

if TYPE_CHECKING:
    from service.config import Config
    from service.guidance.arrivals import Arrivals
    from service.guidance.frame_mirror import FrameMirror
    from service.guidance.guide import Guide
    from service.guidance.sign_board import Board
    from service.occupancy.devices import DeviceBook
    from service.occupancy.mirror import Mirror
    from service.occupancy.outlook import Outlook
    from service.settlement.gate import Gate
    from service.settlement.store import Store


class PartState(msgspec.Struct, frozen=True):
    """What a part says of itself on /readyz; `age_s` (wall) is since it was last known good."""

    ready: bool
    detail: str = ""
    age_s: float | None = None


Check = Callable[[], Awaitable[PartState]]

# When each connection's last request ended, by the wall's monotonic seconds; ASKING during one.
Activity = dict[RequestHandler, float]
ASKING = math.inf

CATALOG = web.AppKey("catalog", Catalog)
CLOCK = web.AppKey("clock", Clock)
CONFIG: "web.AppKey[Config]" = web.AppKey("config")
MIRROR: "web.AppKey[Mirror]" = web.AppKey("mirror")
OUTLOOK: "web.AppKey[Outlook]" = web.AppKey("outlook")
GUIDE: "web.AppKey[Guide]" = web.AppKey("guide")
ARRIVALS: "web.AppKey[Arrivals]" = web.AppKey("arrivals")
BOARD: "web.AppKey[Board | FrameMirror]" = web.AppKey("board")
BOOK: "web.AppKey[DeviceBook]" = web.AppKey("book")
GATE: "web.AppKey[Gate]" = web.AppKey("gate")
SETTLEMENT: "web.AppKey[Store]" = web.AppKey("settlement")
SIGNING_KEY = web.AppKey("signing_key", bytes)
PUBLIC_URL: "web.AppKey[str | None]" = web.AppKey("public_url")
BROKER_URL = web.AppKey("broker_url", str)
READINESS: "web.AppKey[Mapping[str, Check]]" = web.AppKey("readiness")
ACTIVITY: "web.AppKey[Activity]" = web.AppKey("activity")
