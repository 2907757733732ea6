"""Pure: all zones and lots as they stand, from fields and values of the store.

Newer news of a field replaces older; a zone is worked out again only when it was touched or is due
to look older.
"""

from collections.abc import Callable, Container, Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from service.catalog import Catalog, Lot, Zone
from service.occupancy import correction, report
from service.occupancy.combine import Heard, Rules, dated, lane_feeds, lot_state, zone_state
from service.occupancy.model import LotState, ZoneState

Key = tuple[str, str]  # lot, zone


class _Place(msgspec.Struct, eq=False):
    """One zone with all that is known of it."""

    lot: Lot
    zone: Zone
    zone_info: ZoneInfo
    heard: Heard
    state: ZoneState | None = None
    due_ms: float | None = None


class Picture:
    """Fields about what the catalogue does not have are passed over."""

    def __init__(self, catalog: Catalog, rules: Rules, now_ms: int) -> None:
        self._catalog = catalog
        self._rules = rules
        self._places: dict[Key, _Place] = {}
        self._orders: dict[str, str] = {}
        self._fed: dict[str, set[Key]] = {}  # device -> the zones it speaks about
        self._lane_of: dict[str, tuple[str, str]] = {}  # camera -> lot, lane
        self.health: dict[str, dict[str, tuple[int, object]]] = {}
        self.lots: dict[str, LotState] = {}
        self._takers: dict[str, Callable[[str, str], Iterable[Key]]] = {
            "p": self._put_pasts,
            "l": self._put_total,
            "g": self._put_gaps,
            "k": self._put_correction,
            "h": self._put_health,
        }
        zones_info = {one.id: ZoneInfo(one.timezone) for one in catalog.sites.values()}
        for lot in catalog.lots.values():
            for zone in lot.zones:
                self._places[lot.id, zone.id] = _Place(lot, zone, zones_info[lot.site], Heard())
        for sensor in catalog.sensors.values():
            self._fed.setdefault(sensor.id, set()).add((sensor.lot, sensor.zone))
        for camera in catalog.cameras.values():
            self._lane_of[camera.id] = (camera.lot, camera.lane)
            self._fed.setdefault(camera.id, set()).update(self._zones_of(camera.lot, camera.lane))
        self.settle(set(self._places), now_ms, 1)

    def due(self) -> list[tuple[float, Key]]:
        """When each zone will look different with no further news."""
        return [
            (place.due_ms, key) for key, place in self._places.items() if place.due_ms is not None
        ]

    def put(self, news: Iterable[tuple[str, str]]) -> set[Key]:
        """Take fields and values; returns the zones they touch."""
        dirty: set[Key] = set()
        for field, value in news:
            kind = field[:1]
            if kind in "zb":
                dirty.update(self._put_report(field, value))
            elif (take := self._takers.get(kind)) is not None:
                dirty.update(take(field, value))
        return dirty

    def heard(self, lot: str, zone: str) -> Heard:
        """What was heard of a zone, to be read only."""
        return self._places[lot, zone].heard

    def freeze(self, lot: str, zone: str, since: datetime | None) -> set[Key]:
        """Note that a zone's number stands still while it should move (None: it moves again)."""
        self._places[lot, zone].heard.frozen_since = since
        return {(lot, zone)}

    def prune(self, kept: Container[str], here: Callable[[str], bool]) -> set[Key]:
        """Take off corrections and gaps that are gone from the store.

        `here` tells whether the store would keep something of that lot or device in what was read.
        """
        dirty: set[Key] = set()
        for (lot, zone), place in self._places.items():
            for name, one in tuple(place.heard.corrections.items()):
                if here(lot) and f"k/{one.field}" not in kept:
                    del place.heard.corrections[name]
                    dirty.add((lot, zone))
            for device in tuple(place.heard.gaps):
                if here(device) and f"g/{device}" not in kept:
                    del place.heard.gaps[device]
                    dirty.add((lot, zone))
        return dirty

    def settle(
        self, dirty: set[Key], now_ms: int, version: int
    ) -> tuple[frozenset[str], list[tuple[float, Key]]]:
        """Work out `dirty` zones; returns the lots that changed and when zones are due again."""
        touched: dict[str, Lot] = {}
        due: list[tuple[float, Key]] = []
        for key in dirty:
            place = self._places.get(key)
            if place is None:
                continue
            new, due_ms = zone_state(
                place.lot, place.zone, place.heard, now_ms, self._rules, place.zone_info
            )
            new = dated(new, place.state, now_ms)
            # One entry a zone is enough: the earliest tells when to look again.
            if due_ms is not None and not now_ms < (place.due_ms or 0) <= due_ms:
                place.due_ms = due_ms + 1
                due.append((place.due_ms, key))
            if new != place.state:
                place.state = new
                touched[place.lot.id] = place.lot
        for lot in touched.values():
            zones = (self._places[lot.id, zone.id].state for zone in lot.zones)
            self.lots[lot.id] = lot_state(
                lot, tuple(one for one in zones if one), version, self._word(lot, now_ms)
            )
        return frozenset(touched), due

    def _word(self, lot: Lot, now_ms: int) -> tuple[datetime, ...]:
        """When each correction of staff's that holds was made; the drift estimate is no person."""
        laid = [self._places[lot.id, zone.id].heard.corrections for zone in lot.zones]
        if not any(laid):
            return ()
        now = report.moment(now_ms)
        return tuple(
            sorted(
                {
                    one.at
                    for corrections in laid
                    for one in corrections.values()
                    if one.kind != "drift" and one.holds(now)
                }
            )
        )

    def _put_report(self, field: str, value: str) -> Iterable[Key]:
        order = value[: report.ORDER_DIGITS]
        if self._orders.get(field, "") >= order:
            return ()
        parts = field.split("/")
        key = (parts[1], parts[2])
        place = self._places.get(key)
        if place is None:
            return ()
        self._orders[field] = order
        told = report.read_told(value)
        if parts[0] == "z":
            place.heard.counts[parts[3]] = told
        else:
            place.heard.bays.setdefault(parts[3], {})[parts[4]] = told
        return (key,)

    def _put_pasts(self, field: str, value: str) -> Iterable[Key]:
        _, lot, zone, device = field.split("/", 3)
        place = self._places.get((lot, zone))
        if place is None:
            return ()
        place.heard.pasts[device] = report.read_pasts(value)
        return ((lot, zone),)

    def _put_total(self, field: str, value: str) -> Iterable[Key]:
        _, lot, lane, camera = field.split("/", 3)
        zones = self._zones_of(lot, lane)
        for key in zones:
            self._places[key].heard.lanes.setdefault(lane, {})[camera] = report.read_total(value)
        return zones

    def _put_gaps(self, field: str, value: str) -> Iterable[Key]:
        device = field[2:]
        zones = self._fed.get(device, set())
        for key in zones:
            gaps = report.read_gaps(value)
            if gaps:
                self._places[key].heard.gaps[device] = gaps
            else:
                self._places[key].heard.gaps.pop(device, None)
        return zones

    def _put_correction(self, field: str, value: str) -> Iterable[Key]:
        _, lot, zone, kind = field.split("/", 3)
        known = self._catalog.lots.get(lot)
        zones = [one.id for one in known.zones] if known and zone == "*" else [zone]
        keys = [(lot, one) for one in zones if (lot, one) in self._places]
        for key in keys:
            if value:
                self._places[key].heard.corrections[f"{zone}/{kind}"] = correction.decode(value)
            else:
                self._places[key].heard.corrections.pop(f"{zone}/{kind}", None)
        return keys

    def _put_health(self, field: str, value: str) -> Iterable[Key]:
        if self._orders.get(field, "") >= value[: report.ORDER_DIGITS]:
            return ()
        self._orders[field] = value[: report.ORDER_DIGITS]
        _, device, what = field.split("/", 2)
        at_ms, said = report.read_health(value)
        self.health.setdefault(device, {})[what] = (at_ms, said)
        if what != "online" or device not in self._lane_of:
            return ()
        lot, lane = self._lane_of[device]
        zones = self._zones_of(lot, lane)
        for key in zones:
            heard = self._places[key].heard
            if said:
                heard.cameras_ms[lane] = max(heard.cameras_ms.get(lane, 0), at_ms)
                heard.offline.discard(device)
            else:
                heard.offline.add(device)
        return zones

    def _zones_of(self, lot: str, lane: str) -> list[Key]:
        known = self._catalog.lots.get(lot)
        passage = self._catalog.lane(lot, lane) if known else None
        if known is None or passage is None:
            return []
        return [
            (lot, zone.id)
            for zone in known.zones
            if zone.fed_by == "plates" and lane_feeds(known, passage.zone, zone)
        ]
