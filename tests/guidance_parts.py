"""Small pieces for guidance tests: states as one line, and a clock's moments."""

from datetime import UTC, datetime, timedelta

from service.occupancy.model import LotState, Openness, Quality, ZoneState

START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)


def lot_state(
    lot: str,
    free: int | None,
    *,
    capacity: int = 100,
    quality: Quality = Quality.FRESH,
    openness: Openness = Openness.OPEN,
    as_of: datetime | None = START,
    band: int = 0,
    zones: tuple[ZoneState, ...] = (),
) -> LotState:
    if quality is Quality.UNKNOWN:
        free = None
    return LotState(
        lot=lot,
        capacity=capacity,
        free=free,
        openness=openness,
        quality=quality,
        why="ok",
        as_of=as_of,
        received=False,
        band=band,
        zones=zones,
        version=1,
    )


def zone_state(
    kind: str,
    free: int | None,
    *,
    lot: str = "a",
    quality: Quality = Quality.FRESH,
    openness: Openness = Openness.OPEN,
    public: bool = True,
) -> ZoneState:
    return ZoneState(
        lot, kind, kind, 10, free, openness, quality, "ok", START, START, public=public
    )


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
