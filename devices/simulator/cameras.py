"""Pure: plate cameras, what they read and misread, and the cars that wait for a barrier."""

from collections import deque
from collections.abc import Callable
from random import Random
from zlib import crc32

import msgspec

from devices.reading import PlateColor
from devices.simulator.agenda import Agenda
from devices.simulator.instruments import Channel
from devices.simulator.news import Alive, Passed, Status
from devices.simulator.plan import CameraPlan, District
from devices.simulator.plates import misread
from devices.simulator.tally import Tally

HEADWAY_S = 2.0  # from one car's passing to the next one's standing there
JAM = 6
OPEN_BY_THEMSELVES = frozenset({"hikvision_http"})  # by their own rules: no answer reaches them


class Look(msgspec.Struct, frozen=True):
    """What a camera could see of one car."""

    plate: str
    color: PlateColor
    direction: str


class _Camera:
    def __init__(self, plan: CameraPlan, boot: int) -> None:
        self.plan = plan
        self.boot = boot
        self.seq = 0
        self.queue: deque[tuple[Look, Callable[[], None]]] = deque()

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class Cameras:
    """All cameras; a lane without one lets its cars through unseen."""

    def __init__(
        self,
        district: District,
        agenda: Agenda,
        channel: Channel,
        boot: int,
        tally: Tally,
        seed: str,
    ) -> None:
        self.faults, self.pace = district.faults, district.pace
        self.await_answers = district.await_answers
        self.agenda, self.channel, self.tally = agenda, channel, tally
        self.rng = Random(f"{seed}/cameras")
        self.by_lane = {(plan.lot, plan.lane): _Camera(plan, boot) for plan in district.cameras}
        self.waiting: dict[str, dict[str, Callable[[], None]]] = {}  # camera: event: let through

    def start(self) -> None:
        for camera in self.by_lane.values():
            if camera.plan.model == "bowei":
                seq = camera.next_seq()
                news = Status(camera.plan.id, self.agenda.now_s, camera.boot, seq, online=True)
                self.channel.outbox.append(news)
            wait_s = self.pace.alive_every_s * self.rng.random()
            self.agenda.after(wait_s, self._alive, camera)

    def farewell(self) -> list[Status]:
        return [
            Status(camera.plan.id, self.agenda.now_s, camera.boot, camera.next_seq(), online=False)
            for camera in self.by_lane.values()
            if camera.plan.model == "bowei"
        ]

    def passes(
        self, lot: str, lane: str, look: Look, *, barrier: bool, go: Callable[[], None]
    ) -> None:
        """A car comes to `lane`; `go` is called once, when it may and does drive on.

        Where a barrier waits for its answer cars stand one behind the other; in a jam the barrier
        is left open by hand.
        """
        camera = self.by_lane.get((lot, lane))
        if camera is None:
            go()
        elif not (barrier and self.await_answers and camera.plan.model not in OPEN_BY_THEMSELVES):
            if self.rng.random() >= self.faults.missed:
                self._sees(camera, look, self.agenda.now_s)
            go()
        elif len(camera.queue) >= JAM:
            self._unseen(go)
        else:
            camera.queue.append((look, go))
            if len(camera.queue) == 1:
                self._next(camera)

    def _next(self, camera: _Camera) -> None:
        """The first of the queue stands at the barrier."""
        look, go = camera.queue[0]

        def drive() -> None:
            go()
            self.agenda.after(HEADWAY_S, self._moved_up, camera)

        if self.rng.random() < self.faults.missed:
            self.agenda.after(self.pace.patience_s, self._unseen, drive)
            return
        event = self._sees(camera, look, self.agenda.now_s, waits=True)
        self.waiting.setdefault(camera.plan.id, {})[event] = drive
        self.agenda.after(self.pace.patience_s, self._by_hand, camera.plan.id, event)

    def _moved_up(self, camera: _Camera) -> None:
        camera.queue.popleft()
        if camera.queue:
            self._next(camera)

    def tells(self, lot: str, lane: str, look: Look, at_s: float) -> None:
        """Says of a car that passed earlier, as a camera does after an outage.

        Said again, in another run, it is the same event.
        """
        camera = self.by_lane.get((lot, lane))
        if camera is not None:
            event = f"kept-{int(at_s * 1000)}-{crc32(look.plate.encode()):08x}"
            self._sees(camera, look, at_s, kept_as=event)

    def answered(self, camera: str, event: str | None, *, opened: bool) -> None:
        """The gate's answer: to `event`, or to the one that stands at the barrier."""
        waiting = self.waiting.get(camera)
        if not waiting:
            return
        if event is None:
            event = next(iter(waiting))
        if event not in waiting:
            return
        if opened:
            self.tally.answered_open += 1
            waiting.pop(event)()
        else:
            self.tally.answered_shut += 1  # stands until it is opened by a later answer or by hand

    def _sees(
        self,
        camera: _Camera,
        look: Look,
        at_s: float,
        *,
        waits: bool = False,
        kept_as: str | None = None,
    ) -> str:
        dice = self.rng.random()
        plate: str | None = look.plate
        confidence = round(self.rng.uniform(0.93, 0.995), 3)
        if dice < self.faults.unread:
            plate, confidence = None, 0.0
        elif dice < self.faults.unread + self.faults.misread:
            plate, confidence = misread(self.rng, look.plate), round(self.rng.uniform(0.6, 0.9), 3)
        seq = camera.next_seq()
        event = kept_as or f"{camera.boot}-{seq}"
        color = look.color if plate is not None else PlateColor.UNKNOWN
        self.channel.send_safely(
            Passed(
                camera.plan,
                at_s,
                camera.boot,
                seq,
                event,
                look.direction,
                plate,
                color,
                confidence,
                kept_as is not None,
                waits,
            )
        )
        return event

    def _by_hand(self, camera: str, event: str) -> None:
        go = self.waiting.get(camera, {}).pop(event, None)
        if go is not None:
            self._unseen(go)

    def _unseen(self, go: Callable[[], None]) -> None:
        self.tally.by_hand += 1
        go()

    def _alive(self, camera: _Camera) -> None:
        seq = camera.next_seq()
        self.channel.outbox.append(Alive(camera.plan, self.agenda.now_s, camera.boot, seq))
        self.agenda.after(self.pace.alive_every_s, self._alive, camera)
