"""Whatever lots do, a panel never shows what is not so, nor for longer than it may."""

from datetime import timedelta

from guidance_parts import START, lot_state
from hypothesis import given
from hypothesis import strategies as st

from service.catalog import Name, Point, Sign
from service.guidance.frame import Listed, Manner, Memory, compose
from service.occupancy.model import LotState, Openness, Quality

SIGN = Sign("s", "site", Name("屏", "Sign"), Point(30, 120), 2, ("a", "b"), lease_s=120)
LISTED = {lot: Listed(Name(lot, lot), fresh_for_s=180) for lot in "ab"}
MANNER = Manner(hold_s=60, hysteresis=2)
CAPACITY = 40

steps = st.lists(
    st.tuples(
        st.floats(0, 70),
        st.sampled_from("ab"),
        st.integers(0, CAPACITY) | st.none(),
        st.sampled_from([Quality.FRESH, Quality.FRESH, Quality.STALE, Quality.UNVERIFIED]),
        st.sampled_from([Openness.OPEN, Openness.OPEN, Openness.OPEN, Openness.CLOSED]),
        st.floats(0, 170),
        st.booleans(),
    ),
    max_size=40,
)


@given(steps)
def test_a_panel_never_shows_what_is_not_so(told: list[tuple]) -> None:
    now_s, memory = START.timestamp(), Memory()
    states: dict[str, LotState] = {}
    seen: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    for wait_s, lot, free, quality, openness, age_s, renew in told:
        now_s += wait_s
        at = START + timedelta(seconds=now_s - START.timestamp())
        states[lot] = lot_state(
            lot, free, capacity=CAPACITY, quality=quality if free is not None else Quality.UNKNOWN,
            openness=openness, as_of=at - timedelta(seconds=age_s),
        )  # fmt: skip
        if free is not None:
            seen[lot].append((now_s, free))
        composed = compose(SIGN, "ab", LISTED, states, memory, now_s, MANNER, renew=renew)
        again = compose(SIGN, "ab", LISTED, states, composed.memory, now_s, MANNER)
        assert again.lines == composed.lines, "looking twice changes nothing"
        assert now_s <= composed.lease_until_s <= now_s + SIGN.lease_s
        assert now_s <= composed.due_s <= composed.lease_until_s
        for line in composed.lines:
            _true(line.value, states.get(line.lot), seen[line.lot], now_s)
        memory = composed.memory


def _true(value: str, state: LotState | None, seen: list[tuple[float, int]], now_s: float) -> None:
    if value == "关闭":
        assert state is not None
        assert state.openness is Openness.CLOSED
    elif value == "满":
        assert state is not None
        assert state.free is not None
        assert state.free <= MANNER.hysteresis
    elif value == "--":
        known = state is not None and state.free is not None
        assert not known or state.quality is not Quality.FRESH
    else:
        assert state is not None
        assert state.openness is Openness.OPEN
        assert state.free, "a full or unknown lot shows no digits"
        lately = [free for at_s, free in seen if at_s >= now_s - SIGN.lease_s]
        assert int(value) in lately or int(value) == seen[-1][1]
