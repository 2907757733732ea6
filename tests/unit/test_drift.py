"""A counter's drift is learned from what witnesses say, and the band says how sure that is."""

import msgspec
import pytest

from service.occupancy.drift import Drift, Memory, Tally, estimate
from service.occupancy.drift_fusion import Fusion, Moment

CAPACITY = 200
DAY_S = 86_400.0


def day(number: int, missed: float = 0.0, inside: int = 0) -> Tally:
    """The tally after so many days of 600 entries each, of which a share was not counted."""
    entries = 600 * number
    return Tally(number * DAY_S, entries * (1 - missed) + inside, entries)


def test_a_count_that_nobody_checked_is_taken_as_it_is() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30)
    assert drift.at(Tally(0.0, 0, 0)).occupied == 30
    assert drift.at(Tally(60.0, 10, 0)).occupied == 40


def test_the_band_grows_with_the_traffic_and_not_with_time() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30)
    start = drift.at(Tally(0.0, 0, 0)).band
    quiet = drift.at(Tally(DAY_S, 0, 0)).band
    busy = drift.at(Tally(DAY_S, 400, 400)).band
    assert quiet == start
    assert busy > start + 3


def test_a_recount_is_believed_at_once() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 30, start_sd=20)
    drift.counted_by_hand(Tally(60.0, 10, 0), 70)
    told = drift.at(Tally(60.0, 10, 0))
    assert told.occupied == pytest.approx(70, abs=1)
    assert told.band <= 3


def test_missed_entries_are_learned_from_plates_and_foreseen() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 8):
        drift.plates_say(day(number, 0.03, inside=50), 50.0, 4.0)
    ahead = drift.at(day(8, 0.03, inside=50))
    assert ahead.occupied == pytest.approx(50, abs=4), "a day with no witness at all"
    assert drift.mean[1] == pytest.approx(-0.03, abs=0.005)


def test_nights_tell_the_drift_of_counters_alone() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 15):
        drift.quiet_hour(day(number, 0.02, inside=20), evening=200.0)
    assert drift.at(day(14, 0.02, inside=20)).occupied == pytest.approx(20, abs=6)
    assert day(14, 0.02, inside=20).counted < -100, "what it would have shown uncorrected"


def test_busy_hours_of_like_days_tell_where_they_are_alike() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 12):
        top = day(number, 0.02, inside=180)
        assert drift.busy_hour(top, 0)
    assert drift.at(top).occupied == pytest.approx(180, abs=6)
    strange = Tally(12 * DAY_S, top.entered + 480, top.left + 600)
    before = drift.at(strange)
    assert not drift.busy_hour(strange, 0), "a holiday"
    assert drift.at(strange) == before


def test_a_witness_of_the_past_changes_nothing() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    drift.counted_by_hand(Tally(600.0, 20, 0), 20)
    known = drift.at(Tally(700.0, 25, 0))
    drift.plates_say(Tally(500.0, 10, 0), 90.0, 1.0)
    assert drift.at(Tally(700.0, 25, 0)) == known


def test_occupied_stays_within_what_there_is() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    assert drift.at(Tally(60.0, 0, 30)).occupied == 0
    assert drift.at(Tally(60.0, 900, 0)).occupied == CAPACITY


def test_nothing_is_emptier_than_empty() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 10)
    evening = Tally(DAY_S, 560, 600)  # thirty more went than there were
    drift.emptiest(evening)
    assert drift.ahead(evening)[0] == pytest.approx(-30), "so thirty at least were missed"
    assert drift.mean[1] < -0.03, "and more will be"
    known = drift.at(evening)
    drift.emptiest(evening)
    assert drift.at(evening) == known, "said twice it is no more"
    assert drift.at(Tally(DAY_S, 570, 600)).occupied == pytest.approx(10, abs=1)


def test_no_busy_hour_is_fuller_than_full() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 6):
        assert drift.busy_hour(day(number, -0.005, inside=CAPACITY), 0)
    top = day(5, -0.005, inside=CAPACITY)
    assert top.counted == pytest.approx(CAPACITY + 15)
    assert drift.mean[3] <= CAPACITY
    assert drift.ahead(top)[0] > 10


def test_loops_that_nobody_knows_yet_do_not_drag_cameras_along() -> None:
    nothing = Tally(0.0, 0, 0)
    zone = Fusion(Drift(CAPACITY, nothing, 0), Moment(nothing, nothing), 0, start_sd=0.7)
    evening = Moment(day(1, 0.1, inside=50), day(1, inside=50))
    assert evening.loops.counted == pytest.approx(-10)
    assert zone.at(evening).occupied == pytest.approx(50, abs=1)


@pytest.mark.parametrize(("sd", "band"), [(0.2, 0), (0.5, 0), (0.7, 1), (1.2, 2), (20.0, 39)])
def test_a_band_holds_whole_numbers(sd: float, band: int) -> None:
    assert estimate(CAPACITY, 50.0, 0.0, sd * sd, sigmas=1.96).band == band


def test_what_was_learned_survives_a_restart() -> None:
    drift = Drift(CAPACITY, Tally(0.0, 0, 0), 0)
    for number in range(1, 6):
        drift.quiet_hour(day(number, 0.02, inside=20), evening=200.0)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(drift.memory()), type=Memory)
    again = Drift.recalled(CAPACITY, kept)
    later = day(6, 0.02, inside=20)
    assert again.at(later) == drift.at(later)
    assert again.memory() == drift.memory()
