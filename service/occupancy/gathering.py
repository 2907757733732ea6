"""The batch being filled, and those that wait to be written, in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from devices.mqtt import Message
from devices.reading import Health, Reading, Refused, Uplink
from service import metrics
from service.clock import Clock
from service.occupancy import report
from service.occupancy.batch import Batch, Word
from service.occupancy.letters import letter
from service.occupancy.senders import Device, Senders, Source
from service.occupancy.strangers import Strangers

BATCH_MOST = 4096  # messages


class Gathering:
    """What has been taken and not been written; whatever is added wakes the writer.

    `full` is called whenever a batch holds `most` messages more while the one before it is written:
    brokers do not all keep to the receive maximum, so reading has to stop.
    """

    def __init__(
        self,
        senders: Senders,
        strangers: Strangers,
        clock: Clock,
        full: Callable[[], None],
        most: int = BATCH_MOST,
    ) -> None:
        self._full = full
        self._most = most
        self._senders = senders
        self._strangers = strangers
        self._clock = clock
        self._now_ms = 0
        self._now_known = False
        self._fact_us = 0
        self.batch = Batch()
        self.closed: deque[Batch] = deque()
        self.filled = asyncio.Event()

    def now_ms(self) -> int:
        """The clock, read once for all messages of one loop step."""
        if not self._now_known:
            self._now_ms = int(self._clock.now_s() * 1000)
            self._now_known = True
            asyncio.get_running_loop().call_soon(self._forget_now)
        return self._now_ms

    def _forget_now(self) -> None:
        self._now_known = False

    def close_batch(self) -> Batch:
        """Close the batch being filled; it is written before the one returned."""
        self.closed.append(self.batch)
        self.batch = Batch()
        return self.batch

    def report(self, message: Message, source: Source, uplink: Uplink) -> None:
        """A message that is one source's word: kept where it is newer, owed its acknowledgement.

        The hot path: what `take`, `came` and `owe` do, without their calls.
        """
        batch = self.batch
        boot, seq = uplink.boot, uplink.seq
        word = batch.words.get(source)
        if word is not None and word.boot != boot:
            batch, word = self.close_batch(), None
        if word is None:
            word = batch.words[source] = Word(
                boot,
                seq,
                seq - 1,
                seq,
                uplink.readings[0],
                uplink.measured_at,
                self._now_ms if self._now_known else self.now_ms(),
                message.retain,
            )
        elif word.seq < seq:
            word.seq, word.retained = seq, message.retain
            word.reading, word.measured_at = uplink.readings[0], uplink.measured_at
            word.received_ms = self._now_ms if self._now_known else self.now_ms()
        if not message.retain:
            if word.last + 1 == seq and source.solo is not None:
                word.last = seq  # the usual case
            else:
                batch.spoke(source, word, seq)
        if message.mid:
            owed = batch.owed
            if message.connection != owed.connection:
                owed.connection, owed.mids = message.connection, []
            owed.mids.append(message.mid)
        batch.messages += 1
        if batch.messages == 1:
            self.filled.set()
        elif batch.messages % self._most == 0:
            self._full()

    def take(self, source: Source, uplink: Uplink, reading: Reading, *, retained: bool) -> None:
        """One source's word; a word of another boot of it waits in a batch of its own."""
        now_ms = self.now_ms()
        if not self.batch.add(source, uplink, reading, now_ms, retained=retained):
            self.close_batch().add(source, uplink, reading, now_ms, retained=retained)
        self.batch.messages += 1
        self.filled.set()

    def came(self, device: Device, uplink: Uplink) -> None:
        self.batch.came(device, uplink.boot, uplink.seq)

    def note_health(
        self, device: Device, health: Health, at: datetime | None, *, retained: bool
    ) -> None:
        # A retained status may be of any time: it counts only where nothing else is known.
        at_ms = None if not retained else int(at.timestamp() * 1000) if at else 0
        for what, said in msgspec.structs.asdict(health).items():
            if said is not None:
                self.note(device, what, said, at_ms)

    def note(self, device: Device, what: str, said: object, at_ms: int | None = None) -> None:
        """One fact about a device; the fact that was received last counts.

        A last will and the birth after it may come within one millisecond, so facts are put in
        order by microseconds that only grow.
        """
        if at_ms is None:
            at_ms = self.now_ms()
            self._fact_us = order_us = max(at_ms * 1000, self._fact_us + 1)
        else:
            order_us = at_ms * 1000
        field, value = f"h/{device.id}/{what}", report.health_value(order_us, at_ms, said)
        known = self.batch.facts.get(field)
        if known is None or known[1] < value:  # both begin with their order
            self.batch.facts[field] = (device.shard, value)
        self.filled.set()

    def passage(self, device: Device, entry: list[str]) -> asyncio.Future[None]:
        """Count a passage; the future is done when it is stored."""
        self.batch.messages += 1
        self.batch.passages.setdefault(device.shard, []).extend(entry)
        self.filled.set()
        return self.batch.written()

    def owe(self, message: Message, *, gate: bool = False) -> None:
        """Acknowledge `message` once this batch is written."""
        if message.mid:
            owed = self.batch.owed_gate if gate else self.batch.owed
            if message.connection != owed.connection:
                owed.connection, owed.mids = message.connection, []
            owed.mids.append(message.mid)
            self.filled.set()

    def bury(self, message: Message, refused: Refused, *, gate: bool = False) -> None:
        """Keep what nobody can read, then acknowledge it."""
        metrics.refused("mqtt", refused.reason)
        reason, detail = refused.reason, refused.detail
        kept = letter(message.topic, message.payload, reason, detail, self.now_ms())
        body = msgspec.json.encode(kept).decode()
        self.batch.letters[kept.id] = (kept.id, kept.at_ms, body)
        self.filled.set()
        self.owe(message, gate=gate)

    def cut_off(self, client: str) -> None:
        """List who sent more than the broker takes."""
        metrics.refused("mqtt", "oversize")
        self._strangers.note(client, "", "oversize", self.now_ms())

    def stranger(
        self, message: Message, device: str, *, known_place: bool = True, gate: bool = False
    ) -> None:
        """List who speaks without being known, or about what is not his."""
        reason = "other_place" if device in self._senders.devices else "unknown_device"
        if not known_place:
            reason = "unknown_place"
        metrics.refused("mqtt", reason)
        self._strangers.note(device, message.topic, reason, self.now_ms())
        self.owe(message, gate=gate)
