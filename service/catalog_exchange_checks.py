"""What must hold of a site's exchanges: declared systems, fetched feeds, pushed counts."""

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from service.catalog_entries import Entry, Findings, SiteFolder, entries, one_of, quoted
from service.catalog_forms import FeedForm
from service.conversion import SECRET, environment_variable

NAMED_TIMES = ("iso", "unix_s", "unix_ms")


def fed_from_outside(site: SiteFolder) -> set[str]:
    """`lot/zone` of feeds, and `lot` of pushes: absolute zones that need no sensor of their own."""
    fed = {target for entry in entries(site, "feeds") for target in entry.form.zones.values()}
    return fed | {entry.form.lot for entry in entries(site, "pushes")}


def check_exchanges(site: SiteFolder, lots: dict[str, Entry], findings: Findings) -> None:
    """Report what is wrong with the exchanges, feeds and pushes of one site."""
    for entry in entries(site, "exchanges"):
        _check_settings(entry, findings)
    fed: dict[str, Entry] = {}
    for entry in entries(site, "feeds"):
        _check_address(entry, findings)
        _check_fields(entry, findings)
        _check_targets(entry, lots, fed, findings)
    pushed: dict[str, Entry] = {}
    for entry in entries(site, "pushes"):
        _check_push(entry, lots, pushed, findings)


def _check_settings(entry: Entry, findings: Findings) -> None:
    for name in entry.form.settings:
        if SECRET.search(name) and not name.endswith("_env"):
            variable = environment_variable(f"{entry.form.id}.{name}")
            expected = f'{name}_env = "{variable}", and the secret in that environment variable'
            findings.add(entry, f"settings.{name}", "a secret in a file (not shown)", expected)


def _check_address(entry: Entry, findings: Findings) -> None:
    try:
        parts = urlsplit(entry.form.url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        findings.add(entry, "url", "no usable address", "http(s)://host/path, without a password")
        return
    with suppress(ValueError):  # a name, which is the usual case
        address = ipaddress.ip_address(parts.hostname or "")
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            findings.add(
                entry, "url", "an address of no server", "the address of the feed's server"
            )


def _check_fields(entry: Entry, findings: Findings) -> None:
    feed: FeedForm = entry.form
    fields = feed.fields
    if fields.free is None and fields.occupied is None:
        findings.add(entry, "fields", "neither free nor occupied", "the name of at least one")
    if fields.status is not None and not feed.statuses:
        expected = 'what its values mean, like { OK = "open", Closed = "closed" }'
        findings.add(entry, "statuses", "nothing, beside fields.status", expected)
    if feed.statuses and fields.status is None:
        findings.add(entry, "fields.status", "nothing, beside statuses", "where the status stands")
    if feed.time_format not in NAMED_TIMES and "%" not in feed.time_format:
        expected = 'iso, unix_s, unix_ms or a pattern like "%d.%m.%Y %H:%M"'
        findings.add(entry, "time_format", quoted(feed.time_format), expected)
    if feed.timezone is not None and feed.timezone not in available_timezones():
        findings.add(entry, "timezone", quoted(feed.timezone), 'a time zone like "Europe/Berlin"')
    if not feed.zones:
        findings.add(entry, "zones", "nothing", "the source's ids and our lot/zone of each")


def _check_targets(
    entry: Entry, lots: dict[str, Entry], fed: dict[str, Entry], findings: Findings
) -> None:
    for source, target in entry.form.zones.items():
        lot, _, zone = target.partition("/")
        place = f"zones.{source}"
        if lot not in lots:
            findings.add(entry, place, quoted(target), one_of(lot, lots, "lot/zone with a lot"))
            continue
        absolute = _absolute_zones(lots[lot])
        if zone not in absolute:
            known = [f"{lot}/{one}" for one in absolute]
            expected = one_of(target, known, "an absolute-fed zone")
            findings.add(entry, place, quoted(target), expected)
        elif fed.setdefault(target, entry) is not entry or _twice(entry.form, target, source):
            findings.add(entry, place, quoted(target), "each of our zones once, in one feed")
        elif absolute[zone] < entry.form.every_s:
            found = f"asked every {entry.form.every_s:g} s, due every {absolute[zone]:g} s"
            expected = f"report_every_s of {target} no shorter than every_s of the feed"
            findings.add(entry, place, found, expected)


def _twice(feed: FeedForm, target: str, source: str) -> bool:
    first = next(name for name, at in feed.zones.items() if at == target)
    return first != source


def _check_push(
    entry: Entry, lots: dict[str, Entry], pushed: dict[str, Entry], findings: Findings
) -> None:
    lot = entry.form.lot
    if lot not in lots:
        findings.add(entry, "lot", quoted(lot), one_of(lot, lots, "a lot of this site"))
    elif not _absolute_zones(lots[lot]):
        findings.add(entry, "lot", "a lot without an absolute-fed zone", "a lot that has one")
    elif pushed.setdefault(lot, entry) is not entry:
        findings.add(entry, "lot", quoted(lot), "each lot once")


def _absolute_zones(lot: Entry) -> dict[str, float]:
    """Zones that may be fed from outside, and how often a report of each is due."""
    return {one.id: one.report_every_s for one in lot.form.zones if one.fed_by == "absolute"}
