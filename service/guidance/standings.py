"""Where every lot stands for one kind of driver, kept current lot by lot, with its JSON ready."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from service.catalog import Lot
from service.guidance.model import Needs
from service.guidance.ranking import Standing, Tier, Weights, fits, kinds_wanted, standing, why
from service.occupancy.model import LotState, Openness, Quality

_HOLE: Final = "\0"  # where minutes go; no catalogue name holds it


# One lot of an answer: score, its index, drive, and metres in a straight line.
Answer = tuple[float, int, float, float]


class Standings:
    """How each lot stands, by its index; only lots that changed are looked at again.

    `extra_s[i]` is what the i-th lot's risk adds to its score, infinite where it cannot be advised
    at all: one number to add, and nothing to ask, in the loop that ranks.
    """

    def __init__(
        self,
        lots: Sequence[Lot],
        needs: Needs,
        state: Callable[[str], LotState | None],
        on_the_way: Callable[[str], float],
        weights: Weights,
    ) -> None:
        self._lots = lots
        self._kinds = kinds_wanted(needs)
        self._fit = [fits(lot, Needs(ev=needs.ev, accessible=needs.accessible)) for lot in lots]
        self._state = state
        self._on_the_way = on_the_way
        self._weights = weights
        self._stood: list[Standing | None] = [None] * len(lots)
        self._templates: tuple[list[bytes], list[bytes]] = ([b""] * len(lots), [b""] * len(lots))
        self.dirty: set[int] = set(range(len(lots)))
        self.tiers: list[int] = [Tier.UNFIT] * len(lots)
        self.extra_s: list[float] = [math.inf] * len(lots)

    def touch(self, lots: Iterable[int]) -> None:
        self.dirty.update(lots)

    def refresh(self) -> None:
        """Look again at what was touched, the `dirty`."""
        for at in self.dirty:
            self._stood[at] = None
            self._templates[0][at] = self._templates[1][at] = b""
            if self._fit[at]:
                stood = self.stood(at)
                self.tiers[at] = int(stood.tier)
                self.extra_s[at] = stood.risk_s if stood.tier is Tier.ENOUGH else math.inf
        self.dirty.clear()

    def stood(self, at: int) -> Standing:
        """The i-th lot's standing."""
        found = self._stood[at]
        if found is None:
            lot = self._lots[at].id
            found = self._stood[at] = standing(
                self._state(lot), self._on_the_way(lot), self._kinds, self._weights
            )
        return found

    def templates(self, answers: Iterable[Answer], *, walked: bool) -> list[bytes]:
        """Lots' `Choice`s as JSON with holes for whole numbers.

        In order: drive (and walk, where `walked`) minutes for the sentence in Chinese, the same
        for the English one, then score, drive (and walk) seconds, metres, fen.
        """
        known = self._templates[walked]
        return [known[at] or self._template(at, walked=walked) for _, at, _, _ in answers]

    def _template(self, at: int, *, walked: bool) -> bytes:
        lot = self._lots[at]
        state, stood = self._state(lot.id), self.stood(at)
        known = {
            "lot": lot.id,
            "name": lot.name,
            "position": lot.position,
            "free": stood.free,
            "capacity": state.capacity if state else lot.public_capacity,
            "expected": stood.expected,
            "on_the_way": round(stood.on_the_way),
            "openness": state.openness if state else Openness.OPEN,
            "quality": state.quality if state else Quality.UNKNOWN,
            "as_of": state.as_of if state else None,
            "received": state.received if state else False,
            "why": why(_HOLE, _HOLE if walked else None, state, stood),
        }
        text = msgspec.json.encode(known).replace(b"%", b"%%").replace(b"\\u0000", b"%d")
        walk = b"%d" if walked else b"0"
        rest = b',"score_s":%%d,"drive_s":%%d,"walk_s":%b,"distance_m":%%d,"price_fen":%%d}' % walk
        template = self._templates[walked][at] = text[:-1] + rest
        return template
