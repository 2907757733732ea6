"""Pure: a vehicle that had passed went back: what its passage began is undone, while it can be."""

from datetime import timedelta

from service.settlement.book import Book
from service.settlement.model import Record, Seen, Session
from service.settlement.passing import Passing, answer, changed, only, seen, trouble, within
from service.settlement.session import Event, State, after, can

BACK = "~back"  # the event id speaks of the earlier passage: this one needs a name of its own
_MARGIN_S = 5.0  # the collector must not be taking the session at the same moment


def turn_back(book: Book, passing: Passing) -> Record:
    """Undo the passage that `passing` speaks of."""
    first = _first(book, passing)
    stay = book.sessions.get(first.session or "") if first is not None else None
    if first is None or stay is None:
        return only(passing, "turned_back")
    if not can(stay.state, Event.TURN_BACK) or not _in_time(stay, passing):
        late = trouble(passing, "turned_back_late", session=stay.id)
        return only(passing, "turned_back", late, session=stay.id)
    state = after(stay.state, Event.TURN_BACK)
    undone = changed(
        stay, passing.received_at, state=state, left_at=None, exit_lane=None, next_at=None
    )
    said = answer("turned_back", live=passing.live, session=stay.id)
    return Record(seen(passing, said), (undone,))


def _first(book: Book, passing: Passing) -> Seen | None:
    """The passage that is taken back: by its event, else the camera's last of that plate."""
    named = book.seen.get((passing.camera, passing.event_id.removesuffix(BACK)))
    if named is not None:
        return named
    if passing.plate is None:
        return None
    earliest = passing.at - timedelta(seconds=passing.policy.settle_after_s)
    for one in reversed(book.seen.values()):
        if one.received_at < earliest:
            return None
        if one.camera == passing.camera and one.plate_key == passing.plate_key:
            return one
    return None


def _in_time(stay: Session, passing: Passing) -> bool:
    limit_s = passing.policy.settle_after_s - _MARGIN_S
    if stay.state is State.ENTERED:
        return within(stay.entered_at, passing.at, limit_s)
    return stay.left_at is not None and within(stay.changed_at, passing.received_at, limit_s)
