"""Every map app gets the lot in the datum it draws, and nothing of ours can lead elsewhere."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from service.catalog import Point
from service.guidance.navigation import APPS, bd09, gcj02, links, wgs84

TIANANMEN = Point(39.915, 116.404)
HOSTS = {
    "amap": "uri.amap.com",
    "baidu": "api.map.baidu.com",
    "tencent": "apis.map.qq.com",
    "apple": "maps.apple.com",
    "google": "www.google.com",
}


def test_wgs84_to_gcj02_meets_the_published_value() -> None:
    drawn = gcj02(TIANANMEN)
    assert drawn.lat == pytest.approx(39.91640428, abs=1e-8)
    assert drawn.lng == pytest.approx(116.41024450, abs=1e-8)


def test_gcj02_to_bd09_meets_the_published_value() -> None:
    drawn = bd09(TIANANMEN)
    assert drawn.lat == pytest.approx(39.92133699, abs=1e-8)
    assert drawn.lng == pytest.approx(116.41036950, abs=1e-8)


@pytest.mark.parametrize(
    "place", [Point(30.25, 120.17), Point(18.25, 109.5), Point(45.75, 126.65), Point(43.8, 87.6)]
)
def test_the_way_back_is_exact_to_nanometres(place: Point) -> None:
    back = wgs84(gcj02(place))
    assert abs(back.lat - place.lat) < 1e-10
    assert abs(back.lng - place.lng) < 1e-10
    assert abs(gcj02(place).lng - place.lng) > 1e-3


@pytest.mark.parametrize(
    "place", [Point(49.45, 11.08), Point(47.37, 8.54), Point(-33.9, 151.2), Point(35.7, 139.7)]
)
def test_outside_china_nothing_moves(place: Point) -> None:
    assert gcj02(place) == place
    assert wgs84(place) == place
    text = f"{place.lat:.6f}"
    assert all(text in unquote(link) for link in links(place, "Lot", False).values())


def test_each_app_gets_its_own_datum_in_mainland_china() -> None:
    made = links(TIANANMEN, "天安门", True)
    assert tuple(made) == APPS
    gcj, bd = gcj02(TIANANMEN), bd09(gcj02(TIANANMEN))
    in_gcj = f"{gcj.lat:.6f}", f"{gcj.lng:.6f}"
    for app in ("amap", "tencent", "apple", "google"):
        assert in_gcj[0] in made[app]
        assert in_gcj[1] in made[app]
    assert f"{gcj.lng:.6f},{gcj.lat:.6f}," in made["amap"], "Amap wants the longitude first"
    assert f"latlng:{bd.lat:.6f},{bd.lng:.6f}|name:天安门" in unquote(made["baidu"])
    assert made["geo"].startswith("geo:39.915000,116.404000?q=39.915000,116.404000(")


def test_outside_the_mainland_the_datum_is_named_as_such() -> None:
    made = links(Point(49.45, 11.08), "Lot", False)
    assert "coordinate=wgs84" in made["amap"]
    assert "coord_type=wgs84" in made["baidu"]


@pytest.mark.parametrize(
    "name", ["成明停车场 (北)", "a&to=evil", "x#y?z=1", "//evil.example/", "50% & more", "名,称|b"]
)
def test_a_name_stays_a_name(name: str) -> None:
    made = links(Point(30.25, 120.17), name, True)
    for app, host in HOSTS.items():
        parts = urlsplit(made[app])
        assert parts.scheme == "https"
        assert parts.hostname == host
        assert not parts.fragment
    assert parse_qs(urlsplit(made["tencent"]).query)["to"] == [name]
    assert parse_qs(urlsplit(made["amap"]).query)["to"][0].endswith("," + name)
    assert parse_qs(urlsplit(made["amap"]).query)["mode"] == ["car"]
    assert unquote(made["geo"]).endswith(f"({name})")
