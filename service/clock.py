"""The one clock: every age, lease, dwell and fee of a run reads it, so that they scale together.

A clock is three numbers: at wall second `anchor_wall_s` it showed `anchor_s`, and since then it has
run `speed` times as fast. Children are handed the same three numbers and so agree.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """Clock time as aware UTC or POSIX seconds; with equal anchors at speed 1 it is wall time."""

    anchor_wall_s: float = 0.0
    anchor_s: float = 0.0
    speed: float = 1.0

    def now_s(self) -> float:
        wall_s = time.time()  # noqa: TID251 - the one place that asks the machine
        return self.anchor_s + (wall_s - self.anchor_wall_s) * self.speed

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s(), UTC)

    def wall_s(self, duration_s: float) -> float:
        """How many wall seconds a clock duration takes."""
        return duration_s / self.speed

    async def sleep(self, duration_s: float) -> None:
        """Sleep for `duration_s` clock seconds."""
        await asyncio.sleep(self.wall_s(duration_s))

    def wall_time(self, moment: datetime) -> datetime:
        """When, on the wall, the clock will show or showed `moment`."""
        ahead_s = (moment.timestamp() - self.anchor_s) / self.speed
        return datetime.fromtimestamp(self.anchor_wall_s, UTC) + timedelta(seconds=ahead_s)


def clock_from(start: datetime | None, speed: float) -> Clock:
    """A clock that shows `start` now (wall time where None) and runs at `speed`."""
    wall_s = time.time()  # noqa: TID251
    return Clock(wall_s, start.timestamp() if start else wall_s, speed)


class ManualClock(Clock, frozen=True):
    """A clock that stands still until told: for tests and seeded simulations."""

    shown: list[float] = msgspec.field(default_factory=lambda: [0.0])

    def now_s(self) -> float:
        return self.shown[0]

    def advance(self, duration_s: float) -> None:
        self.shown[0] += duration_s
