"""Pure: one passage, one record: what it changes and what the gate is told."""

import msgspec

from service.settlement.book import Book
from service.settlement.entry import enter
from service.settlement.exit import leave, pair
from service.settlement.model import Record
from service.settlement.passing import Passing, only, trouble
from service.settlement.turn_back import turn_back


def decide(book: Book, passing: Passing, *, turned_back: bool = False) -> Record:
    """Decide from memory; `book` itself is left as it was, `Book.take` makes it remember."""
    if turned_back:
        return turn_back(book, passing)
    if passing.plate is None:
        return _unread(passing)
    record = enter(book, passing) if passing.direction == "in" else leave(book, passing)
    if passing.fake_plate:
        # Cameras are often wrong about it: the car is treated as any other, and looked at.
        doubt = trouble(passing, "fake_plate", session=record.seen.session)
        return msgspec.structs.replace(record, troubles=(*record.troubles, doubt))
    return record


def _unread(passing: Passing) -> Record:
    """A vehicle without a plate: nobody is kept in at a lot that lets everybody leave first."""
    entering = passing.direction == "in"
    opens = (passing.leave_first and passing.policy.unread_opens) or passing.on_duty
    reason = "unread" if opens else "operator"
    return only(passing, reason, trouble(passing, "unread_entry" if entering else "unread_exit"))


def undecided(passing: Passing) -> Record:
    """What is recorded when a decision failed: the car goes, a person looks."""
    return only(passing, "on_duty", trouble(passing, "undecided"))


__all__ = ["decide", "pair", "undecided"]
