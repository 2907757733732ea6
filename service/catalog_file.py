"""Sites from their folders: read every file, check everything against everything, build a Catalog.

folders ─ read_sites ─ forms ─ catalog_checks ─ Catalog, or every problem at once
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from service.catalog import (
    Camera,
    Catalog,
    Destination,
    Entrance,
    Exchange,
    Feed,
    Lane,
    Lot,
    Push,
    Sensor,
    Sign,
    Site,
    Zone,
)
from service.catalog_checks import check_sites
from service.catalog_entries import SiteFolder
from service.catalog_forms import (
    FeedForm,
    LotForm,
    SiteFile,
    SiteForm,
    ZoneForm,
)
from service.conversion import fill, read_toml
from service.problems import ConfigProblems, Problem

TRANSPORTS = {"vzenith_mqtt": "mqtt", "bowei": "mqtt"}  # every other model speaks HTTP


def load_catalog(folders: Iterable[str | Path]) -> Catalog:
    """The catalogue of all sites in `folders`; raises `ConfigProblems` with every problem."""
    catalog, problems = read_catalog(folders)
    if problems or catalog is None:
        raise ConfigProblems(problems)
    return catalog


def reload_catalog(folders: Iterable[str | Path], current: Catalog) -> Catalog:
    """`current` itself where no file changed, else the new one; raises `ConfigProblems`.

    A tariff whose rules changed must carry another version: stays are priced by the version that
    held when they began.
    """
    catalog = load_catalog(folders)
    if catalog.version == current.version:
        return current
    problems = [
        Problem("tariffs", f"{name}.version", f'"{tariff.version}", with other rules', "a new one")
        for name, tariff in catalog.tariffs.items()
        if name in current.tariffs
        and tariff.version == current.tariffs[name].version
        and tariff != current.tariffs[name]
    ]
    if problems:
        raise ConfigProblems(problems)
    return catalog


def read_catalog(folders: Iterable[str | Path]) -> tuple[Catalog | None, list[Problem]]:
    """As `load_catalog`, but hands the problems back; there is no Catalog beside a problem."""
    sites, problems = [], []
    for folder in folders:
        site, wrong = _read_site(Path(folder))
        sites.append(site)
        problems += wrong
    problems += check_sites(sites, problems)
    if problems:
        return None, sorted(problems, key=lambda one: one.file)
    return _built(sites), []


def _read_site(folder: Path) -> tuple[SiteFolder, list[Problem]]:
    files: dict[str, SiteFile] = {}
    problems: list[Problem] = []
    whole = folder.is_dir()
    digest = hashlib.sha256(folder.name.encode())
    if not whole:
        problems.append(Problem(str(folder), "site", "no such folder", "a folder with a site.toml"))
    for path in sorted(folder.glob("*.toml")):
        raw, unreadable = read_toml(path)
        files[str(path)], wrong = fill(raw, SiteFile, str(path))
        problems += unreadable + wrong
        whole = whole and not unreadable
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes() if not unreadable else b"")
    site = SiteFolder(folder.resolve().name, str(folder), files, digest.hexdigest(), whole)
    return site, problems


def _built(sites: list[SiteFolder]) -> Catalog:
    digest = hashlib.sha256("".join(sorted(site.digest for site in sites)).encode()).hexdigest()
    catalog = Catalog(digest[:16], {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
    for site in sites:
        catalog.sites[site.id] = _site(site.id, site.form)
        for file in site.files.values():
            _add(catalog, site.id, file, site.form.timezone)
    for sensor in _fed_from_outside(catalog):
        catalog.sensors[sensor.id] = sensor
        lot = catalog.lots[sensor.lot]
        catalog.lots[lot.id] = msgspec.structs.replace(lot, simulated=False)
    return catalog


def _fed_from_outside(catalog: Catalog) -> Iterator[Sensor]:
    """Feeds and pushes as the sensors that they are to the zones they speak of."""
    for feed in catalog.feeds.values():
        for lot, zone in feed.zones.values():
            yield Sensor(feed.device(lot, zone), lot, zone, "feed")
    for push in catalog.pushes.values():
        for own in catalog.lots[push.lot].zones:
            if own.fed_by == "absolute":
                yield Sensor(push.device(own.id), push.lot, own.id, "push")


def _add(catalog: Catalog, site: str, file: SiteFile, timezone: str) -> None:
    for place in file.destinations:
        catalog.destinations[place.id] = Destination(site=site, **_fields(place))
    for lot in file.lots:
        catalog.lots[lot.id] = _lot(site, lot)
        catalog.cameras.update((one.id, one) for one in _cameras(lot))
        catalog.sensors.update((one.id, one) for one in _sensors(lot))
    for sign in file.signs:
        catalog.signs[sign.id] = Sign(site=site, **_fields(sign))
    for tariff in file.tariffs:
        catalog.tariffs[tariff.id] = tariff
    for exchange in file.exchanges:
        catalog.exchanges[exchange.id] = Exchange(site=site, **_fields(exchange))
    for feed in file.feeds:
        catalog.feeds[feed.id] = _feed(site, feed, timezone)
    for push in file.pushes:
        catalog.pushes[push.lot] = Push(**_fields(push))


def _fields(form: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(form)


def _site(site: str, form: SiteForm) -> Site:
    return Site(id=site, **_fields(form))


def _lot(site: str, form: LotForm) -> Lot:
    own = _fields(form)
    del own["capacity"]
    own["zones"] = tuple(_zone(zone) for zone in form.zones)
    own["entrances"] = tuple(Entrance(**_fields(one)) for one in form.entrances)
    own["lanes"] = tuple(
        Lane(one.id, form.id, one.direction, one.entrance, one.zone) for one in form.lanes
    )
    return Lot(site=site, **own)


def _zone(form: ZoneForm) -> Zone:
    return Zone(
        id=form.id,
        kind=form.kind,
        capacity=form.capacity,
        fed_by=form.fed_by,
        public=form.is_public,
        report_every_s=form.report_every_s,
        bays=tuple(form.bay_names()),
        windows=form.windows,
    )


def _cameras(lot: LotForm) -> Iterator[Camera]:
    for lane in lot.lanes:
        if lane.camera:
            camera = lane.camera
            transport = TRANSPORTS.get(camera.model, "http")
            yield Camera(camera.id, lot.id, lane.id, camera.model, transport, camera.key_env)


def _sensors(lot: LotForm) -> Iterator[Sensor]:
    for zone in lot.zones:
        for form in zone.sensors:
            for name, bay in form.names(zone.bay_names()).items():
                yield Sensor(name, lot.id, zone.id, form.model, bay, form.envelope)


def _feed(site: str, form: FeedForm, timezone: str) -> Feed:
    own = _fields(form)
    own["timezone"] = form.timezone or timezone
    if form.records is None:
        own["records"] = "features" if form.format == "geojson" else ""
    own["zones"] = {
        source: (lot, zone)
        for source, (lot, _, zone) in ((one, at.partition("/")) for one, at in form.zones.items())
    }
    return Feed(site=site, **own)
