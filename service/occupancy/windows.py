"""Pure: when a shared zone is open, by its local time windows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.catalog import Window

LOOK_AHEAD_DAYS = 8


def is_open(windows: Sequence[Window], local: datetime) -> bool:
    """Whether a window is open at `local`, a local time; no windows means always."""
    return not windows or any(_contains(window, local) for window in windows)


def next_change(windows: Sequence[Window], local: datetime) -> datetime | None:
    """When `is_open` changes next, as a local time; None where it does not within a week."""
    if not windows:
        return None
    now_open = is_open(windows, local)
    edges = set()
    for ahead in range(-1, LOOK_AHEAD_DAYS):
        day = local.date() + timedelta(days=ahead)
        for window in windows:
            edges.add(datetime.combine(day, window.from_, local.tzinfo))
            edges.add(datetime.combine(day, window.until, local.tzinfo))
    for edge in sorted(edges):
        if edge > local and is_open(windows, edge) != now_open:
            return edge
    return None


def _contains(window: Window, local: datetime) -> bool:
    now = local.time().replace(tzinfo=None)
    today = local.isoweekday() in window.days
    if window.from_ < window.until:
        return today and window.from_ <= now < window.until
    yesterday = (local - timedelta(days=1)).isoweekday() in window.days
    return (today and now >= window.from_) or (yesterday and now < window.until)
