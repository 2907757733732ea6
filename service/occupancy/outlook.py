"""The forecast, alive: fed from the mirror every five minutes, kept in Redis over restarts.

mirror ─ every tick ─ forecast (pure) ─ what a driver will find when he arrives
"""

import math
from base64 import b85decode, b85encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
import structlog

from service.catalog import Catalog
from service.clock import Clock
from service.occupancy.forecast import (
    HORIZONS_MIN,
    TICK_S,
    Forecast,
    Forecaster,
    Moment,
    moment,
)
from service.occupancy.mirror import Mirror
from service.occupancy.model import LotState, Quality, ZoneState
from service.occupancy.store import Store, StoreAway

POOL = "pool"  # no lot can be called so beside a site's own
SAVE_EVERY_TICKS = 6
FROZEN_AFTER_S = 1800.0
FROZEN_SHARE = 0.08  # of capacity: so much should have changed meanwhile
FROZEN_SPACES = 4

log = structlog.get_logger()


class Outlook:
    """`guided` tells how many cars of our own are parked in a lot, to be learned net of."""

    def __init__(
        self,
        catalog: Catalog,
        mirror: Mirror,
        store: Store,
        clock: Clock,
        guided: Callable[[str], float] = lambda _lot: 0.0,
        holidays: frozenset[date] = frozenset(),
        *,
        keeps: bool = True,
    ) -> None:
        self._catalog = catalog
        self._mirror = mirror
        self._store = store
        self._clock = clock
        self._guided = guided
        self._holidays = holidays
        self._forecaster = Forecaster()
        self._zones: dict[str, tzinfo] = {
            lot.id: ZoneInfo(catalog.sites[lot.site].timezone) for lot in catalog.lots.values()
        }
        self._keeps = keeps
        self._stood: dict[tuple[str, str], tuple[int | None, datetime]] = {}
        self._frozen: set[tuple[str, str]] = set()
        self._tick = 0
        self._day: date | None = None

    def at_arrival(self, lot: str, in_s: float) -> Forecast | None:
        """What `lot` will have in `in_s` clock seconds (an hour at most); None if never heard."""
        zone = self._zones.get(lot)
        if zone is None:
            return None
        now = self._clock.now()
        in_s = min(max(in_s, 0.0), 3600.0)
        ahead = self._moment(now + timedelta(seconds=in_s), zone)
        return self._forecaster.forecast(lot, in_s / 60, self._moment(now, zone), ahead)

    def ahead(self, lot: str) -> tuple[Forecast, ...]:
        """What `lot` will have in each of HORIZONS_MIN; empty where it was never heard."""
        found = (self.at_arrival(lot, horizon * 60.0) for horizon in HORIZONS_MIN)
        return tuple(one for one in found if one is not None)

    def _change(self, lot: str, since: datetime, now: datetime) -> float | None:
        """Spaces that should have changed in `lot` meanwhile."""
        zone = self._zones[lot]
        return self._forecaster.expected_change(
            lot, self._moment(since, zone), self._moment(now, zone)
        )

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        await self._load()
        while True:
            now_s = self._clock.now_s()
            due_s = (math.floor(now_s / TICK_S) + 1) * TICK_S
            await self._clock.sleep(due_s - now_s)
            self.tick(round(due_s / TICK_S))
            if self._keeps and self._tick % SAVE_EVERY_TICKS == 0:
                await self._save()

    def tick(self, tick: int) -> None:
        """Take what every lot has now, as of `tick` (count of TICK_S since 1970)."""
        self._tick = tick
        now = datetime.fromtimestamp(tick * TICK_S, UTC)
        moments: dict[tzinfo, tuple[Moment, tuple[Moment, ...]]] = {}
        for lot, state in self._mirror.states.items():
            zone = self._zones.get(lot)
            if zone is None or state.free is None or not state.capacity:
                continue
            if zone not in moments:
                self._settle(now, zone)
                ahead = (now + timedelta(minutes=horizon) for horizon in HORIZONS_MIN)
                moments[zone] = (
                    self._moment(now, zone),
                    tuple(self._moment(one, zone) for one in ahead),
                )
            self._observe(lot, state, tick, *moments[zone])
            for part in state.zones:
                self._watch_still(part, now)

    def _watch_still(self, zone: ZoneState, now: datetime) -> None:
        """A number that arrives fresh and stands still, while its lot should move, is frozen."""
        key = (zone.lot, zone.zone)
        counted, since = self._stood.get(key, (None, now))
        if zone.counted is None or zone.counted != counted:
            self._stood[key] = (zone.counted, now)
            if key in self._frozen:
                self._frozen.discard(key)
                self._mirror.freeze(*key, None)
            return
        if key in self._frozen or (now - since).total_seconds() < FROZEN_AFTER_S:
            return
        if zone.free is not None and zone.free <= 1:
            return  # a full lot stands still by itself
        if not zone.public or zone.quality not in (Quality.FRESH, Quality.STALE):
            return
        lot = self._catalog.lots[zone.lot]
        change = self._change(zone.lot, since, now)
        share = zone.capacity / max(1, lot.public_capacity)
        if change is None or not zone.capacity:
            return
        if abs(change) * share >= max(FROZEN_SPACES, FROZEN_SHARE * zone.capacity):
            self._frozen.add(key)
            self._mirror.freeze(*key, since)

    def _observe(
        self, lot: str, state: LotState, tick: int, now: Moment, ahead: tuple[Moment, ...]
    ) -> None:
        if state.free is None or state.quality is Quality.UNKNOWN:
            return
        self._forecaster.observe(
            lot,
            tick,
            now,
            ahead,
            free=state.free,
            capacity=state.capacity,
            guided=self._guided(lot),
            learn=state.quality is Quality.FRESH,
        )

    def _moment(self, at: datetime, zone: tzinfo) -> Moment:
        return moment(at, zone, self._holidays)

    def _settle(self, now: datetime, zone: tzinfo) -> None:
        today = now.astimezone(zone).date()
        if self._day is not None and today > self._day:
            self._forecaster.settle_day()
        self._day = today

    async def _load(self) -> None:
        """Take back what was learned before; without Redis or torn, start cold."""
        try:
            kept = await self._store.forecasts()
        except StoreAway as away:
            log.warning("forecast starts cold", why=str(away))
            return
        for name, text in kept.items():
            try:
                memory = b85decode(text)
                if name == POOL:
                    self._forecaster.load_pool(memory)
                elif name in self._zones:
                    self._forecaster.load(name, memory)
            except (ValueError, msgspec.DecodeError) as torn:
                log.warning("forecast memory unreadable", lot=name, why=str(torn))

    async def _save(self) -> None:
        # A share of the lots each time, so that thousands of them never come in one burst.
        lots = sorted(self._forecaster.lots)
        piece = max(1, math.ceil(len(lots) / 4))
        start = (self._tick // SAVE_EVERY_TICKS % 4) * piece
        kept = {lot: self._forecaster.dump(lot) for lot in islice(lots, start, start + piece)}
        kept[POOL] = self._forecaster.dump_pool()
        try:
            await self._store.keep_forecasts(
                {name: b85encode(memory).decode() for name, memory in kept.items()}
            )
        except StoreAway as away:
            log.warning("forecast not kept", why=str(away))
