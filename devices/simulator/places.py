"""Pure: lots and zones as they truly are, and the ways between places."""

import math
from functools import lru_cache
from random import Random

from devices.simulator.demand import LocalTime, Profile, open_until_s
from devices.simulator.plan import DestinationPlan, District, LanePlan, LotPlan, ZonePlan

WALK_M_PER_S = 1.2
WALK_DETOUR = 1.3
NEAR_M = 1500.0  # as far as one would walk, and as a sign's destination reaches
DRAWN_TO_DOOR = frozenset({"hospital", "station"})  # the others' visitors want to go to just there
EARTH_M = 6_371_000.0

Spot = tuple[float, float]


@lru_cache(maxsize=65_536)
def distance_m(one: Spot, other: Spot) -> float:
    """Straight metres over a ground that is flat between them."""
    mean_lat = math.radians((one[0] + other[0]) / 2)
    north = math.radians(other[0] - one[0])
    east = math.radians(other[1] - one[1]) * math.cos(mean_lat)
    return EARTH_M * math.hypot(north, east)


def walk_s(one: Spot, other: Spot) -> float:
    return distance_m(one, other) * WALK_DETOUR / WALK_M_PER_S


class Zone:
    """A zone's truth: 0 <= occupied + held <= capacity, `held` being cars at the barrier for it."""

    def __init__(self, lot: LotPlan, plan: ZonePlan, factor: float) -> None:
        self.plan = plan
        self.profile = Profile(lot.kind, plan, factor)
        self.occupied = 0
        self.held = 0
        self.free_bays: list[str] = []
        self.bay_taken: dict[str, bool] = {}

    @property
    def free(self) -> int:
        return self.plan.capacity - self.occupied - self.held

    def furnish(self, bays: list[str]) -> None:
        """Its bays with a sensor; there may be fewer than places."""
        self.free_bays = list(bays)
        self.bay_taken = dict.fromkeys(bays, False)

    def take_bay(self, rng: Random) -> str | None:
        """A free bay with a sensor, or None: as likely as such bays are among the free ones."""
        bays = self.free_bays
        bare = self.plan.capacity - len(self.bay_taken)
        if not bays or (bare and rng.random() * (len(bays) + bare) > len(bays)):
            return None
        at = rng.randrange(len(bays))
        bays[at], bays[-1] = bays[-1], bays[at]
        bay = bays.pop()
        self.bay_taken[bay] = True
        return bay

    def free_bay(self, bay: str) -> None:
        self.bay_taken[bay] = False
        self.free_bays.append(bay)

    def closes_in_s(self, local: tuple[float, int]) -> float | None:
        return open_until_s(self.plan.windows, *local)


class Lot:
    """A lot's truth, and the lanes that lead in and out."""

    def __init__(self, plan: LotPlan, factor: float) -> None:
        self.plan = plan
        self.spot: Spot = (plan.lat, plan.lng)
        self.zones = {zone.id: Zone(plan, zone, factor) for zone in plan.zones}
        self.local = LocalTime(plan.timezone)

    def lanes(self, direction: str, zone: str) -> list[LanePlan]:
        """The lanes of `zone` that way, or those that lead everywhere."""
        ways = [lane for lane in self.plan.lanes if lane.direction == direction]
        own = [lane for lane in ways if lane.zone == zone]
        return own or [lane for lane in ways if lane.zone is None] or ways

    def zone_for(self, need: str, now_s: float) -> Zone | None:
        """A zone that is open and has a place for this need; ev and accessible may go general."""
        local = self.local(now_s)
        wanted = {
            "general": ("general", "shared"),
            "shared": ("shared", "general"),
            "ev": ("ev", "general", "shared"),
            "accessible": ("accessible", "general", "shared"),
        }.get(need, (need,))
        for kind in wanted:
            for zone in self.zones.values():
                if zone.plan.kind != kind or zone.free <= 0:
                    continue
                closes_in_s = zone.closes_in_s(local)
                if closes_in_s is not None and closes_in_s > 900:
                    return zone
        return None

    def public_free(self, now_s: float) -> int:
        """What a perfect sign would show."""
        local = self.local(now_s)
        return sum(
            zone.free
            for zone in self.zones.values()
            if zone.plan.public and zone.closes_in_s(local) is not None
        )

    def drive_s(self, start: Spot, end: Spot) -> float:
        return distance_m(start, end) * self.plan.detour / (self.plan.drive_kmh / 3.6)


class Map:
    """All lots, where each one's drivers want to go, and what else is near there."""

    def __init__(self, district: District) -> None:
        self.lots = {plan.id: Lot(plan, district.habits.demand) for plan in district.lots}
        self.destinations = {place.id: (place.lat, place.lng) for place in district.destinations}
        self.door: dict[str, str | None] = {
            lot.plan.id: _nearest(lot.spot, district.destinations) for lot in self.lots.values()
        }
        self._near: dict[Spot, list[Lot]] = {}

    def goal(self, lot: str) -> Spot:
        """Where drivers who would park at `lot` want to go."""
        door = self.door[lot]
        if door is not None and self.lots[lot].plan.kind in DRAWN_TO_DOOR:
            return self.destinations[door]
        return self.lots[lot].spot

    def near(self, goal: Spot) -> list[Lot]:
        """Lots from which one would walk to `goal`, nearest first."""
        found = self._near.get(goal)
        if found is None:
            lots = [lot for lot in self.lots.values() if distance_m(lot.spot, goal) <= NEAR_M]
            found = sorted(lots, key=lambda lot: (distance_m(lot.spot, goal), lot.plan.id))
            self._near[goal] = found
        return found


def _nearest(spot: Spot, places: tuple[DestinationPlan, ...]) -> str | None:
    best = min(
        ((distance_m(spot, (place.lat, place.lng)), place.id) for place in places),
        default=(math.inf, ""),
    )
    return best[1] if best[0] <= NEAR_M else None
