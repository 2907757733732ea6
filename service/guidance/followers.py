"""Pure: how many cars under way a sign has probably sent, and where to.

A steady stream of cars passes a sign; a small share of them follows it, most to the lot that is
offered first. Those under way at any time are the stream times the drive.
"""

from collections.abc import Iterable
from typing import Final

from service.guidance.ranking import Tier

# Cars an hour that look for a space as they pass, by the sign's level. Nobody follows a sign at a
# lot's own entrance: who stands there has arrived.
SEEKING_PER_HOUR: Final = {1: 120.0, 2: 60.0}
FOLLOW_SHARE: Final = 0.1
STEP: Final = 0.5  # each next lot on the panel draws half as many


def followers(level: int, offered: Iterable[tuple[str, int, float]]) -> dict[str, float]:
    """Cars under way by lot; `offered` are (lot, tier, drive_s), best first."""
    following_per_s = SEEKING_PER_HOUR.get(level, 0.0) * FOLLOW_SHARE / 3600
    free = [(lot, drive_s) for lot, tier, drive_s in offered if tier <= Tier.FEW]
    if not following_per_s or not free:
        return {}
    draws = [STEP**at for at in range(len(free))]
    whole = sum(draws)
    return {
        lot: round(following_per_s * draw / whole * drive_s, 2)
        for (lot, drive_s), draw in zip(free, draws, strict=True)
    }
