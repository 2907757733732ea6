"""Pure: what is asked of guidance and what it answers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from service.catalog import Name, Point
from service.occupancy.model import LotState, Openness, Quality


class Mirrored(Protocol):
    """What guidance reads occupancy from: `service.occupancy.mirror.Mirror`, or a still one."""

    @property
    def version(self) -> int: ...

    @property
    def states(self) -> Mapping[str, LotState]: ...

    def watch(self, wake: Callable[[frozenset[str]], None]) -> Callable[[], None]: ...

    async def loaded(self) -> None: ...


class Needs(msgspec.Struct, frozen=True):
    """What a driver needs. `stay_minutes` prices the stay; heights in metres."""

    ev: bool = False
    accessible: bool = False
    height_m: float | None = None
    max_price_fen: int | None = None
    stay_minutes: int = 120


class Request(msgspec.Struct, frozen=True):
    """From `origin` (a sign or the phone) to the door of `destination`, if one is named."""

    origin: Point
    destination: Point | None = None
    needs: Needs = Needs()
    limit: int = 10


class Choice(msgspec.Struct, frozen=True):
    """One lot in a ranking, with everything that a page shows of it.

    `free` is what is counted there now, `on_the_way` the guided cars not yet arrived, `expected`
    what should be left on arrival. `price_fen` is for the stay that was asked about. `score_s` is
    the cost in seconds that the ranking sorts by. `why` is one short sentence.
    """

    lot: str
    name: Name
    position: Point
    score_s: float
    drive_s: float
    walk_s: float
    distance_m: float
    price_fen: int
    free: int | None
    capacity: int
    expected: float | None
    on_the_way: int
    openness: Openness
    quality: Quality
    as_of: datetime | None
    received: bool
    why: Name


class Ranking(msgspec.Struct, frozen=True):
    """Best first; lots that cannot be recommended (unknown, full, closed) come last and say so.

    `travel` is where drive times come from: `straight_line` (× detour), `roads` (a routing
    service) or `straight_line_fallback` (it was asked and did not answer in time).
    """

    version: int
    at: datetime
    choices: tuple[Choice, ...]
    travel: str = "straight_line"


class FrameLine(msgspec.Struct, frozen=True):
    """One lot's line on a panel. state: free | few | full | closed | unknown.

    `value` is what stands in the number field: digits, 满, 关闭 or `--`.
    """

    lot: str
    name: Name
    value: str
    state: str
    arrow: str
    as_of: datetime | None


class Frame(msgspec.Struct, frozen=True):
    """What a sign shows. `lease_s` is what remained of the lease when it was composed or served.

    After `lease_until` the panel shows `--`. `revision` grows with every changed frame of a sign;
    `snapshot` is the mirror version it was composed from.
    """

    sign: str
    level: int
    revision: int
    snapshot: int
    composed_at: datetime
    lease_until: datetime
    lease_s: float
    lines: tuple[FrameLine, ...]


class Shown(msgspec.Struct, frozen=True):
    """A panel's answer on `bowei/signs/{sign}/shown`: what became of a frame.

    state: shown | failed (then `reason` says why, in a short word).
    """

    revision: int
    state: str = "shown"
    reason: str | None = None
