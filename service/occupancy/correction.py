"""Pure: what staff (or the drift estimate) lay over the sensors' numbers.

In Redis a correction stands under `<lot>/<zone or *>/<kind>`; a newer one of that name replaces it.

    closed     not to be used, whatever the windows say
    open       to be used, whatever the windows say
    capacity   `value` spaces there are
    reserve    `value` spaces are kept back from drivers
    recount    the truth was `value` occupied: `offset` is added to what the sensors count
    drift      the estimated error: `offset` is added, `band` is how far it may be off (95 %)
"""

from datetime import datetime

import msgspec

KINDS = ("closed", "open", "capacity", "reserve", "recount", "drift")


class Correction(msgspec.Struct, frozen=True):
    """`zone` None means the whole lot (closed, open). `until` None means until it is undone."""

    lot: str
    zone: str | None
    kind: str
    at: datetime
    by: str
    reason: str
    value: int | None = None
    offset: int = 0
    band: int = 0
    until: datetime | None = None

    @property
    def field(self) -> str:
        return f"{self.lot}/{self.zone or '*'}/{self.kind}"

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until


_DECODE = msgspec.json.Decoder(Correction).decode


def encode(correction: Correction) -> str:
    return msgspec.json.encode(correction).decode()


def decode(text: str) -> Correction:
    return _DECODE(text)


class Overlay(msgspec.Struct, frozen=True):
    """What holds for one zone now."""

    openness: str | None = None  # closed | open
    capacity: int | None = None
    reserve: int = 0
    offset: int = 0
    band: int = 0
    ends_at: datetime | None = None  # when the first of these ends


def overlay(corrections: list[Correction], now: datetime) -> Overlay:
    """Corrections of one zone and its lot, laid over each other: the later of open and closed."""
    openness, capacity, reserve, offset, band = None, None, 0, 0, 0
    opened_at: datetime | None = None
    # What the drift was thought to be before a person counted no longer holds.
    recounts = [one.at for one in corrections if one.kind == "recount" and one.holds(now)]
    counted_at = max(recounts, default=None)
    ends: list[datetime] = []
    for one in corrections:
        if not one.holds(now):
            continue
        if one.kind == "drift" and counted_at is not None and one.at < counted_at:
            continue
        if one.until is not None:
            ends.append(one.until)
        match one.kind:
            case "closed" | "open":
                if opened_at is None or one.at >= opened_at:
                    openness, opened_at = one.kind, one.at
            case "capacity":
                capacity = one.value
            case "reserve":
                reserve = one.value or 0
            case "recount" | "drift":
                offset += one.offset
                band = max(band, one.band)
    return Overlay(openness, capacity, reserve, offset, band, min(ends, default=None))
