"""Pure: the counting devices and bay sensors of a district, with everything that they get wrong.

Own formats are cumulative or absolute and carry (boot, seq); a lost report leaves a hole in seq,
a reordered one comes after its successor.
"""

from collections import defaultdict
from collections.abc import Callable
from random import Random

from devices.simulator.agenda import Agenda
from devices.simulator.news import BaySeen, Counted, News, Status
from devices.simulator.places import Map, Zone
from devices.simulator.plan import District, Faults, SensorPlan

DAY_S = 86_400
RECOUNT_LOCAL_S = 4 * 3600  # staff set the absolute counters right at this hour


class Channel:
    """The way from a device to the broker: late, now and then lost, twice, or overtaken."""

    def __init__(self, agenda: Agenda, rng: Random, faults: Faults) -> None:
        self.agenda = agenda
        self.rng = rng
        self.faults = faults
        self.outbox: list[News] = []

    def send(self, news: News) -> None:
        """Telemetry: subject to everything."""
        faults, rng = self.faults, self.rng
        dice = rng.random()
        if dice < faults.lost:
            return
        lag_s = rng.uniform(faults.lag_least_s, faults.lag_most_s)
        if dice < faults.lost + faults.reordered:
            lag_s += rng.uniform(5, 15)
        self._deliver_after(lag_s, news)
        if rng.random() < faults.duplicated:
            self._deliver_after(lag_s + rng.uniform(0.5, 5), news)

    def send_safely(self, news: News) -> None:
        """What a device keeps until it is acknowledged: at once, now and then sent again."""
        self.outbox.append(news)
        if self.rng.random() < self.faults.resent:
            self._deliver_after(self.rng.uniform(1, 5), news)

    def _deliver_after(self, lag_s: float, news: News) -> None:
        if lag_s <= 0:
            self.outbox.append(news)
        else:
            self.agenda.after(lag_s, self.outbox.append, news)


class Device:
    """What every device has: its order, and its times of silence."""

    def __init__(self, plan: SensorPlan, boot: int) -> None:
        self.plan = plan
        self.boot = boot
        self.seq = 0
        self.silent_until_s = 0.0
        self.pending = False
        self.due_s = 0.0
        self.reported_s = float("-inf")

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class Counter(Device):
    """Counts crossings, and miscounts; what it holds is its own belief, not the truth."""

    entered = 0
    left = 0

    @property
    def believed(self) -> int:
        return self.entered - self.left


class Instruments:
    """All devices of a district; the traffic tells them what happens, they tell the channel."""

    def __init__(
        self,
        district: District,
        places: Map,
        agenda: Agenda,
        channel: Channel,
        boot: int,
        seed: str,
    ) -> None:
        self.faults, self.pace = district.faults, district.pace
        self.places, self.agenda, self.channel, self.boot = places, agenda, channel, boot
        self.rng = Random(f"{seed}/instruments")
        self.counters: dict[tuple[str, str], list[Counter]] = defaultdict(list)
        self.bays: dict[tuple[str, str, str], Device] = {}
        self.own: list[Device] = []
        for plan in district.sensors:
            self._install(plan)

    def _install(self, plan: SensorPlan) -> None:
        zone = self._zone(plan)
        if plan.bay is not None:
            device = Device(plan, self.boot)
            self.bays[plan.lot, plan.zone, plan.bay] = device
            zone.furnish([*zone.bay_taken, plan.bay])
            return
        counter = Counter(plan, self.boot)
        self.counters[plan.lot, plan.zone].append(counter)
        self.own.append(counter)

    def _zone(self, plan: SensorPlan) -> Zone:
        return self.places.lots[plan.lot].zones[plan.zone]

    def start(self, unseen: dict[tuple[str, str], int]) -> None:
        """First reports; `unseen` are the cars in a zone that no earlier boot has counted in.

        An absolute counter starts with the truth. A cumulative one starts at nothing with each
        boot, so what it says of its first is all that is there.
        """
        for (lot, zone), counters in self.counters.items():
            occupied = self.places.lots[lot].zones[zone].occupied
            absolute = self._absolute(counters[0])
            for at, counter in enumerate(counters):
                counted = unseen.get((lot, zone), 0) if at == 0 else 0
                counter.entered = occupied if absolute else counted
                self._announce(counter.plan.id, counter)
                self._report(counter)
                every_s = self._every_s(counter)
                self.agenda.after(every_s * self.rng.random(), self._routine, counter)
                if absolute:
                    self._plan_recount(counter)
        for at, device in enumerate(self.bays.values()):
            self.agenda.after(at / self.pace.start_bays_per_s, self._bay_report, device, "start")
            every_s = self._every_s(device)
            self.agenda.after(every_s * (0.2 + self.rng.random()), self._routine, device)

    def _announce(self, name: str, device: Device) -> None:
        now_s = self.agenda.now_s
        news = Status(name, now_s, device.boot, device.next_seq(), online=True)
        self.channel.outbox.append(news)

    def farewell(self) -> list[News]:
        """Each counting device says that it goes."""
        now_s = self.agenda.now_s
        return [
            Status(device.plan.id, now_s, device.boot, device.next_seq(), online=False)
            for device in self.own
        ]

    # what the traffic does

    def crossed(self, lot: str, zone: str, lane: str | None, direction: str) -> None:
        """A car crossed into or out of a zone: every counter there sees it, or its lane's does."""
        counters = self.counters.get((lot, zone))
        if not counters:
            return
        if self._absolute(counters[0]):
            seen_by = counters
        else:
            seen_by = [counters[sum(map(ord, lane or "")) % len(counters)]]
        for counter in seen_by:
            steps = self._steps()
            if direction == "in":
                counter.entered += steps
            else:
                counter.left += steps
            if steps:
                self._report_soon(counter, self.pace.change_gap_s, self._report)

    def bay_changed(self, lot: str, zone: str, bay: str) -> None:
        device = self.bays.get((lot, zone, bay))
        if device is None or self.rng.random() < self.faults.miscount:
            return  # a missed change is put right by the next routine report
        self._report_soon(device, self.pace.bay_gap_s, self._bay_report, "change")

    def _steps(self) -> int:
        dice = self.rng.random()
        if dice < self.faults.miscount / 2:
            return 0
        return 2 if dice < self.faults.miscount else 1

    # reports

    def _report_soon(
        self, device: Device, gap_s: float, report: Callable[..., None], *what: str
    ) -> None:
        """One report for all changes within the gap."""
        if device.pending:
            return
        device.pending = True
        lag_s = self.faults.change_lag_s * self.rng.random()
        due_s = max(self.agenda.now_s + lag_s, device.reported_s + gap_s)
        device.due_s = due_s
        self.agenda.at(due_s, self._still_due, device, report, *what)

    def _still_due(self, device: Device, report: Callable[..., None], *what: str) -> None:
        """A routine report in the meantime has said it already, or put it off."""
        if device.pending and self.agenda.now_s >= device.due_s:
            report(device, *what)

    def _routine(self, device: Device) -> None:
        every_s = self._every_s(device)
        now_s = self.agenda.now_s
        if self.rng.random() < self.faults.silences_per_day * every_s / DAY_S:
            device.silent_until_s = now_s + self.rng.uniform(600, 3600)
        if isinstance(device, Counter):
            self._report(device)
        else:
            self._bay_report(device, "alive")
        self.agenda.after(every_s, self._routine, device)

    def _report(self, counter: Counter) -> None:
        counter.pending = False
        now_s = self.agenda.now_s
        if now_s < counter.silent_until_s:
            return
        counter.reported_s = now_s
        plan, boot, seq = counter.plan, counter.boot, counter.next_seq()
        if self._absolute(counter):
            capacity = self._zone(plan).plan.capacity
            shown = min(max(counter.believed, 0), capacity)
            news = Counted(plan, now_s, boot, seq, occupied=shown)
        else:
            news = Counted(plan, now_s, boot, seq, entered=counter.entered, left=counter.left)
        self.channel.send(news)

    def _bay_report(self, device: Device, cause: str) -> None:
        device.pending = False
        now_s = self.agenda.now_s
        if now_s < device.silent_until_s:
            return
        device.reported_s = now_s
        plan = device.plan
        taken = self._zone(plan).bay_taken[plan.bay or ""]
        degrees = 12 + 8 * self.rng.random()
        self.channel.send(
            BaySeen(
                plan,
                now_s,
                device.boot,
                device.next_seq(),
                taken,
                cause,
                temperature_c=round(degrees, 1),
            )
        )

    def _plan_recount(self, counter: Counter) -> None:
        local_s, _ = self.places.lots[counter.plan.lot].local(self.agenda.now_s)
        self.agenda.after((RECOUNT_LOCAL_S - local_s) % DAY_S + 1, self._recount, counter)

    def _recount(self, counter: Counter) -> None:
        counter.left = counter.entered - self._zone(counter.plan).occupied
        self._report(counter)
        self._plan_recount(counter)

    def _absolute(self, device: Device) -> bool:
        return self._zone(device.plan).plan.fed_by == "absolute"

    def _every_s(self, device: Device) -> float:
        return self._zone(device.plan).plan.report_every_s
