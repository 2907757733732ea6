"""Pure: double entry in integer fen. A posting moves one amount from one account to another.

    receivable        what drivers owe us            provider:<name>   what a provider holds for us
    revenue:<lot>     what a lot earned              overpaid          what we owe back to drivers
    bad_debt          what was written off

A posting's id is its idempotency key, made from the session (or from the provider's order where the
money belongs to no open bill): posting the same twice is one posting, posting something else under
the same id raises. Corrections are new postings; nothing is changed or removed. No plate stands in
the ledger.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

RECEIVABLE = "receivable"
OVERPAID = "overpaid"
BAD_DEBT = "bad_debt"


class Posting(msgspec.Struct, frozen=True):
    """`amount_fen` (above zero) moves: `debit` grows by it, `credit` shrinks by it."""

    id: str
    session: str
    kind: str
    debit: str
    credit: str
    amount_fen: int
    posted_at: datetime

    def __post_init__(self) -> None:
        if self.amount_fen <= 0 or self.debit == self.credit:
            raise ValueError("a posting moves a positive amount between two accounts")


class Conflict(Exception):  # noqa: N818 - it names an outcome, not a fault
    """The same posting id with other contents."""

    def __init__(self, posting: str) -> None:
        super().__init__(f"posting {posting} exists with other contents")
        self.posting = posting


def owed(session: str, lot: str, amount_fen: int, at: datetime) -> Posting:
    return Posting(f"{session}:owed", session, "owed", RECEIVABLE, f"revenue:{lot}", amount_fen, at)


def paid(session: str, provider: str, amount_fen: int, at: datetime) -> Posting:
    """A bill is paid once; whatever comes beyond it is `overpaid`."""
    return Posting(
        f"{session}:paid", session, "paid", f"provider:{provider}", RECEIVABLE, amount_fen, at
    )


def overpaid(session: str, order_no: str, provider: str, amount_fen: int, at: datetime) -> Posting:
    """Money that came for a bill that was settled already, or beyond its amount."""
    holder = f"provider:{provider}"
    return Posting(f"{order_no}:overpaid", session, "overpaid", holder, OVERPAID, amount_fen, at)


def written_off(session: str, amount_fen: int, at: datetime) -> Posting:
    return Posting(
        f"{session}:written_off", session, "written_off", BAD_DEBT, RECEIVABLE, amount_fen, at
    )


def same(one: Posting, other: Posting) -> bool:
    """Whether two postings under one id say the same; when it was said does not matter."""
    return msgspec.structs.replace(one, posted_at=other.posted_at) == other


def balances(postings: Iterable[Posting]) -> dict[str, int]:
    """Each account's balance (debits less credits); over all accounts they add up to zero."""
    accounts: dict[str, int] = {}
    for one in postings:
        accounts[one.debit] = accounts.get(one.debit, 0) + one.amount_fen
        accounts[one.credit] = accounts.get(one.credit, 0) - one.amount_fen
    return accounts
