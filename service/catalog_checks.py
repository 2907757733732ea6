"""Everything against everything: ids, references, sums and places over all sites.

Each check reports what it finds and goes on, so that one pass names every problem.
"""

from collections.abc import Iterable, Iterator
from statistics import median
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from service.catalog import Point
from service.catalog_entries import Entry, Findings, SiteFolder, entries, one_of, quoted
from service.catalog_exchange_checks import check_exchanges, fed_from_outside
from service.catalog_forms import LotForm
from service.catalog_lot_checks import check_lot
from service.guidance.travel import distance_m
from service.problems import Problem
from service.tariff.model import Band

SITE_REACH_M = 60_000
DAY_MINUTES = 24 * 60


def check_sites(sites: list[SiteFolder], known: Iterable[Problem]) -> list[Problem]:
    """What is wrong over all sites, given what reading them already found."""
    findings = Findings(known)
    _check_ids(sites, findings)
    for site in (one for one in sites if one.whole):
        _check_site(site, findings)
        lots = {entry.form.id: entry for entry in entries(site, "lots")}
        tariffs = {entry.form.id for entry in entries(site, "tariffs")}
        outside = fed_from_outside(site)
        for entry in lots.values():
            check_lot(entry, tariffs, outside, findings)
        for entry in entries(site, "signs"):
            _check_sign(
                entry, lots, {one.form.id for one in entries(site, "destinations")}, findings
            )
        for entry in entries(site, "tariffs"):
            _check_tariff(entry, findings)
        check_exchanges(site, lots, findings)
        _check_places(site, findings)
    return findings.problems


def _check_ids(sites: list[SiteFolder], findings: Findings) -> None:
    """Ids are unique over all sites, by kind; sensors and cameras are one kind: devices."""
    taken: dict[tuple[str, str], Entry] = {}
    for site in sites:
        for kind in ("lots", "destinations", "signs", "tariffs", "exchanges", "feeds"):
            for entry in entries(site, kind):
                _claim(taken, kind, entry.form.id, entry, findings)
        for lot in entries(site, "lots"):
            for name, entry in _devices(lot):
                _claim(taken, "device", name, entry, findings)


def _claim(
    taken: dict[tuple[str, str], Entry], kind: str, name: str, entry: Entry, findings: Findings
) -> None:
    first = taken.setdefault((kind, name), entry)
    if first is not entry:
        expected = f"an id of its own: {first.file} {first.key} has it already"
        findings.add(entry, "id", quoted(name), expected)


def _devices(lot: Entry) -> Iterator[tuple[str, Entry]]:
    """Every device id of a lot, and where it comes from."""
    for lane in lot.below("lanes"):
        if lane.form.camera:
            yield lane.form.camera.id, lane.single("camera")
    for zone in lot.below("zones"):
        for sensor in zone.below("sensors"):
            for name in sensor.form.names(zone.form.bay_names()):
                yield name, sensor


def _check_site(site: SiteFolder, findings: Findings) -> None:
    forms = [(path, file.site) for path, file in site.files.items() if file.site]
    if len(forms) != 1:
        unreadable = any(findings.is_broken(path, "site") for path in site.files)
        if not unreadable:
            where = " and ".join(path for path, _ in forms) or "no [site] table"
            expected = "one [site] table with name, city and timezone, in site.toml"
            findings.problems.append(Problem(site.folder, "site", where, expected))
        return
    path, form = forms[0]
    entry = Entry(path, "site", form, site.id)
    try:
        ZoneInfo(form.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        findings.add(entry, "timezone", quoted(form.timezone), 'a time zone like "Asia/Shanghai"')
    counted = totals(entry.form for entry in entries(site, "lots"))
    lots_broken = any(findings.is_broken(file, "lots") for file in site.files)
    for name, published in form.published.items():
        if name not in counted:
            expected = one_of(name, counted, "a total that we can count")
            findings.add(entry, f"published.{name}", "a name that is not counted", expected)
        elif counted[name] != published and not lots_broken:
            expected = f"{counted[name]}, which is what the lots of this site add up to"
            findings.add(entry, f"published.{name}", str(published), expected)


def totals(lots: Iterable[LotForm]) -> dict[str, int]:
    """What a site's lots add up to, under the names that `published` may use."""
    counted = dict.fromkeys(
        (
            "lots", "spaces", "public_spaces", "hospital_spaces", "hospital_public_spaces",
            "surrounding_spaces", "shared_spaces",
        ),
        0,
    )  # fmt: skip
    for lot in lots:
        counted["lots"] += 1
        for zone in lot.zones:
            public = zone.capacity if zone.is_public else 0
            counted["spaces"] += zone.capacity
            counted["public_spaces"] += public
            counted["shared_spaces"] += zone.capacity if zone.kind == "shared" else 0
            if lot.kind == "hospital":
                counted["hospital_spaces"] += zone.capacity
                counted["hospital_public_spaces"] += public
            else:
                counted["surrounding_spaces"] += public
    return counted


def _check_sign(
    entry: Entry, lots: dict[str, Entry], destinations: set[str], findings: Findings
) -> None:
    sign = entry.form
    for at, lot in enumerate(sign.lots):
        if lot not in lots:
            findings.add(entry, f"lots[{at}]", quoted(lot), one_of(lot, lots, "a lot of this site"))
        elif sign.lots.index(lot) < at:
            findings.add(entry, f"lots[{at}]", quoted(lot), "each lot once")
    if not sign.lots:
        findings.add(entry, "lots", "an empty list", "the lots that this sign may show")
    if sign.destination is not None and sign.destination not in destinations:
        expected = one_of(sign.destination, destinations, "a destination of this site")
        findings.add(entry, "destination", quoted(sign.destination), expected)
    for lot in sign.arrows:
        if lot not in sign.lots:
            expected = one_of(lot, sign.lots, "a lot that this sign shows")
            findings.add(entry, f"arrows.{lot}", "an arrow for another lot", expected)


def _check_tariff(entry: Entry, findings: Findings) -> None:
    """No minute of the week is charged by two bands; what no band covers is free."""
    tariff = entry.form
    for key in ("id", "version"):
        if not getattr(tariff, key).strip():
            findings.add(entry, key, "nothing", "a short text")
    charged_by: dict[int, int] = {}
    for at, band in enumerate(tariff.bands):
        if band.first_fee_fen and not band.first_minutes:
            found = f"a first fee of {band.first_fee_fen} fen for no minutes"
            findings.add(entry, f"bands[{at}]", found, "first_minutes beside first_fee_fen")
        for minute in _minutes_of_week(band):
            other = charged_by.setdefault(minute, at)
            if other != at:
                clock = f"{minute // 60 % 24:02d}:{minute % 60:02d}"
                found = f"at {clock} this band and bands[{other}] both charge"
                findings.add(entry, f"bands[{at}]", found, "one band at any time")
                break


def _minutes_of_week(band: Band) -> Iterator[int]:
    start = band.from_.hour * 60 + band.from_.minute
    end = band.until.hour * 60 + band.until.minute
    length = (end - start) % DAY_MINUTES or DAY_MINUTES
    for day in band.days:
        for minute in range(length):
            yield ((day - 1) * DAY_MINUTES + start + minute) % (7 * DAY_MINUTES)


def _check_places(site: SiteFolder, findings: Findings) -> None:
    """Everything of a site lies within its reach; a swapped pair of degrees does not."""
    placed = [
        entry for table in ("lots", "destinations", "signs") for entry in entries(site, table)
    ]
    if not placed:
        return
    middle = Point(
        median(entry.form.position.lat for entry in placed),
        median(entry.form.position.lng for entry in placed),
    )
    for entry in placed:
        away_m = distance_m(middle, entry.form.position)
        if away_m > SITE_REACH_M:
            at = entry.form.position
            found = f"lat {at.lat:g}, lng {at.lng:g}: {away_m / 1000:,.0f} km from the rest"
            findings.add(entry, "position", found, "WGS-84 degrees near the site's other places")
