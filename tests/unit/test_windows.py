"""Shared zones are open by local time windows."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from service.catalog import Window
from service.occupancy.windows import is_open, next_change

HERE = ZoneInfo("Asia/Shanghai")
OFFICE = Window(time(8, 30), time(17, 30), (1, 2, 3, 4, 5))
NIGHT = Window(time(22), time(7), (6, 7))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """2 March 2026 is a Monday."""
    return datetime(2026, 3, day, hour, minute, tzinfo=HERE)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(2, 8, 29), False),
        (at(2, 8, 30), True),
        (at(2, 17, 29), True),
        (at(2, 17, 30), False),
        (at(7, 12), False),  # Saturday noon
        (at(7, 22), True),
        (at(8, 6, 59), True),  # Saturday's night runs into Sunday
        (at(8, 7), False),
        (at(9, 6, 59), True),  # Sunday's into Monday
        (at(7, 6), False),  # Friday has no night
    ],
)
def test_windows_by_day_and_past_midnight(moment: datetime, expected: bool) -> None:
    assert is_open((OFFICE, NIGHT), moment) is expected


def test_no_windows_means_always() -> None:
    assert is_open((), at(2, 3))
    assert next_change((), at(2, 3)) is None


def test_the_next_change_is_the_edge_that_changes_something() -> None:
    windows = (OFFICE, Window(time(10), time(18), (1,)))
    assert next_change(windows, at(2, 9)) == at(2, 18)
    assert next_change(windows, at(2, 18)) == at(3, 8, 30)
    assert next_change((OFFICE, NIGHT), at(6, 17, 30)) == at(7, 22)


def test_around_the_clock_never_changes() -> None:
    assert next_change((Window(time(0), time(0)),), at(2, 9)) is None
