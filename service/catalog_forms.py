"""How a site is written down: the tables of `deploy/sites/<site>/*.toml`, as a person edits them.

Every file of the folder may hold any of the tables; `site.toml` must be there. The forms are close
to `service.catalog`, but short where a convention says the rest: a zone's bays as ranges
(`"A001-A120"`), its bay sensors as one template id (`"hz-{bay}"`, `"a84041{n:010x}"`).
"""

import contextlib
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.catalog import FeedFields, Name, Point, Window
from service.conversion import Unfit
from service.tariff.model import Tariff

PLACEHOLDER = re.compile(r"\{(bay|n)(?::0?(\d{1,2})([dx]))?\}")
MOST_BAYS = 10_000


def bay_names(written: str) -> list[str]:
    """The bays of `A001-A120` in order, or the one bay `A001`; raises `Unfit`."""
    first, dash, last = written.partition("-")
    if not dash:
        return [first]
    start = re.fullmatch(r"(\D*)(\d+)", first)
    end = re.fullmatch(r"(\D*)(\d+)", last)
    if start is None or end is None or start[1] != end[1] or len(start[2]) != len(end[2]):
        raise Unfit('a range of one letter and width like "A001-A120"')
    numbers = range(int(start[2]), int(end[2]) + 1)
    if not 0 < len(numbers) <= MOST_BAYS:
        raise Unfit(f"a range that goes up, of at most {MOST_BAYS:,} bays")
    return [f"{start[1]}{number:0{len(start[2])}d}" for number in numbers]


def device_name(template: str, bay: str, number: int) -> str:
    """The device id in one bay; `number` is the bay's place in its zone, from 1."""

    def filled(found: re.Match[str]) -> str:
        name, width, base = found.groups()
        return bay if name == "bay" else f"{number:0{width or 1}{base or 'd'}}"

    return PLACEHOLDER.sub(filled, template)


def _whole_range(written: str) -> str:
    bay_names(written)
    return written


def _whole_template(template: str) -> str:
    if re.search(r"[{}]", PLACEHOLDER.sub("", template)):
        raise Unfit('only {bay}, {n}, {n:04d} or {n:04x} in braces, like "hz-{bay}"')
    return template


Id = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$",
        description="an id of 1 to 64 lower-case letters, digits and hyphens",
    ),
]
DeviceId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$",
        description="a device id of 1 to 64 letters, digits and _ . : -",
    ),
]
DeviceTemplate = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9{][A-Za-z0-9_.:{}-]{0,63}$",
        description='a device id, or one with {bay}, {n} or {n:04x} in it like "hz-{bay}"',
        extra={"rule": _whole_template},
    ),
]
BayRange = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]{1,16}(-[A-Za-z0-9]{1,16})?$",
        description='a bay like "A001" or a range like "A001-A120"',
        extra={"rule": _whole_range},
    ),
]
Variable = Annotated[
    str,
    Meta(
        pattern=r"^BOWEI_[A-Z0-9_]+$",
        description="the name of an environment variable that starts with BOWEI_",
    ),
]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Positive = Annotated[float, Meta(gt=0)]
Approximate = Literal[
    "position", "capacity", "zones", "entrances", "lanes", "height", "tariff", "address", "name",
    "windows", "everything",
]  # fmt: skip


class SensorForm(msgspec.Struct, frozen=True):
    """`id` with a template stands for one sensor in every bay of its zone."""

    id: DeviceTemplate
    model: str = "bowei"
    envelope: Literal["chirpstack_v4", "things_stack_v3"] | None = None
    bay: str | None = None

    def names(self, bays: list[str]) -> dict[str, str | None]:
        """The device ids it stands for, each with its bay."""
        if "{" not in self.id:
            return {self.id: self.bay}
        return {device_name(self.id, bay, number): bay for number, bay in enumerate(bays, 1)}


class CameraForm(msgspec.Struct, frozen=True):
    id: DeviceId
    model: str = "bowei"
    key_env: Variable | None = None


class ZoneForm(msgspec.Struct, frozen=True):
    """`public` left out: yes, but for reserved zones."""

    id: Id
    kind: Literal["general", "ev", "accessible", "reserved", "shared"]
    capacity: Count
    fed_by: Literal["bays", "counter", "absolute", "plates"]
    public: bool | None = None
    report_every_s: Positive = 60.0
    bays: tuple[BayRange, ...] = ()
    windows: tuple[Window, ...] = ()
    sensors: tuple[SensorForm, ...] = ()

    def bay_names(self) -> list[str]:
        """Every bay by name, in order; a range that is wrong counts as none."""
        names: list[str] = []
        for written in self.bays:
            with contextlib.suppress(Unfit):
                names += bay_names(written)
        return names

    @property
    def is_public(self) -> bool:
        return self.kind != "reserved" if self.public is None else self.public


class EntranceForm(msgspec.Struct, frozen=True):
    id: Id
    position: Point
    name: Name | None = None


class LaneForm(msgspec.Struct, frozen=True):
    id: Id
    direction: Literal["in", "out"]
    entrance: str
    zone: str | None = None
    camera: CameraForm | None = None


class LotForm(msgspec.Struct, frozen=True):
    """`capacity`, where it is written, is what the zones must add up to."""

    id: Id
    name: Name
    position: Point
    kind: Literal["hospital", "public", "hotel", "office", "street", "station", "campus", "private"]
    tariff: str
    zones: Annotated[tuple[ZoneForm, ...], Meta(description="a list of at least one zone")]
    entrances: tuple[EntranceForm, ...] = ()
    lanes: tuple[LaneForm, ...] = ()
    capacity: Count | None = None
    payment: Literal["leave_first", "at_exit"] = "leave_first"
    barrier: bool = True
    height_limit_m: Annotated[float, Meta(gt=1, le=6)] | None = None
    address: Name | None = None
    approximate: tuple[Approximate, ...] = ()
    simulated: bool = True


class DestinationForm(msgspec.Struct, frozen=True):
    id: Id
    name: Name
    position: Point
    approximate: tuple[Approximate, ...] = ()


class SignForm(msgspec.Struct, frozen=True):
    id: Id
    name: Name
    position: Point
    level: Annotated[int, Meta(ge=1, le=3, description="1 arterial, 2 junction or 3 entrance")]
    lots: tuple[str, ...]
    destination: str | None = None
    arrows: dict[str, Literal["left", "straight", "right"]] = {}
    rows: Annotated[int, Meta(ge=1, le=16)] = 3
    columns: Annotated[int, Meta(ge=4, le=64)] = 16
    lease_s: Annotated[float, Meta(ge=10, le=3600)] = 120.0
    approximate: tuple[Approximate, ...] = ()


class ExchangeForm(msgspec.Struct, frozen=True):
    id: Id
    kind: Literal["city_brain", "datex2", "apds", "parkapi"]
    connected: bool = False
    settings: dict[str, str] = {}


class FeedForm(msgspec.Struct, frozen=True):
    """`zones` maps the source's ids to `lot/zone` of ours."""

    id: Id
    url: str
    format: Literal["csv", "json", "geojson"]
    fields: FeedFields
    zones: dict[str, str]
    records: str | None = None
    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="one character")] = ","
    encoding: Literal["utf-8", "gbk", "latin-1"] = "utf-8"
    time_format: str = "iso"
    timezone: str | None = None
    statuses: dict[str, Literal["open", "closed", "unknown"]] = {}
    every_s: Annotated[float, Meta(ge=10, le=86400)] = 60.0


class PushForm(msgspec.Struct, frozen=True):
    lot: str
    key_env: Variable | None = None


class SiteForm(msgspec.Struct, frozen=True):
    """The site itself; its id is the folder's name."""

    name: Name
    city: Name
    timezone: str
    detour: Annotated[float, Meta(ge=1, le=5)] = 1.35
    drive_kmh: Annotated[float, Meta(ge=3, le=120)] = 22.0
    published: dict[str, Annotated[int, Meta(ge=0)]] = {}
    sources: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] = ()


class SiteFile(msgspec.Struct, frozen=True):
    """One file of a site's folder."""

    site: SiteForm | None = None
    destinations: tuple[DestinationForm, ...] = ()
    lots: tuple[LotForm, ...] = ()
    signs: tuple[SignForm, ...] = ()
    tariffs: tuple[Tariff, ...] = ()
    exchanges: tuple[ExchangeForm, ...] = ()
    feeds: tuple[FeedForm, ...] = ()
    pushes: tuple[PushForm, ...] = ()
