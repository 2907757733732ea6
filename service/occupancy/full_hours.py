"""Pure: when a lot stood full, told by its own count.

What comes and goes by chance wavers, as the root of how many came and went. What a full lot holds
does not: as soon as somebody leaves, the next comes in. A count that stays at its top while so many
come and go that chance would have carried it away is a full lot's, and tells what it should be.
"""

from typing import Generic, TypeVar

from service.occupancy.drift import Tally

Kept = TypeVar("Kept")

LONG_S = 2700.0
NEAR_SHARE = 0.01
STRAYS = 3.5  # by how many times the range chance should have carried it away


class FullHours(Generic[Kept]):
    """One day at a time: `begin` it at the nightly low. `Kept` goes with each tally."""

    def __init__(self, capacity: int) -> None:
        self._near = 1.0 + NEAR_SHARE * capacity
        self._busy = (STRAYS * self._near) ** 2
        self.begin()

    def begin(self) -> None:
        self._top: float | None = None
        self._at_top: Kept | None = None
        self._last: Tally | None = None
        self._near_s = self._near_passages = 0.0

    def seen(self, now: Tally, occupied: float, kept: Kept) -> Kept | None:
        """Take the corrected count; returns what was kept at the top once the lot has been full."""
        last, self._last = self._last, now
        if self._top is None or occupied > self._top:
            if self._top is None or occupied > self._top + self._near:
                self._near_s = self._near_passages = 0.0
            self._top, self._at_top = occupied, kept
        if last is None or occupied < self._top - self._near:
            return None
        self._near_s += now.at_s - last.at_s
        self._near_passages += now.passages - last.passages
        if self._near_s < LONG_S or self._near_passages < self._busy:
            return None
        top = self._at_top
        self._top, self._at_top = occupied, kept
        self._near_s = self._near_passages = 0.0
        return top
