"""A run's clock over restarts: it never goes back, however fast it ran and however it ended."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from service.clock import Clock, clock_from

FILE = "clock.json"
KEEP_EVERY_S = 2.0
DAY = timedelta(days=1)


class Kept(msgspec.Struct, frozen=True):
    """At wall second `wall_s` the clock had shown at most `shown_s`."""

    wall_s: float
    shown_s: float


def resume(state: Path, wall: Clock, *, speed: float, at: time | None, zone: str) -> Clock:
    """The clock a run starts with, never behind what the last one in `state` showed.

    `at` is a local time of day in `zone`: today's by the wall, or the first one that the last run
    had not reached yet; without it the clock starts with the wall's time or where it stood.
    """
    now_s = wall.now_s()
    floor_s = _floor_s(state, now_s)
    if at is None:
        if now_s >= floor_s and speed == 1:
            return Clock()
        return clock_from(datetime.fromtimestamp(max(now_s, floor_s), UTC), speed)
    start = datetime.fromtimestamp(now_s, ZoneInfo(zone))
    start = start.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    while start.timestamp() < floor_s:
        start += DAY
    return clock_from(start.astimezone(UTC), speed)


def _floor_s(state: Path, now_s: float) -> float:
    try:
        kept = msgspec.json.decode((state / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return 0.0
    # While nothing ran, time went on at the wall's pace.
    return kept.shown_s + max(0.0, now_s - kept.wall_s)


def keep(state: Path, clock: Clock, wall: Clock, *, ahead_s: float = 0.0) -> None:
    """Write down what the clock shows at most within `ahead_s` wall seconds from now."""
    shown_s = clock.now_s() + ahead_s * max(0.0, clock.speed - 1)
    part = state / f"{FILE}.part"
    part.write_bytes(msgspec.json.encode(Kept(wall.now_s(), shown_s)))
    part.replace(state / FILE)


async def keep_on(state: Path, clock: Clock, wall: Clock) -> None:
    """Keep it until cancelled, far enough ahead that a kill in between loses nothing."""
    try:
        while True:
            keep(state, clock, wall, ahead_s=2 * KEEP_EVERY_S)
            await asyncio.sleep(KEEP_EVERY_S)
    finally:
        keep(state, clock, wall)
