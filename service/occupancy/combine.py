"""Pure: from what sources said about a zone to what may be shown of it, and how far to trust it.

    absolute   each source speaks of the whole zone: the newest counts, one that differs is a sign
               that something is wrong
    counter    each source stands at a gate of its own: they add up, boot after boot
    bays       each bay for itself; a silent bay is not free, it widens the band
    plates     lanes add up, and are heard as long as their cameras are

Ages count in multiples of the zone's `report_every_s`. Unknown goes before unverified, unverified
before stale: the worst that is true is said.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from service.catalog import Lot, Zone
from service.occupancy.correction import Correction, Overlay, overlay
from service.occupancy.model import LotState, Openness, Quality, ZoneState
from service.occupancy.report import RECEIVED, SHUT, SKEWED, Gap, Past, Told, Total, moment
from service.occupancy.windows import is_open, next_change

RANK = {Quality.FRESH: 0, Quality.STALE: 1, Quality.UNVERIFIED: 2, Quality.UNKNOWN: 3}
DISAGREE_SPACES = 3
DISAGREE_SHARE = 0.05
GAP_REPORTS = 2.0  # so many report periods after a gap everything has been said again
PLATE_GAP_S = 86_400.0  # a passage is never said again


class Rules(msgspec.Struct, frozen=True):
    """`stale_after` and `unknown_after` are multiples of `report_every_s`."""

    stale_after: float = 3.0
    unknown_after: float = 10.0
    bays_known_share: float = 0.75


class Heard(msgspec.Struct):
    """Everything that was heard about one zone.

    `counts` and `pasts` by device, `bays` by bay and device, `lanes` by lane and camera. `gaps` are
    those noticed of any of its devices. `cameras_ms` says when each camera of its lanes was heard,
    `offline` which devices said goodbye.
    """

    counts: dict[str, Told] = {}
    pasts: dict[str, tuple[Past, ...]] = {}
    bays: dict[str, dict[str, Told]] = {}
    lanes: dict[str, dict[str, Total]] = {}
    cameras_ms: dict[str, int] = {}
    offline: set[str] = set()
    gaps: dict[str, tuple[Gap, ...]] = {}
    corrections: dict[str, Correction] = {}
    frozen_since: datetime | None = None


class _Number(msgspec.Struct):
    """What the sources add up to: spaces occupied of `capacity`, as of `at_ms`."""

    occupied: int
    capacity: int
    at_ms: int
    flags: int = 0
    band: int = 0
    fresh_until_ms: float = 0.0
    known_until_ms: float = 0.0
    why: str = ""


def zone_state(
    lot: Lot, zone: Zone, heard: Heard, now_ms: int, rules: Rules, zone_info: ZoneInfo
) -> tuple[ZoneState, float | None]:
    """The zone as of `now_ms`, and when (ms) it will look different with no further news."""
    now = moment(now_ms)
    over = overlay(list(heard.corrections.values()), now)
    opened, changes_ms = _openness(zone, over, now, zone_info)
    number = _number(lot, zone, heard, now_ms, rules)
    base = ZoneState(
        lot.id, zone.id, zone.kind, over.capacity or zone.capacity, None, opened,
        Quality.UNKNOWN, "never_heard", None, None, public=zone.public,
    )  # fmt: skip
    if number is None:
        return base, _earliest(changes_ms)
    capacity = number.capacity if over.capacity is None else over.capacity
    occupied = number.occupied + over.offset
    quality, why = _quality(zone, heard, number, occupied, capacity, now_ms, rules)
    later = [one for one in (number.fresh_until_ms, number.known_until_ms) if one >= now_ms]
    later += [one for one in _gap_ends(zone, heard, rules) if one > now_ms]
    free = None
    if quality is not Quality.UNKNOWN:
        if number.flags & SHUT and over.openness is None:  # staff know better than a source
            opened = Openness.CLOSED
        free = max(0, min(capacity, capacity - occupied) - over.reserve)
    state = msgspec.structs.replace(
        base,
        capacity=capacity,
        free=free,
        openness=opened,
        quality=quality,
        why=why,
        as_of=moment(number.at_ms),
        received=bool(number.flags & RECEIVED),
        band=max(number.band, over.band),
        counted=number.occupied,
    )
    return state, _earliest([*changes_ms, *later])


def lot_state(
    lot: Lot, zones: tuple[ZoneState, ...], version: int, word: tuple[datetime, ...] = ()
) -> LotState:
    """The lot as the sum over its public, open zones; `word` is when staff's corrections began."""
    public = [zone for zone in zones if zone.public]
    usable = [zone for zone in public if zone.openness is Openness.OPEN]
    shown = [zone for zone in usable if zone.free is not None]
    judged = usable or public or list(zones)
    worst = max(judged, key=lambda zone: RANK[zone.quality])
    quality, why = worst.quality, worst.why
    if shown and quality is Quality.UNKNOWN:
        # Part of the lot is known: what is shown of it can be used, but it is not the whole.
        quality = Quality.UNVERIFIED
    dated = [zone for zone in shown if zone.as_of is not None]
    oldest = min(dated, key=lambda zone: zone.as_of or moment(0), default=None)
    return LotState(
        lot=lot.id,
        capacity=sum(zone.capacity for zone in usable),
        free=sum(zone.free or 0 for zone in shown) if shown else None,
        openness=Openness.OPEN if usable else Openness.CLOSED,
        quality=quality,
        why=why if usable else "closed",
        as_of=oldest.as_of if oldest else None,
        received=any(zone.received for zone in dated),
        band=sum(zone.band for zone in shown),
        zones=zones,
        version=version,
        word=word,
    )


def dated(state: ZoneState, before: ZoneState | None, now_ms: int) -> ZoneState:
    """The state with the time since when its quality and reason hold."""
    same = before is not None and (before.quality, before.why) == (state.quality, state.why)
    since = before.since if before is not None and same else moment(now_ms)
    return msgspec.structs.replace(state, since=since)


def _openness(
    zone: Zone, over: Overlay, now: datetime, zone_info: ZoneInfo
) -> tuple[Openness, list[float]]:
    local = now.astimezone(zone_info)
    opened = is_open(zone.windows, local)
    if over.openness is not None:
        opened = over.openness == "open"
    changes = [next_change(zone.windows, local), over.ends_at]
    times = [one.astimezone(UTC).timestamp() * 1000 for one in changes if one is not None]
    return Openness.OPEN if opened else Openness.CLOSED, times


def _number(lot: Lot, zone: Zone, heard: Heard, now_ms: int, rules: Rules) -> _Number | None:
    match zone.fed_by:
        case "bays":
            return _from_bays(zone, heard, now_ms, rules)
        case "plates":
            return _from_plates(lot, zone, heard, rules)
        case "counter" if any(told.entered is not None for told in heard.counts.values()):
            return _from_counters(zone, heard, rules)
    return _from_counts(zone, heard, rules)


def _limits(number: _Number, zone: Zone, at_ms: float, rules: Rules) -> _Number:
    number.fresh_until_ms = at_ms + rules.stale_after * zone.report_every_s * 1000
    number.known_until_ms = at_ms + rules.unknown_after * zone.report_every_s * 1000
    return number


def _from_counts(zone: Zone, heard: Heard, rules: Rules) -> _Number | None:
    """The newest of the sources that speak of the whole zone."""
    if not heard.counts:
        return None
    newest = max(heard.counts.values(), key=lambda told: told.at_ms)
    numbers = [
        _absolute(zone, told)
        for told in heard.counts.values()
        if newest.at_ms - told.at_ms <= rules.stale_after * zone.report_every_s * 1000
    ]
    number = _absolute(zone, newest)
    spread = max(one.occupied for one in numbers) - min(one.occupied for one in numbers)
    if spread > max(DISAGREE_SPACES, DISAGREE_SHARE * number.capacity):
        number.why, number.band = "disagree", spread
    return _limits(number, zone, newest.at_ms, rules)


def _absolute(zone: Zone, told: Told) -> _Number:
    """One source's numbers, in its own capacity where it gives one: bases are never mixed."""
    capacity = zone.capacity if told.capacity is None else told.capacity
    if told.occupied is not None:
        occupied = told.occupied
    elif told.free is not None:
        occupied = capacity - told.free
    else:
        occupied = (told.entered or 0) - (told.left or 0)
    return _Number(occupied, capacity, told.at_ms, told.flags)


def _from_counters(zone: Zone, heard: Heard, rules: Rules) -> _Number:
    """Every counter's boots added up; as old as the counter that was silent the longest."""
    occupied, flags = 0, 0
    for device, told in heard.counts.items():
        if told.occupied is not None:
            occupied += told.occupied
        else:
            occupied += (told.entered or 0) - (told.left or 0)
            occupied += sum(one.entered - one.left for one in heard.pasts.get(device, ()))
        flags |= told.flags
    at_ms = min(told.at_ms for told in heard.counts.values())
    return _limits(_Number(occupied, zone.capacity, at_ms, flags), zone, at_ms, rules)


def _from_bays(zone: Zone, heard: Heard, now_ms: int, rules: Rules) -> _Number | None:
    stale_ms = rules.stale_after * zone.report_every_s * 1000
    unknown_ms = rules.unknown_after * zone.report_every_s * 1000
    newest = [
        max(heard.bays[bay].values(), key=lambda told: told.at_ms)
        for bay in zone.bays
        if heard.bays.get(bay)
    ]
    if not newest:
        return None
    newest.sort(key=lambda told: -told.at_ms)
    needed = max(1, -int(-rules.bays_known_share * len(zone.bays) // 1))
    known = [told for told in newest if now_ms - told.at_ms <= unknown_ms]
    counted = known or newest
    silent = len(zone.bays) - len(known)
    free = sum(1 for told in counted if not told.occupied)
    flags = 0
    for told in counted:
        flags |= told.flags
    number = _Number(zone.capacity - free, zone.capacity, counted[-1].at_ms, flags, band=silent)
    if len(newest) < needed:
        return number  # never enough of them were heard: unknown already
    # The zone is as old as the youngest share of its bays that makes it known.
    return msgspec.structs.replace(
        number,
        fresh_until_ms=newest[needed - 1].at_ms + stale_ms,
        known_until_ms=newest[needed - 1].at_ms + unknown_ms,
    )


def _from_plates(lot: Lot, zone: Zone, heard: Heard, rules: Rules) -> _Number | None:
    """Lane totals added up; a lane with two cameras counts by the one that saw more."""
    lanes = [lane for lane in lot.lanes if lane_feeds(lot, lane.zone, zone)]
    occupied, at_ms = 0, None
    for lane in lanes:
        seen = heard.lanes.get(lane.id, {}).values()
        occupied += max((one.entered for one in seen), default=0)
        occupied -= max((one.left for one in seen), default=0)
        spoke_ms = [heard.cameras_ms.get(lane.id, 0), *(one.last_ms for one in seen)]
        at_ms = max(spoke_ms) if at_ms is None else min(at_ms, max(spoke_ms))
    if not at_ms:
        return None
    number = _Number(occupied, zone.capacity, at_ms)
    totals = [one for lane in heard.lanes.values() for one in lane.values()]
    doubt_ms = max((one.doubt_ms for one in totals), default=0)
    if heard.offline:
        number.why = "offline"
    elif doubt_ms > _recounted_ms(heard):
        number.why = "recovered"
    return _limits(number, zone, at_ms, rules)


def _recounted_ms(heard: Heard) -> float:
    recounts = [one.at for one in heard.corrections.values() if one.kind == "recount"]
    return max((at.timestamp() * 1000 for at in recounts), default=0.0)


def lane_feeds(lot: Lot, lane_zone: str | None, zone: Zone) -> bool:
    """Whether a lane's passages count in `zone`: it is named, or the lot's only one of plates."""
    if lane_zone is not None:
        return lane_zone == zone.id
    return [one.id for one in lot.zones if one.fed_by == "plates"] == [zone.id]


def _quality(
    zone: Zone, heard: Heard, number: _Number, occupied: int, capacity: int, now_ms: int,
    rules: Rules,
) -> tuple[Quality, str]:  # fmt: skip
    skewed = bool(number.flags & SKEWED)
    if now_ms > number.known_until_ms:
        return Quality.UNKNOWN, "clock_skew" if skewed else "silent"
    doubts = (
        (any(end > now_ms for end in _gap_ends(zone, heard, rules)), "gap"),
        (occupied < 0, "negative"),
        (occupied > capacity, "over_capacity"),
        (number.why != "", number.why),
        (heard.frozen_since is not None, "frozen"),
    )
    for doubtful, why in doubts:
        if doubtful:
            return Quality.UNVERIFIED, why
    if now_ms > number.fresh_until_ms:
        return Quality.STALE, "silent"
    return Quality.FRESH, "clock_skew" if skewed else "ok"


def _gap_ends(zone: Zone, heard: Heard, rules: Rules) -> list[float]:
    """Until when each gap leaves the zone in doubt."""
    holds = {
        "plates": PLATE_GAP_S,
        "bays": rules.stale_after * zone.report_every_s,
    }
    hold_s = holds.get(zone.fed_by, GAP_REPORTS * zone.report_every_s)
    return [gap.noticed_ms + hold_s * 1000 for gaps in heard.gaps.values() for gap in gaps]


def _earliest(times_ms: list[float]) -> float | None:
    return min(times_ms, default=None)
