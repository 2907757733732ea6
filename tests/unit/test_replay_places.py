"""Names matched whole or not at all, capacities with their source, and the site that is written."""

import msgspec
import pytest

from service.catalog_file import load_catalog
from service.replay.places import (
    MapError,
    Mapped,
    places,
    read_geojson,
    read_map,
    slug,
    spelled,
    without_shared_start,
)
from service.replay.recording import read
from service.replay.site import write_site

WIDE = """timestamp,city-parking-Sued-Tor,city-parking-Parkhaus-Wohrl,city-parking-Markt
2025-09-01 00:00:00+00:00,10,20,30
2025-09-01 00:10:00+00:00,11,21,31
2025-09-01 00:20:00+00:00,12,22,32
"""


def feature(name, total=None, lng=11.07, lat=49.45, **properties):
    shape = {"type": "Point", "coordinates": [lng, lat]}
    return {"geometry": shape, "properties": {"name": name, "total": total, **properties}}


def geojson(folder, *features):
    path = folder / "lots.geojson"
    path.write_bytes(msgspec.json.encode({"features": list(features)}))
    return path


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "city.csv"
    path.write_text(WIDE)
    return read(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Parkhaus Wöhrl", "parkhaus-wohrl"),
        ("Tiefgarage Süd-Tor", "Sued Tor"),
        ("Adlerstraße", "adlerstrasse"),
        ("PH City-Park-Center", "City Park Center"),
    ],
)
def test_spelled_alike(one, other):
    assert spelled(one) == spelled(other)


@pytest.mark.parametrize(("one", "other"), [("North", "North 2"), ("Theater", "Theaterplatz")])
def test_a_part_of_a_name_is_another_name(one, other):
    assert spelled(one) != spelled(other)


def test_the_shared_start_goes_and_something_stays():
    assert without_shared_start(["a-b-North", "a-b-South"]) == {
        "a-b-North": "North",
        "a-b-South": "South",
    }
    assert without_shared_start(["a-b", "a-b-c"]) == {"a-b": "b", "a-b-c": "b-c"}
    assert without_shared_start(["alone-here"]) == {"alone-here": "alone-here"}
    assert slug("Parkhaus Wöhrl (Süd) ") == "parkhaus-wohrl-sud"
    assert slug("停车场") == "lot"


def test_capacities_and_where_they_are_from(tmp_path, recording):
    found = geojson(tmp_path, feature("Parkhaus Wöhrl", 441), feature("Süd-Tor", None))
    mapped = {"city-parking-Markt": Mapped(lot="market", zone="all", capacity=120)}
    listed, unmatched = places(recording, read_geojson(found), mapped)
    told = {one.lot: (one.capacity, one.capacity_from, one.zone, one.lat) for one in listed}
    assert told == {
        "sued-tor": (12, "p99.9", None, 49.45),
        "parkhaus-wohrl": (441, "geojson", None, 49.45),
        "market": (120, "map", "all", None),
    }
    assert unmatched == ['"Markt" is not in the GeoJSON']


def test_a_name_that_fits_two_places_fits_none(tmp_path, recording):
    found = geojson(tmp_path, feature("Markt", 5), feature("Parkhaus Markt", 6))
    listed, unmatched = places(recording, read_geojson(found))
    assert listed[2].capacity_from == "p99.9"
    assert any("several places" in line for line in unmatched)


def test_what_a_map_names_in_vain_is_told(recording):
    _, unmatched = places(recording, (), {"elsewhere": Mapped(capacity=5)})
    assert unmatched == ['the map names "elsewhere", which is not in the recording']


def test_geojson_without_names_points_or_sense(tmp_path):
    path = geojson(
        tmp_path,
        feature("City", 9, type="city"),
        feature(None, 9),
        feature("Nowhere", 9, lat=999),
        feature("Good", "many"),
        {"geometry": None, "properties": {"name": "No place"}},
        {"properties": None},
    )
    assert [(one.name, one.total) for one in read_geojson(path)] == [("Good", None)]
    path.write_bytes(b"\xff[")
    with pytest.raises(MapError):
        read_geojson(path)


def test_map_files(tmp_path):
    toml = tmp_path / "map.toml"
    toml.write_text('["A b"]\nlot = "x"\ncapacity = 5\n')
    assert read_map(toml) == {"A b": Mapped(lot="x", capacity=5)}
    js = tmp_path / "map.json"
    js.write_text('{"A b": {"lot": "x", "zone": "all"}}')
    assert read_map(js) == {"A b": Mapped(lot="x", zone="all")}
    for bad in ('{"A": {"lott": "x"}}', '{"A": {"capacity": 0}}', "[", '{"A": 5}'):
        js.write_text(bad)
        with pytest.raises(MapError):
            read_map(js)
    toml.write_text("= nonsense")
    with pytest.raises(MapError):
        read_map(toml)


@pytest.mark.parametrize("with_places", [True, False])
def test_a_written_site_is_a_catalogue(tmp_path, recording, with_places):
    features = []
    if with_places:
        features = read_geojson(
            geojson(tmp_path, feature('Wöhrl "Passage"', 441), feature("Markt", 90))
        )
    listed, _ = places(recording, features)
    folder = tmp_path / "sites" / "replayed"
    write_site(folder, recording, listed, "Europe/Berlin")
    catalog = load_catalog([folder])
    assert set(catalog.lots) == {"sued-tor", "parkhaus-wohrl", "markt"}
    market = catalog.lots["markt"]
    assert not market.simulated
    assert market.capacity == (90 if with_places else 32)
    assert ("position" in market.approximate) != with_places
    assert ("capacity" in market.approximate) != with_places
    zone = market.zones[0]
    assert (zone.fed_by, zone.report_every_s) == ("absolute", 600.0)
    assert catalog.sensors["replay-markt"].lot == "markt"
    assert {lot for sign in catalog.signs.values() for lot in sign.lots} == set(catalog.lots)
    with pytest.raises(FileExistsError):
        write_site(folder, recording, listed, "Europe/Berlin")


def test_written_sites_run_beside_each_other(tmp_path, recording):
    """Only the lots' ids are the recording's: signs, destination and tariff are each site's own."""
    north, south = tmp_path / "Nord Süd", tmp_path / "south"
    listed, _ = places(recording, [])
    write_site(north, recording, listed, "UTC")
    others = [msgspec.structs.replace(place, lot=f"s-{place.lot}") for place in listed]
    write_site(south, recording, others, "UTC")
    catalog = load_catalog([north, south])
    assert set(catalog.signs) == {"nord-sud-sign-1", "south-sign-1"}
    assert set(catalog.destinations) == {"nord-sud-centre", "south-centre"}
