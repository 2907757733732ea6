"""The gate: a passage in, an answer out, durable before it is given, whatever else is broken.

    passed ─ told before? ─ decide (memory) ─ remember ─ writer (SQL or journal) ─ answer

Nothing here waits for the network but SQL, and for SQL only as long as the writer's patience.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import structlog

from devices.reading import Passage
from service import metrics
from service.catalog import Catalog, Lot
from service.clock import Clock
from service.settlement import plate as plates
from service.settlement.book import Book
from service.settlement.decision import decide, pair, undecided
from service.settlement.keyring import Keyring, token_hash
from service.settlement.model import Answer, Bill, Record, Seen, Session
from service.settlement.passing import Passing, answer, unknown_lot
from service.settlement.policy import Policy
from service.settlement.session import State
from service.settlement.store import Store
from service.settlement.turn_back import BACK
from service.settlement.writer import Writer
from service.sql import TROUBLE
from service.tariff.model import Tariff

_log = structlog.get_logger()
_EVENT_ID_LIMIT: Final = 200
_TIDY_EVERY_S: Final = 600.0
_LOOK_UP_WITHIN_S: Final = 0.03
_LOOK_UPS: Final = 64  # under way at once

Freed = Callable[[str, str, Answer], None]


class Gate:
    """`can_collect` says whether a driver could pay right now; while not, nobody is held.

    `shared`: other processes answer gates too, so a plate is looked up in SQL before memory is
    trusted. `freed` is called with (lot, lane, answer) when a car that was held has paid.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        writer: Writer,
        keyring: Keyring,
        clock: Clock,
        *,
        policy: Policy | None = None,
        public_url: str | None = None,
        can_collect: Callable[[], bool] = lambda: True,
        shared: bool = False,
    ) -> None:
        self.book = Book()
        self.catalog = catalog
        self.policy = policy or Policy()
        self.freed: Freed | None = None
        self.can_collect = can_collect
        self._store = store
        self._writer = writer
        self._keyring = keyring
        self._clock = clock
        self._public_url = (public_url or "").rstrip("/")
        self._shared = shared
        self._pending: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._tariff_keys: dict[str, str] = {}
        self._zones: dict[str, tzinfo] = {}
        writer.on_recovered(self._catch_up)

    async def start(self) -> None:
        """Replay what waits in the journal and fill the memory from SQL, as far as SQL is there."""
        self._pin_tariffs()
        await self._writer.start()
        if not self._writer.away:
            try:
                await self._load()
            except TROUBLE as error:
                self._writer.lose(error)
        if self._writer.away:
            for record in await asyncio.to_thread(self._writer.journaled):
                self.book.take(record)

    async def run(self) -> None:
        """Commit and tidy until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._writer.run(), name="gate writer")
                tasks.create_task(self._tidy(), name="gate tidy")
        finally:
            for looking in self._looking:
                looking.cancel()

    async def passed(
        self, lot: str, lane: str, camera: str, passage: Passage, received_at: datetime
    ) -> Answer:
        """Answer one passage; a passage told before gets its first answer, marked `duplicate`.

        A preliminary look is not decided: the full event follows at once, under the same id.
        """
        if passage.preliminary:
            return answer("recorded", live=False)
        passage = passage.named(received_at)
        key = (camera, _event_id(passage))
        under_way = self._pending.get(key)
        if under_way is not None:
            return _again(await asyncio.shield(under_way))
        told = await self._told(key, passage)
        if told is not None:
            metrics.PASSAGES.labels("duplicate").inc()
            return _again(self._linked(told.answer))
        place = self.catalog.lots.get(lot)
        if place is None:
            metrics.refused("gate", "unknown_lot")
            return unknown_lot()
        started_s = time.perf_counter()
        passing = self._passing(place, lane, key, passage, received_at)
        work = asyncio.create_task(self._take(passing, passage.turned_back), name="passage")
        self._pending[key] = work
        work.add_done_callback(lambda _: self._pending.pop(key, None))
        # A camera that hangs up must not undo a passage that happened.
        said = await asyncio.shield(work)
        metrics.GATE_SECONDS.observe(time.perf_counter() - started_s)
        metrics.PASSAGES.labels(said.reason).inc()
        return said

    def learn(self, session: Session, bill: Bill | None) -> None:
        """Take over what the collector has just committed."""
        before = self.book.sessions.get(session.id)
        if session.id in self.book.sessions or session.state is State.ARREARS:
            self.book.put(session)
        amount_fen = bill.amount_fen if bill else 0
        owed = self.book.arrears_fen
        if session.state is State.ARREARS:
            owed[session.plate_key] = owed.get(session.plate_key, 0) + amount_fen
        elif session.state in (State.RECOVERED, State.WRITTEN_OFF):
            left = owed.pop(session.plate_key, 0) - amount_fen
            if left > 0:
                owed[session.plate_key] = left
        held = before is not None and before.state is State.HELD
        if held and session.state is State.PREPAID and self.freed is not None:
            said = answer("paid", session=session.id, amount_fen=amount_fen)
            self.freed(session.lot, session.exit_lane or "", said)

    def enrol(self, session: str, *, enrolled: bool) -> None:
        """Note the provider's word on whether a car may leave first."""
        known = self.book.sessions.get(session)
        if known is not None and known.enrolled is not enrolled:
            self.book.sessions[session] = msgspec.structs.replace(known, enrolled=enrolled)

    def link(self, bill: Bill) -> str:
        """The bill page's address: absolute where the public address is configured."""
        return f"{self._public_url}/b/{self._keyring.bill_token(bill.nonce)}"

    # -- one passage

    async def _take(self, passing: Passing, turned_back: bool) -> Answer:
        if self._shared and passing.plate is not None:
            await self._look_up(passing.plate_key)
        record = self._decided(passing, turned_back)
        kept = await self._remember(record, passing)
        if kept != "sql" and record.seen.answer.reason == "pay_first":
            # SQL went away while we asked for money: the bill page could not be reached either.
            free = msgspec.structs.replace(
                passing, outage=True, event_id=f"{passing.event_id}~released"
            )
            record = self._decided(free, turned_back)
            await self._remember(record, free)
            first = self.book.seen[(passing.camera, passing.event_id)]
            self.book.put_seen(msgspec.structs.replace(first, answer=record.seen.answer))
        return self._linked(record.seen.answer)

    def _decided(self, passing: Passing, turned_back: bool) -> Record:
        try:
            return decide(self.book, passing, turned_back=turned_back)
        except Exception:  # noqa: BLE001 - a fault of ours must not keep a car inside
            # The car goes, a person looks, the log has the traceback.
            _log.exception("a passage could not be decided", lot=passing.lot.id)
            return undecided(passing)

    async def _remember(self, record: Record, passing: Passing) -> str:
        self.book.take(record, passing.plate.text if passing.plate else None)
        return await self._writer.put(record)

    async def _told(self, key: tuple[str, str], passage: Passage) -> Seen | None:
        told = self.book.seen.get(key)
        if told is not None or not passage.buffered or passage.passed_at is None:
            return told
        if self.book.horizon is not None and passage.passed_at >= self.book.horizon:
            return None
        try:
            return await self._store.passage(*key)
        except TROUBLE:
            return None  # taken again; its rows have the same ids, so nothing is counted twice

    async def _look_up(self, plate_key: str) -> None:
        """Learn what other processes know of a plate.

        A slow SQL is neither waited for nor cut off: that would cost its connection, and the next
        car's look-up would be as slow.
        """
        if len(self._looking) >= _LOOK_UPS:
            return
        looking = asyncio.create_task(self._learn_plate(plate_key), name="gate look-up")
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)
        await asyncio.wait({looking}, timeout=_LOOK_UP_WITHIN_S)
        if not looking.done():
            _log.info("decided from memory alone", why="SQL is slow")

    async def _learn_plate(self, plate_key: str) -> None:
        started_s = time.monotonic()
        try:
            await self._store.load_plate(self.book, self._keyring, plate_key)
            if time.monotonic() - started_s > _LOOK_UP_WITHIN_S:
                await self._pair_orphans()
        except TROUBLE as error:
            _log.info("decided from memory alone", why=type(error).__name__)

    def _passing(
        self, lot: Lot, lane: str, key: tuple[str, str], passage: Passage, received_at: datetime
    ) -> Passing:
        plate = plates.read(passage.plate, passage.plate_color)
        at, skewed = self._believed(passage, received_at)
        known_lane = self.catalog.lane(lot.id, lane)
        direction = passage.direction or (known_lane.direction if known_lane else "in")
        nonce = os.urandom(16)
        return Passing(
            lot=lot,
            tz=self._zone(lot),
            policy=self.policy,
            lane=lane,
            camera=key[0],
            event_id=key[1],
            direction=str(direction),
            at=at,
            received_at=received_at,
            live=not passage.buffered,
            skewed=skewed,
            vehicle=passage.vehicle,
            tariff=self._tariff_keys.get(lot.tariff, ""),
            plate=plate,
            plate_key=plates.keyed(self._keyring.plates, plate.text) if plate else "",
            plate_sealed=self._keyring.seal(plate.text) if plate else None,
            nonce=nonce,
            token_hash=token_hash(self._keyring.bill_token(nonce)),
            fake_plate=passage.fake_plate,
            outage=self._writer.away or not self.can_collect(),
        )

    def _believed(self, passage: Passage, received_at: datetime) -> tuple[datetime, bool]:
        """When it happened: the device's time where it can be true, else ours and `skewed`."""
        at = passage.passed_at
        if at is None:
            return received_at, False
        ahead_s = (at - received_at).total_seconds()
        if ahead_s > 0:
            return received_at, ahead_s > self.policy.clock_ahead_s
        if not passage.buffered and -ahead_s > self.policy.clock_behind_s:
            return received_at, True
        return at, False

    def _linked(self, said: Answer) -> Answer:
        bill = self.book.bills.get(said.session or "")
        if bill is None or not bill.amount_fen or said.reason not in ("pay_first", "leave_first"):
            return said
        return msgspec.structs.replace(said, bill=self.link(bill))

    def _zone(self, lot: Lot) -> tzinfo:
        name = self.catalog.sites[lot.site].timezone
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = ZoneInfo(name)
        return zone

    # -- memory

    def _pin_tariffs(self) -> None:
        for name, tariff in self.catalog.tariffs.items():
            key = tariff_key(tariff)
            self._tariff_keys[name] = key
            self.book.tariffs[key] = tariff

    async def _load(self) -> None:
        await self._store.keep_tariffs(self.book.tariffs)
        since = self._clock.now() - timedelta(seconds=self.policy.remember_s)
        await self._store.load(self.book, self._keyring, since)

    async def _catch_up(self) -> None:
        """SQL is back: learn what it knew all along, and pair the exits that found no entry.

        Where it was only slow the memory is whole; to read it all again would slow SQL once more.
        """
        if self._shared or not self._writer.was_only_slow:
            await self._load()
        await self._pair_orphans()

    async def _pair_orphans(self) -> None:
        waiting = [one for orphans in self.book.orphans.values() for one in orphans]
        for orphan in waiting:
            past = orphan.seen
            stays = self.book.stays(past.lot, past.plate_key or "")
            sealed = (self._keyring.unseal(one.plate_sealed) for one in stays)
            text = next((one for one in sealed if one is not None), None)
            if text is None or past.lot not in self.catalog.lots:
                continue
            passage = Passage(past.event_id, text, past.passed_at, buffered=True)
            key = (past.camera, f"{past.event_id}~paired")
            lot = self.catalog.lots[past.lot]
            passing = self._passing(lot, past.lane, key, passage, past.received_at)
            record = pair(self.book, passing, orphan)
            if record is not None:
                await self._remember(record, passing)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(max(1.0, self._clock.wall_s(_TIDY_EVERY_S)))
            self.book.forget(self._clock.now() - timedelta(seconds=self.policy.remember_s))


def tariff_key(tariff: Tariff) -> str:
    """The name of exactly this version: what it says, not what it calls itself."""
    return hashlib.sha256(msgspec.json.encode(tariff)).hexdigest()[:24]


def _again(first: Answer) -> Answer:
    return msgspec.structs.replace(first, duplicate=True)


def _event_id(passage: Passage) -> str:
    name = passage.event_id
    if len(name) > _EVENT_ID_LIMIT or not name.isprintable():
        name = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return name + BACK if passage.turned_back else name
