"""Pure: a driver, and how signs and full lots change where he goes."""

import math
from collections.abc import Iterable

import msgspec

from devices.reading import PlateColor
from devices.simulator.places import Lot, Spot, distance_m, walk_s
from devices.simulator.plan import SignPlan

RISK_S = 900.0  # what a lot is feared to cost that shows hardly a space
RISK_FADES = 8.0  # spaces by which that fear falls to a third
HABIT_S = 240.0  # the lot one had in mind is given up only for a clear gain
WALK_WEIGHT = 2.0  # a minute on foot weighs as much as two behind the wheel


class Line(msgspec.Struct, frozen=True):
    """One lot's line as it stands on a panel. state: free | few | full | closed | unknown."""

    lot: str
    value: str
    state: str


class Panel:
    """What drivers see of one sign: its lines until the lease ends, then `--` everywhere."""

    def __init__(self, plan: SignPlan) -> None:
        self.plan = plan
        self.spot: Spot = (plan.lat, plan.lng)
        self.lines: tuple[Line, ...] = ()
        self.until_s = float("-inf")

    def show(self, lines: tuple[Line, ...], until_s: float) -> None:
        self.lines, self.until_s = lines, until_s

    def read(self, now_s: float) -> tuple[Line, ...]:
        return self.lines if now_s <= self.until_s else ()


class Car:
    """One car on one errand; times in POSIX seconds."""

    __slots__ = (
        "bay",
        "color",
        "entered_s",
        "follows",
        "goal",
        "guided",
        "home",
        "leaves_s",
        "leaving",
        "need",
        "panel",
        "plate",
        "set_out_s",
        "stay_s",
        "target",
        "told",
        "tried",
        "zone",
    )

    def __init__(self, plate: str, color: PlateColor, home: str, need: str) -> None:
        self.plate, self.color = plate, color
        self.home = home  # the lot that its driver would go to by habit
        self.target = home
        self.need = need
        self.goal: Spot = (0.0, 0.0)
        self.follows = False
        self.guided = False
        self.panel: Panel | None = None  # the sign it read last
        self.tried: set[str] = set()
        self.set_out_s = 0.0
        self.stay_s = 0.0
        self.zone = ""
        self.bay: str | None = None
        self.entered_s = 0.0
        self.leaves_s = 0.0
        self.leaving = False
        self.told = True  # its entry was seen, or said later


def advised(car: Car, lines: Iterable[Line], lots: dict[str, Lot], here: Spot) -> str | None:
    """The lot that a driver picks from a panel, or None when it offers him none.

    He takes what is quickest to his door among the lots with spaces, walking counted twice; he
    does not trust a small number, and likes the lot that he had in mind.
    """
    best: tuple[float, str] | None = None
    for line in lines:
        lot = lots.get(line.lot)
        if lot is None or line.state not in ("free", "few") or line.lot in car.tried:
            continue
        cost_s = lot.drive_s(here, lot.spot) + WALK_WEIGHT * walk_s(lot.spot, car.goal)
        shown = int(line.value) if line.value.isdecimal() else 0
        cost_s += RISK_S * math.exp(-shown / RISK_FADES)
        if line.lot == car.target:
            cost_s -= HABIT_S
        best = min(best, (cost_s, line.lot)) if best else (cost_s, line.lot)
    return best[1] if best else None


def next_by_habit(car: Car, near: list[Lot], here: Spot) -> Lot | None:
    """Where a driver goes on to by himself: what is near the door and not far from here."""
    untried = [
        lot
        for lot in near
        if lot.plan.id not in car.tried
        and (car.need != "reserved")
        and any(zone.plan.public for zone in lot.zones.values())
    ]
    return min(
        untried,
        key=lambda lot: (
            lot.drive_s(here, lot.spot) + WALK_WEIGHT * walk_s(lot.spot, car.goal),
            lot.plan.id,
        ),
        default=None,
    )


def on_the_way(car: Car, panels: list[Panel], level: int) -> list[Panel]:
    """The signs of a level that a car passes, nearest to its lot last."""
    fitting = [panel for panel in panels if panel.plan.level == level]
    return sorted(fitting, key=lambda panel: (-distance_m(panel.spot, car.goal), panel.plan.id))
