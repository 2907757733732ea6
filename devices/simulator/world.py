"""Pure: the district as one thing that moves when told the time.

world.advance(now_s) -> what the street said meanwhile
world.show(…), world.answered(…): what signs and gates were told
world.truth(): how it really is
"""

from random import Random

from devices.simulator.agenda import Agenda
from devices.simulator.cameras import Cameras
from devices.simulator.drivers import Line
from devices.simulator.instruments import Channel, Instruments
from devices.simulator.memory import Memory
from devices.simulator.news import News
from devices.simulator.places import Map
from devices.simulator.plan import District
from devices.simulator.tally import Tally
from devices.simulator.traffic import Traffic


class World:
    """A district from `start_s` on; `memory` is what an earlier run left behind."""

    def __init__(self, district: District, start_s: float, memory: Memory | None = None) -> None:
        self.district = district
        self.boot = max(int(start_s), memory.boot + 1 if memory else 0)
        # An earlier run's dice are not thrown again: its plates may still be about.
        seed = f"{district.seed}/{self.boot}" if memory else f"{district.seed}"
        self.tally = Tally()
        self.agenda = Agenda(start_s)
        self.places = Map(district)
        self.channel = Channel(self.agenda, Random(f"{seed}/channel"), district.faults)
        self.instruments = Instruments(
            district, self.places, self.agenda, self.channel, self.boot, seed
        )
        self.cameras = Cameras(district, self.agenda, self.channel, self.boot, self.tally, seed)
        self.traffic = Traffic(
            district, self.places, self.agenda, self.instruments, self.cameras, self.tally, seed
        )
        self.instruments.start(self.traffic.start(memory))
        self.cameras.start()

    @property
    def now_s(self) -> float:
        return self.agenda.now_s

    @property
    def next_s(self) -> float | None:
        """When something happens next."""
        return self.agenda.next_s

    def advance(self, until_s: float) -> list[News]:
        """Let everything happen until then; the news in the order in which it reaches the air."""
        self.agenda.run(until_s)
        news = self.channel.outbox[:]
        self.channel.outbox.clear()
        return news

    def show(self, sign: str, lines: tuple[Line, ...], until_s: float) -> None:
        """A sign was told what to show, and until when."""
        panel = self.traffic.panels.get(sign)
        if panel is not None:
            panel.show(lines, until_s)

    def answered(self, camera: str, event: str | None, *, opened: bool) -> None:
        """A gate was answered; without an event the car at its barrier is meant."""
        self.cameras.answered(camera, event, opened=opened)

    def truth(self) -> dict[tuple[str, str], int]:
        """Cars inside each (lot, zone)."""
        return {
            (lot.plan.id, zone.plan.id): zone.occupied
            for lot in self.places.lots.values()
            for zone in lot.zones.values()
        }

    def sign_errors(self) -> list[int]:
        """|shown - true free spaces| of every number that stands on a sign now."""
        errors = []
        for panel in self.traffic.panels.values():
            for line in panel.read(self.now_s):
                lot = self.places.lots.get(line.lot)
                if lot is not None and line.value.isdecimal():
                    errors.append(abs(int(line.value) - lot.public_free(self.now_s)))
        return errors

    def farewell(self) -> list[News]:
        """What devices say when they are switched off in good order."""
        return [*self.instruments.farewell(), *self.cameras.farewell()]

    def memory(self) -> Memory:
        return Memory(self.now_s, self.boot, tuple(self.traffic.remembered()))
