"""The table of a session's life."""

import pytest

from service.settlement.session import DONE, TRANSITIONS, Event, Impossible, State, after, can


def test_every_state_has_a_row_and_every_row_leads_somewhere_known():
    assert set(TRANSITIONS) == set(State)
    for events in TRANSITIONS.values():
        assert set(events.values()) <= set(State)


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([Event.EXIT, Event.PRICE, Event.OWE, Event.CHARGE, Event.PAY], State.PAID),
        ([Event.EXIT, Event.WAIVE], State.FREE),
        ([Event.HOLD, Event.HOLD, Event.PAY, Event.EXIT], State.PAID),
        ([Event.HOLD, Event.EXIT, Event.PRICE, Event.OWE], State.OWED),
        ([Event.ENTER_AGAIN, Event.EXIT], State.EXITED),
        ([Event.TURN_BACK], State.TURNED_BACK),
        ([Event.EXIT, Event.PRICE, Event.TURN_BACK], State.ENTERED),
        (
            [Event.EXIT, Event.PRICE, Event.OWE, Event.CHARGE, Event.DECLINE, Event.CHARGE,
             Event.GIVE_UP, Event.PAY],
            State.RECOVERED,
        ),
        (
            [Event.EXIT, Event.PRICE, Event.OWE, Event.GIVE_UP, Event.WRITE_OFF],
            State.WRITTEN_OFF,
        ),
    ],
)  # fmt: skip
def test_lives(events, ends):
    assert after(State.ENTERED, *events) is ends


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.PAID, Event.PAY),
        (State.PAID, Event.TURN_BACK),
        (State.OWED, Event.TURN_BACK),
        (State.ENTERED, Event.PAY),
        (State.CHARGING, Event.CHARGE),
        (State.EXITED, Event.OWE),
        (State.WRITTEN_OFF, Event.PAY),
    ],
)
def test_what_is_not_listed_is_refused(state, event):
    assert not can(state, event)
    with pytest.raises(Impossible) as refused:
        after(state, event)
    assert (refused.value.state, refused.value.event) == (state, event)


def test_every_state_but_the_done_ones_can_reach_its_end():
    def reachable(state: State, seen: frozenset) -> set:
        found = {state}
        for following in TRANSITIONS[state].values():
            if following not in seen:
                found |= reachable(following, seen | {following})
        return found

    for state in State:
        assert reachable(state, frozenset({state})) & DONE
