"""What is gathered while Redis works on the batch before: the newest word of every source.

A batch holds one boot of each counter, since the last word of an earlier boot still counts; news of
another boot begins a new batch.
"""

import asyncio
from collections import defaultdict
from datetime import datetime

import msgspec

from devices.reading import Count, Presence, Reading, Uplink
from service.occupancy import report
from service.occupancy.report import Told
from service.occupancy.senders import Device, Source
from service.occupancy.shard import Part, mark

CLOCK_AHEAD_S = 30.0  # a clock further ahead is not believed
CLOCK_BEHIND_S = 3600.0  # one further behind, in a message that is not a replay, is suspect


class Run(msgspec.Struct, gc=False):
    """Messages of a device that came without a gap between them; none where `last` is less."""

    boot: int
    first: int
    last: int


class Word(Run, gc=False):
    """The newest reading of a source in this batch, as it came.

    Of the only voice of its device it is the run of its messages as well.
    """

    seq: int
    reading: Reading
    measured_at: datetime | None
    received_ms: int
    retained: bool


class Owed(msgspec.Struct):
    """Messages of one connection to be acknowledged when the batch is written."""

    connection: int = 0
    mids: list[int] = []


class Batch:
    """Filled by the ingester, then written once."""

    def __init__(self) -> None:
        self.messages = 0
        self.owed = Owed()
        self.owed_gate = Owed()
        self.words: dict[Source, Word] = {}
        self.runs: dict[Device, Run] = {}
        self.broken: set[Device] = set()  # more than one run of theirs is here
        self.marks: list[tuple[Device, str]] = []
        self.facts: dict[str, tuple[int, str]] = {}  # field -> shard, value
        self.passages: dict[int, list[str]] = {}
        self.letters: dict[str, tuple[str, int, str]] = {}
        self._written: asyncio.Future[None] | None = None

    @property
    def empty(self) -> bool:
        owed = self.owed.mids or self.owed_gate.mids
        return not (self.messages or self.facts or self.passages or self.letters or owed)

    def written(self) -> asyncio.Future[None]:
        """Done when all of this batch is stored."""
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        return self._written

    def settle(self) -> None:
        if self._written is not None and not self._written.done():
            self._written.set_result(None)

    def add(
        self, source: Source, uplink: Uplink, reading: Reading, received_ms: int,
        *, retained: bool,
    ) -> bool:  # fmt: skip
        """Keep the reading where it is newer; False where another boot of its source is here."""
        boot, seq, at = uplink.boot, uplink.seq, uplink.measured_at
        known = self.words.get(source)
        if known is not None and known.boot != boot:
            return False
        if known is None:
            self.words[source] = Word(boot, seq, seq - 1, seq, reading, at, received_ms, retained)
        elif known.seq < seq:
            known.seq, known.reading, known.measured_at = seq, reading, at
            known.received_ms, known.retained = received_ms, retained
        return True

    def came(self, device: Device, boot: int, seq: int) -> None:
        """Note that a message of the device came, for its gaps."""
        run = self.runs.get(device)
        if run is None:
            run = self.runs[device] = Run(boot, seq, seq - 1)
        self._follow(device, run, boot, seq)

    def spoke(self, source: Source, word: Word, seq: int) -> None:
        """Note that a message with a word of the source came, for its device's gaps."""
        if source.solo is None:
            self.came(source.device, word.boot, seq)
        else:
            self._follow(source.device, word, word.boot, seq)

    def _follow(self, device: Device, run: Run, boot: int, seq: int) -> None:
        """Put a message to the device's run; where it does not follow, another begins."""
        if boot == run.boot and seq == run.last + 1:
            run.last = seq
        elif boot != run.boot or not run.first <= seq <= run.last:
            if run.first <= run.last:
                self._mark(device, run)
                self.broken.add(device)
            run.boot, run.first, run.last = boot, seq, seq

    def _mark(self, device: Device, run: Run) -> None:
        self.marks.append((device, mark(run.boot, run.first, run.last, device.kind)))

    def parts(self, speed: float) -> dict[int, Part]:
        """Everything, by shard, as the store takes it; to be called once."""
        parts: dict[int, Part] = defaultdict(Part)
        runs = self.runs
        others = self.broken | runs.keys()  # more was heard of them than one run of one voice
        for source, word in self.words.items():
            part = parts[source.device.shard if source.solo is None else source.solo]
            boot = str(word.boot).zfill(20)
            value = boot + _value(word, speed, source)
            if source.solo is None:
                part.reports[source.field] = value
                if source.device.voice:
                    runs.pop(source.device, None)  # the report tells the same
            elif word.last != word.seq or (others and source.device in others):
                part.reports[source.field] = value
                if word.first <= word.last:
                    self._mark(source.device, word)
            else:
                part.solo_fields.append(source.field)
                part.solo_values.append(value)
                first = word.first
                part.solo_befores.append(boot + str(first - 1).zfill(20) if first else "")
        for field, (shard, text) in self.facts.items():
            parts[shard].reports[field] = text
        for device, run in runs.items():
            self._mark(device, run)
        for device, text in self.marks:
            part = parts[device.shard]
            part.devices.append(device.id)
            part.voices.append(device.voice)
            part.marks.append(text)
        for shard, passages in self.passages.items():
            parts[shard].passages = passages
        return parts


def _value(word: Word, speed: float, source: Source) -> str:
    """The value of a field, after its boot."""
    received_ms, said = word.received_ms, word.reading
    at_ms, flags = dated(word.measured_at, received_ms, speed, retained=word.retained)
    if word.retained:
        flags |= report.RETAINED
    if isinstance(said, Count):
        told = report.told_count(said, at_ms, received_ms, flags)
        form = report.ABSOLUTE if said.entered is None else report.COUNTER
    elif isinstance(said, Presence):
        if source.solo is None and source.device.kind == "n":
            flags |= report.BORROWED
        told = Told(at_ms, received_ms, flags, int(said.occupied))
        form = report.BAY
    else:
        raise TypeError(f"a {type(said).__name__} is no word on a zone or bay")
    return str(word.seq).zfill(20) + form + report.encode(told)


def dated(
    measured_at: datetime | None, received_ms: int, speed: float, *, retained: bool
) -> tuple[int, int]:
    """When a number was true, as far as can be believed, and what is odd about it (flags).

    A time ahead of ours gives way to ours, so that nothing looks younger than it is; a time behind
    ours stands, since an old number looks the same.
    """
    if measured_at is None:
        return received_ms, report.RECEIVED
    at_ms = int(measured_at.timestamp() * 1000)
    if 0 <= received_ms - at_ms <= CLOCK_BEHIND_S * 1000:
        return at_ms, 0
    if at_ms > received_ms:
        if at_ms - received_ms > CLOCK_AHEAD_S * 1000 * max(1.0, speed):
            return received_ms, report.RECEIVED | report.SKEWED
        return received_ms, 0
    if not retained and received_ms - at_ms > CLOCK_BEHIND_S * 1000 * max(1.0, speed):
        return at_ms, report.SKEWED
    return at_ms, 0
