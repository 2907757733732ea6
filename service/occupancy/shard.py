"""Pure: what one shard of the store is told, and what it answers."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec


class Part(msgspec.Struct):
    """What one shard is told.

    `reports` by field; `devices` and their `marks`, with the field of each one's only voice
    (`voices`, '' where it has several); `passages` flat in fours. Where a device with one voice
    says nothing but reports, three `solos` say all of it: the field, the value, and the order
    before the first of its messages, which is what Redis should know already.
    """

    reports: dict[str, str] = msgspec.field(default_factory=dict)
    devices: list[str] = msgspec.field(default_factory=list)
    marks: list[str] = msgspec.field(default_factory=list)
    passages: list[str] = msgspec.field(default_factory=list)
    voices: list[str] = msgspec.field(default_factory=list)
    solo_fields: list[str] = msgspec.field(default_factory=list)
    solo_values: list[str] = msgspec.field(default_factory=list)
    solo_befores: list[str] = msgspec.field(default_factory=list)

    def arguments(self) -> list[str | int]:
        """As `scripts.WRITE` reads them, from how many there are of each."""
        counted: list[str | int] = [len(self.solo_fields), len(self.reports), len(self.devices)]
        counted.append(len(self.passages) // 4)
        counted += self.solo_fields
        counted += self.solo_values
        counted += self.solo_befores
        counted += self.reports.keys()
        counted += self.reports.values()
        counted += self.devices
        counted += self.voices or [""] * len(self.devices)
        counted += self.marks
        counted += self.passages
        return counted


class Durable(msgspec.Struct, frozen=True):
    """Every message of `device` up to `seq` of `boot` is stored; -1 before the first."""

    device: str
    boot: int
    seq: int


class Written(msgspec.Struct, frozen=True):
    """What a shard answered: its epoch and version, how many reports were news."""

    epoch: str
    version: int
    kept: int
    durable: tuple[Durable, ...] = ()

    @classmethod
    def read(cls, answer: Sequence[Any]) -> Self:
        """From what `scripts.WRITE` returns."""
        epoch, version, kept, *rest = answer
        durable = []
        for device, boot, upto, first_gap in zip(*[iter(rest)] * 4, strict=True):
            durable.append(Durable(device, int(boot), int(first_gap or upto) - 1))
        return cls(epoch, int(version), int(kept), tuple(durable))


class Snapshot(msgspec.Struct):
    """Everything of one shard, no older than `version`."""

    epoch: str | None
    version: int
    fields: dict[str, str]


class Change(msgspec.Struct, frozen=True):
    """One entry of a shard's change stream: fields and values, one after the other."""

    shard: int
    epoch: str
    version: int
    news: list[str]


def mark(boot: int, first: int, last: int, kind: str = "g") -> str:
    """Messages `first` to `last` of a boot came. kind: g gapless, j with a journal, n neither."""
    return "%020d%020d%020d%s" % (boot, first, last + 1, kind)  # noqa: UP031 - cheaper
