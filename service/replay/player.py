"""Plays a recording through MQTT as the counting devices of its lots would.

Recorded times are shifted: the first sample is now. Each message says when, on the clock, its count
was taken; at sixty times the recorded pace an hour of ages is a minute, on a clock at speed 1.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from devices.mqtt import Link
from service.clock import Clock
from service.replay.recording import Sample

MOST_UNDER_WAY = 1000
MOST_SPACES = 1_000_000  # what the wire format takes


class Voice(msgspec.Struct, frozen=True):
    """On whose behalf a recorded lot speaks: a device of ours at a lot's zone."""

    lot: str
    zone: str
    device: str

    @property
    def topic(self) -> str:
        return f"bowei/lots/{self.lot}/zones/{self.zone}/count"


class Played(msgspec.Struct):
    """`withheld`: values that no counter can say (negative, or beyond a million)."""

    sent: int = 0
    withheld: int = 0


class Player:
    """One pass over a recording. `speed` is recorded seconds a wall second; None: no waiting."""

    def __init__(
        self,
        link: Link,
        clock: Clock,
        voices: dict[str, Voice],
        *,
        counts: str,
        speed: float | None,
    ) -> None:
        self.link, self.clock, self.voices = link, clock, voices
        self.counts, self.speed = counts, speed
        self.played = Played()
        self._seqs: Counter[str] = Counter()  # a device numbers all that it says
        self._boot = int(clock.now_s() * 1000)  # grows with every start
        self._under_way: deque[asyncio.Future[None]] = deque()

    async def play(self, samples: Iterable[Sample], step: Callable[[Sample], None]) -> Played:
        """Send everything; `step` hears of each sample. Returns when the broker has it all."""
        loop = asyncio.get_running_loop()
        began_s, began_at_s = loop.time(), self.clock.now_s()
        first_s: float | None = None
        for sample in samples:
            first_s = sample.at_s if first_s is None else first_s
            at_s = None
            if self.speed is not None:
                passed_s = (sample.at_s - first_s) / self.speed  # wall
                wait_s = began_s + passed_s - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                at_s = began_at_s + passed_s * self.clock.speed
            await self._send(sample, at_s)
            step(sample)
        while self._under_way:
            await self._under_way.popleft()
        return self.played

    async def _send(self, sample: Sample, at_s: float | None) -> None:
        if not 0 <= sample.value <= MOST_SPACES:
            self.played.withheld += 1
            return
        voice = self.voices[sample.lot]
        self._seqs[voice.device] += 1
        at = datetime.fromtimestamp(at_s if at_s is not None else self.clock.now_s(), UTC)
        payload = {
            "device": voice.device,
            "boot": self._boot,
            "seq": self._seqs[voice.device],
            "at": at,
            self.counts: sample.value,
        }
        sending = self.link.publish(voice.topic, msgspec.json.encode(payload), retain=True)
        self._under_way.append(sending)
        self.played.sent += 1
        while self._under_way and (
            self._under_way[0].done() or len(self._under_way) >= MOST_UNDER_WAY
        ):
            await self._under_way.popleft()
