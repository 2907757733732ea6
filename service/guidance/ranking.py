"""Pure: the fixed score minus the cars on the way, and why a lot stands where it does.

Lots with enough spaces left after those already driving there come first, by the seconds that
driving, walking and paying cost; then the nearly full, the unknown, the full and the closed.
Source: comparison of policies on real traces (the fixed score with a memory of advice given).
"""

from enum import IntEnum

import msgspec

from service.catalog import Lot, Name
from service.guidance.model import Needs
from service.occupancy.model import LotState, Openness, Quality


class Tier(IntEnum):
    """The order in which lots are offered; UNFIT does not serve the driver's needs at all."""

    ENOUGH = 0
    FEW = 1
    UNKNOWN = 2
    FULL = 3
    CLOSED = 4
    UNFIT = 5


class Weights(msgspec.Struct, frozen=True):
    """`follow_share`: how many of those sent really come. `stale_trust`: of an old free count.

    `band_share`: of a band (95 %), taken off a fresh count; a half is right five times in six.
    """

    value_of_time_fen_per_hour: int = 3000
    min_free: int = 5
    follow_share: float = 0.85
    stale_trust: float = 0.8
    band_share: float = 0.5

    @property
    def s_per_fen(self) -> float:
        return 3600 / self.value_of_time_fen_per_hour


class Standing(msgspec.Struct, frozen=True):
    """How a lot stands for one kind of driver, wherever he is.

    `free` is what is counted now, `expected` what should be left on arrival. `risk_s` is what the
    chance of finding it full adds to the score: the fixed score charges nothing for it.
    """

    tier: Tier
    free: int | None
    expected: float | None
    on_the_way: float
    risk_s: float = 0.0


def kinds_wanted(needs: Needs) -> tuple[str, ...]:
    """Kinds of zone that the driver must have; empty where any public space will do."""
    return (("ev",) if needs.ev else ()) + (("accessible",) if needs.accessible else ())


def fits(lot: Lot, needs: Needs) -> bool:
    """Whether the lot has what is needed, whatever its state."""
    kinds = {zone.kind for zone in lot.zones if zone.public}
    if not kinds.issuperset(kinds_wanted(needs)):
        return False
    limit = lot.height_limit_m
    return limit is None or needs.height_m is None or needs.height_m <= limit


def counted(state: LotState, kinds: tuple[str, ...]) -> tuple[int | None, Quality]:
    """Free spaces of the scarcest kind wanted, and how far that can be trusted."""
    if not kinds:
        return state.free, state.quality
    least: int | None = None
    worst = Quality.FRESH
    for kind in kinds:
        zones = [z for z in state.zones if z.kind == kind and z.public]
        zones = [z for z in zones if z.openness is Openness.OPEN]
        known = [z.free for z in zones if z.free is not None]
        if zones and not known:
            return None, Quality.UNKNOWN
        if any(z.quality is not Quality.FRESH for z in zones):
            worst = Quality.STALE
        least = sum(known) if least is None else min(least, sum(known))
    return least, worst


def _band(state: LotState, kinds: tuple[str, ...]) -> int:
    """How far the free spaces of the kinds wanted may be off."""
    if not kinds:
        return state.band
    return max(sum(z.band for z in state.zones if z.kind == kind) for kind in kinds)


def standing(
    state: LotState | None, on_the_way: float, kinds: tuple[str, ...], weights: Weights
) -> Standing:
    """Where a lot stands: unknown is never free, an old number counts for less than a new one."""
    if state is None:
        return Standing(Tier.UNKNOWN, None, None, on_the_way)
    if state.openness is Openness.CLOSED:
        return Standing(Tier.CLOSED, None, None, on_the_way)
    free, quality = counted(state, kinds)
    if free is None or quality is Quality.UNKNOWN:
        return Standing(Tier.UNKNOWN, None, None, on_the_way)
    trusted = float(free)
    if quality is not Quality.FRESH:
        trusted = max(0.0, free * weights.stale_trust - state.band)
    elif state.band:
        trusted = max(0.0, free - weights.band_share * _band(state, kinds))
    expected = max(0.0, round(trusted - weights.follow_share * on_the_way, 1))
    if free == 0:
        tier = Tier.FULL
    elif expected >= (1 if kinds else weights.min_free):
        tier = Tier.ENOUGH
    else:
        tier = Tier.FEW
    return Standing(tier, free, expected, on_the_way)


def why(  # the one sentence that a page shows; Chinese first, as everywhere
    drive_minutes: str, walk_minutes: str | None, state: LotState | None, stood: Standing
) -> Name:
    """The facts that decided, as one short sentence; minutes come as text to be filled in later."""
    zh = [f"车程 {drive_minutes} 分钟"]
    en = [f"{drive_minutes} min drive"]
    if walk_minutes is not None:
        zh.append(f"步行 {walk_minutes} 分钟")
        en.append(f"{walk_minutes} min walk")
    last_zh, last_en = _spaces(state, stood)
    return Name("，".join([*zh, last_zh]), ", ".join([*en, last_en]))


def _spaces(state: LotState | None, stood: Standing) -> tuple[str, str]:
    match stood.tier:
        case Tier.CLOSED:
            return "未开放", "closed"
        case Tier.UNKNOWN | Tier.UNFIT:
            return "余位未知", "free spaces unknown"
        case Tier.FULL:
            return "已满", "full"
    free = stood.free
    about = state is not None and state.quality is not Quality.FRESH
    if stood.tier is Tier.ENOUGH:
        return (
            (f"约剩 {free} 位", f"about {free} free")
            if about
            else (f"剩 {free} 位", f"{free} free")
        )
    coming = round(stood.on_the_way)
    if coming:
        return f"仅剩 {free} 位，{coming} 辆正在前往", f"only {free} free, {coming} on the way"
    return f"仅剩 {free} 位", f"only {free} free"
