"""Pure: the life of one parking session, as one table; what it does not list changes nothing.

    entered ─ exited ─ priced ─ owed ─ charging ─ paid
                         │        │        ├ retry ─ … ─ arrears ─ recovered | written_off
                         │        │        └ arrears
                         └ free   └ paid (by the driver, on the bill page)

`priced`: the bill is drawn up; a turn-back may still undo it. `owed`: it stands in the ledger.
`held`: asked to pay at the gate and not out yet; `prepaid`: paid there, about to leave.
`charging` lasts while the provider's word is outstanding, an unknown outcome included.
"""

from enum import StrEnum


class State(StrEnum):
    ENTERED = "entered"
    TURNED_BACK = "turned_back"
    MISSING_EXIT = "missing_exit"
    HELD = "held"
    PREPAID = "prepaid"
    EXITED = "exited"
    PRICED = "priced"
    FREE = "free"
    OWED = "owed"
    CHARGING = "charging"
    RETRY = "retry"
    PAID = "paid"
    ARREARS = "arrears"
    RECOVERED = "recovered"
    WRITTEN_OFF = "written_off"


class Event(StrEnum):
    EXIT = "exit"
    TURN_BACK = "turn_back"
    ENTER_AGAIN = "enter_again"
    HOLD = "hold"
    PRICE = "price"
    WAIVE = "waive"
    OWE = "owe"
    CHARGE = "charge"
    PAY = "pay"
    DECLINE = "decline"
    GIVE_UP = "give_up"
    WRITE_OFF = "write_off"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.ENTERED: {
        Event.EXIT: State.EXITED,
        Event.HOLD: State.HELD,
        Event.TURN_BACK: State.TURNED_BACK,
        Event.ENTER_AGAIN: State.MISSING_EXIT,
    },
    State.MISSING_EXIT: {Event.EXIT: State.EXITED},
    State.HELD: {
        Event.HOLD: State.HELD,
        Event.PAY: State.PREPAID,
        Event.EXIT: State.EXITED,
        Event.TURN_BACK: State.ENTERED,
        Event.ENTER_AGAIN: State.EXITED,
    },
    State.PREPAID: {Event.EXIT: State.PAID, Event.ENTER_AGAIN: State.PAID},
    State.EXITED: {Event.PRICE: State.PRICED, Event.WAIVE: State.FREE},
    State.PRICED: {
        Event.OWE: State.OWED,
        Event.PAY: State.PAID,
        Event.TURN_BACK: State.ENTERED,
    },
    State.FREE: {Event.TURN_BACK: State.ENTERED},
    State.OWED: {
        Event.CHARGE: State.CHARGING,
        Event.PAY: State.PAID,
        Event.GIVE_UP: State.ARREARS,
    },
    State.CHARGING: {
        Event.PAY: State.PAID,
        Event.DECLINE: State.RETRY,
        Event.GIVE_UP: State.ARREARS,
    },
    State.RETRY: {
        Event.CHARGE: State.CHARGING,
        Event.PAY: State.PAID,
        Event.GIVE_UP: State.ARREARS,
    },
    State.ARREARS: {Event.PAY: State.RECOVERED, Event.WRITE_OFF: State.WRITTEN_OFF},
    State.TURNED_BACK: {},
    State.PAID: {},
    State.RECOVERED: {},
    State.WRITTEN_OFF: {},
}

INSIDE = frozenset({State.ENTERED, State.HELD, State.PREPAID})
UNPAID = frozenset(
    {State.HELD, State.PRICED, State.OWED, State.CHARGING, State.RETRY, State.ARREARS}
)
DONE = frozenset(state for state, events in TRANSITIONS.items() if not events) | {State.FREE}


class Impossible(Exception):  # noqa: N818 - it names an outcome, not a fault
    """An event that the table does not list for the state; nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event} while {state}")
        self.state = state
        self.event = event


def after(state: State, *events: Event) -> State:
    """The state after `events`; raises Impossible for the first that is not listed."""
    for event in events:
        following = TRANSITIONS[state].get(event)
        if following is None:
            raise Impossible(state, event)
        state = following
    return state


def can(state: State, event: Event) -> bool:
    return event in TRANSITIONS[state]
