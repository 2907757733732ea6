"""What settlement asks of whoever collects: a few calls, and a word for every way they may end.

Unanswered   the provider's word did not arrive: what became of the order is unknown, ask again
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class Unanswered(Exception):  # noqa: N818 - it names an outcome, not a fault
    """No usable answer; `reason` is a short stable word. The order may or may not be known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Order(msgspec.Struct, frozen=True):
    """What is asked for. `order_no` (at most 32 of `[0-9A-Za-z_-]`) names it at the provider."""

    order_no: str
    amount_fen: int
    currency: str
    lot: str
    plate: str | None
    plate_color: str
    entered_at: datetime
    left_at: datetime


class Word(StrEnum):
    """paid · pending · declined: perhaps later · refused: never by this way · absent: no order."""

    PAID = "paid"
    PENDING = "pending"
    DECLINED = "declined"
    REFUSED = "refused"
    ABSENT = "absent"


class Outcome(msgspec.Struct, frozen=True):
    """The provider's word on one order. `amount_fen` is what it took, where it took something."""

    order_no: str
    word: Word
    amount_fen: int | None = None
    reason: str | None = None
    provider_ref: str | None = None


class Notice(msgspec.Struct, frozen=True):
    """An outcome that the provider sent by itself; `notice_id` is the same on every repetition."""

    notice_id: str
    outcome: Outcome


class Acknowledgement(msgspec.Struct, frozen=True):
    """What a provider wants to read when it has told us something."""

    body: bytes
    content_type: str


class Provider(Protocol):
    """One who collects. Calls raise `Unanswered`; `notice` raises `Refused` for what is not his."""

    name: str
    acknowledgement: Acknowledgement

    async def enrolled(self, plate: str, plate_color: str) -> bool:
        """Whether a plate may leave first."""
        ...

    async def charge(self, order: Order) -> Outcome:
        """Take the money of the enrolled; the same order again is the same charge."""
        ...

    async def query(self, order_no: str) -> Outcome:
        """What became of an order."""
        ...

    async def checkout(self, order: Order, return_url: str) -> str:
        """Where the driver pays the order himself."""
        ...

    def notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Read what the provider sent; `now` is wall time. Errors: `Refused`."""
        ...

    async def close(self) -> None: ...
