"""The collector: what left is priced, owed, charged and settled, at its own pace, by one loop.

    entered   ask the provider whether the plate may leave first (lots that are paid at exit)
    exited    price it           held, prepaid   it never came back: it left by a hand-opened gate
    priced    owe it, charge it  retry           charge it again
    queued    call the provider  sent, open      ask him what became of it

It may stop or be killed between any two steps: what is next stands in SQL. Several processes may
collect from one database: whoever writes down that he asks, asks.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog

from devices.reading import Refused
from service import metrics
from service.catalog import Catalog
from service.clock import Clock
from service.settlement import plate as plates
from service.settlement.billing import bill_of, priced, quote
from service.settlement.charges import PAGE, Charge, order_of
from service.settlement.keyring import Keyring, token_hash
from service.settlement.model import Session
from service.settlement.policy import Policy
from service.settlement.providers.protocol import Outcome, Provider, Unanswered, Word
from service.settlement.rows import Overtaken
from service.settlement.session import State
from service.settlement.store import Store
from service.settlement.till import Till
from service.sql import TROUBLE

_log = structlog.get_logger()
PACE_S: Final = 0.25  # wall
AT_ONCE: Final = 16
DUE: Final = 200
_SQL_AGAIN_S: Final = 1.0
_POSTPONE_S: Final = 300.0
_UNWELL_AFTER: Final = 3  # calls without an answer in a row
_PURGE_EVERY_S: Final = 3600.0
T = TypeVar("T")

Enrolled = Callable[[str, bool], None]


class Collector:
    """`provider` None: bills are drawn up and owed, and nobody is asked for money."""

    def __init__(
        self,
        till: Till,
        store: Store,
        provider: Provider | None,
        keyring: Keyring,
        catalog: Catalog,
        clock: Clock,
        policy: Policy | None = None,
        *,
        enrolled: Enrolled = lambda _session, _word: None,
    ) -> None:
        self.provider = provider
        self._till = till
        self._store = store
        self._keyring = keyring
        self._catalog = catalog
        self._clock = clock
        self._policy = policy or Policy()
        self._enrolled = enrolled
        self._unanswered = 0
        self._unpurged_s = 0.0

    @property
    def healthy(self) -> bool:
        """Whether a driver could pay right now."""
        return self.provider is not None and self._unanswered < _UNWELL_AFTER

    async def run(self) -> None:
        """Collect until cancelled; a database that is away is waited for."""
        try:
            while True:
                try:
                    await self.collect()
                except TROUBLE as error:
                    _log.info("collecting waits for SQL", error=type(error).__name__)
                    await asyncio.sleep(_SQL_AGAIN_S)
                await asyncio.sleep(PACE_S)
        finally:
            await self._till.quiet()

    async def collect(self) -> bool:
        """One round over all that is due; returns whether there was anything."""
        now = self._clock.now()
        sessions = await self._till.due_sessions(now, DUE)
        await self._each(sessions, self._take)
        charges: list[Charge] = []
        if self.provider is not None:
            now = self._clock.now()
            charges = await self._till.due_charges(self.provider.name, now, DUE)
            await self._each(charges, self._ask)
        await self._purge()
        return bool(sessions or charges)

    async def _each(self, due: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Work on all that is due; raises the first SQL trouble once the others have ended."""
        gate = asyncio.Semaphore(AT_ONCE)
        away: list[BaseException] = []

        async def one(item: T) -> None:
            async with gate:
                try:
                    await work(item)
                except Overtaken:
                    _log.debug("overtaken, next round")
                except TROUBLE as error:
                    away.append(error)

        async with asyncio.TaskGroup() as tasks:
            for item in due:
                tasks.create_task(one(item), name="collect")
        if away:
            raise away[0]

    # -- sessions

    async def _take(self, session: Session) -> None:
        now = self._clock.now()
        match session.state:
            case State.ENTERED:
                await self._enrol(session)
            case State.EXITED:
                await self._price(session)
            case State.HELD | State.PREPAID:
                await self._till.gone(session.id, now)
            case State.PRICED | State.OWED | State.RETRY:
                name = self.provider.name if self.provider else None
                charge = await self._till.charge(session.id, name, now)
                if charge is not None:
                    await self._call(charge)
            case _:
                _log.error("nothing to collect here", session=session.id, state=session.state)
                await self._till.postpone(session.id, None)

    async def _enrol(self, session: Session) -> None:
        plate = self._keyring.unseal(session.plate_sealed)
        if self.provider is None or plate is None:
            await self._till.postpone(session.id, None)
            return
        try:
            word = await self._answered(self.provider.enrolled(plate, session.plate_color))
        except Unanswered:
            later = self._clock.now() + timedelta(seconds=_POSTPONE_S)
            await self._till.postpone(session.id, later)
            return
        await self._till.enrolled(session.id, word)
        self._enrolled(session.id, word)

    async def _price(self, session: Session) -> None:
        now = self._clock.now()
        _, bill = await self._till.asked_for(session.id)
        if bill is not None:
            await self._till.gone(session.id, now)
            return
        lot = self._catalog.lots.get(session.lot)
        tariff = await self._store.tariff(session.tariff)
        text = self._keyring.unseal(session.plate_sealed)
        plate = plates.read(text)
        if lot is None or tariff is None or session.left_at is None:
            _log.error("a stay cannot be priced", session=session.id, lot=session.lot)
            await self._till.postpone(session.id, now + timedelta(seconds=_POSTPONE_S))
            return
        tz = ZoneInfo(self._catalog.sites[lot.site].timezone)
        new_energy = plate is not None and plate.new_energy
        quoted = quote(session, tariff, tz, session.left_at, new_energy=new_energy)
        nonce = os.urandom(16)
        state, next_at = priced(session, quoted.total_fen, now, 0.0)
        hashed = token_hash(self._keyring.bill_token(nonce))
        bill = bill_of(session, quoted, nonce, hashed, now)
        bill = msgspec.structs.replace(bill, rev=session.rev + 1)
        await self._till.draw_up(bill, state, next_at)

    # -- charges

    async def _ask(self, charge: Charge) -> None:
        """Ask the provider for the money, or what became of it, and take his word."""
        if await self._till.asking(charge, self._clock.now()):
            await self._call(charge)

    async def _call(self, charge: Charge) -> None:
        """Call the provider for a charge that is marked as asked."""
        assert self.provider is not None, "who marked it has asked for a provider"
        try:
            if charge.state == "queued":
                session, bill = await self._till.asked_for(charge.session)
                plate = self._keyring.unseal(session.plate_sealed)
                currency = bill.currency if bill else "CNY"
                order = order_of(charge, session, plate, currency)
                outcome = await self._answered(self.provider.charge(order))
            else:
                outcome = await self._answered(self.provider.query(charge.order_no))
        except Unanswered as silence:
            metrics.CHARGES.labels("unanswered").inc()
            _log.info("no answer from the provider", order_no=charge.order_no, why=silence.reason)
            return
        if outcome.word is not Word.PENDING or charge.kind == PAGE:
            await self._hear(outcome)

    async def _hear(self, outcome: Outcome) -> None:
        try:
            if await self._till.heard(outcome, self._clock.now()):
                metrics.CHARGES.labels(outcome.word.value).inc()
        except Refused as refused:
            metrics.refused("provider", refused.reason)
            _log.error("the provider's word was refused", why=refused.reason)

    async def _answered(self, call: Awaitable[T]) -> T:
        try:
            answer = await call
        except Unanswered:
            self._unanswered += 1
            raise
        self._unanswered = 0
        return answer

    # -- retention

    async def _purge(self) -> None:
        self._unpurged_s += PACE_S
        if self._unpurged_s >= _PURGE_EVERY_S:
            self._unpurged_s = 0.0
            before = self._clock.now() - timedelta(seconds=self._policy.keep_plates_s)
            await self._store.purge_plates(before)
