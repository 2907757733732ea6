"""Where a lot stands for a driver, and the one sentence that says why."""

import pytest
from guidance_parts import lot_state, zone_state

from service.catalog import Entrance, Lot, Name, Point, Zone
from service.guidance.model import Needs
from service.guidance.ranking import Standing, Tier, Weights, fits, standing, why
from service.occupancy.model import LotState, Openness, Quality

WEIGHTS = Weights()
P = Point(30.0, 120.0)


def stood(state: LotState | None, coming: float = 0.0, kinds: tuple[str, ...] = ()) -> Standing:
    return standing(state, coming, kinds, WEIGHTS)


@pytest.mark.parametrize(
    ("state", "coming", "tier"),
    [
        (lot_state("a", 30), 0, Tier.ENOUGH),
        (lot_state("a", 5), 0, Tier.ENOUGH),
        (lot_state("a", 4), 0, Tier.FEW),
        (lot_state("a", 0), 0, Tier.FULL),
        (lot_state("a", 30), 40, Tier.FEW),
        (lot_state("a", None), 0, Tier.UNKNOWN),
        (lot_state("a", 30, quality=Quality.UNKNOWN), 0, Tier.UNKNOWN),
        (None, 0, Tier.UNKNOWN),
        (lot_state("a", 30, openness=Openness.CLOSED), 0, Tier.CLOSED),
        (lot_state("a", None, openness=Openness.CLOSED), 0, Tier.CLOSED),
    ],
)
def test_tiers(state: LotState | None, coming: float, tier: Tier) -> None:
    assert stood(state, coming).tier is tier


def test_cars_on_the_way_are_taken_off_as_far_as_they_follow() -> None:
    assert stood(lot_state("a", 30), 10).expected == pytest.approx(30 - 0.85 * 10)
    assert stood(lot_state("a", 6), 1).tier is Tier.ENOUGH
    assert stood(lot_state("a", 6), 2).tier is Tier.FEW
    assert stood(lot_state("a", 3), 10).expected == 0


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.UNVERIFIED])
def test_an_old_or_doubtful_number_counts_for_less(quality: Quality) -> None:
    doubted = stood(lot_state("a", 10, quality=quality, band=4))
    assert doubted.free == 10, "what is counted is shown as it is"
    assert doubted.expected == pytest.approx(10 * 0.8 - 4)
    assert doubted.tier is Tier.FEW


def test_half_of_a_band_is_taken_off_a_fresh_number() -> None:
    banded = stood(lot_state("a", 10, band=6))
    assert banded.free == 10, "what is counted is shown as it is"
    assert banded.expected == pytest.approx(7)
    assert stood(lot_state("a", 7, band=6)).tier is Tier.FEW
    assert stood(lot_state("a", 1, band=60)).expected == 0


def test_unknown_promises_nothing() -> None:
    unknown = stood(lot_state("a", 50, quality=Quality.UNKNOWN))
    assert unknown.free is None
    assert unknown.expected is None


def test_charging_counts_the_charging_zone_alone() -> None:
    zones = (zone_state("general", 40), zone_state("ev", 2))
    plugged = stood(lot_state("a", 42, zones=zones), kinds=("ev",))
    assert (plugged.free, plugged.tier) == (2, Tier.ENOUGH)
    zones = (zone_state("general", 40), zone_state("ev", 0))
    assert stood(lot_state("a", 40, zones=zones), kinds=("ev",)).tier is Tier.FULL
    zones = (zone_state("general", 40), zone_state("ev", None, quality=Quality.UNKNOWN))
    assert stood(lot_state("a", 40, zones=zones), kinds=("ev",)).tier is Tier.UNKNOWN
    zones = (zone_state("general", 40), zone_state("ev", 5, openness=Openness.CLOSED))
    assert stood(lot_state("a", 40, zones=zones), kinds=("ev",)).tier is Tier.FULL


def test_both_needs_are_met_by_the_scarcer() -> None:
    zones = (zone_state("ev", 3), zone_state("accessible", 1))
    assert stood(lot_state("a", 4, zones=zones), kinds=("ev", "accessible")).free == 1


def _lot(kinds: tuple[str, ...], height: float | None = None, public: bool = True) -> Lot:
    zones = tuple(Zone(kind, kind, 10, "absolute", public=public) for kind in kinds)
    entrances = (Entrance("e", P),)
    return Lot(
        "a", "s", Name("甲", "A"), P, "public", zones, entrances, (), "t", height_limit_m=height
    )


def test_what_does_not_fit_is_not_offered() -> None:
    assert fits(_lot(("general",)), Needs())
    assert not fits(_lot(("general",)), Needs(ev=True))
    assert fits(_lot(("general", "ev")), Needs(ev=True))
    assert not fits(_lot(("ev",), public=False), Needs(ev=True))
    assert fits(_lot(("general",), 2.0), Needs(height_m=2.0))
    assert not fits(_lot(("general",), 2.0), Needs(height_m=2.01))
    assert fits(_lot(("general",)), Needs(height_m=4.0))


@pytest.mark.parametrize(
    ("state", "coming", "zh", "en"),
    [
        (
            lot_state("a", 32),
            0,
            "车程 5 分钟，步行 4 分钟，剩 32 位",
            "5 min drive, 4 min walk, 32 free",
        ),
        (
            lot_state("a", 32, quality=Quality.STALE),
            0,
            "车程 5 分钟，步行 4 分钟，约剩 32 位",
            "5 min drive, 4 min walk, about 32 free",
        ),
        (
            lot_state("a", 8),
            6,
            "车程 5 分钟，步行 4 分钟，仅剩 8 位，6 辆正在前往",
            "5 min drive, 4 min walk, only 8 free, 6 on the way",
        ),
        (
            lot_state("a", 3),
            0,
            "车程 5 分钟，步行 4 分钟，仅剩 3 位",
            "5 min drive, 4 min walk, only 3 free",
        ),
        (lot_state("a", 0), 0, "车程 5 分钟，步行 4 分钟，已满", "5 min drive, 4 min walk, full"),
        (
            None,
            0,
            "车程 5 分钟，步行 4 分钟，余位未知",
            "5 min drive, 4 min walk, free spaces unknown",
        ),
        (
            lot_state("a", 9, openness=Openness.CLOSED),
            0,
            "车程 5 分钟，步行 4 分钟，未开放",
            "5 min drive, 4 min walk, closed",
        ),
    ],
)
def test_why_is_one_sentence_of_what_decided(
    state: LotState | None, coming: float, zh: str, en: str
) -> None:
    assert why("5", "4", state, stood(state, coming)) == Name(zh, en)


def test_why_says_no_walk_where_no_door_was_named() -> None:
    said = why("5", None, lot_state("a", 32), stood(lot_state("a", 32)))
    assert said == Name("车程 5 分钟，剩 32 位", "5 min drive, 32 free")
