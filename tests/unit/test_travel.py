"""Straight lines in local planes stay close to the sphere; paces hold the site's detour."""

import math

import pytest

from service.catalog import Name, Point, Site
from service.guidance.travel import distance_m, pace_of, plane_at

EARTH_M = 6_371_008.8


def great_circle_m(one: Point, other: Point) -> float:
    a, b = math.radians(one.lat), math.radians(other.lat)
    turn = math.radians(other.lng - one.lng)
    inner = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(turn / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(inner))


@pytest.mark.parametrize("lat", [-60.0, 0.0, 22.3, 30.26, 39.9, 49.45, 60.0])
@pytest.mark.parametrize("bearing", range(0, 360, 30))
def test_a_city_is_flat_to_a_fraction_of_a_percent(lat: float, bearing: int) -> None:
    one = Point(lat, 120.17)
    reach = 15_000 / 111_195
    angle = math.radians(bearing)
    other = Point(
        lat + reach * math.cos(angle),
        120.17 + reach * math.sin(angle) / math.cos(math.radians(lat)),
    )
    assert distance_m(one, other) == pytest.approx(great_circle_m(one, other), rel=0.004)


def test_neighbours_in_latitude_share_a_plane() -> None:
    assert plane_at(30.26) is plane_at(30.34)
    assert plane_at(30.26).band != plane_at(30.37).band


def test_a_pace_is_detour_over_speed() -> None:
    site = Site("s", Name("城", "City"), Name("杭州", "Hangzhou"), "Asia/Shanghai", 1.4, 28.8)
    pace = pace_of(site)
    assert pace.drive_s_per_m * 1000 == pytest.approx(1400 / 8)
    assert pace.walk_s_per_m * 1000 == pytest.approx(1400 / 1.25)
