"""What may be shown of a zone, and how far it is to be trusted."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.catalog import Lane, Lot, Name, Point, Window, Zone
from service.occupancy.combine import Heard, Rules, dated, lot_state, zone_state
from service.occupancy.correction import Correction
from service.occupancy.model import Openness, Quality, ZoneState
from service.occupancy.report import RECEIVED, SHUT, SKEWED, Gap, Past, Told, Total

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday, noon in Hangzhou
NOW_MS = int(NOW.timestamp() * 1000)
HERE = ZoneInfo("Asia/Shanghai")


def zone(fed_by: str = "absolute", capacity: int = 100, **more: object) -> Zone:
    return Zone("z", "general", capacity, fed_by, **more)


def lot(*zones: Zone, lanes: tuple[Lane, ...] = ()) -> Lot:
    name = Name("停车场", "Lot")
    return Lot("l", "s", name, Point(30, 120), "public", zones, (), lanes, "t")


def told(age_s: float = 0, flags: int = 0, **said: int) -> Told:
    at_ms = NOW_MS - int(age_s * 1000)
    return Told(at_ms, at_ms, flags, **said)


def state(one: Zone, heard: Heard, now_ms: int = NOW_MS, rules: Rules | None = None) -> ZoneState:
    lanes = (Lane("in", "l", "in", "e"), Lane("out", "l", "out", "e"))
    return zone_state(lot(one, lanes=lanes), one, heard, now_ms, rules or Rules(), HERE)[0]


def due_ms(one: Zone, heard: Heard) -> float | None:
    return zone_state(lot(one), one, heard, NOW_MS, Rules(), HERE)[1]


def correct(kind: str, zone_id: str | None = "z", **more: object) -> Correction:
    return Correction("l", zone_id, kind, NOW, "staff", "seen", **more)


def corrected(*corrections: Correction, **said: int) -> Heard:
    heard = Heard(counts={"d": told(**said)})
    heard.corrections = {one.field: one for one in corrections}
    return heard


def test_nothing_heard_is_unknown_and_shows_no_number() -> None:
    seen = state(zone(), Heard())
    assert (seen.free, seen.quality, seen.why) == (None, Quality.UNKNOWN, "never_heard")


@pytest.mark.parametrize(
    ("age_s", "quality"),
    [
        (0, Quality.FRESH),
        (180, Quality.FRESH),
        (181, Quality.STALE),
        (600, Quality.STALE),
        (601, Quality.UNKNOWN),
    ],
)
def test_case_32_ages_in_multiples_of_the_source_own_period(age_s: int, quality: Quality) -> None:
    one = zone(report_every_s=60.0)
    assert state(one, Heard(counts={"d": told(age_s, occupied=40)})).quality is quality


def test_an_unknown_zone_has_no_number_and_a_stale_one_its_true_age() -> None:
    one = zone(report_every_s=10.0)
    assert state(one, Heard(counts={"d": told(101, occupied=40)})).free is None
    stale = state(one, Heard(counts={"d": told(60, occupied=40)}))
    assert (stale.free, stale.as_of) == (60, NOW - timedelta(seconds=60))


def test_it_says_when_it_will_look_older() -> None:
    heard = Heard(counts={"d": told(100, occupied=40)})
    assert due_ms(zone(report_every_s=60.0), heard) == NOW_MS + 80_000
    assert due_ms(zone(report_every_s=20.0), heard) == NOW_MS + 100_000


def test_a_received_number_says_so_and_a_skewed_clock_is_named() -> None:
    received = state(zone(), Heard(counts={"d": told(flags=RECEIVED, free=4)}))
    assert (received.received, received.why) == (True, "ok")
    skewed = state(zone(), Heard(counts={"d": told(flags=RECEIVED | SKEWED, free=4)}))
    assert (skewed.quality, skewed.why) == (Quality.FRESH, "clock_skew")
    behind = state(zone(), Heard(counts={"d": told(90_000, flags=SKEWED, free=4)}))
    assert (behind.free, behind.why) == (None, "clock_skew")


def test_capacities_of_two_bases_are_never_mixed() -> None:
    seen = state(zone(capacity=100), Heard(counts={"d": told(free=130, capacity=150)}))
    assert (seen.free, seen.capacity, seen.quality) == (130, 150, Quality.FRESH)


def test_over_capacity_and_negative_are_bounded_and_flagged() -> None:
    over = state(zone(capacity=100), Heard(counts={"d": told(occupied=103)}))
    assert (over.free, over.quality, over.why) == (0, Quality.UNVERIFIED, "over_capacity")
    more_free = state(zone(capacity=100), Heard(counts={"d": told(free=104)}))
    assert (more_free.free, more_free.why) == (100, "negative")
    below = state(zone("counter"), Heard(counts={"d": told(entered=3, left=7)}))
    assert (below.free, below.quality, below.why) == (100, Quality.UNVERIFIED, "negative")


def test_counters_add_up_over_gates_and_boots() -> None:
    heard = Heard(
        counts={"east": told(entered=30, left=10), "west": told(20, entered=5, left=25)},
        pasts={"west": (Past("1", "9", 60, 20), Past("2", "4", 10, 5))},
    )
    seen = state(zone("counter"), heard)
    assert (seen.free, seen.counted) == (100 - 45, 45)
    assert seen.as_of == NOW - timedelta(seconds=20)


def test_two_sources_of_one_zone_the_newest_counts_and_a_difference_shows() -> None:
    near = Heard(counts={"a": told(5, occupied=50), "b": told(1, occupied=54)})
    assert (state(zone(), near).free, state(zone(), near).why) == (46, "ok")
    apart = Heard(counts={"a": told(5, occupied=50), "b": told(1, occupied=60)})
    seen = state(zone(), apart)
    assert (seen.free, seen.quality, seen.why) == (40, Quality.UNVERIFIED, "disagree")
    assert seen.band >= 10
    old = Heard(counts={"a": told(500, occupied=50), "b": told(1, occupied=60)})
    assert state(zone(), old).why == "ok"


def bays(*ages: float | None, occupied: int = 0) -> tuple[Zone, Heard]:
    names = tuple(f"b{number}" for number in range(len(ages)))
    heard = Heard()
    for name, age in zip(names, ages, strict=True):
        if age is not None:
            heard.bays[name] = {"d": told(age, occupied=occupied)}
    return zone("bays", len(ages), bays=names, report_every_s=60.0), heard


def test_bays_are_known_from_three_quarters_of_them_and_silent_ones_are_not_free() -> None:
    one, heard = bays(0, 0, 0, None)
    seen = state(one, heard)
    assert (seen.free, seen.band, seen.quality) == (3, 1, Quality.FRESH)
    one, heard = bays(0, 0, None, None)
    assert (state(one, heard).free, state(one, heard).quality) == (None, Quality.UNKNOWN)


def test_bays_grow_old_as_a_share_of_them_does() -> None:
    one, heard = bays(0, 10, 200, 10_000)
    assert (state(one, heard).quality, state(one, heard).free) == (Quality.STALE, 3)
    one, heard = bays(0, 10, 700, 700)
    assert state(one, heard).quality is Quality.UNKNOWN
    one, heard = bays(0, 10, 20, 30)
    assert state(one, heard).as_of == NOW - timedelta(seconds=30)


def test_plates_count_lanes_and_live_as_long_as_their_cameras() -> None:
    heard = Heard(
        lanes={"in": {"c1": Total(40, 0, NOW_MS - 5000)}, "out": {"c2": Total(1, 30, NOW_MS)}},
    )
    seen = state(zone("plates"), heard)
    assert (seen.free, seen.as_of) == (100 - 11, NOW - timedelta(seconds=5))
    quiet = Heard(lanes={"in": {"c1": Total(40, 0, 1)}, "out": {"c2": Total(0, 30, 1)}})
    assert state(zone("plates"), quiet).quality is Quality.UNKNOWN
    quiet.cameras_ms = {"in": NOW_MS - 1000, "out": NOW_MS - 2000}
    assert state(zone("plates"), quiet).quality is Quality.FRESH
    quiet.offline = {"c1"}
    assert state(zone("plates"), quiet).why == "offline"


def test_passages_that_redis_lost_leave_a_doubt_until_somebody_counts() -> None:
    totals = {"in": {"c": Total(40, 0, NOW_MS, NOW_MS)}, "out": {"c2": Total(0, 1, NOW_MS)}}
    heard = Heard(lanes=totals)
    assert state(zone("plates"), heard).why == "recovered"
    heard.corrections = {"r": correct("recount", value=20, offset=-19)}
    assert (state(zone("plates"), heard).why, state(zone("plates"), heard).free) == ("ok", 80)


def test_case_3_a_gap_leaves_the_zone_in_doubt_until_everything_was_said_again() -> None:
    heard = Heard(counts={"d": told(occupied=40)})
    heard.gaps = {"d": (Gap("1", "5", "9", NOW_MS - 30_000),)}
    one = zone(report_every_s=60.0)
    seen = state(one, heard)
    assert (seen.free, seen.quality, seen.why) == (60, Quality.UNVERIFIED, "gap")
    later = Heard(counts={"d": told(-100, occupied=40)}, gaps=heard.gaps)
    assert state(one, later, NOW_MS + 100_000).why == "ok"


def test_frozen_is_a_doubt_that_others_find() -> None:
    heard = Heard(counts={"d": told(occupied=40)}, frozen_since=NOW - timedelta(hours=2))
    assert (state(zone(), heard).quality, state(zone(), heard).why) == (
        Quality.UNVERIFIED,
        "frozen",
    )


def test_staff_close_open_recount_reserve_and_set_the_capacity() -> None:
    assert state(zone(), corrected(correct("closed", None), occupied=1)).openness is Openness.CLOSED
    recounted = state(zone(), corrected(correct("recount", value=50, offset=10), occupied=40))
    assert (recounted.free, recounted.counted) == (50, 40)
    fewer = state(zone(), corrected(correct("capacity", value=80), occupied=40))
    assert (fewer.free, fewer.capacity) == (40, 80)
    kept = state(zone(), corrected(correct("reserve", value=15), occupied=40))
    assert kept.free == 45
    over = correct("closed", None, until=NOW - timedelta(seconds=1))
    assert state(zone(), corrected(over, occupied=1)).openness is Openness.OPEN


def test_a_source_that_says_closed_is_closed_until_it_falls_silent_or_staff_open() -> None:
    shut = Heard(counts={"d": told(flags=SHUT, free=0)})
    assert state(zone(), shut).openness is Openness.CLOSED
    opened = corrected(correct("open"), flags=SHUT, free=0)
    assert state(zone(), opened).openness is Openness.OPEN
    silent = state(zone(), Heard(counts={"d": told(age_s=86_400, flags=SHUT, free=0)}))
    assert (silent.openness, silent.quality) == (Openness.OPEN, Quality.UNKNOWN)


def test_a_correction_that_ends_is_due() -> None:
    ends = NOW + timedelta(seconds=20)
    heard = corrected(correct("closed", None, until=ends), occupied=1)
    assert due_ms(zone(), heard) == ends.timestamp() * 1000


def test_windows_close_a_shared_zone_and_staff_may_open_it() -> None:
    shut = (Window(time(20), time(7)),)
    one = zone(windows=shut)
    heard = Heard(counts={"d": told(occupied=40)})
    assert state(one, heard).openness is Openness.CLOSED
    assert state(one, corrected(correct("open"), occupied=40)).openness is Openness.OPEN


def shown(name: str, **more: object) -> ZoneState:
    values = {
        "capacity": 50, "free": 10, "openness": Openness.OPEN, "quality": Quality.FRESH,
        "why": "ok", "since": NOW, "as_of": NOW, **more,
    }  # fmt: skip
    return ZoneState("l", name, "general", **values)


def test_a_lot_is_the_sum_of_its_public_open_zones_and_as_old_as_the_oldest() -> None:
    zones = (
        shown("a"),
        shown("b", as_of=NOW - timedelta(minutes=2), quality=Quality.STALE, why="silent"),
        shown("staff", public=False, free=30),
        shown("shut", openness=Openness.CLOSED),
    )
    whole = lot_state(lot(), zones, 7)
    assert (whole.free, whole.capacity, whole.version) == (20, 100, 7)
    assert (whole.quality, whole.as_of) == (Quality.STALE, NOW - timedelta(minutes=2))


def test_a_lot_of_which_a_part_is_unknown_is_not_sure() -> None:
    unknown = shown("b", free=None, quality=Quality.UNKNOWN, why="never_heard", as_of=None)
    part = lot_state(lot(), (shown("a"), unknown), 1)
    assert (part.free, part.quality) == (10, Quality.UNVERIFIED)
    none = lot_state(lot(), (unknown,), 1)
    assert (none.free, none.quality, none.why) == (None, Quality.UNKNOWN, "never_heard")


def test_a_closed_lot_looks_closed() -> None:
    shut = lot_state(lot(), (shown("a", openness=Openness.CLOSED),), 1)
    assert (shut.openness, shut.free, shut.why) == (Openness.CLOSED, None, "closed")


def test_since_lasts_as_long_as_quality_and_reason() -> None:
    first = dated(shown("a"), None, NOW_MS)
    second = dated(shown("a", free=9), first, NOW_MS + 5000)
    third = dated(shown("a", why="gap", quality=Quality.UNVERIFIED), second, NOW_MS + 9000)
    assert (second.since, third.since) == (NOW, NOW + timedelta(seconds=9))
