"""Pure: a vehicle drives in. It is never stopped for what it owes; what does not fit is listed."""

import msgspec

from service.settlement.book import Book, Orphan
from service.settlement.exit import let_out
from service.settlement.model import Record, Session, Trouble
from service.settlement.passing import (
    Passing,
    answer,
    changed,
    missing_exit,
    new_session,
    only,
    seen,
    trouble,
    within,
)
from service.settlement.session import INSIDE, Event, State, after


def enter(book: Book, passing: Passing) -> Record:
    """Begin a session, or say why none begins."""
    stays = book.stays(passing.lot.id, passing.plate_key)
    again = next((one for one in stays if _same_car(one, passing)), None)
    if again is not None:
        return only(passing, "welcome", session=again.id)
    if any(_covers(one, passing) for one in stays):
        return only(passing, "overlap", trouble(passing, "overlap"))
    session = new_session(passing)
    later = [one for one in stays if one.entered_at > passing.at]
    orphan = _orphan(book, passing, later)
    if orphan is not None:
        return _with_exit(book, passing, session, orphan)
    if later:
        # A late report: the plate has come in again since, so this stay ended unseen.
        return _unseen_exit(passing, session)
    return _begin(book, passing, session, [one for one in stays if one.state in INSIDE])


def _same_car(stay: Session, passing: Passing) -> bool:
    return stay.state in INSIDE and within(
        stay.entered_at, passing.at, passing.policy.same_car_within_s
    )


def _covers(stay: Session, passing: Passing) -> bool:
    """Whether the stay had begun before and ended after this entry: one of the two is misread."""
    return stay.left_at is not None and stay.entered_at < passing.at < stay.left_at


def _orphan(book: Book, passing: Passing, later: list[Session]) -> Orphan | None:
    """The exit that was heard of before this entry: the first one after it."""
    limit = later[0].entered_at if later else None
    for one in book.orphans_of(passing.lot.id, passing.plate_key):
        left_at = one.seen.passed_at
        if left_at >= passing.at and (limit is None or left_at <= limit):
            return one
    return None


def _with_exit(book: Book, passing: Passing, session: Session, orphan: Orphan) -> Record:
    out = let_out(book, passing, session, orphan.seen.passed_at, orphan.seen.lane)
    said = answer("welcome", live=passing.live, session=session.id)
    return Record(
        seen(passing, said),
        (session, out.session),
        (out.bill,) if out.bill else (),
        out.troubles,
        ((orphan.trouble, "entry came late"),),
    )


def _unseen_exit(passing: Passing, session: Session) -> Record:
    missing = missing_exit(passing, session.id)
    state = after(session.state, Event.ENTER_AGAIN)
    said = answer("welcome", live=passing.live, session=session.id)
    return Record(
        seen(passing, said),
        (msgspec.structs.replace(session, state=state, next_at=None),),
        troubles=(missing,),
    )


def _begin(book: Book, passing: Passing, session: Session, open_stays: list[Session]) -> Record:
    sessions: list[Session] = [session]
    troubles: list[Trouble] = []
    for stay in open_stays:
        state = after(stay.state, Event.ENTER_AGAIN)
        # Held and prepaid cars left through a gate opened by hand; their bill stands.
        next_at = passing.received_at if state is State.EXITED else None
        sessions.append(changed(stay, passing.received_at, state=state, next_at=next_at))
        if state is State.MISSING_EXIT:
            troubles.append(missing_exit(passing, stay.id))
    twin = book.elsewhere(passing.lot.id, passing.plate_key)
    if twin is not None:
        troubles.append(trouble(passing, "two_places", session=session.id, proposed=twin.id))
    said = answer("welcome", live=passing.live, session=session.id)
    return Record(seen(passing, said), tuple(sessions), troubles=tuple(troubles))
