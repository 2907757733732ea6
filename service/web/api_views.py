"""Pure: what the API answers with, made from the catalogue and what is known now."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.catalog import Lot, Name, Point, Sign
from service.guidance.deliveries import Delivery
from service.occupancy.forecast import Forecast
from service.occupancy.forecast_memory import Basis
from service.occupancy.model import LotState, Openness, Quality, ZoneState
from service.web.api_query import Problem


class ErrorBody(msgspec.Struct, frozen=True):
    """`problems` names every parameter that cannot be used."""

    code: str
    message_zh: str
    message_en: str
    problems: tuple[Problem, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """Every answer that is not the one asked for."""

    error: ErrorBody


class LotView(msgspec.Struct, frozen=True):
    """A lot with what is known of it now; `free` is None where that is not known."""

    id: str
    site: str
    name: Name
    position: Point
    kind: str
    payment: str
    height_limit_m: float | None
    capacity: int
    free: int | None
    openness: Openness
    quality: Quality
    why: str
    as_of: datetime | None
    received: bool
    band: int
    approximate: tuple[str, ...]


class LotPage(msgspec.Struct, frozen=True):
    """Lots by id; `after` continues where this page ends, None at the end."""

    version: int
    lots: tuple[LotView, ...]
    after: str | None


class ForecastView(msgspec.Struct, frozen=True):
    """What will be free in `in_min`: spaces, give or take `band` (95 %), and P(one or more).

    `basis` says how much it is built on: cold (what is now), learning (under two weeks), learned.
    """

    in_min: int
    free: float
    band: float
    p_free: float
    basis: Basis


class LotDetail(msgspec.Struct, frozen=True):
    """One lot, its zones, and the guided cars on the way that no count holds yet.

    `forecast` is empty until the lot was heard for some minutes.
    """

    lot: LotView
    zones: tuple[ZoneState, ...]
    entrances: tuple[Point, ...]
    on_the_way: float
    forecast: tuple[ForecastView, ...]
    version: int


class SignView(msgspec.Struct, frozen=True):
    """A sign and how its newest frame stands: sent | accepted | shown | failed, or None yet."""

    id: str
    site: str
    name: Name
    position: Point
    level: int
    lots: tuple[str, ...]
    rows: int
    columns: int
    lease_s: float
    revision: int | None
    delivery: str | None
    since: datetime | None


class SignList(msgspec.Struct, frozen=True):
    signs: tuple[SignView, ...]


def sign_view(sign: Sign, delivery: Delivery | None) -> SignView:
    return SignView(
        id=sign.id,
        site=sign.site,
        name=sign.name,
        position=sign.position,
        level=sign.level,
        lots=sign.lots,
        rows=sign.rows,
        columns=sign.columns,
        lease_s=sign.lease_s,
        revision=delivery.revision if delivery else None,
        delivery=delivery.state if delivery else None,
        since=delivery.since if delivery else None,
    )


def lot_view(lot: Lot, state: LotState | None) -> LotView:
    return LotView(
        id=lot.id,
        site=lot.site,
        name=lot.name,
        position=lot.position,
        kind=lot.kind,
        payment=lot.payment,
        height_limit_m=lot.height_limit_m,
        capacity=state.capacity if state else lot.public_capacity,
        free=state.free if state else None,
        openness=state.openness if state else Openness.OPEN,
        quality=state.quality if state else Quality.UNKNOWN,
        why=state.why if state else "never_heard",
        as_of=state.as_of if state else None,
        received=state.received if state else False,
        band=state.band if state else 0,
        approximate=lot.approximate,
    )


def lot_detail(
    lot: Lot,
    state: LotState | None,
    on_the_way: float,
    version: int,
    ahead: Sequence[Forecast] = (),
) -> LotDetail:
    return LotDetail(
        lot=lot_view(lot, state),
        zones=state.zones if state else (),
        entrances=tuple(entrance.position for entrance in lot.entrances),
        on_the_way=on_the_way,
        forecast=tuple(
            ForecastView(
                in_min=round(one.horizon_min),
                free=round(one.free, 1),
                band=round(one.band, 1),
                p_free=round(one.p_free, 3),
                basis=one.basis,
            )
            for one in ahead
        ),
        version=version,
    )
