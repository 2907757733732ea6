"""A counter's drift is learned from what plates say, and the band says how sure that is."""

import pytest

from service.occupancy.drift import Drift, Tally, estimate
from service.occupancy.drift_fusion import Fusion, Moment

CAPACITY = 200
DAY_S = 86_400.0


def day(number: int, missed: float = 0.0, inside: int = 0) -> Tally:
    """The tally after so many days of 600 entries each, of which a share was not counted."""
    entries = 600 * number
    return Tally(number * DAY_S, entries * (1 - missed) + inside, entries)


def at(drift: Drift, now: Tally) -> float:
    return now.counted + drift.offset - drift.ahead(now)[0]


def test_a_count_that_nobody_checked_is_taken_as_it_is() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30)
    assert at(drift, Tally(0.0, 0, 0)) == 30
    assert at(drift, Tally(60.0, 10, 0)) == 40


def test_doubt_grows_with_the_traffic_and_not_with_time() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30)
    _, start = drift.ahead(Tally(0.0, 0, 0))
    assert drift.ahead(Tally(DAY_S, 0, 0))[1] == start
    assert drift.ahead(Tally(DAY_S, 400, 400))[1] > start + 9


def test_a_recount_is_believed_at_once() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30, start_sd=20)
    drift.counted_by_hand(Tally(60.0, 10, 0), 70)
    assert at(drift, Tally(60.0, 10, 0)) == pytest.approx(70)
    assert drift.ahead(Tally(60.0, 10, 0))[1] < 1


def test_missed_entries_are_learned_from_plates_and_foreseen() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 8):
        drift.plates_say(day(number, 0.03, inside=50), 50.0, 4.0)
    ahead = at(drift, day(8, 0.03, inside=50))
    assert ahead == pytest.approx(50, abs=4), "a day with no witness at all"
    assert drift.mean[1] == pytest.approx(-0.03, abs=0.005)


def test_a_witness_of_the_past_changes_nothing() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    drift.counted_by_hand(Tally(600.0, 20, 0), 20)
    known = drift.ahead(Tally(700.0, 25, 0))
    drift.plates_say(Tally(500.0, 10, 0), 90.0, 1.0)
    assert drift.ahead(Tally(700.0, 25, 0)) == known


def test_loops_that_nobody_knows_yet_do_not_drag_cameras_along() -> None:
    nothing = Tally(0.0, 0, 0)
    zone = Fusion(Drift(CAPACITY, nothing, 0), Moment(nothing, nothing), 0, start_sd=0.7)
    evening = Moment(day(1, 0.1, inside=50), day(1, inside=50))
    assert evening.loops.counted == pytest.approx(-10)
    assert zone.at(evening).occupied == pytest.approx(50, abs=1)


@pytest.mark.parametrize(("sd", "band"), [(0.2, 0), (0.5, 0), (0.7, 1), (1.2, 2), (20.0, 39)])
def test_a_band_holds_whole_numbers(sd: float, band: int) -> None:
    assert estimate(CAPACITY, 50.0, 0.0, sd * sd, sigmas=1.96).band == band


def test_occupied_stays_within_what_there_is() -> None:
    assert estimate(CAPACITY, -30.0, 0.0, 1.0, sigmas=1.96).occupied == 0
    assert estimate(CAPACITY, 900.0, 0.0, 1.0, sigmas=1.96).occupied == CAPACITY
