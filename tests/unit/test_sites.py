"""The sites that come with Bowei: what was published of them, to the space."""

from pathlib import Path

import msgspec
import pytest

from service.catalog_file import load_catalog
from service.config import REPOSITORY_SITES, shipped_sites
from service.guidance.travel import distance_m
from service.problems import ConfigProblems

HOSPITALS, STATION, YUNQI, YINZHOU = (
    "hangzhou-hospitals", "hangzhou-east-station", "yunqi-town", "ningbo-yinzhou",
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return load_catalog(shipped_sites())


def lots_of(world, site):
    return [lot for lot in world.lots.values() if lot.site == site]


def spaces(lots, *, public=False):
    return sum(lot.public_capacity if public else lot.capacity for lot in lots)


def test_all_five_sites_load_together_without_a_problem(world):
    assert set(world.sites) == {HOSPITALS, STATION, YUNQI, YINZHOU, "try-it"}


def test_each_site_loads_alone():
    for folder in shipped_sites():
        assert load_catalog([folder]).sites.keys() == {Path(folder).name}


def test_the_six_hospitals_have_the_published_spaces(world):
    inside = [lot for lot in lots_of(world, HOSPITALS) if lot.kind == "hospital"]
    assert spaces(inside) == 4033
    assert spaces(inside, public=True) == 3762
    doors = [one.name.zh for one in world.destinations.values() if one.site == HOSPITALS]
    assert len(doors) == 6
    assert {"杭州市中医院", "杭州市第一人民医院", "杭州市儿童医院"} <= set(doors)


def test_the_lots_around_the_hospitals_have_the_published_spaces(world):
    around = [lot for lot in lots_of(world, HOSPITALS) if lot.kind != "hospital"]
    assert spaces(around) == spaces(around, public=True) == 1600
    assert {"成明停车场", "温德姆酒店", "农发大厦"} <= {lot.name.zh for lot in around}
    assert sum(lot.kind == "street" for lot in around) >= 5


def test_nongfa_lies_800_metres_from_its_hospital(world):
    nongfa = world.lots["nongfa"].position
    assert distance_m(nongfa, world.destinations["children"].position) == pytest.approx(800, abs=5)


def test_the_station_has_seven_lots_that_let_leave_first(world):
    lots = lots_of(world, STATION)
    assert len(lots) == 7
    assert spaces(lots) == 4298
    assert {lot.payment for lot in lots} == {"leave_first"}
    assert not all(lot.barrier for lot in lots)
    assert any(lot.barrier for lot in lots)


def test_yunqi_is_barrierless_and_leaves_first(world):
    lots = lots_of(world, YUNQI)
    assert lots
    assert {(lot.barrier, lot.payment) for lot in lots} == {(False, "leave_first")}


def test_yinzhou_shares_its_spaces_by_time_window(world):
    zones = [zone for lot in lots_of(world, YINZHOU) for zone in lot.zones]
    assert sum(zone.capacity for zone in zones) == 7000
    assert all(zone.kind == "shared" and zone.windows for zone in zones)


def test_published_totals_stand_in_the_files_and_speak_of_nothing_else(world):
    published = {site.id: site.published for site in world.sites.values()}
    assert published == {
        HOSPITALS: {
            "hospital_spaces": 4033, "hospital_public_spaces": 3762, "surrounding_spaces": 1600,
        },
        STATION: {"lots": 7, "spaces": 4298},
        YINZHOU: {"shared_spaces": 7000},
        YUNQI: {},
        "try-it": {},
    }  # fmt: skip
    assert all(site.sources for site in world.sites.values() if site.published)


def test_what_was_not_published_says_so(world):
    for table in (world.lots, world.signs, world.destinations):
        for entry in table.values():
            assert {"position", "everything"} & set(entry.approximate), entry.id
    assert all(tariff.approximate and tariff.source for tariff in world.tariffs.values())


def test_the_lot_to_try_is_nobodys_but_the_strangers(world):
    lot = world.lots["try-it"]
    assert not lot.simulated
    assert all(other.simulated for other in world.lots.values() if other is not lot)
    assert {zone.fed_by for zone in lot.zones} == {"counter", "bays"}
    assert {camera.model for camera in world.cameras.values() if camera.lot == lot.id} == {"bowei"}
    said = (REPOSITORY_SITES / "try-it" / "site.toml").read_text(encoding="utf-8")
    devices = [one.id for one in world.sensors.values() if one.lot == lot.id]
    cameras = [one.id for one in world.cameras.values() if one.lot == lot.id]
    for device in ("try-counter", "try-bay-B1", "try-bay-B4", *cameras):
        assert device in said
        assert device in devices + cameras


def test_signs_of_all_levels_guide_to_every_hospital(world):
    signs = list(world.signs.values())
    assert 30 <= len(signs) <= 60
    assert {sign.level for sign in signs} == {1, 2, 3}
    for door in (one.id for one in world.destinations.values() if one.site == HOSPITALS):
        assert {sign.level for sign in signs if sign.destination == door} == {1, 2, 3}
    assert all(len(sign.lots) > 1 for sign in signs if sign.level < 3)


def test_devices_of_every_kind_are_there(world):
    assert {camera.model for camera in world.cameras.values()} == {
        "vzenith_mqtt", "vzenith_http", "hikvision_http", "bowei",
    }  # fmt: skip
    vendors = {(one.model, one.envelope) for one in world.sensors.values()}
    assert vendors == {
        ("bowei", None),
        ("bosch_tps110", "chirpstack_v4"), ("bosch_tps110", "things_stack_v3"),
        ("pni_placepod", "chirpstack_v4"), ("pni_placepod", "things_stack_v3"),
    }  # fmt: skip
    fed = {zone.fed_by for lot in world.lots.values() for zone in lot.zones}
    assert fed == {"bays", "counter", "absolute", "plates"}


def test_the_city_brain_is_declared_and_not_connected(world):
    brains = [one for one in world.exchanges.values() if one.kind == "city_brain"]
    assert {one.site for one in brains} == {HOSPITALS, STATION, YUNQI}
    assert not any(one.connected for one in brains)


def test_places_lie_in_their_city(world):
    for lot in world.lots.values():
        low, high = (
            ((29.7, 121.4), (29.9, 121.7)) if lot.site == YINZHOU else ((30, 119.9), (30.4, 120.4))
        )
        assert low[0] < lot.position.lat < high[0]
        assert low[1] < lot.position.lng < high[1]


def test_a_changed_space_breaks_the_published_total(tmp_path):
    """The totals are held to, not only written down."""
    folder = tmp_path / STATION
    folder.mkdir()
    for path in (REPOSITORY_SITES / STATION).iterdir():
        text = path.read_text(encoding="utf-8").replace("capacity = 480", "capacity = 481")
        (folder / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigProblems, match="4299, which is what the lots") as caught:
        load_catalog([folder])
    assert [one.key for one in caught.value.problems] == ["site.published.spaces"]


def test_entries_encode_for_the_api(world):
    assert msgspec.json.decode(msgspec.json.encode(world))["lots"]["try-it"]["id"] == "try-it"
