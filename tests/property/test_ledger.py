"""Money against a plain model: whatever happens to a bill, the books balance."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settlement import ledger
from service.settlement.session import TRANSITIONS, Event, State

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
amounts = st.integers(1, 10**9)


@given(st.data(), amounts, st.lists(amounts, max_size=3))
def test_an_open_bill_is_what_the_receivable_says(data, amount_fen, extra):
    """Walk a session at random; post what each event posts; compare with the state it ends in."""
    state, postings = State.EXITED, []
    for _ in range(data.draw(st.integers(0, 12))):
        events = [one for one in TRANSITIONS[state] if one is not Event.TURN_BACK]
        if not events:
            break
        event = data.draw(st.sampled_from(events))
        if event is Event.OWE or (event is Event.PAY and state is State.PRICED):
            postings.append(ledger.owed("s", "lot", amount_fen, AT))
        if event is Event.PAY:
            postings.append(ledger.paid("s", "sandbox", amount_fen, AT))
        if event is Event.WRITE_OFF:
            postings.append(ledger.written_off("s", amount_fen, AT))
        state = TRANSITIONS[state][event]
    for at, fen in enumerate(extra):
        postings.append(ledger.overpaid("s", f"s-{at}", "sandbox", fen, AT))
    books = ledger.balances(postings)
    assert sum(books.values()) == 0
    open_states = {State.OWED, State.CHARGING, State.RETRY, State.ARREARS}
    assert books.get("receivable", 0) == (amount_fen if state in open_states else 0)
    earned = amount_fen if state in open_states | {
        State.PAID, State.RECOVERED, State.WRITTEN_OFF} else 0  # fmt: skip
    assert books.get("revenue:lot", 0) == -earned
    held = amount_fen if state in {State.PAID, State.RECOVERED} else 0
    assert books.get("provider:sandbox", 0) == held + sum(extra)
    assert books.get("overpaid", 0) == -sum(extra)


@given(amounts)
def test_a_posting_under_the_same_key_is_the_same_or_told_apart(amount_fen):
    one = ledger.owed("s", "lot", amount_fen, AT)
    assert ledger.same(one, ledger.owed("s", "lot", amount_fen, AT.replace(hour=9)))
    assert not ledger.same(one, ledger.owed("s", "lot", amount_fen + 1, AT))
    assert not ledger.same(one, msgspec.structs.replace(one, credit="revenue:other"))


@pytest.mark.parametrize(
    "change", [{"amount_fen": 0}, {"amount_fen": -1}, {"credit": "receivable"}]
)
def test_a_posting_that_moves_nothing_is_no_posting(change):
    one = ledger.owed("s", "lot", 1, AT)
    with pytest.raises(ValueError, match="positive amount"):
        msgspec.structs.replace(one, **change)
