"""Plates tell what was inside hours ago, whatever was not read."""

from collections.abc import Callable

import pytest

from service.occupancy.busy_hours import BusyHours
from service.occupancy.drift import Tally
from service.occupancy.plate_witness import SAMPLE_S, SETTLED_S, PlateWitness
from service.occupancy.plates_inside import PlatesInside

HOUR_S = 3600.0
DAY_S = 86_400.0
TALLY = Tally(0.0, 0, 0)


def two_hours(_: int) -> float:
    return 2.0


def run(
    days: float,
    lost: dict[str, set[int]] | None = None,
    stay_h: Callable[[int], float] = two_hours,
) -> dict[float, tuple[float, float]]:
    """A car every six minutes for two hours each: twenty inside, always. By time: inside, found.

    `lost` names the cars whose entry or exit was not seen (`unseen_in`, `unseen_out`) or not read.
    """
    lost = lost or {}
    witness = PlateWitness()
    moves = []
    for car in range(int(days * 240)):
        at_s = car * 360.0 + 1
        moves.append((at_s, car, "in"))
        moves.append((at_s + stay_h(car) * HOUR_S, car, "out"))
    settled: dict[float, tuple[float, float]] = {}
    tick = 0
    for at_s, car, way in sorted(moves):
        while tick * SAMPLE_S <= at_s:
            now_s = tick * SAMPLE_S
            for known in witness.sample((Tally(now_s, 0, 0),), now_s):
                settled[known.tallies[0].at_s] = (known.inside, known.found)
            tick += 1
        if car in lost.get(f"unseen_{way}", set()):
            continue
        plate = None if car in lost.get(f"unread_{way}", set()) else f"ZA{car:05d}"[::-1]
        (witness.entered if way == "in" else witness.left)(plate, at_s)
    return settled


def test_all_read_is_all_known() -> None:
    settled = run(3)
    late = [known for at_s, known in settled.items() if at_s > DAY_S]
    assert late
    for inside, found in late:
        assert inside == pytest.approx(20, abs=1.1)
        assert found == pytest.approx(0, abs=0.3)


def test_it_settles_after_its_time_and_not_in_the_first_half_day() -> None:
    times = sorted(run(2))
    assert times[0] == DAY_S / 2
    assert times[-1] <= 2 * DAY_S + 2 * HOUR_S - SETTLED_S


def test_who_stays_the_night_is_known_from_the_first_night() -> None:
    def stay_h(car: int) -> float:
        evening = 180 <= car % 240 < 220  # from 18:00 to 22:00
        return 11.0 if evening and car % 4 == 0 else 1.0

    settled = run(3, stay_h=stay_h)
    for hour in (47, 48, 49, 50):
        at_s = hour * HOUR_S
        inside = sum(0 <= at_s - car * 360 - 1 <= stay_h(car) * HOUR_S for car in range(720))
        assert settled[at_s][0] == pytest.approx(inside, abs=1.5)


def test_unread_plates_are_shared_out() -> None:
    unread = {"unread_in": set(range(3, 2000, 40)), "unread_out": set(range(11, 2000, 37))}
    late = [known for at_s, known in run(5, unread).items() if at_s > 3 * DAY_S]
    assert sum(inside for inside, _ in late) / len(late) == pytest.approx(20, abs=0.7)
    assert abs(late[-1][1] - late[0][1]) < 3, "nobody was unseen"


def test_what_the_cameras_did_not_see_is_found() -> None:
    came = set(range(600, 1100, 50))
    found = run(6, {"unseen_in": came})
    assert max(found.items())[1][1] == pytest.approx(len(came), abs=2)
    went = run(6, {"unseen_out": came})
    assert max(went.items())[1][1] == pytest.approx(-len(came), abs=2)


def test_one_misread_character_is_forgiven_where_it_is_clear() -> None:
    inside = PlatesInside()
    inside.add("ZA12345", 1.0)
    assert inside.take("ZA1234S") == ("ZA12345", 1.0)
    assert inside.take("ZA12345") is None, "it has left"
    inside.add("ZA12345", 2.0)
    inside.add("ZA12346", 3.0)
    assert inside.take("ZA1234S") is None, "two it may be"
    assert inside.take("ZA99999") is None
    assert [plate for plate, _ in inside] == ["ZA12345", "ZA12346"]


def test_plates_are_forgotten_after_a_day() -> None:
    witness = PlateWitness()
    witness.entered("ZA00001", 0.0)
    for tick in range(int(25 * HOUR_S / SAMPLE_S)):
        witness.sample((TALLY,), tick * SAMPLE_S)
    assert "ZA00001" not in repr(vars(witness)["_inside"].__dict__)


def test_the_busiest_hour_of_a_whole_day() -> None:
    busy = BusyHours()
    for minute in range(0, 720, 5):
        at_s = minute * 60.0
        busy.seen(Tally(at_s, minute, minute / 2), 50.0 if 300 <= minute < 360 else 10.0)
    top = busy.end()
    assert top is not None
    assert 300 <= top.entered < 360
    assert top.left == top.entered / 2
    assert top.at_s == 355 * 60
    busy.seen(Tally(50_000.0, 720, 360), 50.0)
    assert busy.end() is None, "that was no whole day"
