"""Pure: the gate's memory: who is inside, who just left, what was answered, who owes how much."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

import msgspec

from service.settlement.model import Bill, Record, Seen, Session
from service.settlement.session import INSIDE, State
from service.tariff.model import Tariff

SEEN_LIMIT = 200_000


class Orphan(msgspec.Struct, frozen=True):
    """An exit whose entry has not been heard of; `trouble` is the exception it raised."""

    seen: Seen
    trouble: str


class Book:
    """What decisions are made from. Rebuilt from SQL at the start, then kept by `put`."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.bills: dict[str, Bill] = {}
        self.plates: dict[str, dict[str, str]] = {}  # lot: session: plate, of those inside
        self.seen: OrderedDict[tuple[str, str], Seen] = OrderedDict()
        self.orphans: dict[tuple[str, str], list[Orphan]] = {}
        self.arrears_fen: dict[str, int] = {}
        self.tariffs: dict[str, Tariff] = {}
        self.horizon: datetime | None = None  # passages before it are no longer all remembered
        self._by_plate: dict[str, list[str]] = {}

    def stays(self, lot: str, plate_key: str) -> list[Session]:
        """The plate's stays at the lot that are remembered, by entry; none that turned back."""
        mine = (self.sessions[one] for one in self._by_plate.get(plate_key, ()))
        here = (one for one in mine if one.lot == lot and one.state is not State.TURNED_BACK)
        return sorted(here, key=lambda one: one.entered_at)

    def elsewhere(self, lot: str, plate_key: str) -> Session | None:
        """A stay of the plate at another lot that has not ended."""
        mine = (self.sessions[one] for one in self._by_plate.get(plate_key, ()))
        return next((one for one in mine if one.lot != lot and one.state in INSIDE), None)

    def inside(self, lot: str) -> Iterable[tuple[str, str]]:
        """(session, plate in clear) of those whose exit has not been seen."""
        return self.plates.get(lot, {}).items()

    def put(self, session: Session, plate: str | None = None) -> None:
        """Take a session, or a later revision of it."""
        known = self.sessions.get(session.id)
        if known is None:
            self._by_plate.setdefault(session.plate_key, []).append(session.id)
        elif known.rev > session.rev:
            return
        self.sessions[session.id] = session
        if session.state not in INSIDE and session.state is not State.MISSING_EXIT:
            self.plates.get(session.lot, {}).pop(session.id, None)
        elif plate is not None:
            self.plates.setdefault(session.lot, {})[session.id] = plate

    def put_seen(self, seen: Seen) -> None:
        self.seen[seen.key] = seen
        while len(self.seen) > SEEN_LIMIT:
            _, oldest = self.seen.popitem(last=False)
            self.horizon = max(self.horizon or oldest.received_at, oldest.received_at)

    def take(self, record: Record, plate: str | None = None) -> None:
        """Remember all that a record changes."""
        for session in record.sessions:
            self.put(session, plate)
        for bill in record.bills:
            self.bills[bill.session] = bill
        self.put_seen(record.seen)
        for trouble in record.troubles:
            if trouble.kind == "missing_entry" and record.seen.plate_key is not None:
                self.put_orphan(Orphan(record.seen, trouble.id))
        for trouble_id, _ in record.settled:
            self._drop_orphan(trouble_id, record)

    def put_orphan(self, orphan: Orphan) -> None:
        key = (orphan.seen.lot, orphan.seen.plate_key or "")
        mine = self.orphans.setdefault(key, [])
        if all(one.trouble != orphan.trouble for one in mine):  # a book may be filled twice
            mine.append(orphan)

    def orphans_of(self, lot: str, plate_key: str) -> list[Orphan]:
        """Exits without an entry, by time."""
        mine = self.orphans.get((lot, plate_key), [])
        return sorted(mine, key=lambda one: one.seen.passed_at)

    def forget(self, before: datetime) -> int:
        """Let go of what ended before `before`; returns how many stays that were."""
        ended = [
            one.id
            for one in self.sessions.values()
            if one.state not in INSIDE
            and one.state is not State.MISSING_EXIT
            and one.changed_at < before
        ]
        for name in ended:
            session = self.sessions.pop(name)
            self.bills.pop(name, None)
            mine = self._by_plate[session.plate_key]
            mine.remove(name)
            if not mine:
                del self._by_plate[session.plate_key]
        while self.seen and next(iter(self.seen.values())).received_at < before:
            self.seen.popitem(last=False)
            self.horizon = before
        for key, orphans in list(self.orphans.items()):
            self.orphans[key] = [one for one in orphans if one.seen.received_at >= before]
            if not self.orphans[key]:
                del self.orphans[key]
        return len(ended)

    def _drop_orphan(self, trouble: str, record: Record) -> None:
        key = (record.seen.lot, record.seen.plate_key or "")
        left = [one for one in self.orphans.get(key, []) if one.trouble != trouble]
        if left:
            self.orphans[key] = left
        else:
            self.orphans.pop(key, None)
