"""A catalogue folder for a recording, so that `bowei run --site` guides on real car parks.

What the recording and its GeoJSON do not tell is made up and marked approximate: without
coordinates the lots stand on a ring.
"""

import json
import math
from pathlib import Path

from service.replay.places import Place, slug
from service.replay.recording import Recording

RING_M = 400.0
RING_CENTRE = (49.4500, 11.0770)
METRES_A_DEGREE = 111_320.0
SIGN_AWAY_M = 700.0
LINES_A_SIGN = 8
LEAST_PERIOD_S, MOST_PERIOD_S = 30.0, 3600.0
ZONE = "all"

NOTE = """# Written by `bowei replay --as-site` from the recording {name} ({layout}, {counts}).
# Names and values are the recording's. Capacity is from: {sources}.
# Positions are {positions}. Everything else is ours: approximate.
"""


def sensor_of(lot: str) -> str:
    """The device that a replayed lot's counts come from."""
    return f"replay-{lot}"


def write_site(folder: Path, recording: Recording, places: list[Place], timezone: str) -> None:
    """Write site.toml, lots.toml and signs.toml; raises FileExistsError where a site is there."""
    if (folder / "site.toml").exists():
        raise FileExistsError(f"{folder} holds a site already")
    folder.mkdir(parents=True, exist_ok=True)
    spots = _spots(places)
    centre = _centre(list(spots.values()))
    # Ids are of the whole catalogue: two recordings may be run beside each other.
    own = slug(folder.resolve().name)
    known = any(place.lat is not None for place in places)
    note = NOTE.format(
        name=recording.name,
        layout=recording.layout,
        counts=recording.counts,
        sources=", ".join(sorted({place.capacity_from for place in places})),
        positions="the GeoJSON's, or on a ring where it has none" if known else "made up",
    )
    (folder / "lots.toml").write_text(note + _lots(recording, places, spots, own), "utf-8")
    (folder / "signs.toml").write_text(note + _signs(places, spots, centre, own), "utf-8")
    # Last, since this file makes the folder a site.
    (folder / "site.toml").write_text(note + _site(recording, timezone, centre, own), "utf-8")


def _site(recording: Recording, timezone: str, centre: tuple[float, float], own: str) -> str:
    title = _text(recording.name)
    return f"""
[site]
name = {_name(recording.name)}
city = {_name(recording.name)}
timezone = {_text(timezone)}
sources = [{title}]

[[destinations]]
id = "{own}-centre"
name = {{ zh = "中心", en = "Centre" }}
position = {_point(centre)}
approximate = ["everything"]

[[tariffs]]
id = "{own}-hourly"
version = "1"
approximate = true
source = "made up: the recording tells no prices"
bands = [{{ unit_minutes = 60, unit_fee_fen = 500 }}]
"""


def _lots(
    recording: Recording, places: list[Place], spots: dict[str, tuple[float, float]], own: str
) -> str:
    told = []
    for place in places:
        period_s = recording.usual_gap_s(place.name)
        period_s = float(round(min(max(period_s, LEAST_PERIOD_S), MOST_PERIOD_S)))
        rough = ["zones", "tariff"]
        rough += [] if place.lat is not None else ["position"]
        rough += [] if place.capacity_from in {"map", "geojson", "recording"} else ["capacity"]
        told.append(f"""
[[lots]]
id = {_text(place.lot)}
name = {_name(place.title)}
kind = "public"
position = {_point(spots[place.name])}
tariff = "{own}-hourly"
capacity = {place.capacity}  # {place.capacity_from}
simulated = false
approximate = {json.dumps(rough)}

[[lots.zones]]
id = {_text(place.zone or ZONE)}
kind = "general"
capacity = {place.capacity}
fed_by = "absolute"
report_every_s = {period_s}
sensors = [{{ id = {_text(sensor_of(place.lot))} }}]
""")
    return "".join(told)


def _signs(
    places: list[Place],
    spots: dict[str, tuple[float, float]],
    centre: tuple[float, float],
    own: str,
) -> str:
    """A junction sign for each few lots, around the centre, the nearest lots on the first."""
    order = sorted(places, key=lambda place: _distance_m(spots[place.name], centre))
    groups = [order[at : at + LINES_A_SIGN] for at in range(0, len(order), LINES_A_SIGN)]
    told = []
    for at, group in enumerate(groups):
        spot = _away(centre, SIGN_AWAY_M, 2 * math.pi * at / len(groups))
        lots = ", ".join(_text(place.lot) for place in group)
        told.append(f"""
[[signs]]
id = "{own}-sign-{at + 1}"
name = {{ zh = "诱导屏 {at + 1}", en = "Sign {at + 1}" }}
position = {_point(spot)}
level = 2
destination = "{own}-centre"
lots = [{lots}]
rows = {len(group)}
columns = 24
approximate = ["everything"]
""")
    return "".join(told)


def _spots(places: list[Place]) -> dict[str, tuple[float, float]]:
    """Known positions, and a ring around their middle for the others."""
    known = {
        place.name: (place.lat, place.lng)
        for place in places
        if place.lat is not None and place.lng is not None
    }
    centre = _centre(list(known.values()))
    strangers = [place for place in places if place.name not in known]
    for at, place in enumerate(strangers):
        known[place.name] = _away(centre, RING_M, 2 * math.pi * at / len(strangers))
    return known


def _centre(spots: list[tuple[float, float]]) -> tuple[float, float]:
    if not spots:
        return RING_CENTRE
    return sum(lat for lat, _ in spots) / len(spots), sum(lng for _, lng in spots) / len(spots)


def _away(spot: tuple[float, float], distance_m: float, angle: float) -> tuple[float, float]:
    lat, lng = spot
    north, east = distance_m * math.cos(angle), distance_m * math.sin(angle)
    wide = METRES_A_DEGREE * math.cos(math.radians(lat))
    return lat + north / METRES_A_DEGREE, lng + east / wide


def _distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    wide = math.cos(math.radians(one[0]))
    return METRES_A_DEGREE * math.hypot(one[0] - other[0], (one[1] - other[1]) * wide)


def _point(spot: tuple[float, float]) -> str:
    return f"{{ lat = {spot[0]:.6f}, lng = {spot[1]:.6f} }}"


def _name(text: str) -> str:
    shown = _text(" ".join(text.split())[:80] or "?")
    return f"{{ zh = {shown}, en = {shown} }}"


def _text(text: str) -> str:
    """A basic TOML string: JSON's escapes are TOML's."""
    return json.dumps(text.replace("\x7f", " "), ensure_ascii=False)
