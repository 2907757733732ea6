"""Seeded weeks against the truth: the drift is taken off, and the band holds what it says."""

import pytest

from service.bench.drift import Case, Score, tried


def mae_percent(score: Score, capacity: int) -> float:
    return 100 * score.error_sum / score.ticks / capacity


@pytest.mark.parametrize("errors", ["entry_misses", "symmetric"])
def test_plates_hold_the_count_to_one_percent(errors: str) -> None:
    score = tried(Case(100, errors, 0.03, plates=True), 14, seed=11)
    assert mae_percent(score, 100) <= 1.0
    # One lot, a sixth of the time before stays are known.
    assert score.held / score.ticks >= 0.9
    assert score.width_sum <= 6 * score.error_sum


def test_counters_alone_keep_to_nights_and_full_hours() -> None:
    scores = [tried(Case(200, "entry_misses", 0.005, plates=False), 14, seed) for seed in (11, 12)]
    for score in scores:
        assert score.raw_last / 200 > 0.05, "uncorrected it is useless"
    ticks = sum(score.ticks for score in scores)
    assert sum(score.error_sum for score in scores) / ticks / 200 <= 0.03
    assert sum(score.held for score in scores) / ticks >= 0.9


def test_the_same_seed_is_the_same_lot() -> None:
    case = Case(100, "symmetric", 0.005, plates=True)
    assert tried(case, 1, seed=5).error_sum == tried(case, 1, seed=5).error_sum
    assert tried(case, 1, seed=5).error_sum != tried(case, 1, seed=6).error_sum
