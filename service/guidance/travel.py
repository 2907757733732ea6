"""Pure: how far and how long, from straight lines: a local flat plane, a detour factor, a pace."""

import math
from functools import lru_cache

import msgspec

from service.catalog import Point, Site

METRES_PER_DEGREE = math.pi / 180 * 6_371_008.8
WALK_M_PER_S = 1.25
BANDS_PER_DEGREE = 10


class Plane(msgspec.Struct, frozen=True):
    """A flat metric plane for one band of latitude, a tenth of a degree high.

    East-west scale is that of the band's middle: 0.1 % off at most within 100 km.
    """

    band: int
    x_m_per_degree: float

    def project(self, point: Point) -> tuple[float, float]:
        return point.lng * self.x_m_per_degree, point.lat * METRES_PER_DEGREE


@lru_cache(maxsize=2048)
def _plane(band: int) -> Plane:
    middle = math.radians(band / BANDS_PER_DEGREE)
    return Plane(band, METRES_PER_DEGREE * math.cos(middle))


def plane_at(lat: float) -> Plane:
    """The plane that distances around `lat` are measured in."""
    return _plane(round(lat * BANDS_PER_DEGREE))


class Pace(msgspec.Struct, frozen=True):
    """Seconds per straight-line metre, the detour included."""

    drive_s_per_m: float
    walk_s_per_m: float


def pace_of(site: Site) -> Pace:
    """How fast one gets on in `site`."""
    return Pace(site.detour / (site.drive_kmh / 3.6), site.detour / WALK_M_PER_S)


def distance_m(one: Point, other: Point) -> float:
    """Straight line, in the plane of `one`."""
    plane = plane_at(one.lat)
    (x, y), (u, v) = plane.project(one), plane.project(other)
    return math.hypot(u - x, v - y)
