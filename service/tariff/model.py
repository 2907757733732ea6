"""Pure: what a tariff is, as data. Amounts are integer fen, durations whole minutes."""

from datetime import time

import msgspec


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds between two local times of day (`until` at or before `from_` runs past midnight).

    Either metered: the first `first_minutes` cost `first_fee_fen`, then each started
    `unit_minutes` costs `unit_fee_fen`; or `visit_fee_fen` once per stay that touches the band's
    window. `rounding`: up (a started unit counts) | down (an incomplete unit is free).
    """

    from_: time = msgspec.field(name="from", default=time(0))
    until: time = time(0)
    first_minutes: int = 0
    first_fee_fen: int = 0
    unit_minutes: int = 60
    unit_fee_fen: int = 0
    visit_fee_fen: int | None = None
    rounding: str = "up"


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a lot's tariff.

    `free_minutes` is inclusive; `free_deducted` says whether a longer stay still has them free.
    `day_cap_fen` caps each local calendar day. `new_energy_free_minutes` come off first for
    new-energy plates. `source` names the rule it follows; `approximate` says it is our reading.
    """

    id: str
    version: str
    bands: tuple[Band, ...]
    free_minutes: int = 0
    free_deducted: bool = False
    day_cap_fen: int | None = None
    new_energy_free_minutes: int = 0
    large_factor_percent: int = 100
    currency: str = "CNY"
    source: str = ""
    approximate: bool = False


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
