"""Pure: what a simulated district is made of, in plain arguments.

Positions are WGS-84 degrees, times POSIX seconds of the clock, durations seconds.
"""

import msgspec


class Window(msgspec.Struct, frozen=True):
    """When a shared zone is open: local seconds of the day, ISO weekdays (1 = Monday).

    `until_s` at or before `from_s` runs past midnight.
    """

    from_s: int
    until_s: int
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


class ZonePlan(msgspec.Struct, frozen=True):
    """kind: general | ev | accessible | reserved | shared; fed_by: bays|counter|absolute|plates."""

    id: str
    kind: str
    capacity: int
    fed_by: str
    public: bool = True
    report_every_s: float = 60.0
    windows: tuple[Window, ...] = ()


class LanePlan(msgspec.Struct, frozen=True):
    """direction: in | out. `zone`: the one zone that this lane leads to, if it is only one."""

    id: str
    direction: str
    zone: str | None = None


class LotPlan(msgspec.Struct, frozen=True):
    """kind names the demand (`demand.KINDS`); `barrier` false: nothing holds a car at its lanes."""

    id: str
    kind: str
    lat: float
    lng: float
    zones: tuple[ZonePlan, ...]
    lanes: tuple[LanePlan, ...]
    barrier: bool = True
    timezone: str = "Asia/Shanghai"
    drive_kmh: float = 22.0
    detour: float = 1.35


class CameraPlan(msgspec.Struct, frozen=True):
    """model: bowei | vzenith_mqtt | vzenith_http | hikvision_http; transport: mqtt | http."""

    id: str
    lot: str
    lane: str
    model: str
    transport: str


class SensorPlan(msgspec.Struct, frozen=True):
    """A counting device (`bay` None) or a bay sensor; vendor models travel in an `envelope`."""

    id: str
    lot: str
    zone: str
    model: str = "bowei"
    bay: str | None = None
    envelope: str | None = None


class SignPlan(msgspec.Struct, frozen=True):
    """level 1 arterial, 2 junction, 3 lot entrance; `lots` in the order of the panel."""

    id: str
    lat: float
    lng: float
    level: int
    lots: tuple[str, ...]
    destination: str | None = None


class DestinationPlan(msgspec.Struct, frozen=True):
    id: str
    lat: float
    lng: float


class Habits(msgspec.Struct, frozen=True):
    """How drivers behave.

    `adherence`: share that does what a sign says. `sees_arterial`, `sees_junction`: share that
    passes a level 1 or level 2 sign of its destination. `overstay`: share that ignores the end of
    a shared window. `gives_up_after`: full lots met before driving home.
    """

    adherence: float = 0.85
    sees_arterial: float = 0.7
    sees_junction: float = 0.9
    new_energy: float = 0.35
    demand: float = 1.0
    overstay: float = 0.02
    gives_up_after: int = 4


class Faults(msgspec.Struct, frozen=True):
    """What goes wrong in the street; every rate is a share per message or per crossing.

    `miscount`: a counter misses or doubles a crossing. `silences_per_day`: how often a device
    falls silent, for 10 to 60 min. `missed`: a camera does not see a vehicle; `unread`, `misread`:
    it sees one but no plate, or a wrong one. `resent`: a camera sends the same event twice.
    """

    miscount: float = 0.003
    lost: float = 0.005
    duplicated: float = 0.005
    reordered: float = 0.005
    lag_least_s: float = 0.05
    lag_most_s: float = 0.6
    change_lag_s: float = 2.0
    silences_per_day: float = 0.05
    missed: float = 0.001
    unread: float = 0.004
    misread: float = 0.006
    resent: float = 0.004


NO_FAULTS = Faults(
    miscount=0,
    lost=0,
    duplicated=0,
    reordered=0,
    lag_least_s=0,
    lag_most_s=0,
    silences_per_day=0,
    missed=0,
    unread=0,
    misread=0,
    resent=0,
)


class Pace(msgspec.Struct, frozen=True):
    """What keeps the traffic bounded, in seconds of the clock.

    `change_gap_s`: a counter reports changes at most this often. `bay_gap_s`: the same of a bay.
    `patience_s`: how long a car waits at a barrier before it is opened by hand. `alive_every_s`:
    camera heartbeats. `told_every_s`: cars that were parked before the start are told of one by
    one, at this distance: first where plates are all that is counted, then those that leave first;
    `told_at_once` of them immediately. `start_bays_per_s`: bay sensors say hello at this rate.
    """

    change_gap_s: float = 5.0
    bay_gap_s: float = 1.0
    patience_s: float = 20.0
    alive_every_s: float = 20.0
    told_every_s: float = 0.1
    told_at_once: int = 40
    told_share: float = 1.0
    start_bays_per_s: float = 300.0

    def at_speed(self, speed: float) -> "Pace":
        """The same traffic a wall second, for a clock that runs `speed` times as fast.

        Slower clocks keep the pace as it is; a barrier is waited at for 3 wall seconds at least.
        """
        if speed <= 1:
            return self
        return Pace(
            change_gap_s=max(self.change_gap_s, 0.25 * speed),
            bay_gap_s=max(self.bay_gap_s, 0.25 * speed),
            patience_s=max(self.patience_s, 3 * speed),
            alive_every_s=max(self.alive_every_s, 0.5 * speed),
            told_every_s=self.told_every_s * speed,
            told_at_once=self.told_at_once,
            told_share=self.told_share,
            start_bays_per_s=self.start_bays_per_s / speed,
        )


class District(msgspec.Struct, frozen=True):
    """Everything that lives; ids are unique within their kind."""

    lots: tuple[LotPlan, ...]
    cameras: tuple[CameraPlan, ...] = ()
    sensors: tuple[SensorPlan, ...] = ()
    signs: tuple[SignPlan, ...] = ()
    destinations: tuple[DestinationPlan, ...] = ()
    seed: int = 1
    habits: Habits = Habits()
    faults: Faults = Faults()
    pace: Pace = Pace()
    await_answers: bool = False
