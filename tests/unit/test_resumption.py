from datetime import UTC, datetime, time

import pytest

from service import resumption
from service.clock import Clock, ManualClock

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC).timestamp()  # 12:00 in Hangzhou
HANGZHOU = "Asia/Shanghai"


@pytest.fixture
def wall() -> ManualClock:
    return ManualClock(shown=[NOON])


def resumed(state, wall, *, speed=1.0, at=None) -> Clock:
    return resumption.resume(state, wall, speed=speed, at=at, zone=HANGZHOU)


def test_a_new_state_at_the_walls_pace_has_the_walls_time(tmp_path, wall):
    assert resumed(tmp_path, wall) == Clock()


def test_a_time_of_day_is_todays_in_the_sites_zone_even_when_it_is_past(tmp_path, wall):
    clock = resumed(tmp_path, wall, speed=10, at=time(7, 30))
    assert clock.anchor_s == NOON - 4.5 * 3600
    assert clock.speed == 10


def test_a_time_of_day_that_was_already_shown_is_the_next_days(tmp_path, wall):
    resumption.keep(tmp_path, ManualClock(shown=[NOON]), wall)
    assert resumed(tmp_path, wall, at=time(7, 30)).anchor_s == NOON + 19.5 * 3600


def test_a_clock_that_ran_ahead_goes_on_from_there_and_rests_at_the_walls_pace(tmp_path, wall):
    resumption.keep(tmp_path, ManualClock(shown=[NOON + 7200]), wall)
    wall.advance(60)
    assert resumed(tmp_path, wall, speed=10).anchor_s == NOON + 7260
    assert resumed(tmp_path, wall).anchor_s == NOON + 7260


def test_a_clock_that_fell_behind_catches_up_with_the_wall(tmp_path, wall):
    resumption.keep(tmp_path, ManualClock(shown=[NOON - 7200]), wall)
    assert resumed(tmp_path, wall) == Clock()
    assert resumed(tmp_path, wall, speed=10).anchor_s == NOON


def test_what_is_kept_covers_the_time_until_it_is_kept_again(tmp_path, wall):
    fast = Clock(anchor_wall_s=0, anchor_s=1e9, speed=60)
    shown_s = fast.now_s() + 3 * 60  # three wall seconds later, and then it was killed
    resumption.keep(tmp_path, fast, Clock(), ahead_s=4)
    wall.shown[0] = Clock().now_s() + 3
    assert resumed(tmp_path, wall, speed=60).anchor_s >= shown_s


@pytest.mark.parametrize("left", [b"", b"{", b'{"wall_s": "soon"}'])
def test_a_broken_file_is_as_good_as_none(tmp_path, wall, left):
    (tmp_path / resumption.FILE).write_bytes(left)
    assert resumed(tmp_path, wall) == Clock()
