"""The district as one thing: seeded, conserving cars, and plausible through a day."""

import hashlib
from collections import Counter as Tallies
from random import Random

import msgspec
import pytest
from districts import MONDAY_8, district

from devices.reading import PlateColor
from devices.simulator import memory, plates
from devices.simulator.drivers import Line
from devices.simulator.news import BaySeen, Counted, Passed
from devices.simulator.plan import NO_FAULTS, Faults, Habits, Pace
from devices.simulator.world import World

HOUR = 3600.0


def lived(world, hours, step_s=60.0):
    """All news of some hours."""
    news = []
    end_s = world.now_s + hours * HOUR
    while world.now_s < end_s:
        news += world.advance(min(end_s, world.now_s + step_s))
    return news


def digest(news):
    return hashlib.sha256(b"\n".join(msgspec.json.encode(one) for one in news)).hexdigest()


def test_the_same_seed_tells_the_same_story_and_another_seed_another():
    one = digest(lived(World(district(seed=7), MONDAY_8), 3))
    assert digest(lived(World(district(seed=7), MONDAY_8), 3)) == one
    assert digest(lived(World(district(seed=8), MONDAY_8), 3)) != one


def test_the_story_does_not_depend_on_how_often_one_looks():
    one = lived(World(district(seed=3), MONDAY_8), 2, step_s=1.0)
    assert digest(one) == digest(lived(World(district(seed=3), MONDAY_8), 2, step_s=900.0))


def test_cars_are_conserved_and_never_more_than_fit():
    world = World(district(seed=2), MONDAY_8 - 8 * HOUR)
    capacity = {
        (lot.id, zone.id): zone.capacity for lot in world.district.lots for zone in lot.zones
    }
    at_start = sum(world.truth().values())
    seen_full = False
    for _ in range(24 * 12):
        world.advance(world.now_s + 300)
        truth = world.truth()
        assert all(0 <= truth[zone] <= capacity[zone] for zone in capacity)
        assert sum(truth.values()) == at_start + world.tally.entered - world.tally.left
        seen_full |= truth["hospital", "main"] == capacity["hospital", "main"]
    assert seen_full, "a hospital's morning fills its own lot"
    assert world.tally.met_full > 0


def test_without_faults_counters_and_passages_agree_with_the_truth():
    world = World(district(seed=5, faults=NO_FAULTS), MONDAY_8)
    at_start = world.truth()
    news = lived(world, 6)
    last = {one.sensor.id: one for one in news if isinstance(one, Counted)}
    news += world.advance(world.now_s + 120)
    last.update({one.sensor.id: one for one in news if isinstance(one, Counted)})
    live = [one for one in news if isinstance(one, Passed) and not one.buffered]
    for lot in world.district.lots:
        report = last[f"{lot.id}-count"]
        moves = Tallies(one.direction for one in live if one.camera.lot == lot.id)
        truth = sum(count for (where, _), count in world.truth().items() if where == lot.id)
        before = sum(count for (where, _), count in at_start.items() if where == lot.id)
        assert truth - before == moves["in"] - moves["out"]
        believed = report.occupied if report.occupied is not None else report.entered - report.left
        assert abs(believed - world.truth()[lot.id, "main"]) <= 3  # crossed since the report
    assert all(one.plate for one in live)


def test_faults_happen_at_their_rates():
    rough = Faults(miscount=0.2, lost=0.1, duplicated=0.1, reordered=0.1, unread=0.1, misread=0.1)
    world = World(district(seed=4, faults=rough), MONDAY_8)
    news = lived(world, 4)
    seqs = {}
    disorder = duplicates = 0
    for one in news:
        if isinstance(one, Counted):
            seen = seqs.setdefault(one.sensor.id, [])
            duplicates += one.seq in seen
            disorder += bool(seen) and one.seq < max(seen) and one.seq not in seen
            seen.append(one.seq)
    missing = sum(max(seen) - len(set(seen)) for seen in seqs.values())
    total = sum(len(seen) for seen in seqs.values())
    assert 0.05 < missing / total < 0.2
    assert 0.05 < duplicates / total < 0.2
    assert disorder > 0
    passages = [one for one in news if isinstance(one, Passed)]
    assert 0.05 < sum(one.plate is None for one in passages) / len(passages) < 0.15
    world.advance(world.now_s + 60)
    drift = [
        abs(counter.believed - world.truth()[key])
        for key, counters in world.instruments.counters.items()
        for counter in counters
    ]
    assert max(drift) > 3, "a fifth of all crossings miscounted shows"


def test_bay_sensors_follow_their_bays():
    world = World(district(seed=6, faults=NO_FAULTS), MONDAY_8)
    said = {}
    for one in lived(world, 5):
        if isinstance(one, BaySeen):
            said[one.sensor.lot, one.sensor.bay] = one.occupied
    truth = {
        (lot.plan.id, bay): taken
        for lot in world.places.lots.values()
        for bay, taken in lot.zones["ev"].bay_taken.items()
    }
    assert said.keys() == truth.keys()
    assert sum(said[bay] != truth[bay] for bay in truth) <= 2  # changes under way


def test_a_district_is_awake_at_any_hour():
    world = World(district(seed=9, capacity=400), MONDAY_8 - 8 * HOUR)
    for hour in range(24):
        before = world.tally.copy()
        world.advance(world.now_s + HOUR)
        moved = world.tally.since(before)
        assert moved.entered + moved.left >= 10, f"nothing moves at {hour} o'clock"


def test_hospitals_peak_in_the_morning_and_shared_spaces_keep_their_hours():
    world = World(district(seed=10, capacity=300), MONDAY_8 - 8 * HOUR)
    inside = []
    for _ in range(24):
        world.advance(world.now_s + HOUR)
        inside.append(world.truth())
    hospital = [truth["hospital", "main"] for truth in inside]
    assert 8 <= hospital.index(max(hospital)) + 1 <= 12
    assert max(hospital) > 2 * hospital[2]
    shared = [truth["private", "main"] for truth in inside]
    assert shared[6] == 0
    assert max(shared[9:16]) > 50
    assert shared[19] < 0.1 * max(shared)


def everywhere(state, value):
    return tuple(
        Line(lot, value, state) for lot in ("hospital", "public", "office", "street", "private")
    )


def test_drivers_follow_signs_as_often_as_they_are_said_to():
    habits = Habits(adherence=0.85, sees_arterial=1.0, sees_junction=1.0)
    world = World(district(seed=11, capacity=300, habits=habits), MONDAY_8)
    lines = tuple(
        Line(
            line.lot,
            "满" if line.lot != "public" else "99",
            "full" if line.lot != "public" else "free",
        )
        for line in everywhere("free", "99")
    )
    for sign in ("far", "near"):
        world.show(sign, lines, world.now_s + 2 * HOUR)
    world.advance(world.now_s + 2 * HOUR)
    share = world.tally.guided / world.tally.came
    assert 0.7 < share < 0.9  # some came before their first sign
    assert world.tally.diverted > 0.4 * world.tally.guided
    assert world.truth()["public", "main"] > 250, "everybody is sent to the one lot"


def test_a_sign_past_its_lease_guides_nobody():
    world = World(district(seed=12), MONDAY_8)
    for sign in ("far", "near"):
        world.show(sign, everywhere("free", "50"), world.now_s - 1)
    world.advance(world.now_s + HOUR)
    assert world.tally.came > 50
    assert world.tally.guided == 0
    assert world.sign_errors() == []


def test_signs_that_tell_the_truth_spare_drivers_full_lots():
    def met_full(guided):
        habits = Habits(adherence=1.0 if guided else 0.0, demand=1.15)
        world = World(district(seed=13, capacity=150, habits=habits), MONDAY_8)
        for _ in range(4 * 60):
            lines = []
            for lot in world.places.lots.values():
                free = lot.public_free(world.now_s)
                state = "full" if free < 5 else "free"
                lines.append(Line(lot.plan.id, str(free), state))
            for sign in ("far", "near"):
                world.show(sign, tuple(lines), world.now_s + 120)
            world.advance(world.now_s + 60)
        return world.tally.met_full / world.tally.came

    assert met_full(guided=True) < 0.5 * met_full(guided=False)


def test_a_barrier_waits_for_its_answer_and_is_opened_by_hand_without_one():
    asked = ("hospital", "public", "office", "private")  # the street's cameras take no answer
    plan = district(
        seed=14, kinds=asked, await_answers=True, faults=NO_FAULTS, pace=Pace(patience_s=30)
    )
    world = World(plan, MONDAY_8)
    waiting = [one for one in lived(world, 0.5, 1.0) if isinstance(one, Passed) and one.waits]
    assert waiting
    assert world.tally.by_hand > 0
    assert world.tally.answered_open == 0

    world = World(plan, MONDAY_8)
    answered = 0
    for _ in range(3600):
        for one in world.advance(world.now_s + 1):
            if isinstance(one, Passed) and one.waits:
                world.answered(one.camera.id, one.event, opened=True)
                world.answered(one.camera.id, one.event, opened=True)  # said twice, opens once
                answered += 1
    assert world.tally.by_hand == 0
    assert world.tally.answered_open == answered
    assert world.tally.entered + world.tally.left == answered


def test_a_shut_answer_keeps_the_car_until_a_person_comes():
    world = World(district(seed=15, await_answers=True, faults=NO_FAULTS), MONDAY_8)
    shut = 0
    for _ in range(600):
        for one in world.advance(world.now_s + 1):
            if isinstance(one, Passed) and one.waits:
                world.answered(one.camera.id, one.event, opened=False)
                shut += 1
    assert world.tally.answered_shut == shut
    assert world.tally.answered_open == 0
    assert 0 < world.tally.by_hand <= shut


def test_cars_that_were_there_are_told_of_before_they_leave():
    world = World(district(seed=16, faults=NO_FAULTS), MONDAY_8)
    told, left_unknown = set(), 0
    for one in lived(world, 2):
        if not isinstance(one, Passed):
            continue
        if one.direction == "in":
            assert one.at_s <= MONDAY_8 or not one.buffered
            told.add((one.camera.lot, one.plate))
        else:
            left_unknown += (one.camera.lot, one.plate) not in told
    assert left_unknown == 0


def test_a_district_that_is_started_again_lets_its_cars_out():
    world = World(district(seed=17, faults=NO_FAULTS), MONDAY_8)
    lived(world, 1)
    kept = memory.decode(memory.encode(world.memory()))
    again = World(district(seed=17, faults=NO_FAULTS), world.now_s + 2 * HOUR, kept)
    assert again.boot > world.boot
    inside = {car.plate for car in kept.cars}
    known = {car.plate for car, _, _ in again.traffic.inside.values()}
    assert inside <= known, "nobody is forgotten"
    left = {
        one.plate for one in lived(again, 14) if isinstance(one, Passed) and one.direction == "out"
    }
    assert len(inside - left) < 0.35 * len(inside)  # the rest stays for the night
    assert memory.decode(b"\xff nonsense") is None


def test_a_car_that_is_told_of_twice_is_the_same_event():
    """A killed run forgets whom it told of last."""
    world = World(district(seed=21), MONDAY_8)
    kept = world.memory()
    told = []
    for again in (
        World(world.district, MONDAY_8 + 60, kept),
        World(world.district, MONDAY_8 + 90, kept),
    ):
        passages = [one for one in lived(again, 0.2) if isinstance(one, Passed) and one.buffered]
        told.append({one.event: (one.camera.id, one.at_s) for one in passages})
    both = told[0].keys() & told[1].keys()
    assert len(both) > 50
    assert all(told[0][event] == told[1][event] for event in both)


def test_no_two_cars_that_are_about_share_a_plate():
    world = World(district(seed=20, capacity=2000), MONDAY_8)
    lived(world, 1)
    again = World(world.district, world.now_s + 3 * HOUR, world.memory())
    for one in (world, again):
        plates_inside = [car.plate for car, _, _ in one.traffic.inside.values()]
        assert len(plates_inside) > 1500
        assert len(set(plates_inside)) == len(plates_inside)


def test_counters_of_two_boots_add_up_to_the_truth():
    world = World(district(seed=19, faults=NO_FAULTS), MONDAY_8)
    first = {one.sensor.id: one for one in lived(world, 3) if isinstance(one, Counted)}
    kept = world.memory()
    again = World(district(seed=19, faults=NO_FAULTS), world.now_s + 3 * HOUR, kept)
    second = {one.sensor.id: one for one in lived(again, 2) if isinstance(one, Counted)}
    for name in ("hospital-count", "office-count", "private-count"):
        assert second[name].boot > first[name].boot
        total = sum(one[name].entered - one[name].left for one in (first, second))
        truth = again.truth()[name.removesuffix("-count"), "main"]
        assert abs(total - truth) <= 4  # crossed since each boot's last report


def test_plates_look_like_plates():
    rng = Random(1)
    drawn = [plates.draw(rng, 0.3) for _ in range(2000)]
    green = [plate for plate, color in drawn if color == PlateColor.GREEN]
    assert 0.25 < len(green) / len(drawn) < 0.35
    assert all(len(plate) == 8 for plate in green)
    assert all(len(plate) == 7 for plate, color in drawn if color == PlateColor.BLUE)
    assert not any(letter in plate[1:] for plate, _ in drawn for letter in "IO")
    for plate, _ in drawn[:200]:
        wrong = plates.misread(rng, plate)
        assert sum(one != other for one, other in zip(plate, wrong, strict=True)) == 1


@pytest.mark.parametrize("speed", [1, 60, 600])
def test_the_traffic_per_wall_second_is_bounded(speed):
    world = World(district(seed=18, pace=Pace().at_speed(speed)), MONDAY_8)
    news = lived(world, 1)
    reports = Tallies(one.sensor.id for one in news if isinstance(one, Counted))
    wall_s = HOUR / speed
    assert max(reports.values()) <= HOUR / 60 + wall_s * 4 + 20  # routine, changes, repeats
