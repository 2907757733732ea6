"""The static world: sites, lots, zones, entrances, destinations, signs, lanes, cameras, sensors.

Positions are WGS-84. Names come in Chinese and English. `approximate` lists what of an entry was
not published and was set by us (`position`, `capacity`, `zones` …). Loaded from one folder a site
by `service.catalog_file`.
"""

from datetime import time
from typing import Annotated

import msgspec
from msgspec import Meta

from service.tariff.model import Tariff

Words = Annotated[str, Meta(min_length=1, max_length=80, description="1 to 80 characters of text")]


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: Words
    en: Words


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """WGS-84 degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lng: Annotated[float, Meta(ge=-180, le=180)]


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a shared zone is open to the public, local time.

    `until` before `from_` runs past midnight. `days` are ISO weekdays, 1 = Monday.
    """

    from_: time = msgspec.field(name="from")
    until: time
    days: tuple[Annotated[int, Meta(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)


class Zone(msgspec.Struct, frozen=True):
    """A part of a lot that is counted by itself.

    kind: general | ev | accessible | reserved | shared. fed_by: bays | counter | absolute | plates
    (`counter`: cumulative entries and exits; `absolute`: occupied or free). `bays` names the bays
    in order where `fed_by` is bays. `windows` empty means always open.
    """

    id: str
    kind: str
    capacity: int
    fed_by: str
    public: bool = True
    report_every_s: float = 60.0
    bays: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()


class Lane(msgspec.Struct, frozen=True):
    """One lane at an entrance; `direction` is in | out. `zones` that its passages feed, if any."""

    id: str
    lot: str
    direction: str
    entrance: str
    zone: str | None = None


class Entrance(msgspec.Struct, frozen=True):
    id: str
    position: Point
    name: Name | None = None


class Lot(msgspec.Struct, frozen=True):
    """kind: hospital | public | hotel | office | street | station | campus | private.

    payment: leave_first (barrier opens, the bill follows) | at_exit (leave_first for the enrolled
    only). barrier false means barrierless.
    """

    id: str
    site: str
    name: Name
    position: Point
    kind: str
    zones: tuple[Zone, ...]
    entrances: tuple[Entrance, ...]
    lanes: tuple[Lane, ...]
    tariff: str
    payment: str = "leave_first"
    barrier: bool = True
    height_limit_m: float | None = None
    address: Name | None = None
    approximate: tuple[str, ...] = ()
    simulated: bool = True

    @property
    def capacity(self) -> int:
        return sum(zone.capacity for zone in self.zones)

    @property
    def public_capacity(self) -> int:
        return sum(zone.capacity for zone in self.zones if zone.public)


class Destination(msgspec.Struct, frozen=True):
    """Where a driver wants to go: a hospital's door, a station's hall; `position` is that door."""

    id: str
    site: str
    name: Name
    position: Point
    approximate: tuple[str, ...] = ()


class Sign(msgspec.Struct, frozen=True):
    """A roadside LED sign. level 1 arterial, 2 junction, 3 lot entrance.

    `lots` are those it may show, in the order of its panel; `rows` of `columns` half-width
    characters. `destination` is whom it guides; `arrow` per lot: left | straight | right.
    """

    id: str
    site: str
    name: Name
    position: Point
    level: int
    lots: tuple[str, ...]
    destination: str | None = None
    arrows: dict[str, str] = {}
    rows: int = 3
    columns: int = 16
    lease_s: float = 120.0
    approximate: tuple[str, ...] = ()


class Camera(msgspec.Struct, frozen=True):
    """A plate camera. model: a key of devices.gates' registry; transport: mqtt | http.

    An HTTP camera authenticates with a key that is derived from the state directory's secret, or
    read from the environment variable `key_env`.
    """

    id: str
    lot: str
    lane: str
    model: str
    transport: str
    key_env: str | None = None


class Sensor(msgspec.Struct, frozen=True):
    """A counting or bay device. model: `bowei` (our own MQTT format) or a key of devices.sensors.

    Feeds and pushes stand here as well, once for every zone they speak of: model `feed` or `push`.

    `envelope` (chirpstack_v4 | things_stack_v3 | None) says how vendor uplinks arrive.
    """

    id: str
    lot: str
    zone: str
    model: str = "bowei"
    bay: str | None = None
    envelope: str | None = None


class Exchange(msgspec.Struct, frozen=True):
    """A configured exchange with another system; `connected` false means declared only."""

    id: str
    site: str
    kind: str
    connected: bool = False
    settings: dict[str, str] = {}


class FeedFields(msgspec.Struct, frozen=True):
    """Where a record keeps what we want: column names, or dotted paths in JSON (`a.b`)."""

    id: str
    free: str | None = None
    occupied: str | None = None
    capacity: str | None = None
    time: str | None = None
    status: str | None = None


class Feed(msgspec.Struct, frozen=True):
    """A published list of absolute counts that we fetch. format: csv | json | geojson.

    `records` is the dotted path to the list (empty: the document is the list). `time_format` is
    iso, unix_s, unix_ms or a strptime pattern, read in `timezone` where it names no offset.
    `statuses` says what a status value means: open | closed | unknown. `zones` maps the source's
    ids to (lot, zone).
    """

    id: str
    site: str
    url: str
    format: str
    fields: FeedFields
    zones: dict[str, tuple[str, str]]
    records: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    time_format: str = "iso"
    timezone: str = "UTC"
    statuses: dict[str, str] = {}
    every_s: float = 60.0

    def device(self, lot: str, zone: str) -> str:
        """The id under which its word on a zone stands among the sensors."""
        return f"feed:{self.id}:{lot}:{zone}"


class Push(msgspec.Struct, frozen=True):
    """A lot whose operator sends its absolute counts by signed HTTP.

    The lot's own key is derived from the signing key, or read from the variable `key_env`.
    """

    lot: str
    key_env: str | None = None

    def device(self, zone: str) -> str:
        """The id under which its word on a zone stands among the sensors."""
        return f"push:{self.lot}:{zone}"


class Site(msgspec.Struct, frozen=True):
    """`published` holds the totals that were published for the site, by name; tests assert them."""

    id: str
    name: Name
    city: Name
    timezone: str
    detour: float = 1.35
    drive_kmh: float = 22.0
    published: dict[str, int] = {}
    sources: tuple[str, ...] = ()


class Catalog(msgspec.Struct, frozen=True):
    """Everything, by id. Ids are unique over all sites; `version` is a hash of the files."""

    version: str
    sites: dict[str, Site]
    lots: dict[str, Lot]
    destinations: dict[str, Destination]
    signs: dict[str, Sign]
    cameras: dict[str, Camera]
    sensors: dict[str, Sensor]
    tariffs: dict[str, Tariff]
    exchanges: dict[str, Exchange]
    feeds: dict[str, Feed] = {}
    pushes: dict[str, Push] = {}

    def lane(self, lot: str, lane: str) -> Lane | None:
        return next((one for one in self.lots[lot].lanes if one.id == lane), None)
