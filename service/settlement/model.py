"""Pure: what settlement speaks of, in memory, in the journal and in SQL alike.

A `Record` is everything one passage changes. It is made durable as a whole before the passage is
answered, and applying it twice changes nothing the second time: rows have ids that follow from the
passage, and a session is replaced only by a later revision of itself.
"""

import hashlib
from datetime import datetime

import msgspec

from service.settlement.session import State
from service.tariff.model import Line


class Answer(msgspec.Struct, frozen=True):
    """What a gate is told. `open` lifts the barrier; the texts are for its display.

    `bill` is the link of the bill page. `duplicate`: told before; whoever drives a barrier must
    not act on it again.
    """

    open: bool
    reason: str
    text_zh: str
    text_en: str
    session: str | None = None
    bill: str | None = None
    amount_fen: int | None = None
    duplicate: bool = False


class Seen(msgspec.Struct, frozen=True):
    """One passage as it was taken, and its answer; `skewed`: the device's time was not believed."""

    camera: str
    event_id: str
    lot: str
    lane: str
    direction: str
    plate_key: str | None
    plate_mask: str | None
    passed_at: datetime
    received_at: datetime
    buffered: bool
    skewed: bool
    session: str | None
    answer: Answer

    @property
    def key(self) -> tuple[str, str]:
        return (self.camera, self.event_id)


class Session(msgspec.Struct, frozen=True):
    """One stay of one vehicle at one lot.

    The plate stands as a keyed hash, as a mask for eyes, and sealed for the provider who collects.
    `tariff` is the key of the version in force at entry. `rev` grows with every change. `left_at`
    is when a held car asked to leave, too. `enrolled`: whether the provider lets it leave first,
    None where nobody asked. `next_at` is when the collector looks again.
    """

    id: str
    lot: str
    plate_key: str
    plate_mask: str
    plate_sealed: bytes | None
    plate_color: str
    vehicle: str
    tariff: str
    state: State
    rev: int
    entered_at: datetime
    entry_lane: str
    changed_at: datetime
    left_at: datetime | None = None
    exit_lane: str | None = None
    enrolled: bool | None = None
    attempts: int = 0
    next_at: datetime | None = None


class Bill(msgspec.Struct, frozen=True):
    """What a session costs, and why. Its link is made from `nonce`; only its hash is kept."""

    session: str
    rev: int
    token_hash: str
    nonce: bytes
    amount_fen: int
    currency: str
    minutes: int
    lines: tuple[Line, ...]
    drawn_at: datetime


class Trouble(msgspec.Struct, frozen=True):
    """Something for a person to decide.

    kind: unread_entry | unread_exit | missing_entry | missing_exit | overlap | two_places |
    turned_back_late | overstayed | unpriced | overpaid | underpaid | fake_plate | undecided.
    `proposed` is the session that most likely belongs to it.
    """

    id: str
    kind: str
    lot: str
    raised_at: datetime
    lane: str | None = None
    camera: str | None = None
    event_id: str | None = None
    session: str | None = None
    proposed: str | None = None


class Record(msgspec.Struct, frozen=True):
    """All that one passage changes. `settled` are (trouble id, how) of what it explains."""

    seen: Seen
    sessions: tuple[Session, ...] = ()
    bills: tuple[Bill, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()


def session_id(camera: str, event_id: str) -> str:
    """The id of the session that a passage begins: the same on every re-send."""
    return _short_hash("session", camera, event_id)


def trouble_id(kind: str, *of: str) -> str:
    return _short_hash("trouble", kind, *of)


def _short_hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
