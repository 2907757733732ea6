"""What a stay costs in every lot, for the quarter hour that the clock is in."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from service.catalog import Catalog
from service.tariff.pricing import price

SLOT_S = 900
KEPT = 256


class PriceList(msgspec.Struct, frozen=True, eq=False):
    """Fees in fen, aligned with the lots sorted by id. Equal lists carry the same `number`."""

    number: int
    fen: tuple[int, ...]


class Prices:
    """Prices for a stay that begins now, to the quarter hour.

    Few tariffs serve many lots and fees seldom change within a day, so equal price lists are the
    same object, and what is built on one is built once.
    """

    def __init__(self, catalog: Catalog) -> None:
        lots = [catalog.lots[lot] for lot in sorted(catalog.lots)]
        self._catalog = catalog
        self._pairs = [(lot.tariff, catalog.sites[lot.site].timezone) for lot in lots]
        self._slots: dict[tuple[int, int], PriceList] = {}
        self._lists: dict[tuple[int, ...], PriceList] = {}
        self._numbers = count(1)

    def at(self, moment_s: float, stay_minutes: int) -> PriceList:
        """The list for a stay of `stay_minutes` from the quarter hour that `moment_s` is in."""
        slot = (int(moment_s // SLOT_S), stay_minutes)
        found = self._slots.get(slot)
        if found is None:
            found = self._slots[slot] = self._list(*slot)
            _bound(self._slots)
        return found

    def _list(self, slot: int, stay_minutes: int) -> PriceList:
        entered_at = datetime.fromtimestamp(slot * SLOT_S, UTC)
        left_at = entered_at + timedelta(minutes=stay_minutes)
        fees = {
            (tariff, zone): price(
                self._catalog.tariffs[tariff], entered_at, left_at, ZoneInfo(zone)
            ).total_fen
            for tariff, zone in set(self._pairs)
        }
        fen = tuple(fees[pair] for pair in self._pairs)
        known = self._lists.get(fen)
        if known is None:
            known = self._lists[fen] = PriceList(next(self._numbers), fen)
            _bound(self._lists)
        return known


def _bound(cache: dict[Any, PriceList]) -> None:
    if len(cache) > KEPT:
        del cache[next(iter(cache))]
