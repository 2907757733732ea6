"""Staff's word over the sensors': recorded in SQL first, then laid in Redis, undone likewise.

    order ─ checked against the catalogue ─ SQL row (before) ─ Redis ─ every mirror ─ signs
                                                            └ SQL row (after)

SQL is where a correction lives; Redis has what holds now. A Redis that lost it gets it again
(`restore`).

    NotPossibleError   the order does not fit the lot as it is; says what would
"""

import asyncio
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.catalog import Catalog, Lot
from service.clock import Clock
from service.occupancy import correction
from service.occupancy.combine import Rules
from service.occupancy.correction import Correction
from service.occupancy.model import LotState, ZoneState
from service.occupancy.picture import Picture
from service.occupancy.store import Store, StoreAway
from service.operations.tables import corrections
from service.sql import TROUBLE, reading, writing

ORDERS = ("recount", "close", "open", "set-capacity", "reserve")
KINDS = {"close": "closed", "open": "open", "set-capacity": "capacity"}
WHOLE_LOT = ("close", "open")
MOST_SPACES = 1_000_000
LOOK_EVERY_S = 1.0

log = structlog.get_logger()


class NotPossibleError(Exception):
    """The order does not fit the lot as it is."""


class Order(msgspec.Struct, frozen=True):
    """What somebody wants: one of `ORDERS`; `zone` may be left out where there is one choice.

    `value` in spaces: recount, cars inside; set-capacity, all spaces; reserve, those kept back.
    """

    what: str
    lot: str
    by: str
    reason: str
    value: int | None = None
    zone: str | None = None
    until: datetime | None = None


class Look(msgspec.Struct, frozen=True):
    """A zone as it was shown."""

    zone: str
    free: int | None
    capacity: int
    openness: str
    quality: str


class Recorded(msgspec.Struct, frozen=True):
    """One correction as it stands in the books."""

    id: str
    at: datetime
    by: str
    lot: str
    what: str
    zone: str | None
    value: int | None
    reason: str
    until: datetime | None
    before: tuple[Look, ...]
    after: tuple[Look, ...]
    undone_at: datetime | None = None
    undone_by: str | None = None
    undone_reason: str | None = None


class Desk:
    """Takes orders; with the mirrors' `rules`, so that before and after are what they show."""

    def __init__(
        self,
        catalog: Catalog,
        engine: AsyncEngine,
        store: Store,
        clock: Clock,
        rules: Rules | None = None,
    ) -> None:
        self._catalog = catalog
        self._engine = engine
        self._store = store
        self._clock = clock
        self._rules = rules or Rules()

    async def make(self, order: Order) -> Recorded:
        """Carry out `order`. Raises NotPossibleError, StoreAway or an SQL error.

        Where Redis is away the row stands already, and `restore` lays it later.
        """
        lot, now = self._lot(order.lot), self._clock.now()
        _check(order, now)
        state = (await self._states())[lot.id]
        zone = None if order.what in WHOLE_LOT and order.zone is None else _zone(order, lot, state)
        laid = _correction(order, zone, now)
        return await self._record(laid, _looks(state))

    async def undo(self, lot: str, by: str, reason: str) -> Recorded:
        """Take back the newest correction of `lot` that stands; what it replaced returns."""
        self._lot(lot)
        now = self._clock.now()
        rows = [one for one in await self._rows(lot) if _stands(one, now)]
        if not rows:
            raise NotPossibleError(f"nothing to undo at {lot}: no correction stands there")
        row = rows[-1]
        async with writing(self._engine) as sql:
            change = corrections.update().where(
                corrections.c.id == row["id"], corrections.c.undone_at.is_(None)
            )
            await sql.execute(change.values(undone_at=now, undone_by=by, undone_reason=reason))
        field = row["field"]
        await self._store.put_correction(lot, field, await self._holding(lot, field))
        return _recorded({**row, "undone_at": now, "undone_by": by, "undone_reason": reason})

    async def history(self, lot: str | None = None) -> list[Recorded]:
        """Every correction, oldest first."""
        return [_recorded(row) for row in await self._rows(lot)]

    async def run(self) -> None:
        """Lay what holds into a Redis that does not have it, until cancelled."""
        epochs: list[str | None] = []
        while True:
            try:
                now = [epoch for epoch, _ in await self._store.positions()]
                if now != epochs:
                    await self.restore()
                    epochs = now
            except StoreAway:
                log.debug("redis is away: corrections wait")
            except TROUBLE as error:
                log.warning("corrections not restored", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def restore(self) -> int:
        """Lay what holds now into Redis again; returns how many. Raises StoreAway."""
        newest: dict[str, dict[str, Any]] = {}
        now = self._clock.now()
        for row in await self._rows(None):
            if _stands(row, now):
                newest[row["field"]] = row
        for field, row in newest.items():
            if row["lot"] in self._catalog.lots:
                await self._store.put_correction(row["lot"], field, row["laid"])
        return len(newest)

    async def _record(self, laid: Correction, before: tuple[Look, ...]) -> Recorded:
        name, text = secrets.token_hex(8), correction.encode(laid)
        row: dict[str, Any] = {
            "id": name,
            "at": laid.at,
            "by": laid.by,
            "lot": laid.lot,
            "field": laid.field,
            "reason": laid.reason,
            "until": laid.until,
            "laid": text,
            "replaced": await self._holding(laid.lot, laid.field) or None,
            "before": msgspec.json.encode(before).decode(),
        }
        async with writing(self._engine) as sql:
            await sql.execute(corrections.insert().values(row))
        await self._store.put_correction(laid.lot, laid.field, text)
        after = _looks((await self._states())[laid.lot])
        row["after"] = msgspec.json.encode(after).decode()
        async with writing(self._engine) as sql:
            change = corrections.update().where(corrections.c.id == name)
            await sql.execute(change.values(after=row["after"]))
        return _recorded({**row, "undone_at": None, "undone_by": None, "undone_reason": None})

    async def _holding(self, lot: str, field: str) -> str:
        """The text of the correction that stands under `field`; empty where none does."""
        now = self._clock.now()
        rows = await self._rows(lot)
        standing = [row for row in rows if row["field"] == field and _stands(row, now)]
        return standing[-1]["laid"] if standing else ""

    async def _rows(self, lot: str | None) -> list[dict[str, Any]]:
        query = sa.select(corrections).order_by(corrections.c.at, corrections.c.id)
        if lot is not None:
            query = query.where(corrections.c.lot == lot)
        async with reading(self._engine) as sql:
            return [dict(row) for row in (await sql.execute(query)).mappings()]

    async def _states(self) -> Mapping[str, LotState]:
        """What every mirror shows, read afresh from the store."""
        now_ms = int(self._clock.now_s() * 1000)
        picture = Picture(self._catalog, self._rules, now_ms)
        dirty = set()
        for shard in range(self._store.shards):
            dirty |= picture.put((await self._store.snapshot(shard)).fields.items())
        picture.settle(dirty, now_ms, 1)
        return picture.lots

    def _lot(self, name: str) -> Lot:
        lot = self._catalog.lots.get(name)
        if lot is None:
            near = ", ".join(sorted(one for one in self._catalog.lots if name in one)[:5])
            raise NotPossibleError(f"no lot {name!r}" + (f"; did you mean {near}?" if near else ""))
        return lot


def _stands(row: Mapping[str, Any], now: datetime) -> bool:
    return row["undone_at"] is None and (row["until"] is None or row["until"] > now)


def _check(order: Order, now: datetime) -> None:
    if order.what not in ORDERS:
        raise NotPossibleError(f"no order {order.what!r}: one of {', '.join(ORDERS)}")
    if not order.reason.strip():
        raise NotPossibleError("say why: a correction without a reason helps nobody later")
    if order.until is not None and order.until <= now:
        raise NotPossibleError("its end is past already: give a later --until")
    if order.what in WHOLE_LOT:
        if order.value is not None:
            raise NotPossibleError(f"{order.what} takes no number")
    elif order.value is None or not 0 <= order.value <= MOST_SPACES:
        raise NotPossibleError(f"{order.what} needs a number of spaces, from 0 to {MOST_SPACES}")


def _zone(order: Order, lot: Lot, state: LotState) -> ZoneState:
    """The zone that is meant; the only public one where none was named."""
    zones = {zone.zone: zone for zone in state.zones}
    if order.zone is None:
        public = [zone for zone in state.zones if zone.public]
        if len(public) != 1:
            raise NotPossibleError(
                f"{lot.id} has several zones, name one: {', '.join(sorted(zones))}"
            )
        return public[0]
    if order.zone not in zones:
        raise NotPossibleError(
            f"{lot.id} has no zone {order.zone!r}: one of {', '.join(sorted(zones))}"
        )
    return zones[order.zone]


def _correction(order: Order, zone: ZoneState | None, now: datetime) -> Correction:
    value, offset = order.value, 0
    if zone is not None and order.what == "recount":
        if zone.counted is None or value is None:
            raise NotPossibleError(
                f"nothing is counted in {zone.zone} now, so a recount has nothing to correct:"
                " close the lot, or wait for its sensors"
            )
        if value > zone.capacity:
            raise NotPossibleError(f"{value} cars in {zone.capacity} spaces: recount once more")
        offset = value - zone.counted
    if zone is not None and order.what == "reserve" and (value or 0) > zone.capacity:
        raise NotPossibleError(f"{zone.zone} has {zone.capacity} spaces in all")
    return Correction(
        lot=order.lot,
        zone=zone.zone if zone else None,
        kind=KINDS.get(order.what, order.what),
        at=now,
        by=order.by,
        reason=order.reason.strip(),
        value=value,
        offset=offset,
        until=order.until,
    )


def _looks(state: LotState) -> tuple[Look, ...]:
    return tuple(
        Look(zone.zone, zone.free, zone.capacity, zone.openness.value, zone.quality.value)
        for zone in state.zones
    )


def _recorded(row: Mapping[str, Any]) -> Recorded:
    laid = correction.decode(row["laid"])
    looks = {
        when: msgspec.json.decode(row[when] or "[]", type=tuple[Look, ...])
        for when in ("before", "after")
    }
    orders = {kind: order for order, kind in KINDS.items()}
    return Recorded(
        id=str(row["id"]),
        at=laid.at,
        by=laid.by,
        lot=laid.lot,
        what=orders.get(laid.kind, laid.kind),
        zone=laid.zone,
        value=laid.value,
        reason=laid.reason,
        until=laid.until,
        before=looks["before"],
        after=looks["after"],
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
        undone_reason=row["undone_reason"],
    )
