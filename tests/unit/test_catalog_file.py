"""A site is read from its folder, checked against everything, and every problem comes at once."""

import shutil
from datetime import time
from pathlib import Path

import pytest

from service.catalog import Feed, Push, Sensor
from service.catalog_file import load_catalog, read_catalog, reload_catalog
from service.problems import ConfigProblems

EACH = Path(__file__).parents[1] / "catalogs" / "each"
WITH_A_SECRET = """
[[exchanges]]
id = "b"
kind = "city_brain"
settings = { private_key = "hunter2" }
"""


@pytest.fixture
def folder(tmp_path):
    site = tmp_path / "small"
    site.mkdir()
    for path in EACH.iterdir():
        shutil.copy(path, site)
    return site


def edited(folder, name, old, new):
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def keys(*folders):
    catalog, problems = read_catalog(folders)
    assert (catalog is None) is bool(problems)
    return {one.key: f"{one.found} | {one.expected} | {one.about}" for one in problems}


def test_a_site_becomes_a_catalogue(folder):
    catalog = load_catalog([folder])
    lot = catalog.lots["yard"]
    assert (lot.site, lot.capacity, lot.public_capacity) == ("small", 34, 29)
    assert [zone.public for zone in lot.zones] == [True, True, False, True]
    assert lot.zones[1].bays == ("E01", "E02", "E03", "X")
    assert lot.zones[3].windows[0].until == time(0)
    assert catalog.cameras["cam-1"].transport == "mqtt"
    assert catalog.cameras["cam-2"].transport == "http"
    assert catalog.cameras["cam-2"].key_env == "BOWEI_CAM_2"
    assert catalog.lane("yard", "out-1").zone == "night"
    assert catalog.signs["s1"].arrows == {"yard": "left"}
    assert catalog.sites["small"].detour == 1.35


def test_bay_sensors_are_named_by_one_template(folder):
    sensors = load_catalog([folder]).sensors
    assert set(sensors) == {"c1", "c2", *(f"70b3d5{n:010x}" for n in (1, 2, 3, 4))}
    assert sensors["70b3d50000000004"] == Sensor(
        "70b3d50000000004", "yard", "ev", "bosch_tps110", "X", "chirpstack_v4"
    )


def test_any_file_of_the_folder_may_hold_any_table(folder):
    whole = load_catalog([folder])
    text = "".join(path.read_text(encoding="utf-8") for path in EACH.iterdir())
    for path in folder.iterdir():
        path.unlink()
    (folder / "site.toml").write_text(text, encoding="utf-8")
    again = load_catalog([folder])
    assert again.lots == whole.lots
    assert again.signs == whole.signs
    assert again.version != whole.version


def test_every_problem_comes_at_once_and_none_twice(folder):
    """Shape and references in one pass; what rests on something wrong is not reported again."""
    edited(folder, "site.toml", '"Asia/Shanghai"', '"Asia/Hangzhou"')
    edited(folder, "lots.toml", 'tariff = "plain"', 'tariff = "plane"')
    edited(folder, "lots.toml", "capacity = 20", "capacity = -20")
    edited(folder, "lots.toml", '"E01-E03", "X"', '"E01-E03"')
    edited(folder, "lots.toml", 'entrance = "north", zone = "night", camera = { id = "cam-1"',
           'entrance = "south", zone = "day", camera = { id = "cam-2"')  # fmt: skip
    edited(folder, "signs.toml", 'destination = "door"', 'destination = "dor"')
    edited(folder, "signs.toml", 'lots = ["yard"]', 'lots = ["yard", "yart"]')
    edited(folder, "signs.toml", "level = 2", "level = 7")
    found = keys(folder)
    assert set(found) == {
        "site.timezone",
        "lots[0].tariff",
        "lots[0].zones[0].capacity",
        "lots[0].zones[1].bays",
        "lots[0].zones[3].fed_by",
        "lots[0].lanes[0].entrance",
        "lots[0].lanes[0].zone",
        "lots[0].lanes[1].camera.id",
        "signs[0].level",
        "signs[0].destination",
        "signs[0].lots[1]",
    }  # the lot's own capacity rests on its zones, so it is not judged
    assert "`plain`?" in found["lots[0].tariff"]
    assert "yard › general" in found["lots[0].zones[0].capacity"]
    assert "3 bays for a capacity of 4" in found["lots[0].zones[1].bays"]
    assert "`yard`?" in found["signs[0].lots[1]"]


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("capacity = 34", "capacity = 35", "lots[0].capacity", "34, which is what its zones"),
        ('id = "yard"', 'id = "Yard 1"', "lots[0].id", "lower-case letters"),
        ('kind = "public"', 'kind = "publik"', "lots[0].kind", '"public"'),
        ("lat = 30.1, lng = 120.1 }\nt", "lat = 120.1, lng = 30.1 }\nt",
         "lots[0].position.lat", "from -90 to 90"),
        ("lat = 30.1, lng = 120.1 }\nt", "lat = 31.1, lng = 120.1 }\nt",
         "lots[0].position", "km from the rest"),
        ("lng = 120.1001", "lng = 120.2", "lots[0].entrances[0].position", "km from its lot"),
        ('"bosch_tps110"', '"bosch_tps"', "lots[0].zones[1].sensors[0].model", "bosch_tps110"),
        (', envelope = "chirpstack_v4"', "", "lots[0].zones[1].sensors[0].envelope", "things_"),
        ('id = "c1"', 'id = "c1", envelope = "chirpstack_v4"',
         "lots[0].zones[0].sensors[0].envelope", "no envelope"),
        ('id = "c1"', 'id = "c1-{bay}"', "lots[0].zones[0].sensors[0].id", "a plain device id"),
        ('id = "c1"', 'id = "c2"', "lots[0].zones[2].sensors[0].id", "has it already"),
        ('id = "c1"', 'id = "cam-1"', "lots[0].zones[0].sensors[0].id", "has it already"),
        ('[{ id = "c1" }]', "[]", "lots[0].zones[0].sensors", "the counter"),
        ('[{ id = "c2" }]', "[]", "lots[0].zones[2].sensors", "[[pushes]]"),
        ("{n:010x}", "{m}", "lots[0].zones[1].sensors[0].id", "in braces"),
        ("70b3d5{n:010x}", "one", "lots[0].zones[1].sensors", "4 bays without a sensor"),
        ('"E01-E03"', '"E03-E01"', "lots[0].zones[1].bays[0]", "goes up"),
        ('"E01-E03"', '"E01-F03"', "lots[0].zones[1].bays[0]", "one letter and width"),
        ('"X"', '"E02"', "lots[0].zones[1].bays", "E02 twice"),
        ('until = "24:00"', 'until = "22:00"', "lots[0].zones[3].windows[0]", "two different"),
        ('until = "24:00"', 'until = "25:00"', "lots[0].zones[3].windows[0].until", "time of day"),
        ("days = [5]", "days = [8]", "lots[0].zones[3].windows[0].days[0]", "from 1 to 7"),
        ('windows = [{ from = "22:00", until = "24:00", days = [5] }]', "windows = []",
         "lots[0].zones[3].windows", "the hours"),
        ('model = "vzenith_mqtt"', 'model = "vzenith"', "lots[0].lanes[0].camera.model",
         "`vzenith_"),
        ('key_env = "BOWEI_CAM_2"', 'key = "hunter2"', "lots[0].lanes[1].camera.key",
         "environment variable BOWEI_"),
    ],
)  # fmt: skip
def test_one_mistake_in_a_lot_is_named(folder, old, new, key, said):
    edited(folder, "lots.toml", old, new)
    found = keys(folder)
    assert said in found[key]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("{ unit_fee_fen = 500 }", "{ unit_fee_fen = 5.0 }", "tariffs[0].bands[0].unit_fee_fen",
         "whole number"),
        ("{ unit_fee_fen = 500 }", "{ unit_fee_fen = -5 }", "tariffs[0].bands[0]", "negative"),
        ("{ unit_fee_fen = 500 }", '{ until = "08:00" }, { from = "07:30" }',
         "tariffs[0].bands[1]", "at 07:30"),
        ("{ unit_fee_fen = 500 }", "{ first_fee_fen = 500 }", "tariffs[0].bands[0]",
         "first_minutes"),
        ('version = "1"', 'version = "1"\nday_cap_fen = 1\nrolling_cap_fen = 1', "tariffs[0]",
         "not both"),
        ('timezone = "Asia/Shanghai"', "published = { spaces = 33 }\ntimezone = 'Asia/Shanghai'",
         "site.published.spaces", "34, which is"),
        ('timezone = "Asia/Shanghai"', "published = { space = 33 }\ntimezone = 'Asia/Shanghai'",
         "site.published.space", "`spaces`?"),
        ("[site]", "[siet]", "siet", "`site`?"),
        ("[[tariffs]]", WITH_A_SECRET + "[[tariffs]]", "exchanges[0].settings.private_key",
         "private_key_env"),
    ],
)  # fmt: skip
def test_one_mistake_beside_the_lots_is_named(folder, old, new, key, said):
    edited(folder, "site.toml", old, new)
    found = keys(folder)
    assert said in found[key]
    assert "hunter2" not in str(found)


def test_ids_are_unique_over_all_sites(folder, tmp_path):
    twin = tmp_path / "twin"
    twin.mkdir()
    for path in folder.iterdir():
        (twin / path.name).write_bytes(path.read_bytes())
    _, problems = read_catalog([folder, twin])
    assert {one.file for one in problems} == {str(path) for path in twin.iterdir()}
    found = {one.key for one in problems}
    assert {"lots[0].id", "signs[0].id", "tariffs[0].id", "destinations[0].id"} <= found
    assert "lots[0].zones[0].sensors[0].id" in found


def test_a_folder_without_a_site_is_said(tmp_path):
    assert "no such folder" in keys(tmp_path / "nowhere")["site"]
    (tmp_path / "empty").mkdir()
    assert "no [site] table" in keys(tmp_path / "empty")["site"]


def test_a_file_that_is_not_toml_costs_its_own_problem_only(folder):
    """What the file would have said is not missed elsewhere, but other shapes are still judged."""
    (folder / "lots.toml").write_text("[[lots]\n", encoding="utf-8")
    edited(folder, "signs.toml", "level = 2", "level = 7")
    assert set(keys(folder)) == {"line 1, column 7", "signs[0].level"}


def test_feeds_and_pushes_feed_absolute_zones(folder):
    edited(folder, "lots.toml", ', sensors = [{ id = "c2" }]', "")
    (folder / "feeds.toml").write_text(
        '[[feeds]]\nid = "f"\nurl = "https://data.example.org/p.json"\nformat = "geojson"\n'
        'fields = { id = "id", free = "properties.free" }\nzones = { "17" = "yard/staff" }\n'
        '[[pushes]]\nlot = "yard"\nkey_env = "BOWEI_YARD"\n',
        encoding="utf-8",
    )
    catalog = load_catalog([folder])
    feed = catalog.feeds["f"]
    assert isinstance(feed, Feed)
    assert (feed.zones, feed.records, feed.timezone) == (
        {"17": ("yard", "staff")}, "features", "Asia/Shanghai",
    )  # fmt: skip
    assert catalog.pushes["yard"] == Push("yard", "BOWEI_YARD")
    edited(folder, "feeds.toml", "yard/staff", "yard/general")
    edited(folder, "feeds.toml", "https://data.example.org/p.json", "file:///etc/passwd")
    edited(folder, "feeds.toml", 'lot = "yard"', 'lot = "yarn"')
    assert {"feeds[0].url", "feeds[0].zones.17", "pushes[0].lot"} <= set(keys(folder))


def test_reloading_keeps_what_did_not_change(folder):
    catalog = load_catalog([folder])
    assert reload_catalog([folder], catalog) is catalog
    edited(folder, "lots.toml", "capacity = 34", "capacity = 34  # counted again")
    assert reload_catalog([folder], catalog).version != catalog.version


def test_a_tariff_cannot_change_its_rules_under_the_same_version(folder):
    catalog = load_catalog([folder])
    edited(folder, "site.toml", "unit_fee_fen = 500", "unit_fee_fen = 600")
    with pytest.raises(ConfigProblems, match="plain"):
        reload_catalog([folder], catalog)
    edited(folder, "site.toml", 'version = "1"', 'version = "2"')
    assert reload_catalog([folder], catalog).tariffs["plain"].bands[0].unit_fee_fen == 600
