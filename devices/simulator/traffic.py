"""Pure: the cars of a district from setting out to driving home."""

import math
from random import Random
from zlib import crc32

from devices.simulator.agenda import Agenda
from devices.simulator.cameras import Cameras, Look
from devices.simulator.demand import DAY_S, next_arrival, parked_before
from devices.simulator.drivers import Car, Panel, advised, next_by_habit, on_the_way
from devices.simulator.instruments import Instruments
from devices.simulator.memory import Memory, ParkedCar
from devices.simulator.places import Lot, Map, Spot, Zone
from devices.simulator.plan import District
from devices.simulator.plates import draw
from devices.simulator.tally import Tally

FIND_FULL_S = 90.0  # to see that a lot is full and be back on the road
TO_BAY_S = (30.0, 150.0)  # from the barrier to standing in a bay
TO_EXIT_S = (30.0, 150.0)
SIGN_TO_LOT_S = 45.0  # lights and queues between a sign and a lot
DRIVE_S = (200.0, 600.0)  # from setting out to the first sign or the lot


class Traffic:
    """Every car that is about; one random stream for each zone's demand, so that they never mix."""

    def __init__(
        self,
        district: District,
        places: Map,
        agenda: Agenda,
        instruments: Instruments,
        cameras: Cameras,
        tally: Tally,
        seed: str,
    ) -> None:
        self.district, self.habits, self.pace = district, district.habits, district.pace
        self.places, self.agenda = places, agenda
        self.instruments, self.cameras, self.tally = instruments, cameras, tally
        self.panels = {sign.id: Panel(sign) for sign in district.signs}
        self.seed = seed
        self.rng = Random(f"{seed}/traffic")
        self.plates: set[str] = set()  # of the cars that are about: two never share one
        self.streams: dict[tuple[str, str], Random] = {}
        self.inside: dict[int, tuple[Car, Lot, Zone]] = {}
        self.untold: list[Car] = []
        self._signs: dict[str, list[Panel]] = {}

    def start(self, memory: Memory | None) -> dict[tuple[str, str], int]:
        """Fill the lots with who is there already, tell of them, and let the first cars come.

        Says how many cars there are in each (lot, zone) that were not there in `memory`.
        """
        unseen: dict[tuple[str, str], int] = {}
        since_s = memory.at_s if memory else -math.inf
        for parked in memory.cars if memory else ():
            self._recall(parked)
        for lot in self.places.lots.values():
            for zone in lot.zones.values():
                rng = Random(f"{self.seed}/{lot.plan.id}/{zone.plan.id}")
                self.streams[lot.plan.id, zone.plan.id] = rng
                recalled = zone.occupied
                self._fill(rng, lot, zone, since_s)
                unseen[lot.plan.id, zone.plan.id] = zone.occupied - recalled
                self._plan_next(lot, zone, self.agenda.now_s - DRIVE_S[1])
        self.untold.sort(key=lambda car: (not self._plates_alone(car), car.leaves_s, car.plate))
        for at, car in enumerate(self.untold):
            wait_s = max(0, at - self.pace.told_at_once) * self.pace.told_every_s
            self.agenda.after(wait_s, self._tell, car)
        self.untold = []
        return unseen

    # who is there at the start

    def _recall(self, parked: ParkedCar) -> None:
        lot = self.places.lots.get(parked.lot)
        zone = lot.zones.get(parked.zone) if lot else None
        if lot is None or zone is None or zone.free <= 0:
            return
        car = Car(parked.plate, parked.color, parked.lot, zone.plan.kind)
        car.entered_s, car.told = parked.entered_s, parked.told
        self.plates.add(car.plate)
        now_s = self.agenda.now_s
        car.leaves_s = parked.leaves_s
        if parked.leaves_s < now_s:
            car.leaves_s = now_s + self.rng.uniform(5, 900)
        self._stand(car, lot, zone)

    def _fill(self, rng: Random, lot: Lot, zone: Zone, since_s: float) -> None:
        now_s = self.agenda.now_s
        closes_in_s = zone.closes_in_s(lot.local(now_s))
        if closes_in_s is None:
            return
        cars = parked_before(rng, zone.profile, lot.local, now_s)
        rng.shuffle(cars)
        for entered_s, leaves_s in cars:
            if entered_s <= since_s or zone.free <= 0:
                continue
            car = self._new_car(rng, lot, zone)
            car.entered_s = entered_s
            car.leaves_s = self._leave_by(rng, leaves_s, closes_in_s)
            car.told = False
            self._stand(car, lot, zone)

    def _stand(self, car: Car, lot: Lot, zone: Zone) -> None:
        zone.occupied += 1
        car.zone = zone.plan.id
        car.target = lot.plan.id
        car.bay = zone.take_bay(self.rng)
        self.inside[id(car)] = (car, lot, zone)
        self.agenda.at(car.leaves_s, self._leave, car, lot, zone)
        if not car.told and self.rng.random() < self.pace.told_share:
            self.untold.append(car)

    def _plates_alone(self, car: Car) -> bool:
        """Nothing else counts the zone that it stands in."""
        return self.places.lots[car.target].zones[car.zone].plan.fed_by == "plates"

    def _tell(self, car: Car) -> None:
        """Say of a car that was there before the start when it came in."""
        if car.told:
            return
        car.told = True
        lanes = self.places.lots[car.target].lanes("in", car.zone)
        if lanes:
            lane = lanes[crc32(car.plate.encode()) % len(lanes)]  # the same when said again
            look = Look(car.plate, car.color, "in")
            self.cameras.tells(car.target, lane.id, look, car.entered_s)

    # setting out

    def _plan_next(self, lot: Lot, zone: Zone, from_s: float) -> None:
        rng = self.streams[lot.plan.id, zone.plan.id]
        found = next_arrival(rng, zone.profile, lot.local, from_s)
        if found is None:
            self.agenda.at(from_s + DAY_S, self._plan_next, lot, zone, from_s + DAY_S)
            return
        self.agenda.at(found[0], self._set_out, lot, zone, *found)

    def _set_out(self, lot: Lot, zone: Zone, set_out_s: float, stream: int) -> None:
        """One more driver; those who set out before the district began are on their way."""
        rng = self.streams[lot.plan.id, zone.plan.id]
        self._plan_next(lot, zone, set_out_s)
        stay_s = max(120.0, zone.profile.stay_s(rng, zone.profile.streams[stream]))
        near_s = set_out_s + rng.uniform(*DRIVE_S)
        if near_s < self.agenda.now_s or zone.closes_in_s(lot.local(near_s)) is None:
            return  # there already; or it knows the hours
        car = self._new_car(rng, lot, zone)
        self.tally.came += 1
        car.set_out_s, car.stay_s = set_out_s, stay_s
        car.goal = self.places.goal(lot.plan.id)
        car.follows = rng.random() < self.habits.adherence
        passed = self._passed_signs(rng, car) if car.need != "reserved" else []
        self.agenda.at(near_s, self._drive_on, car, passed)

    def _new_car(self, rng: Random, lot: Lot, zone: Zone) -> Car:
        ev_share = 1.0 if zone.plan.kind == "ev" else self.habits.new_energy
        plate, color = draw(rng, ev_share)
        while plate in self.plates:
            plate, color = draw(rng, ev_share)
        self.plates.add(plate)
        return Car(plate, color, lot.plan.id, zone.plan.kind)

    def _passed_signs(self, rng: Random, car: Car) -> list[Panel]:
        panels = self._signs.get(car.home)
        if panels is None:
            door = self.places.door[car.home]
            panels = [
                panel
                for panel in self.panels.values()
                if car.home in panel.plan.lots
                or (door is not None and panel.plan.destination == door)
            ]
            self._signs[car.home] = panels
        passed = []
        for level, share in ((1, self.habits.sees_arterial), (2, self.habits.sees_junction)):
            seen = on_the_way(car, panels, level)
            if seen and rng.random() < share:
                passed.append(rng.choice(seen))
        return passed

    def _drive_on(self, car: Car, ahead: list[Panel]) -> None:
        """At the next sign, or at the lot."""
        if not ahead:
            lot = self.places.lots[car.target]
            self.agenda.after(SIGN_TO_LOT_S, self._arrive, car, lot)
            return
        panel = ahead[0]
        self._read(car, panel)
        target = self.places.lots[car.target]
        ahead = ahead[1:]
        to: Spot = ahead[0].spot if ahead else target.spot
        self.agenda.after(target.drive_s(panel.spot, to), self._drive_on, car, ahead)

    def _read(self, car: Car, panel: Panel) -> None:
        lines = panel.read(self.agenda.now_s)
        if not lines:
            return
        car.panel = panel
        if not car.follows:
            return
        choice = advised(car, lines, self.places.lots, panel.spot)
        if choice is None:
            return
        if not car.guided:
            car.guided = True
            self.tally.guided += 1
        if choice != car.target:
            self.tally.diverted += 1
            car.target = choice

    # at a lot

    def _arrive(self, car: Car, lot: Lot) -> None:
        now_s = self.agenda.now_s
        zone = None if self._turned_off(car, lot) else lot.zone_for(car.need, now_s)
        if zone is None:
            self._full(car, lot)
            return
        zone.held += 1
        lane = self._lane(lot, zone, "in")
        self.cameras.passes(
            lot.plan.id,
            lane,
            Look(car.plate, car.color, "in"),
            barrier=lot.plan.barrier,
            go=lambda: self._enter(car, lot, zone, lane),
        )

    def _turned_off(self, car: Car, lot: Lot) -> bool:
        """The sign at the entrance says full, and the driver believes it."""
        if not car.follows:
            return False
        for panel in self._signs.get(car.home, ()):
            if panel.plan.level == 3 and lot.plan.id in panel.plan.lots:
                for line in panel.read(self.agenda.now_s):
                    if line.lot == lot.plan.id and line.state in ("full", "closed"):
                        return True
        return False

    def _full(self, car: Car, lot: Lot) -> None:
        self.tally.met_full += 1
        if car.guided:
            self.tally.guided_met_full += 1
        car.tried.add(lot.plan.id)
        onward = self._onward(car, lot)
        if onward is None:
            self.tally.gave_up += 1
            self.plates.discard(car.plate)
            return
        car.target = onward.plan.id
        drive_s = FIND_FULL_S + lot.drive_s(lot.spot, onward.spot)
        self.agenda.after(drive_s, self._arrive, car, onward)

    def _onward(self, car: Car, lot: Lot) -> Lot | None:
        if car.need == "reserved" or len(car.tried) >= self.habits.gives_up_after:
            return None
        if car.follows and car.panel is not None:
            lines = car.panel.read(self.agenda.now_s)
            choice = advised(car, lines, self.places.lots, lot.spot)
            if choice is not None:
                return self.places.lots[choice]
        return next_by_habit(car, self.places.near(car.goal), lot.spot)

    def _lane(self, lot: Lot, zone: Zone, direction: str) -> str:
        lanes = lot.lanes(direction, zone.plan.id)
        return self.rng.choice(lanes).id if lanes else ""

    def _enter(self, car: Car, lot: Lot, zone: Zone, lane: str) -> None:
        now_s = self.agenda.now_s
        zone.held -= 1
        zone.occupied += 1
        self.tally.entered += 1
        car.zone, car.target, car.entered_s = zone.plan.id, lot.plan.id, now_s
        closes_in_s = zone.closes_in_s(lot.local(now_s)) or 0.0
        car.leaves_s = self._leave_by(self.rng, now_s + car.stay_s, closes_in_s)
        self.inside[id(car)] = (car, lot, zone)
        self.instruments.crossed(lot.plan.id, zone.plan.id, lane, "in")
        self.agenda.after(self.rng.uniform(*TO_BAY_S), self._park, car, lot, zone)
        self.agenda.at(car.leaves_s, self._leave, car, lot, zone)

    def _park(self, car: Car, lot: Lot, zone: Zone) -> None:
        self.tally.parked += 1
        self.tally.search_s += self.agenda.now_s - car.set_out_s
        if car.leaving:
            return  # in and out again before it found a bay
        car.bay = zone.take_bay(self.rng)
        if car.bay is not None:
            self.instruments.bay_changed(lot.plan.id, zone.plan.id, car.bay)

    def _leave_by(self, rng: Random, leaves_s: float, closes_in_s: float) -> float:
        """Most leave before a shared window ends."""
        ends_s = self.agenda.now_s + closes_in_s
        if leaves_s <= ends_s or rng.random() < self.habits.overstay:
            return leaves_s
        return max(self.agenda.now_s + 60, ends_s - rng.uniform(0, 1800))

    # leaving

    def _leave(self, car: Car, lot: Lot, zone: Zone) -> None:
        self._tell(car)
        if car.bay is not None:
            zone.free_bay(car.bay)
            self.instruments.bay_changed(lot.plan.id, zone.plan.id, car.bay)
            car.bay = None
        car.leaving = True
        self.agenda.after(self.rng.uniform(*TO_EXIT_S), self._exit, car, lot, zone)

    def _exit(self, car: Car, lot: Lot, zone: Zone) -> None:
        lane = self._lane(lot, zone, "out")
        self.cameras.passes(
            lot.plan.id,
            lane,
            Look(car.plate, car.color, "out"),
            barrier=lot.plan.barrier,
            go=lambda: self._gone(car, lot, zone, lane),
        )

    def _gone(self, car: Car, lot: Lot, zone: Zone, lane: str) -> None:
        del self.inside[id(car)]
        self.plates.discard(car.plate)
        zone.occupied -= 1
        self.tally.left += 1
        self.instruments.crossed(lot.plan.id, zone.plan.id, lane, "out")

    def remembered(self) -> list[ParkedCar]:
        return [
            ParkedCar(
                lot.plan.id,
                zone.plan.id,
                car.plate,
                car.color,
                car.entered_s,
                car.leaves_s,
                car.told,
            )
            for car, lot, zone in self.inside.values()
        ]
