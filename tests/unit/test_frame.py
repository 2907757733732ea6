"""What stands on a panel, line by line, as lots change and time passes."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import pytest
from guidance_parts import START, later, lot_state

from service.catalog import Name, Point, Sign
from service.guidance.frame import Composed, Listed, Manner, Memory, choose_rows, compose, same
from service.guidance.ranking import Tier
from service.occupancy.model import LotState, Openness, Quality

MANNER = Manner(hold_s=60, hysteresis=2)
LISTED = {lot: Listed(Name(lot, lot), fresh_for_s=180) for lot in "abcdef"}
NOW_S = START.timestamp()


def sign(lots: str = "a", *, level: int = 2, rows: int = 3) -> Sign:
    return Sign(
        "s", "site", Name("屏", "Sign"), Point(30, 120), level, tuple(lots), rows=rows,
        arrows={"a": "left"}, lease_s=120,
    )  # fmt: skip


class Panel:
    """One lot on one sign, told what happens second by second."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.composed: Composed | None = None

    def at(
        self,
        seconds: float,
        free: int | None,
        *,
        renew: bool = False,
        as_of: datetime | None = None,
        capacity: int = 100,
        quality: Quality = Quality.FRESH,
        openness: Openness = Openness.OPEN,
    ) -> str:
        state = lot_state(
            "a", free, capacity=capacity, quality=quality, openness=openness,
            as_of=as_of or later(seconds),
        )  # fmt: skip
        return self.see(seconds, state, renew=renew)

    def see(self, seconds: float, state: LotState | None, *, renew: bool = False) -> str:
        states = {} if state is None else {"a": state}
        self.composed = compose(
            sign(), "a", LISTED, states, self.memory, NOW_S + seconds, MANNER, renew=renew
        )
        self.memory = self.composed.memory
        return self.composed.lines[0].value

    @property
    def lease_s(self) -> float:
        assert self.composed is not None
        return self.composed.lease_until_s - NOW_S


def test_what_each_state_says() -> None:
    panel = Panel()
    assert panel.at(0, 50) == "50"
    assert panel.at(1, 0) == "满"
    assert panel.at(2, None, quality=Quality.UNKNOWN) == "--"
    assert panel.at(3, 50, openness=Openness.CLOSED) == "关闭"
    assert panel.see(4, None) == "--"
    assert panel.at(5, 7) == "7"
    assert panel.composed is not None
    line = panel.composed.lines[0]
    assert (line.state, line.arrow, line.as_of) == ("few", "left", later(5))


def test_full_stands_until_there_is_room_to_spare() -> None:
    panel = Panel()
    shown = [panel.at(second, free) for second, free in enumerate((3, 0, 1, 2, 3, 2, 1, 0))]
    assert shown == ["3", "满", "满", "满", "3", "2", "1", "满"]


def test_few_stands_until_there_are_clearly_more() -> None:
    panel = Panel()
    states = []
    for second, free in enumerate((20, 10, 11, 12, 13)):
        panel.at(second, free)
        assert panel.composed is not None
        states.append(panel.composed.lines[0].state)
    assert states == ["free", "few", "few", "few", "free"]


def test_a_number_stands_for_its_hold() -> None:
    panel = Panel()
    assert panel.at(0, 50) == "50"
    assert panel.at(10, 47) == "50"
    assert panel.composed is not None
    assert panel.composed.due_s == NOW_S + 60, "it must be looked at again when the hold ends"
    assert panel.composed.lines[0].as_of == START, "an old number is not dated new"
    assert panel.at(59, 46) == "50"
    assert panel.at(60, 46) == "46"
    assert panel.at(61, 58) == "46", "rises wait too"
    assert panel.at(120, 58) == "58"


def test_staff_need_not_wait_for_the_hold() -> None:
    panel = Panel()
    assert panel.see(0, lot_state("a", 50, as_of=START)) == "50"
    recounted = msgspec.structs.replace(lot_state("a", 49, as_of=START), word=(later(1),))
    assert panel.see(1, recounted) == "49"
    assert panel.see(2, msgspec.structs.replace(recounted, free=46)) == "49", "sensors wait"
    assert panel.see(3, lot_state("a", 50, as_of=START)) == "50", "what was undone"


def test_a_small_change_waits_for_the_next_renewal() -> None:
    panel = Panel()
    panel.at(0, 50)
    assert panel.at(61, 49) == "50"
    assert panel.at(62, 49, renew=True) == "49"


def test_a_fast_drop_is_shown_at_once() -> None:
    panel = Panel()
    panel.at(0, 50)
    assert panel.at(1, 34) == "34"
    assert panel.at(2, 50) == "34", "but a fast rise is not"


def test_among_the_last_spaces_every_drop_is_shown() -> None:
    panel = Panel()
    panel.at(0, 9)
    assert [panel.at(1, 8), panel.at(2, 7), panel.at(3, 8)] == ["8", "7", "7"]


def test_an_old_number_stands_for_one_lease_and_no_longer() -> None:
    panel = Panel()
    panel.at(0, 50)
    assert panel.at(100, 50, as_of=START, quality=Quality.STALE) == "50"
    assert panel.lease_s == 120, "the panel itself must drop it then"
    assert panel.at(120, 50, as_of=START, quality=Quality.STALE) == "--"


def test_an_unverified_number_is_held_to_the_same() -> None:
    panel = Panel()
    assert panel.at(10, 50, as_of=START, quality=Quality.UNVERIFIED) == "50"
    assert panel.lease_s == 120
    assert panel.at(130, 50, as_of=START, quality=Quality.UNVERIFIED) == "--"


def test_a_lease_does_not_outlive_what_counts_as_fresh() -> None:
    panel = Panel()
    panel.at(10, 50)
    assert panel.lease_s == 10 + 120
    panel.at(100, 50, as_of=START)
    assert panel.lease_s == 180
    panel.at(170, 50, as_of=START)
    assert panel.lease_s == 170 + 30, "called fresh, it gets a quarter of the sign's lease"


def test_a_held_number_is_never_older_than_the_lease() -> None:
    panel = Panel()
    panel.at(0, 50, as_of=later(-90))
    assert panel.at(29, 48) == "50"
    assert panel.at(31, 48) == "48", "within its hold, but measured a lease ago"


def test_frames_are_renewed_at_half_their_lease() -> None:
    panel = Panel()
    panel.at(0, 50)
    assert panel.composed is not None
    assert panel.composed.renew_s == NOW_S + 60
    panel.at(100, 50, as_of=later(-10), quality=Quality.STALE)
    assert panel.composed.renew_s == panel.composed.lease_until_s == NOW_S + 110


def test_closed_and_unknown_never_wait() -> None:
    panel = Panel()
    panel.at(0, 50)
    assert panel.at(0.1, 50, openness=Openness.CLOSED) == "关闭"
    assert panel.at(0.2, 50) == "50"
    assert panel.at(0.3, None, quality=Quality.UNKNOWN) == "--"


@pytest.mark.parametrize("capacity", [1, 4, 9])
def test_a_small_lot_has_no_hysteresis_to_get_stuck_in(capacity: int) -> None:
    panel = Panel()
    panel.at(0, 0, capacity=capacity)
    assert panel.at(1, 1, capacity=capacity) == "1"


def rows(panel: Sign, ranked: Sequence[tuple[str, int]], memory: Memory, seconds: float = 0) -> str:
    return "".join(choose_rows(panel, ranked, memory, NOW_S + seconds, MANNER))


def test_all_lots_that_fit_stand_in_the_panels_order() -> None:
    assert rows(sign("cab"), [], Memory()) == "cab"
    assert rows(sign("cab", level=3), [], Memory()) == "c", "an entrance speaks for its own lot"


def test_more_lots_than_rows_shows_the_best_in_the_panels_order() -> None:
    ranked = [(lot, Tier.ENOUGH) for lot in "debca"]
    assert rows(sign("abcde"), ranked, Memory()) == "bde"


def test_the_choice_of_lots_stands_for_a_hold_unless_one_is_full() -> None:
    panel = sign("abcd", rows=2)
    memory = Memory(rows=("a", "b"), rows_since_s=NOW_S)
    better = [("c", 0), ("d", 0), ("a", 0), ("b", 1)]
    assert rows(panel, better, memory, 59) == "ab"
    assert rows(panel, better, memory, 60) == "cd"
    filled = [("c", 0), ("a", 0), ("b", 0), ("d", Tier.FULL)]
    memory = Memory(rows=("a", "d"), rows_since_s=NOW_S)
    assert rows(panel, filled, memory, 1) == "ac"


def test_two_panels_look_the_same_whatever_their_age() -> None:
    one, other = Panel(), Panel()
    one.at(0, 50)
    other.at(1, 50)
    assert one.composed is not None
    assert other.composed is not None
    assert same(one.composed.lines, other.composed.lines)
    other.at(2, 0)
    assert not same(one.composed.lines, other.composed.lines)
