"""Pure: links that open a map app with the way to a lot, each in the datum the app expects.

Positions of ours are WGS-84. Inside mainland China Amap, Tencent, Apple and Google draw GCJ-02 and
Baidu draws BD-09; outside all use WGS-84. `geo:` is WGS-84 by definition (RFC 5870).
Hosts are fixed here, names come from the catalogue and are percent-encoded.
Source: the transforms as published on the Krasovsky ellipsoid; the vendors' public URI documents.
"""

import math
from typing import Final
from urllib.parse import quote

from service.catalog import Point

AXIS_M: Final = 6378245.0
ECCENTRICITY2: Final = 0.00669342162296594323
BAIDU_K: Final = math.pi * 3000.0 / 180.0
ROUND_TRIP_DEGREES: Final = 1e-11
APPS: Final = ("amap", "baidu", "tencent", "apple", "google", "geo")

# Mainland China roughly, as the maps' own libraries draw it.
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271


def gcj02(point: Point) -> Point:
    """WGS-84 to GCJ-02; the same point outside China's rectangle."""
    if not (_WEST <= point.lng <= _EAST and _SOUTH <= point.lat <= _NORTH):
        return point
    x, y = point.lng - 105.0, point.lat - 35.0
    radians = math.radians(point.lat)
    magic = 1 - ECCENTRICITY2 * math.sin(radians) ** 2
    meridian_m = AXIS_M * (1 - ECCENTRICITY2) / (magic * math.sqrt(magic))
    parallel_m = AXIS_M / math.sqrt(magic) * math.cos(radians)
    return Point(
        lat=point.lat + math.degrees(_north_m(x, y) / meridian_m),
        lng=point.lng + math.degrees(_east_m(x, y) / parallel_m),
    )


def wgs84(point: Point) -> Point:
    """GCJ-02 back to WGS-84, by fixed-point iteration."""
    guess = point
    for _ in range(32):
        drawn = gcj02(guess)
        off_lat, off_lng = drawn.lat - point.lat, drawn.lng - point.lng
        if max(abs(off_lat), abs(off_lng)) < ROUND_TRIP_DEGREES:
            break
        guess = Point(guess.lat - off_lat, guess.lng - off_lng)
    return guess


def bd09(point: Point) -> Point:
    """GCJ-02 to BD-09."""
    radius = math.hypot(point.lng, point.lat) + 0.00002 * math.sin(point.lat * BAIDU_K)
    angle = math.atan2(point.lat, point.lng) + 0.000003 * math.cos(point.lng * BAIDU_K)
    return Point(lat=radius * math.sin(angle) + 0.006, lng=radius * math.cos(angle) + 0.0065)


def links(point: Point, name: str, mainland: bool) -> dict[str, str]:
    """One address per app of `APPS`, to drive to `point`, which is called `name`."""
    drawn = gcj02(point) if mainland else point
    baidu = bd09(drawn) if mainland else drawn
    called = quote(name, safe="")
    lat, lng = _degrees(drawn.lat), _degrees(drawn.lng)
    baidu_datum = "bd09ll" if mainland else "wgs84"
    amap_datum = "gaode" if mainland else "wgs84"
    place = f"{_degrees(point.lat)},{_degrees(point.lng)}"
    baidu_to = quote(f"latlng:{_degrees(baidu.lat)},{_degrees(baidu.lng)}|name:", safe=":,")
    return {
        "amap": (
            f"https://uri.amap.com/navigation?to={lng},{lat},{called}"
            f"&mode=car&coordinate={amap_datum}&callnative=1&src=bowei"
        ),
        "baidu": (
            f"https://api.map.baidu.com/direction?destination={baidu_to}{called}"
            f"&mode=driving&coord_type={baidu_datum}&output=html&src=bowei"
        ),
        "tencent": (
            f"https://apis.map.qq.com/uri/v1/routeplan?type=drive&to={called}"
            f"&tocoord={lat},{lng}&policy=0&referer=bowei"
        ),
        "apple": f"https://maps.apple.com/?daddr={lat},{lng}&q={called}&dirflg=d",
        "google": (
            f"https://www.google.com/maps/dir/?api=1&destination={lat},{lng}&travelmode=driving"
        ),
        "geo": f"geo:{place}?q={place}({called})",
    }


def _degrees(value: float) -> str:
    return f"{value:.6f}"


def _north_m(x: float, y: float) -> float:
    return (
        -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
        + _waves((20.0, 6.0), (20.0, 2.0), x)
        + _waves((20.0, 1.0), (40.0, 1 / 3), y)
        + _waves((160.0, 1 / 12), (320.0, 1 / 30), y)
    )  # fmt: skip


def _east_m(x: float, y: float) -> float:
    return (
        300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
        + _waves((20.0, 6.0), (20.0, 2.0), x)
        + _waves((20.0, 1.0), (40.0, 1 / 3), x)
        + _waves((150.0, 1 / 12), (300.0, 1 / 30), x)
    )  # fmt: skip


def _waves(one: tuple[float, float], other: tuple[float, float], at: float) -> float:
    """Two thirds of two sine waves, each (amplitude, half turns per degree)."""
    return (
        sum(amplitude * math.sin(turns * at * math.pi) for amplitude, turns in (one, other)) * 2 / 3
    )
