"""Pure: what happens when, on one heap; equal times keep the order they were planned in."""

import heapq
from collections.abc import Callable
from typing import Any

Action = Callable[..., None]


class Agenda:
    """The one timeline of a world: actions by POSIX second, run in order."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self._planned: list[tuple[float, int, Action, tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when_s: float, action: Action, *what: Any) -> None:
        """Plan `action(*what)`; a time that has passed means next."""
        self._count += 1
        heapq.heappush(self._planned, (max(when_s, self.now_s), self._count, action, what))

    def after(self, wait_s: float, action: Action, *what: Any) -> None:
        self.at(self.now_s + wait_s, action, *what)

    @property
    def next_s(self) -> float | None:
        return self._planned[0][0] if self._planned else None

    def run(self, until_s: float) -> None:
        """Do everything planned up to and including `until_s`; the time is then `until_s`."""
        planned = self._planned
        while planned and planned[0][0] <= until_s:
            when_s, _, action, what = heapq.heappop(planned)
            self.now_s = when_s
            action(*what)
        self.now_s = max(self.now_s, until_s)
