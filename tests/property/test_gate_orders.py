"""However the lanes' journals arrive, the stays end as if every camera had been on line."""

from gate_scene import Scene
from hypothesis import given
from hypothesis import strategies as st

from service.settlement.session import State


@st.composite
def reports(draw):
    """(in order, as they came): stays of a few plates; lanes are late, but each keeps its order."""
    entries, exits = [], []
    for plate in ("浙A00001", "浙B00002", "浙C00003"):
        minute = draw(st.integers(0, 30))
        for _ in range(draw(st.integers(0, 4))):
            left = minute + draw(st.integers(2, 300))
            entries.append((minute, "in", plate))
            exits.append((left, "out", plate))
            minute = left + draw(st.integers(2, 300))
    entries, exits = sorted(entries), sorted(exits)
    arrived, waiting = [], [entries, exits]
    while any(waiting):
        lane = draw(st.sampled_from([one for one in waiting if one]))
        arrived.append(lane.pop(0))
    again = draw(st.lists(st.sampled_from(arrived), max_size=3)) if arrived else []
    return sorted(arrived), arrived + again


def _stays(passages) -> set:
    scene = Scene()
    told = set()
    for minute, direction, plate in passages:
        event = f"{minute}-{direction}-{plate}"
        if event in told:  # the gate answers a known event from memory
            continue
        told.add(event)
        scene.take(direction, minute, plate, event=event, live=False)
    return {
        (one.plate_key, one.entered_at, one.left_at, one.state, scene.book.bills[one.id].amount_fen)
        for one in scene.book.sessions.values()
    }


@given(reports())
def test_lanes_may_be_late_by_any_amount(reported):
    in_order, as_they_came = reported
    assert _stays(as_they_came) == _stays(in_order)


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["in", "out"]), st.booleans())))
def test_whatever_passes_no_stay_is_billed_twice_and_no_two_are_open(passages):
    """Any nonsense: a plate in and out at random, live or buffered."""
    scene = Scene()
    for at, (minute, direction, live) in enumerate(passages):
        scene.take(direction, minute, "浙A00001", event=str(at), live=live)
        stays = list(scene.book.sessions.values())
        assert sum(one.state is State.ENTERED for one in stays) <= 1
        assert len({one.id for one in stays}) == len(stays)
        assert set(scene.book.bills) <= {one.id for one in stays}
        for one in stays:
            assert one.left_at is None or one.left_at >= one.entered_at
            assert (one.id in scene.book.bills) == (one.state in (State.PRICED, State.FREE))
