"""Pure: a street of lots and signs, and a schedule of changes that is the same in every process."""

import math
import random
from itertools import accumulate

import msgspec

from service.catalog import Catalog, Entrance, Lot, Name, Point, Sensor, Sign, Site, Zone
from service.tariff.model import Tariff

MIDDLE = Point(30.26, 120.17)
SIGNS_PER_LOT = 3
CAPACITY = 100
REST_S = 0.5  # before a lot changes again: longer than any sign's pace


class Change(msgspec.Struct, frozen=True):
    """At `at_s` from the start `lot` turns full, or free again with `free` spaces.

    `quiet`: the signs of the lot that are free to show it at once, for they spoke long enough ago.
    """

    at_s: float
    lot: str
    free: int
    quiet: frozenset[str]


def street(signs: int) -> Catalog:
    """As many lots as signs; each sign shows three lots, each lot stands on three signs."""
    lots = {f"lot-{at:04}": _lot(at) for at in range(signs)}
    names = list(lots)
    stride = max(1, signs // SIGNS_PER_LOT)
    return Catalog(
        version="bench",
        sites={"city": Site("city", Name("城", "City"), Name("杭州", "Hangzhou"), "Asia/Shanghai")},
        lots=lots,
        destinations={},
        signs={
            f"sign-{at:04}": Sign(
                f"sign-{at:04}",
                "city",
                Name(f"屏{at}", f"Sign {at}"),
                MIDDLE,
                level=2,
                lots=tuple(names[(at + stride * row) % signs] for row in range(SIGNS_PER_LOT)),
                rows=SIGNS_PER_LOT,
            )
            for at in range(signs)
        },
        cameras={},
        sensors={f"d-{lot}": Sensor(f"d-{lot}", lot, "all") for lot in lots},
        tariffs={"t": Tariff("t", "1", ())},
        exchanges={},
    )


def _lot(at: int) -> Lot:
    position = Point(MIDDLE.lat + at * 1e-4, MIDDLE.lng)
    return Lot(
        id=f"lot-{at:04}",
        site="city",
        name=Name(f"第{at}停车场", f"Car park {at}"),
        position=position,
        kind="public",
        zones=(Zone("all", "general", CAPACITY, "absolute"),),
        entrances=(Entrance("in", position),),
        lanes=(),
        tariff="t",
    )


def schedule(
    catalog: Catalog, per_s: float, seconds: float, pace_s: float, margin_s: float, seed: int = 3
) -> list[Change]:
    """Lots drawn at random turn full and free again, at random moments, `per_s` a second.

    A sign speaks once in `pace_s`: what it hears too early it tells in its next turn, which is
    when it spoke for what it hears after that. It is quiet `margin_s` after such a turn's pace.
    """
    draw = random.Random(seed)
    lots = sorted(catalog.lots)
    showing = {lot: [s.id for s in catalog.signs.values() if lot in s.lots] for lot in lots}
    free = dict.fromkeys(lots, 50)
    speaks_s: dict[str, float] = {}
    changed_s: dict[str, float] = {}
    changes = []
    pauses = (draw.expovariate(per_s) for _ in range(int(per_s * seconds)))
    for at_s in accumulate(pauses):
        rested = [lot for lot in lots if changed_s.get(lot, -REST_S) + REST_S <= at_s]
        lot = draw.choice(rested or lots)
        changed_s[lot] = at_s
        free[lot] = 0 if free[lot] else 50
        quiet = set()
        for sign in showing[lot]:
            turn_s = speaks_s.get(sign, -math.inf) + pace_s
            if at_s >= turn_s + margin_s:
                quiet.add(sign)
            if at_s >= turn_s - pace_s:  # else it will tell this too when its turn comes
                speaks_s[sign] = max(turn_s, at_s)
        changes.append(Change(at_s, lot, free[lot], frozenset(quiet)))
    return changes
