"""Pure: what is known of zones and lots, and how far it can be trusted.

Everything that shows a number (sign, page, API) shows one of these, from one mirror version.
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class Quality(StrEnum):
    """How far a number can be trusted, best first."""

    FRESH = "fresh"
    STALE = "stale"
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"


class Openness(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class ZoneState(msgspec.Struct, frozen=True):
    """One zone as of one mirror version.

    `counted` is what the sources add up to, occupied, before any correction and bound.
    `free` is None when quality is unknown; it is never negative and never above capacity.
    `as_of` is the measurement's time, or the receipt's where `received` is true.
    `band` is the half-width, in spaces, of what the truth may be off by (95 %).
    `why` is a short stable word (`ok`, `silent`, `gap`, `over_capacity`, `negative`, `frozen`,
    `disagree`, `clock_skew`, `never_heard`, `offline` (a camera said goodbye), `recovered` (Redis
    was lost, and passages with it), `closed` …) and `since` when the present quality began.
    """

    lot: str
    zone: str
    kind: str
    capacity: int
    free: int | None
    openness: Openness
    quality: Quality
    why: str
    since: datetime | None
    as_of: datetime | None
    received: bool = False
    band: int = 0
    public: bool = True
    counted: int | None = None


class LotState(msgspec.Struct, frozen=True):
    """One lot as of one mirror version: the sum over its public, open zones.

    `free` counts zones whose numbers may be shown; None when none may. `as_of` is the oldest
    measurement among the numbers summed, so that what is shown is never older than it says.
    `word` is when each of staff's corrections that hold was made: it differs where they spoke.
    """

    lot: str
    capacity: int
    free: int | None
    openness: Openness
    quality: Quality
    why: str
    as_of: datetime | None
    received: bool
    band: int
    zones: tuple[ZoneState, ...]
    version: int
    word: tuple[datetime, ...] = ()
