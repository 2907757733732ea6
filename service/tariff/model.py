"""Pure: what a tariff is, as data. Amounts are integer fen, durations whole minutes."""

from datetime import time

import msgspec


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds between two local times of day (`until` at or before `from_` runs past midnight).

    Either metered: the first `first_minutes` cost `first_fee_fen`, then each `unit_minutes` costs
    `unit_fee_fen`; or `visit_fee_fen` once for every window of the band that the stay touches (for
    a band of the whole day: every calendar day).
    `rounding`: up (a started unit counts) | down (an incomplete unit is free) | exact (pro rata).
    `restarts`: whether every window begins with the first minutes again, or the metering goes on
    where the stay's last window of this band left it. `days` are the ISO weekdays (1 = Monday) on
    which a window begins. A unit never reaches over the border of its window (the metered windows
    of a band of the whole day are one); what no band covers is free.
    """

    from_: time = msgspec.field(name="from", default=time(0))
    until: time = time(0)
    first_minutes: int = 0
    first_fee_fen: int = 0
    unit_minutes: int = 60
    unit_fee_fen: int = 0
    visit_fee_fen: int | None = None
    rounding: str = "up"
    restarts: bool = True
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)

    def __post_init__(self) -> None:
        if self.rounding not in ("up", "down", "exact"):
            raise ValueError("rounding is up, down or exact")
        if self.unit_minutes < 1 or self.first_minutes < 0:
            raise ValueError("unit_minutes is at least 1, first_minutes at least 0")
        if min(self.first_fee_fen, self.unit_fee_fen, self.visit_fee_fen or 0) < 0:
            raise ValueError("a fee is never negative")
        if not set(self.days) <= set(range(1, 8)):
            raise ValueError("days are ISO weekdays, 1 to 7")


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a lot's tariff.

    `free_minutes` is inclusive; `free_deducted` says whether a longer stay still has them free.
    `day_cap_fen` caps each local calendar day, `rolling_cap_fen` each 24 hours from entry; at most
    one of them is set. `new_energy_free_minutes` come off first for new-energy plates.
    `large_factor_percent` scales every fee and cap for large vehicles. `source` names the rule it
    follows; `approximate` says it is our reading.
    """

    id: str
    version: str
    bands: tuple[Band, ...]
    free_minutes: int = 0
    free_deducted: bool = False
    day_cap_fen: int | None = None
    rolling_cap_fen: int | None = None
    new_energy_free_minutes: int = 0
    large_factor_percent: int = 100
    currency: str = "CNY"
    source: str = ""
    approximate: bool = False

    def __post_init__(self) -> None:
        if self.day_cap_fen is not None and self.rolling_cap_fen is not None:
            raise ValueError("set day_cap_fen or rolling_cap_fen, not both")
        caps = (self.day_cap_fen or 0, self.rolling_cap_fen or 0)
        if min(self.free_minutes, self.new_energy_free_minutes, *caps) < 0:
            raise ValueError("minutes and caps are never negative")
        if self.large_factor_percent < 0:
            raise ValueError("large_factor_percent is never negative")


class Line(msgspec.Struct, frozen=True):
    """One line of a fee that a person can read: what, how long, how much (may be negative)."""

    zh: str
    en: str
    minutes: int
    amount_fen: int


class Quote(msgspec.Struct, frozen=True):
    """A priced stay: the lines add up to `total_fen`, which is never negative."""

    tariff: str
    version: str
    minutes: int
    total_fen: int
    lines: tuple[Line, ...]
    currency: str = "CNY"
