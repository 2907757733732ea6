"""What is inside, as counters that miss and double-count can tell."""

import random
from collections.abc import Iterator

import msgspec
import pytest

from service.occupancy.counter_filter import BAND, NIGHT, CounterFilter, Memory
from service.occupancy.drift import Tally

CAPACITY = 200
DAY_S = 86_400.0
NOTHING = Tally(0.0, 0, 0)


def day(number: int, missed: float = 0.0, inside: int = 0) -> Tally:
    """The tally after so many days of 600 entries each, of which a share was not counted."""
    entries = 600 * number
    return Tally(number * DAY_S, entries * (1 - missed) + inside, entries)


class Gate:
    """A lot whose counter misses a share of the entries; `limit` cars find room."""

    def __init__(self, limit: int, missed: float, inside: int = 0) -> None:
        self.limit, self.missed, self.inside = limit, missed, inside
        self.entered = self.left = 0
        self.now_s = 0.0
        self.chance = random.Random(5)

    def minutes(self, count: int, coming: float, staying_min: float) -> Iterator[Tally]:
        """Tallies minute by minute; `coming` a minute, who find it full drive on."""
        for _ in range(count):
            self.now_s += 60
            moves = [1] * self.poisson(coming) + [-1] * self.poisson(self.inside / staying_min)
            self.chance.shuffle(moves)
            for move in moves:
                if move > 0 and self.inside < self.limit:
                    self.inside += 1
                    self.entered += self.chance.random() >= self.missed
                elif move < 0 and self.inside:
                    self.inside -= 1
                    self.left += 1
            yield Tally(self.now_s, self.entered, self.left)

    def poisson(self, mean: float) -> int:
        return sum(self.chance.random() < mean / 50 for _ in range(50))


@pytest.mark.parametrize("occupied", [0, 1, 30, CAPACITY - 1, CAPACITY])
@pytest.mark.parametrize("sd", [0.7, 10.0, 60.0])
def test_a_count_that_nobody_checked_is_taken_as_it_is(occupied: int, sd: float) -> None:
    known = CounterFilter(CAPACITY, NOTHING, occupied, start_sd=sd)
    assert known.estimate().occupied == occupied


def test_it_goes_with_the_count() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 30)
    known.look(Tally(60.0, 10, 0))
    assert known.estimate().occupied == 40
    known.look(Tally(120.0, 10, 4))
    assert known.estimate().occupied == 36


def test_the_band_grows_with_the_traffic_and_not_with_time() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 60)
    start = known.estimate().band
    known.look(Tally(DAY_S, 0, 0))
    assert known.estimate().band == start
    known.look(Tally(2 * DAY_S, 400, 400))
    assert known.estimate().band > start + 3


def test_a_recount_is_believed_at_once() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 30, start_sd=20)
    known.look(Tally(60.0, 10, 0))
    known.believe(120)
    told = known.estimate()
    assert told.occupied == 120
    assert told.band <= 1


def test_recounts_tell_how_the_counter_errs() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 0)
    for number in range(1, 6):
        known.look(day(number, 0.03, inside=50))
        known.believe(50)
    known.look(day(6, 0.03, inside=50))
    assert known.estimate().occupied == pytest.approx(50, abs=4), "a day with no witness at all"


def test_nights_tell_how_it_errs() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 0)
    for number in range(1, 15):
        known.look(day(number, 0.02, inside=20))
        known.like_hour(known.known, NIGHT)
    assert known.estimate().occupied == pytest.approx(20, abs=8)
    assert day(14, 0.02, inside=20).counted < -100, "what it would have shown uncorrected"


def test_busy_hours_of_like_days_tell_where_they_are_alike() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 0)
    for number in range(1, 12):
        top = day(number, 0.02, inside=160)
        known.look(top)
        assert known.like_hour(top, 0)
    assert known.estimate().occupied == pytest.approx(160, abs=8)
    assert top.counted < 40, "what it would have shown uncorrected"
    strange = Tally(12 * DAY_S, top.entered + 480, top.left + 600)
    known.look(strange)
    before = known.estimate()
    assert not known.like_hour(strange, 0), "a holiday"
    assert known.estimate() == before


def test_a_count_that_stands_at_a_wall_is_full() -> None:
    """Nobody has counted, a twentieth of the entries is missed: three busy hours tell."""
    gate = Gate(limit=CAPACITY, missed=0.05, inside=100)
    known = CounterFilter(CAPACITY, NOTHING, 100, start_sd=10)
    for tally in gate.minutes(360, coming=4, staying_min=60):
        known.look(tally)
    counted = 100 + gate.entered - gate.left
    assert CAPACITY - counted > 20, "a sign would have told of free spaces in a full lot"
    assert abs(known.estimate().occupied - gate.inside) <= 4


def test_a_lot_that_never_fills_is_not_taken_for_full() -> None:
    gate = Gate(limit=CAPACITY, missed=0.0, inside=150)
    known = CounterFilter(CAPACITY, NOTHING, 150)
    wrong = []
    for tally in gate.minutes(600, coming=2.5, staying_min=60):
        known.look(tally)
        wrong.append(abs(known.estimate().occupied - gate.inside))
    assert sum(wrong) / len(wrong) <= 4


def test_who_counts_fewer_at_the_wall_is_believed_for_good() -> None:
    """Thirty spaces are kept back, and the catalogue does not know."""
    gate = Gate(limit=170, missed=0.0, inside=100)
    known = CounterFilter(CAPACITY, NOTHING, 100, start_sd=10)
    for tally in gate.minutes(240, coming=5, staying_min=60):
        known.look(tally)
    assert known.estimate().occupied > 190, "nobody gets in"
    known.believe(gate.inside)
    known = CounterFilter.recalled(CAPACITY, known.memory())
    for tally in gate.minutes(240, coming=5, staying_min=60):
        known.look(tally)
    assert abs(known.estimate().occupied - gate.inside) <= 6


def test_residents_who_are_at_home_stand_at_no_wall() -> None:
    """Every night the same eighty of a hundred spaces are taken: that is not full."""
    known = CounterFilter(100, NOTHING, 80, start_sd=5)
    gone = back = 0
    for minute in range(1, 10 * 1440):
        hour = minute % 1440 / 60
        if 7 <= hour < 9 and minute % 2:
            gone += 1
        elif 17.5 <= hour < 19.5 and minute % 2:
            back += 1
        elif hour >= 21 and minute % 10 == 0:  # to the shop and home again
            gone += 1
        elif hour >= 21 and minute % 10 == 5:
            back += 1
        known.look(Tally(60.0 * minute, back, gone))
        if hour == 4:
            known.like_hour(known.known, NIGHT)
    told = known.estimate()
    assert told.occupied == pytest.approx(80, abs=4)


def test_nothing_is_emptier_than_empty_nor_fuller_than_full() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 10)
    known.look(Tally(600.0, 0, 40))
    assert known.estimate().occupied == 0
    known.look(Tally(1200.0, 0, 40))
    known.look(Tally(1800.0, 10, 40))
    assert known.estimate().occupied == pytest.approx(10, abs=2)
    known.look(Tally(2400.0, 900, 40))
    assert known.estimate().occupied == pytest.approx(CAPACITY, abs=8)


def test_fewer_spaces_do_not_make_cars_vanish() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 150).holding(100)
    for left in range(1, 61):
        known.look(Tally(60.0 * left, 0, left))
    assert known.estimate().occupied == pytest.approx(90, abs=2)
    gate = Gate(limit=100, missed=0.05, inside=90)
    known = CounterFilter(CAPACITY, NOTHING, 90, start_sd=10).holding(100)
    for tally in gate.minutes(360, coming=3, staying_min=60):
        known.look(tally)
    assert abs(known.estimate().occupied - gate.inside) <= 4, "it is full at a hundred"


@pytest.mark.parametrize("capacity", [0, 1, 7, 512, 513, 4298])
def test_lots_of_every_size(capacity: int) -> None:
    known = CounterFilter(capacity, NOTHING, capacity / 2)
    for at in range(1, 40):
        known.look(Tally(60.0 * at, capacity * at / 10, capacity * at / 10))
        told = known.estimate()
        assert 0 <= told.occupied <= capacity
        assert 0 <= told.band <= capacity
    known.like_hour(known.known, NIGHT)
    known.like_hour(known.known, 1)
    known.believe(capacity)
    assert known.estimate().occupied == capacity


def test_a_long_silence_spreads_smoothly() -> None:
    """Hours of traffic in one look: the doubt has no gaps in it."""
    known = CounterFilter(CAPACITY, NOTHING, 100)
    known.look(Tally(DAY_S, 3000, 3000))
    wide = known.estimate()
    assert wide.band > 15
    assert wide.variance > (wide.band / 3) ** 2


def test_what_was_learned_survives_a_restart() -> None:
    known = CounterFilter(CAPACITY, NOTHING, 20)
    for number in range(1, 6):
        top = day(number, 0.02, inside=120)
        known.look(top)
        known.like_hour(top, 0)
        known.like_hour(known.known, NIGHT)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(known.memory()), type=Memory)
    again = CounterFilter.recalled(CAPACITY, kept)
    for one in (known, again):
        one.look(day(6, 0.02, inside=120))
    assert again.estimate().occupied == pytest.approx(known.estimate().occupied, abs=4)
    assert again.estimate().band == pytest.approx(known.estimate().band, rel=0.2)


def test_another_version_s_suppositions_are_learned_anew() -> None:
    kept = Memory(Tally(60.0, 10, 0), 20.0, [[1.0], [30.0], [1.0]], [], [])
    again = CounterFilter.recalled(CAPACITY, kept)
    assert again.estimate().occupied == 30


def test_the_band_is_one_of_ninety_five_percent() -> None:
    assert BAND == 0.95
    known = CounterFilter(CAPACITY, NOTHING, 100, start_sd=10)
    assert known.estimate().band == pytest.approx(19.6, abs=1)
