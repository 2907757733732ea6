"""What the web asks settlement: a bill by its link, a way to pay it, a provider's notice."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import sqlalchemy as sa
import structlog

from devices.reading import Refused
from service import metrics
from service.clock import Clock
from service.settlement import tables
from service.settlement.charges import order_of
from service.settlement.keyring import Keyring, token_hash
from service.settlement.model import Bill, Session
from service.settlement.providers.protocol import Acknowledgement, Provider
from service.settlement.session import State
from service.settlement.store import bill_of, session_of
from service.settlement.till import Till
from service.sql import reading

_log = structlog.get_logger()

PAID = frozenset({State.PAID, State.PREPAID, State.RECOVERED})
UNDER_WAY = frozenset({State.CHARGING})
NOTHING_TO_PAY = frozenset({State.FREE, State.WRITTEN_OFF})


class BillView(msgspec.Struct, frozen=True):
    """A bill for its driver's eyes. status: due | under_way | paid | nothing."""

    session: Session
    bill: Bill
    status: str
    at_gate: bool
    can_pay: bool


class Desk:
    """Over the till; `provider` None means that nothing can be paid here."""

    def __init__(
        self, till: Till, provider: Provider | None, keyring: Keyring, clock: Clock
    ) -> None:
        self.engine = till.engine
        self._till = till
        self._provider = provider
        self._keyring = keyring
        self._clock = clock

    async def bill(self, token: str) -> BillView | None:
        """The bill behind a link, or None; a wrong link costs as much as a right one."""
        bills, sessions = tables.bills, tables.sessions
        hashed = bills.c.token_hash == token_hash(token)
        async with reading(self.engine) as sql:
            row = (await sql.execute(sa.select(bills).where(hashed))).mappings().one_or_none()
            if row is None:
                return None
            bill = bill_of(row)
            query = sa.select(sessions).where(sessions.c.id == bill.session)
            session = session_of((await sql.execute(query)).mappings().one())
        status = _status(session.state)
        payable = status == "due" and bill.amount_fen > 0 and self._provider is not None
        at_gate = session.state in (State.HELD, State.PREPAID)
        return BillView(session, bill, status, at_gate, payable)

    async def pay(self, token: str, return_url: str) -> str | None:
        """Where the driver pays this bill now, or None where there is nothing to pay.

        Errors: `Unanswered` where the provider cannot be reached.
        """
        view = await self.bill(token)
        if view is None or not view.can_pay or self._provider is None:
            return None
        now = self._clock.now()
        charge = await self._till.page_order(view.session.id, self._provider.name, now)
        if charge is None:
            return None
        plate = self._keyring.unseal(view.session.plate_sealed)
        order = order_of(charge, view.session, plate, view.bill.currency)
        return await self._provider.checkout(order, return_url)

    async def notified(
        self, provider: str, headers: Mapping[str, str], body: bytes, wall_now: datetime
    ) -> Acknowledgement:
        """Take a provider's notice, once, durably. Errors: `Refused`, `Overtaken`."""
        if self._provider is None or self._provider.name != provider:
            raise Refused("unknown_provider", "the provider that is configured")
        notice = self._provider.notice(headers, body, wall_now)
        if await self._till.heard(notice.outcome, self._clock.now(), notice):
            metrics.CHARGES.labels(notice.outcome.word.value).inc()
        return self._provider.acknowledgement

    def path(self, nonce: bytes) -> str:
        """The path of the page of the bill with this nonce."""
        return f"/b/{self._keyring.bill_token(nonce)}"


def _status(state: State) -> str:
    if state in PAID:
        return "paid"
    if state in UNDER_WAY:
        return "under_way"
    return "nothing" if state in NOTHING_TO_PAY or state is State.ENTERED else "due"
