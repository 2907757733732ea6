"""Which lot of ours a recorded name is, where it stands, and how many spaces it has, and from what.

Names are matched whole, after spelling them alike (case, accents, ß, ae/oe/ue, words like
"Parkhaus", and a beginning that all names of the recording share). A name that fits two places, or
none, is matched with none of them and reported.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.conversion import read_toml
from service.replay.recording import Recording

COMMON_WORDS = frozenset(
    {"parkhaus", "tiefgarage", "parkplatz", "parkgarage", "parking", "ph", "tg", "停车场"}
)
SPELLINGS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l"})
MOST_SPACES = 100_000

Spaces = Annotated[int, Meta(ge=1, le=MOST_SPACES)]


class MapError(Exception):
    """A map file or GeoJSON that cannot be used; the text says why."""


class Mapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a map file says of one recorded name: the lot and zone it is, and its capacity."""

    lot: str | None = None
    zone: str | None = None
    capacity: Spaces | None = None


class Feature(msgspec.Struct, frozen=True):
    """A lot of a GeoJSON: its name, WGS-84 position, and capacity where it gives one."""

    name: str
    lat: float
    lng: float
    total: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A recorded lot as it will be played.

    `capacity_from`: map | geojson | recording | p99.9 (of the recorded values).
    """

    name: str
    lot: str
    title: str
    capacity: int
    capacity_from: str
    zone: str | None = None
    lat: float | None = None
    lng: float | None = None


def read_map(path: Path) -> dict[str, Mapped]:
    """A TOML or JSON table of recorded names; raises `MapError`."""
    raw: Any
    if path.suffix.lower() == ".json":
        try:
            raw = msgspec.json.decode(path.read_bytes())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MapError(f"{path}: {error}") from None
    else:
        raw, problems = read_toml(path)
        if problems:
            raise MapError("\n".join(str(one) for one in problems))
    try:
        return msgspec.convert(raw, dict[str, Mapped])
    except msgspec.ValidationError as error:
        raise MapError(f"{path}: {error}") from None


class _Geometry(msgspec.Struct):
    type: str = ""
    coordinates: Any = None


class _Properties(msgspec.Struct):
    name: str | None = None
    type: Any = None
    total: Any = None
    capacity: Any = None


class _Feature(msgspec.Struct):
    properties: _Properties | None = None
    geometry: _Geometry | None = None


class _Features(msgspec.Struct):
    features: list[_Feature]


def read_geojson(path: Path) -> list[Feature]:
    """The point features with a name, without those that say they are a city; or `MapError`."""
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_Features)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MapError(f"{path}: {error}") from None
    found = []
    for feature in read.features:
        told, shape = feature.properties, feature.geometry
        if told is None or not told.name or told.type == "city" or shape is None:
            continue
        spot = _spot(shape)
        if spot is None:
            continue
        total = told.total if told.total is not None else told.capacity
        good = type(total) is int and 0 < total <= MOST_SPACES
        found.append(Feature(told.name, spot[0], spot[1], total if good else None))
    return found


def _spot(shape: _Geometry) -> tuple[float, float] | None:
    """(lat, lng) of a point."""
    numbers = shape.coordinates
    if shape.type != "Point" or not isinstance(numbers, list) or len(numbers) < 2:
        return None
    lng, lat = numbers[0], numbers[1]
    if not all(type(one) in (int, float) for one in (lng, lat)):
        return None
    return (lat, lng) if -90 <= lat <= 90 and -180 <= lng <= 180 else None


def places(
    recording: Recording,
    features: Iterable[Feature] = (),
    mapped: dict[str, Mapped] | None = None,
) -> tuple[list[Place], list[str]]:
    """Every lot of the recording with its capacity, and what could not be matched, in words.

    The map file comes before the GeoJSON, that before the recording's own capacities; what is left
    gets the 99.9th percentile of its values.
    """
    mapped = mapped or {}
    features = list(features)
    titles = without_shared_start(recording.lots)
    matches, unmatched = match({name: titles[name] for name in recording.lots}, features)
    taken: set[str] = set()
    found = []
    for name in recording.lots:
        said, feature = mapped.get(name, Mapped()), matches.get(name)
        capacity, source = _capacity(recording, name, said, feature)
        recording.check_capacity(name, capacity)
        lot = said.lot or _unique(slug(titles[name]), taken)
        taken.add(lot)
        found.append(
            Place(
                name,
                lot,
                feature.name if feature else titles[name],
                capacity,
                source,
                said.zone,
                feature.lat if feature else None,
                feature.lng if feature else None,
            )
        )
    for name in mapped.keys() - set(recording.lots):
        unmatched.append(f'the map names "{name}", which is not in the recording')
    return found, unmatched


def _capacity(
    recording: Recording, name: str, said: Mapped, feature: Feature | None
) -> tuple[int, str]:
    if said.capacity is not None:
        return said.capacity, "map"
    if feature is not None and feature.total is not None:
        return feature.total, "geojson"
    if name in recording.capacities:
        return recording.capacities[name], "recording"
    return recording.high_mark(name), "p99.9"


def match(titles: dict[str, str], features: list[Feature]) -> tuple[dict[str, Feature], list[str]]:
    """Recorded name to feature, where exactly one of each spells alike; and the rest, in words."""
    if not features:
        return {}, []
    by_key: dict[str, list[Feature]] = {}
    for feature in features:
        by_key.setdefault(spelled(feature.name), []).append(feature)
    keys = [spelled(title) for title in titles.values()]
    matches, unmatched = {}, []
    for (name, title), key in zip(titles.items(), keys, strict=True):
        found = by_key.get(key, [])
        if len(found) == 1 and keys.count(key) == 1:
            matches[name] = found[0]
        elif found:
            unmatched.append(f'"{title}" fits several places, so it was given to none')
        else:
            unmatched.append(f'"{title}" is not in the GeoJSON')
    return matches, unmatched


def spelled(name: str) -> str:
    """A name as it is compared."""
    text = unicodedata.normalize("NFKD", name.casefold().translate(SPELLINGS))
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    words = [word for word in re.split(r"[\W_]+", text) if word]
    telling = [word for word in words if word not in COMMON_WORDS] or words
    return re.sub("([aou])e", r"\1", " ".join(telling))


def without_shared_start(names: Iterable[str]) -> dict[str, str]:
    """Names without the words that all of them begin with, where something is left of each."""
    whole = list(names)
    split = {name: re.split(r"(?<=[-_ /.])", name) for name in whole}
    shared = 0
    if len(whole) > 1:
        for pieces in zip(*split.values(), strict=False):
            if len(set(pieces)) > 1:
                break
            shared += 1
    shortest = min(len(pieces) for pieces in split.values()) if whole else 0
    shared = min(shared, shortest - 1)
    return {name: "".join(pieces[shared:]) for name, pieces in split.items()}


def slug(title: str) -> str:
    """An id of lower-case letters, digits and hyphens."""
    text = unicodedata.normalize("NFKD", title.casefold().translate(SPELLINGS))
    text = re.sub(r"[^a-z0-9]+", "-", text.encode("ascii", "ignore").decode()).strip("-")
    return text[:56].rstrip("-") or "lot"


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name
