"""Pure: the busiest hour of a day, as a counter has it.

Like days fill a lot alike, and one that fills up entirely stands at the same number every time. How
alike they are is learned (`CounterFilter.like_hour`): where days differ, it tells little.
"""

from service.occupancy.drift import Tally

BUSIEST_S = 3600.0


class BusyHours:
    """One day at a time."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, Tally]] = []
        self._last_s: float | None = None
        self._every_s = 300.0

    def seen(self, now: Tally, occupied: float) -> None:
        """Take the corrected count of one look."""
        if self._last_s is not None:
            self._every_s = max(now.at_s - self._last_s, 1.0)
        self._last_s = now.at_s
        self._looks.append((occupied, now))

    def end(self) -> Tally | None:
        """The mean tally of the busiest hour since the day began, if there was a whole one."""
        looks, self._looks = self._looks, []
        count = max(int(BUSIEST_S / self._every_s), 1)
        if len(looks) < 6 * count:
            return None
        top = sorted(looks, key=lambda look: look[0])[-count:]
        return Tally(
            max(tally.at_s for _, tally in top),
            sum(tally.entered for _, tally in top) / count,
            sum(tally.left for _, tally in top) / count,
        )
