"""Pure: what an address asks for, or everything that is wrong with it, at once."""

import math
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec
from multidict import MultiMapping

from service.catalog import Catalog, Name, Point
from service.guidance.model import Needs, Request

LIMIT: Final = 10
LIMIT_MOST: Final = 50
STAY_MOST: Final = 7 * 24 * 60
HEIGHT_MOST_M: Final = 6.0
PRICE_MOST_FEN: Final = 10_000_000
ID_MOST: Final = 128
ANYWHERE: Final = "any"  # no destination, where a sign's own would be taken

_NUMBER: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_WHOLE: Final = re.compile(r"-?[0-9]{1,12}")
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}

Thing = Literal["lot", "sign", "site", "destination"]
THINGS: Final[dict[Thing, Name]] = {
    "lot": Name("应为停车场的编号", "the id of a lot"),
    "sign": Name("应为诱导屏的编号", "the id of a sign"),
    "site": Name("应为站点的编号", "the id of a site"),
    "destination": Name("应为目的地的编号", "the id of a destination"),
}

T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """One parameter that cannot be used, and what could. `names_nothing`: what it names is not."""

    parameter: str
    expected: str
    expected_zh: str
    names_nothing: bool = False


class Query:
    """Reads parameters by name and remembers what was wrong; a bad one reads as its default."""

    def __init__(self, given: MultiMapping[str], known: frozenset[str]) -> None:
        self._given = given
        self.problems: list[Problem] = []
        for name in dict.fromkeys(given):
            if name not in known:
                names = ", ".join(sorted(known))
                self.wrong(name[:64], f"one of {names}", f"应为其中之一：{names}")
            elif len(given.getall(name)) > 1:
                self.wrong(name, "to be given once", "只能给出一次")

    def has(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str) -> str | None:
        return self._given.get(name)

    def wrong(self, name: str, en: str, zh: str, *, names_nothing: bool = False) -> None:
        self.problems.append(Problem(name, en, zh, names_nothing))

    def number(self, name: str, low: float, high: float) -> float | None:
        text = self._given.get(name)
        if text is None:
            return None
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if low <= value <= high:
            return value
        self.wrong(name, f"a number from {low:g} to {high:g}", f"应为 {low:g} 到 {high:g} 的数")
        return None

    def whole(self, name: str, low: int, high: int, default: T) -> int | T:
        text = self._given.get(name)
        if text is None:
            return default
        if _WHOLE.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        self.wrong(name, f"a whole number from {low} to {high}", f"应为 {low} 到 {high} 的整数")
        return default

    def flag(self, name: str) -> bool:
        text = self._given.get(name, "0")
        if text not in _FLAGS:
            self.wrong(name, "true or false", "应为 true 或 false")
        return _FLAGS.get(text, False)

    def one_of(self, name: str, things: Mapping[str, T], what: Thing) -> T | None:
        text = self._given.get(name)
        if text is None:
            return None
        if text not in things:
            wanted = THINGS[what]
            self.wrong(name, wanted.en, wanted.zh, names_nothing=True)
        return things.get(text)


GUIDANCE: Final = frozenset(
    {
        "sign", "lat", "lng", "destination", "ev", "accessible",
        "height_m", "stay_minutes", "max_price_fen", "limit",
    }
)  # fmt: skip


# What an app asks most, as it arrives: read without taking the address apart.
_PLAIN: Final = re.compile(
    r"/api/v1/guidance\?lat=(-?[0-9]{1,2}\.[0-9]{1,15})&lng=(-?[0-9]{1,3}\.[0-9]{1,15})"
    r"(?:&destination=([0-9A-Za-z_-]+))?"
)


def read_plain(path: str, catalog: Catalog) -> Request | None:
    """The request of a plain address for a position; None says nothing, ask `read_guidance`."""
    match = _PLAIN.fullmatch(path)
    if match is None:
        return None
    lat, lng, named = match.groups()
    origin = Point(float(lat), float(lng))
    if not (-90 <= origin.lat <= 90 and -180 <= origin.lng <= 180):
        return None
    if named is None:
        return Request(origin)
    door = catalog.destinations.get(named)
    return None if door is None else Request(origin, door.position)


def read_guidance(
    given: MultiMapping[str], catalog: Catalog
) -> tuple[Request | None, list[Problem]]:
    """The request for a ranking, or why there is none."""
    query = Query(given, GUIDANCE)
    origin = _origin(query, catalog)
    door = _door(query, catalog)
    needs = Needs(
        ev=query.flag("ev"),
        accessible=query.flag("accessible"),
        height_m=query.number("height_m", 0.5, HEIGHT_MOST_M),
        max_price_fen=query.whole("max_price_fen", 0, PRICE_MOST_FEN, None),
        stay_minutes=query.whole("stay_minutes", 1, STAY_MOST, Needs().stay_minutes),
    )
    limit = query.whole("limit", 1, LIMIT_MOST, LIMIT)
    if query.problems or origin is None:
        return None, query.problems
    return Request(origin, door, needs, limit), []


def _door(query: Query, catalog: Catalog) -> Point | None:
    """Where the driver walks to: as given, else whom the sign guides to, as on its page."""
    named = query.text("destination")
    if named is None:
        sign = catalog.signs.get(query.text("sign") or "")
        named = sign.destination if sign else None
        return catalog.destinations[named].position if named else None
    if named == ANYWHERE and named not in catalog.destinations:
        return None
    door = query.one_of("destination", catalog.destinations, "destination")
    return door.position if door else None


def _origin(query: Query, catalog: Catalog) -> Point | None:
    """Where the driver is: a sign, or a position."""
    sign = query.one_of("sign", catalog.signs, "sign")
    lat, lng = query.number("lat", -90, 90), query.number("lng", -180, 180)
    if query.has("sign"):
        for name in ("lat", "lng"):
            if query.has(name):
                query.wrong(name, "to be left out where sign is given", "有 sign 时不可给出")
        return sign.position if sign else None
    for name in ("lat", "lng"):
        if not query.has(name):
            query.wrong(
                name,
                "to be given, or sign instead of lat and lng",
                "必须给出，或以 sign 代替 lat 与 lng",
            )
    return None if lat is None or lng is None else Point(lat, lng)
