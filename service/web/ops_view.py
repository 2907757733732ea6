"""Pure: what the operations page lists, worst first where it matters; no plate in full, ever."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from service.catalog import Catalog, Lot, Name, Sign
from service.guidance.deliveries import Delivery
from service.guidance.model import Frame
from service.occupancy.model import LotState, Openness, Quality
from service.settlement.recent import Recent
from service.web import words
from service.web.panel_view import ARROWS


class ZoneRow(msgspec.Struct, frozen=True):
    """`since_s`: for how long the quality has been what it is; ages in clock seconds."""

    id: str
    kind: str
    fed_by: str
    capacity: int
    free: int | None
    openness: str
    quality: str
    why: str
    since_s: int | None
    age_s: int | None
    band: int
    public: bool


class LotRow(msgspec.Struct, frozen=True):
    id: str
    site: str
    name: Name
    capacity: int
    free: int | None
    on_the_way: float
    openness: str
    quality: str
    why: str
    since_s: int | None
    age_s: int | None
    received: bool
    band: int
    zones: tuple[ZoneRow, ...]


class SignRow(msgspec.Struct, frozen=True):
    """`lines` are (arrow, name, value, state); `lease_s` what is left of the lease."""

    id: str
    site: str
    name: Name
    level: int
    revision: int | None
    lease_s: float | None
    delivery: str
    reason: str | None
    since_s: int | None
    lines: tuple[tuple[str, str, str, str], ...]


class SessionRow(msgspec.Struct, frozen=True):
    session: str
    lot: str
    plate: str
    state: str
    entered_at: datetime
    left_at: datetime | None
    changed_s: int | None
    amount_fen: int | None


def lot_rows(
    catalog: Catalog,
    states: Mapping[str, LotState],
    on_the_way: Mapping[str, float],
    at: datetime,
) -> list[LotRow]:
    return [
        _lot_row(lot, states.get(lot.id), on_the_way.get(lot.id, 0.0), at)
        for lot in catalog.lots.values()
    ]


def _lot_row(lot: Lot, state: LotState | None, coming: float, at: datetime) -> LotRow:
    fed_by = {zone.id: zone.fed_by for zone in lot.zones}
    zones = () if state is None else state.zones
    rows = tuple(
        ZoneRow(
            id=zone.zone,
            kind=zone.kind,
            fed_by=fed_by.get(zone.zone, ""),
            capacity=zone.capacity,
            free=zone.free,
            openness=zone.openness,
            quality=zone.quality,
            why=zone.why,
            since_s=words.age_s(at, zone.since) if zone.since else None,
            age_s=words.age_s(at, zone.as_of),
            band=zone.band,
            public=zone.public,
        )
        for zone in zones
    )
    since = [one.since_s for one in rows if one.public and one.since_s is not None]
    return LotRow(
        id=lot.id,
        site=lot.site,
        name=Name(words.plain(lot.name.zh), words.plain(lot.name.en)),
        capacity=(0 if state is None else state.capacity) or lot.public_capacity,
        free=None if state is None else state.free,
        on_the_way=coming,
        openness=Openness.OPEN if state is None else state.openness,
        quality=Quality.UNKNOWN if state is None else state.quality,
        why="never_heard" if state is None else state.why,
        since_s=min(since, default=None),
        age_s=None if state is None else words.age_s(at, state.as_of),
        received=state is not None and state.received,
        band=0 if state is None else state.band,
        zones=rows,
    )


def sign_row(sign: Sign, frame: Frame | None, delivery: Delivery | None, at: datetime) -> SignRow:
    left_s = None if frame is None else max(0.0, (frame.lease_until - at).total_seconds())
    drawn = () if frame is None else frame.lines
    return SignRow(
        id=sign.id,
        site=sign.site,
        name=Name(words.plain(sign.name.zh), words.plain(sign.name.en)),
        level=sign.level,
        revision=None if frame is None else frame.revision,
        lease_s=None if left_s is None else round(left_s, 1),
        delivery="none" if delivery is None else delivery.state,
        reason=None if delivery is None else delivery.reason,
        since_s=None if delivery is None else words.age_s(at, delivery.since),
        lines=tuple(
            (ARROWS.get(line.arrow, ""), words.plain(line.name.zh), line.value, line.state)
            for line in drawn
        ),
    )


def session_rows(recent: Iterable[Recent], at: datetime) -> list[SessionRow]:
    return [
        SessionRow(
            session=one.session[:8],
            lot=one.lot,
            plate=one.plate,
            state=one.state,
            entered_at=one.entered_at,
            left_at=one.left_at,
            changed_s=words.age_s(at, one.changed_at),
            amount_fen=one.amount_fen,
        )
        for one in recent
    ]
