"""What a driver sees after scanning a sign: the best lot first, one button to get there.

    GET /s/{sign}?t=token    a scanned sign; its links count the car once as on its way
    GET /park/{site}         the same lots without a sign, for whoever holds no good code

`live=1` answers only the part that changes, for the page's small script.
"""

import os
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from service.catalog import Catalog, Destination, Point, Sign
from service.guidance import qr
from service.guidance.model import Needs, Request
from service.web import driver_view, keys, phone, visit, words
from service.web.api_query import ANYWHERE
from service.web.errors import error_page
from service.web.page import ENVIRONMENT, language, render, with_query
from service.web.words import Lang

routes = web.RouteTableDef()

VISIT_COOKIE: Final = "visit"
APP_COOKIE: Final = "app"
LOTS_ASKED: Final = 24  # more than are shown: those too far to walk are left out

LinkTo = Callable[[str, str], str]


class Wishes(msgspec.Struct, frozen=True):
    """What the page's filters ask for; anything unreadable in the address counts as not asked."""

    ev: bool
    accessible: bool
    stay_minutes: int
    destination: Destination | None

    @property
    def needs(self) -> Needs:
        return Needs(ev=self.ev, accessible=self.accessible, stay_minutes=self.stay_minutes)

    @property
    def filtering(self) -> bool:
        return self.ev or self.accessible


def read_wishes(request: web.Request, site: str, default: str | None) -> Wishes:
    catalog = request.app[keys.CATALOG]
    query = request.query
    stay = query.get("stay", "")
    wanted = query.get("to", default or "")
    destination = catalog.destinations.get(wanted)
    if destination is None and wanted != ANYWHERE and default is not None:
        destination = catalog.destinations.get(default)
    if destination is not None and destination.site != site:
        destination = None
    return Wishes(
        ev=query.get("ev") == "1",
        accessible=query.get("acc") == "1",
        stay_minutes=int(stay) if stay in map(str, driver_view.STAYS_MINUTES) else 120,
        destination=destination,
    )


@routes.get("/s/{sign}")
async def scanned(request: web.Request) -> web.Response:
    """A scanned code: genuine codes only; a forged one is told so and shown another way."""
    catalog = request.app[keys.CATALOG]
    sign = catalog.signs.get(request.match_info["sign"])
    key = request.app[keys.SIGNING_KEY]
    token = request.query.get("t", "")
    if sign is None or not token.isascii() or not qr.check(key, sign.id, token):
        return _not_ours(request, None if sign is None else sign.site)
    at = request.app[keys.CLOCK].now()
    current = visit.from_cookie(key, request.cookies.get(VISIT_COOKIE, ""), at)
    if current is None:
        current = visit.mint(at, os.urandom(9))

    def link(lot: str, app: str) -> str:
        signature = visit.link_token(key, lot, sign.id, current)
        return _go(lot, app=app, **{"from": sign.id, "v": current, "t": signature})

    wishes = read_wishes(request, sign.site, sign.destination)
    response = await _page(request, sign.site, sign.position, sign, wishes, link)
    response.set_cookie(
        VISIT_COOKIE,
        visit.cookie(key, current),
        max_age=visit.LASTS_MINUTES * 60,
        path="/s/",
        samesite="Lax",
        httponly=True,
    )
    return response


@routes.get("/park/{site}")
async def without_sign(request: web.Request) -> web.Response:
    """A site's lots seen from its middle; navigation works, and counts nobody."""
    catalog = request.app[keys.CATALOG]
    site = request.match_info["site"]
    if site not in catalog.sites:
        raise web.HTTPNotFound
    wishes = read_wishes(request, site, None)
    origin = wishes.destination.position if wishes.destination else _middle(catalog, site)
    if origin is None:
        raise web.HTTPNotFound
    return await _page(request, site, origin, None, wishes, lambda lot, app: _go(lot, app=app))


def _go(lot: str, **query: str) -> str:
    return f"/go/{quote(lot, safe='')}?{urlencode(query)}"


def _middle(catalog: Catalog, site: str) -> Point | None:
    points = [lot.position for lot in catalog.lots.values() if lot.site == site]
    if not points:
        return None
    return Point(
        sum(one.lat for one in points) / len(points), sum(one.lng for one in points) / len(points)
    )


def _not_ours(request: web.Request, site: str | None) -> web.Response:
    catalog = request.app[keys.CATALOG]
    sites = [site] if site else sorted(catalog.sites)[:8]
    ways = tuple(
        (
            f"/park/{quote(one, safe='')}",
            f"{words.named('zh', catalog.sites[one].name)}的停车场",
            f"Car parks of {words.named('en', catalog.sites[one].name)}",
        )
        for one in sites
    )
    return error_page(
        request,
        403,
        ("这个二维码不是我们的诱导屏", "This code is not from one of our signs"),
        more=(
            "它可能被改过、贴错，或已经换新。请重新扫描屏上的二维码；也可以直接看附近的停车场。",
            "It may be altered or misplaced. Scan the sign again, or see the car parks nearby.",
        ),
        ways=(*ways, ("/", "泊位首页", "Bowei home")),
    )


async def _page(
    request: web.Request,
    site: str,
    origin: Point,
    sign: Sign | None,
    wishes: Wishes,
    link: LinkTo,
) -> web.Response:
    lang = language(request)
    guide = request.app.get(keys.GUIDE)
    if guide is None:
        raise web.HTTPServiceUnavailable
    catalog = request.app[keys.CATALOG]
    destination = wishes.destination
    door = destination.position if destination is not None else None
    ranking = await guide.routed(Request(origin, door, wishes.needs, LOTS_ASKED))
    mirror = request.app.get(keys.MIRROR)
    states = {} if mirror is None else mirror.states
    asked = driver_view.Asked(wishes.stay_minutes, placed=sign is not None, door=door is not None)
    cards = driver_view.page(lang, ranking, catalog.lots, states, asked)
    values = {
        "cards": cards,
        "wishes": wishes,
        "cut_off": mirror is not None and not mirror.healthy,
        "unit": _unit(lang, wishes),
        "link": link,
        "clear_url": with_query(request, ev=None, acc=None, live=None),
        **_apps(request, lang, mainland=catalog.sites[site].timezone in phone.MAINLAND_TIMEZONES),
    }
    if request.query.get("live") == "1":
        text = ENVIRONMENT.get_template("driver_live.html").render(
            lang=lang, t=words.words(lang), **values
        )
        response = web.Response(text=text, content_type="text/html")
        response.headers["Cache-Control"] = "no-store"
        response.enable_compression()
        return response
    return render(
        request,
        "driver.html",
        sign=sign,
        site=catalog.sites[site],
        destination=destination,
        filters=_filters(request, catalog, site, wishes, lang),
        live_url=with_query(request, live="1"),
        speed=request.app[keys.CLOCK].speed,
        **values,
    )


def _unit(lang: Lang, wishes: Wishes) -> str:
    """What is counted: with a need, only the spaces that serve it."""
    if wishes.ev and wishes.accessible:
        return words.WORDS["spaces_both"][0 if lang == "zh" else 1]
    key = "spaces_ev" if wishes.ev else "spaces_accessible" if wishes.accessible else "spaces"
    return words.WORDS[key][0 if lang == "zh" else 1]


def _apps(request: web.Request, lang: Lang, *, mainland: bool) -> dict[str, Any]:
    agent = request.headers.get("User-Agent", "")
    offered = phone.apps(agent, mainland=mainland)
    first = phone.preferred(agent, mainland=mainland, remembered=request.cookies.get(APP_COOKIE))
    side = 0 if lang == "zh" else 1
    return {
        "app": first,
        "apps": [(app, phone.NAMES[app][side]) for app in offered if app != first],
        "wechat": phone.in_wechat(agent),
    }


def _filters(
    request: web.Request, catalog: Catalog, site: str, wishes: Wishes, lang: Lang
) -> dict[str, list[tuple[str, str, bool]]]:
    """Groups of (address, words, chosen); every choice is a plain link."""
    t = words.words(lang)
    doors = [one for one in catalog.destinations.values() if one.site == site]
    chosen = wishes.destination
    return {
        t["need"]: [
            (with_query(request, ev=None if wishes.ev else "1"), t["need_ev"], wishes.ev),
            (
                with_query(request, acc=None if wishes.accessible else "1"),
                t["need_accessible"],
                wishes.accessible,
            ),
        ],
        t["stay"]: [
            (
                with_query(request, stay=str(minutes)),
                words.stay(lang, minutes),
                minutes == wishes.stay_minutes,
            )
            for minutes in driver_view.STAYS_MINUTES
        ],
        t["destination"]: [
            (with_query(request, to=ANYWHERE), t["any_destination"], chosen is None),
            *(
                (
                    with_query(request, to=one.id),
                    words.named(lang, one.name),
                    chosen is not None and chosen.id == one.id,
                )
                for one in sorted(doors, key=lambda door: door.name.zh)[:24]
            ),
        ],
    }
