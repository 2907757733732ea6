"""What a gate decides, told as short stories; each line is one passage."""

from datetime import timedelta

import msgspec
import pytest
from gate_scene import MORNING, Scene, lot

from service.settlement import plate as plates
from service.settlement.session import State


def said(record) -> tuple[bool, str]:
    return record.seen.answer.open, record.seen.answer.reason


def kinds(record) -> list[str]:
    return [one.kind for one in record.troubles]


def test_in_and_out_is_one_session_with_one_bill():
    scene = Scene()
    came = scene.enter(0)
    went = scene.leave(61)
    assert (said(came), said(went)) == ((True, "welcome"), (True, "leave_first"))
    assert came.seen.session == went.seen.session
    assert [one.amount_fen for one in went.bills] == [1000]
    assert went.seen.answer.amount_fen == 1000
    assert "¥10.00" in went.seen.answer.text_zh
    assert scene.state(went) is State.PRICED


def test_within_the_grace_it_is_free():
    scene = Scene()
    scene.enter(0)
    went = scene.leave(15)
    assert said(went) == (True, "free")
    assert scene.state(went) is State.FREE
    assert went.bills[0].amount_fen == 0


def test_a_second_reading_at_the_gate_is_the_same_passage():
    scene = Scene()
    came, again = scene.enter(0), scene.enter(0.5)
    assert said(again) == (True, "welcome")
    assert again.seen.session == came.seen.session
    assert not again.sessions
    scene.leave(61)
    once_more = scene.leave(61.5)
    assert said(once_more) == (True, "leave_first")
    assert not once_more.sessions
    assert not once_more.bills


@pytest.mark.parametrize(
    ("payment", "policy", "answer"),
    [
        ("leave_first", {}, (True, "unread")),
        ("leave_first", {"unread_opens": False}, (False, "operator")),
        ("at_exit", {}, (False, "operator")),
    ],
)
@pytest.mark.parametrize("direction", ["in", "out"])
def test_an_unread_plate(payment, policy, answer, direction):
    scene = Scene(payment, **policy)
    record = scene.take(direction, 0, None)
    assert said(record) == answer
    assert kinds(record) == ["unread_entry" if direction == "in" else "unread_exit"]
    assert not record.sessions


def test_an_exit_without_an_entry_goes_and_is_listed_with_the_likeliest_entry():
    scene = Scene()
    came = scene.enter(0, "浙A00001")
    scene.enter(1, "浙B55555")
    went = scene.leave(60, "浙A0000I")
    assert said(went) == (True, "missing_entry")
    assert [(one.kind, one.proposed) for one in went.troubles] == [
        ("missing_entry", came.seen.session)
    ]
    assert scene.state(came) is State.ENTERED  # a person decides, not the gate


def test_an_exit_without_an_entry_waits_for_the_operator_where_one_pays_at_exit():
    scene = Scene("at_exit")
    assert said(scene.leave(60)) == (False, "operator")
    assert said(scene.leave(60, outage=True)) == (True, "missing_entry")


def test_coming_in_again_means_the_exit_was_missed():
    scene = Scene()
    first = scene.enter(0)
    second = scene.enter(600)
    assert kinds(second) == ["missing_exit"]
    assert scene.state(first) is State.MISSING_EXIT
    went = scene.leave(661)
    assert went.seen.session == second.seen.session
    assert went.bills[0].minutes == 61


def test_a_missed_exit_that_comes_late_ends_the_first_stay():
    scene = Scene()
    first = scene.enter(0)
    missed = scene.enter(600)
    late = scene.leave(120, live=False)
    assert late.seen.session == first.seen.session
    assert said(late) == (False, "recorded")
    assert late.settled == ((missed.troubles[0].id, "exit came late"),)
    assert scene.state(missed) is State.ENTERED


def test_an_old_missed_exit_never_swallows_a_later_one():
    scene = Scene()
    scene.enter(0)
    scene.enter(600)
    scene.leave(700)
    assert kinds(scene.leave(800)) == ["missing_entry"]


def _days(order: str) -> dict:
    """Two stays of one plate, reported in any order; what the sessions look like in the end."""
    scene = Scene()
    story = {"a": ("in", 0), "b": ("out", 60), "c": ("in", 300), "d": ("out", 420)}
    for one in order:
        direction, minute = story[one]
        scene.take(direction, minute, "浙A00001", event=one, live=False)
    return {
        (one.entered_at, one.left_at, one.state, scene.book.bills[one.id].amount_fen)
        for one in scene.book.sessions.values()
    }


@pytest.mark.parametrize("order", ["acbd", "bdac", "abcd", "bacd", "cdab", "badc"])
def test_buffered_lanes_in_any_order_end_as_if_in_order(order):
    """Each lane replays its own journal in order, but one lane may come hours after the other."""
    assert _days(order) == _days("abcd")


def test_pay_at_exit_holds_until_paid():
    scene = Scene("at_exit")
    scene.enter(0)
    held = scene.leave(61)
    assert said(held) == (False, "pay_first")
    assert scene.state(held) is State.HELD
    assert held.bills[0].amount_fen == 1000
    again = scene.leave(65)
    assert said(again) == (False, "pay_first")
    assert not again.bills  # it still pays what it was asked for
    scene.book.put(msgspec.structs.replace(
        scene.book.sessions[held.seen.session], state=State.PREPAID, rev=9))  # fmt: skip
    assert said(scene.leave(66)) == (True, "paid")
    assert scene.state(held) is State.PAID


def test_a_held_car_that_goes_back_inside_pays_for_the_longer_stay():
    scene = Scene("at_exit")
    scene.enter(0)
    first = scene.leave(61)
    second = scene.leave(200)
    assert said(second) == (False, "pay_first")
    assert second.bills[0].amount_fen == 2000
    assert second.bills[0].token_hash == first.bills[0].token_hash  # the same link


def test_nobody_is_held_while_nothing_can_be_paid():
    scene = Scene("at_exit")
    scene.enter(0)
    assert said(scene.leave(61, outage=True)) == (True, "leave_first")


def test_the_enrolled_leave_first_everywhere_up_to_their_limit():
    scene = Scene("at_exit")
    came = scene.enter(0)
    scene.book.put(msgspec.structs.replace(scene.book.sessions[came.seen.session], enrolled=True))
    assert said(scene.leave(61)) == (True, "leave_first")

    key = plates.keyed(b"k", "浙A00001")
    for limit_fen, answer in ((999, (False, "pay_first")), (1000, (True, "leave_first"))):
        scene = Scene("at_exit", limits_fen={key: limit_fen})
        scene.enter(0)
        assert said(scene.leave(61)) == answer


def test_arrears_above_the_policy_are_paid_at_the_gate():
    scene = Scene(arrears_limit_fen=3000)
    scene.book.arrears_fen[plates.keyed(b"k", "浙A00001")] = 2500
    scene.enter(0)
    assert said(scene.leave(61)) == (False, "pay_first")
    scene = Scene(arrears_limit_fen=500)  # a first debt never holds anybody
    scene.enter(0)
    assert said(scene.leave(61)) == (True, "leave_first")


def test_leaving_by_a_hand_opened_gate_is_seen_at_the_next_entry():
    scene = Scene("at_exit")
    scene.enter(0)
    held = scene.leave(61)
    came = scene.enter(900)
    assert scene.state(held) is State.EXITED
    assert kinds(came) == []


def test_turning_back_undoes_an_entry():
    scene = Scene()
    came = scene.enter(0, event="e")
    back = scene.enter(0.2, event="e~back", turned_back=True)
    assert said(back) == (False, "turned_back")
    assert scene.state(came) is State.TURNED_BACK
    assert kinds(scene.enter(5)) == []


def test_turning_back_at_the_exit_reopens_the_stay_and_keeps_its_link():
    scene = Scene()
    came = scene.enter(0)
    first = scene.leave(61, event="x")
    scene.leave(61.5, event="x~back", turned_back=True)
    assert scene.state(came) is State.ENTERED
    second = scene.leave(200)
    assert second.seen.session == came.seen.session
    assert second.bills[0].amount_fen == 2000
    assert second.bills[0].token_hash == first.bills[0].token_hash


def test_turning_back_is_found_by_plate_where_the_event_is_not_named():
    scene = Scene()
    came = scene.enter(0)
    scene.enter(0.3, event="other~back", turned_back=True)
    assert scene.state(came) is State.TURNED_BACK


def test_turning_back_too_late_is_for_a_person():
    scene = Scene()
    scene.enter(0)
    went = scene.leave(61, event="x")
    late = scene.leave(63, event="x~back", turned_back=True)
    assert kinds(late) == ["turned_back_late"]
    assert scene.state(went) is State.PRICED


def test_vehicles_on_duty_pass_and_pay_nothing():
    scene = Scene("at_exit")
    scene.enter(0, vehicle="emergency")
    went = scene.leave(600, vehicle="emergency")
    assert said(went) == (True, "on_duty")
    assert scene.state(went) is State.FREE
    assert went.bills[0].amount_fen == 0
    assert sum(line.amount_fen for line in went.bills[0].lines) == 0


def test_one_plate_at_two_places_is_listed():
    scene = Scene()
    there = scene.enter(0)
    scene.lot = lot(name="p2")
    here = scene.enter(30)
    assert said(here) == (True, "welcome")
    assert [(one.kind, one.proposed) for one in here.troubles] == [
        ("two_places", there.seen.session)
    ]


def test_readings_inside_a_stay_that_has_ended_are_for_a_person():
    scene = Scene()
    scene.enter(0)
    scene.leave(120)
    assert kinds(scene.enter(60, live=False)) == ["overlap"]
    assert kinds(scene.leave(60, live=False)) == ["overlap"]


def test_a_stay_that_cannot_be_priced_goes_and_is_priced_later():
    scene = Scene("at_exit")
    scene.enter(0, tariff="lost")
    went = scene.leave(61)
    assert said(went) == (True, "unpriced")
    assert scene.state(went) is State.EXITED
    assert kinds(went) == ["unpriced"]


def test_paying_and_staying_on_is_let_go_and_listed():
    scene = Scene("at_exit")
    scene.enter(0)
    held = scene.leave(61)
    scene.book.put(msgspec.structs.replace(
        scene.book.sessions[held.seen.session], state=State.PREPAID, rev=9))  # fmt: skip
    went = scene.leave(200)
    assert said(went) == (True, "paid")
    assert kinds(went) == ["overstayed"]


def test_the_book_forgets_what_has_ended_and_keeps_who_is_inside():
    scene = Scene()
    stays = scene.enter(0, "浙B55555")
    scene.enter(0)
    scene.leave(61)
    scene.leave(62, "浙C00003")
    assert scene.book.forget(MORNING + timedelta(days=3)) == 1
    assert list(scene.book.sessions) == [stays.seen.session]
    assert not scene.book.seen
    assert not scene.book.orphans
