"""Pure: what a sign shows, from what is known of its lots and what it showed before.

    closed lot              关闭     at once
    unknown, or stale and
    older than the lease    --      at once
    nothing free            满      at once; left only above `hysteresis` spaces
    few                     digits  entered at the few threshold, left `hysteresis` above it
    more                    digits

A number that is shown stands for `hold_s` and then changes by at least `hysteresis` spaces, except
where the state changes, the lot fills so fast that drivers would be misled, or staff spoke.

A frame's lease never outlives its oldest number: an old number stands for one lease from its
measurement, a fresh one until it would no longer be fresh (or for a lease, if that is longer).
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from service.catalog import Name, Sign
from service.guidance.model import Frame, FrameLine
from service.guidance.ranking import Tier
from service.occupancy.model import LotState, Openness, Quality

FULL_TEXT: Final = "满"
CLOSED_TEXT: Final = "关闭"
UNKNOWN_TEXT: Final = "--"
DANGEROUS_SHARE: Final = 0.3
RENEW_SHARE: Final = 0.5  # of the lease that was granted
SHORTEST_SHARE: Final = 0.25  # of the sign's lease: what a number that is called fresh gets


class Manner(msgspec.Struct, frozen=True):
    """How signs change. Durations are clock seconds, `few_most` and `hysteresis` spaces."""

    hold_s: float = 60.0
    hysteresis: int = 2
    few_most: int = 10
    few_share: float = 0.1

    def few(self, capacity: int) -> int:
        """At or below how many free spaces a lot of `capacity` has few."""
        return max(1, min(self.few_most, int(capacity * self.few_share)))

    def margin(self, capacity: int) -> int:
        """Hysteresis, no more than a small lot can give."""
        return min(self.hysteresis, capacity // 10)


class Held(msgspec.Struct, frozen=True):
    """What a line shows: `since_s` when this was first shown, `as_of` when it was measured.

    `word` is what staff had said then.
    """

    state: str
    number: int | None
    since_s: float
    as_of: datetime | None
    word: tuple[datetime, ...] = ()


class Memory(msgspec.Struct, frozen=True):
    """What a sign remembers between frames: its lines, and since when they are these lots."""

    held: Mapping[str, Held] = {}
    rows: tuple[str, ...] = ()
    rows_since_s: float = 0.0


class Listed(msgspec.Struct, frozen=True):
    """What a line needs of its lot; `fresh_for_s` is how long its reports count as fresh."""

    name: Name
    fresh_for_s: float = 0.0


class Composed(msgspec.Struct, frozen=True):
    """A sign's lines and until when they may stand.

    At `renew_s` the frame is sent again whatever it says, at `due_s` it is looked at again.
    """

    lines: tuple[FrameLine, ...]
    memory: Memory
    lease_until_s: float
    renew_s: float
    due_s: float


def compose(
    sign: Sign,
    rows: Sequence[str],
    lots: Mapping[str, Listed],
    states: Mapping[str, LotState],
    memory: Memory,
    now_s: float,
    manner: Manner,
    *,
    renew: bool = False,
) -> Composed:
    """The sign's lines for the lots `rows`; with `renew` it is sent anyhow, so numbers are new."""
    held: dict[str, Held] = {}
    lines = []
    until_s = now_s + sign.lease_s
    changes_s = until_s
    for lot in rows:
        state = states.get(lot)
        one = hold(state, memory.held.get(lot), now_s, sign.lease_s, manner, renew=renew)
        held[lot] = one
        lines.append(_line(lot, lots[lot].name, one, sign.arrows.get(lot, "")))
        if one.number is None or state is None:
            continue
        until_s = min(until_s, _until_s(state, now_s, sign.lease_s, lots[lot].fresh_for_s))
        held_until_s = one.since_s + manner.hold_s
        if state.free != one.number and held_until_s > now_s:
            changes_s = min(changes_s, held_until_s)
    renew_s = now_s + max((until_s - now_s) * RENEW_SHARE, sign.lease_s * SHORTEST_SHARE / 2)
    same_rows = tuple(rows) == memory.rows
    return Composed(
        lines=tuple(lines),
        memory=Memory(held, tuple(rows), memory.rows_since_s if same_rows else now_s),
        lease_until_s=until_s,
        renew_s=min(renew_s, until_s),
        due_s=min(changes_s, renew_s, until_s),
    )


def hold(
    state: LotState | None,
    before: Held | None,
    now_s: float,
    lease_s: float,
    manner: Manner,
    *,
    renew: bool = False,
) -> Held:
    """What one line shows now, given what it showed before."""
    named = line_state(state, before.state if before else None, now_s, lease_s, manner)
    if state is None or named not in {"free", "few"}:
        stands = before is not None and before.state == named
        since_s = before.since_s if before is not None and stands else now_s
        return Held(named, None, since_s, state.as_of if state else None)
    number = state.free or 0
    new = Held(named, number, now_s, state.as_of, state.word)
    if before is None or before.state != named or before.number is None:
        return new
    if number == before.number:
        return Held(named, number, before.since_s, state.as_of, state.word)
    if state.word != before.word:
        return new
    drop = before.number - number
    misleads = drop > 0 and (named == "few" or drop >= before.number * DANGEROUS_SHARE)
    if misleads or not _within(before.as_of, now_s, lease_s):
        return new
    settled = now_s >= before.since_s + manner.hold_s
    differs = renew or abs(drop) >= manner.margin(state.capacity)
    return new if settled and differs else before


def line_state(
    state: LotState | None, before: str | None, now_s: float, lease_s: float, manner: Manner
) -> str:
    """One of free, few, full, closed, unknown, with hysteresis against `before`."""
    if state is not None and state.openness is Openness.CLOSED:
        return "closed"
    if state is None or state.free is None or not _known(state, now_s, lease_s):
        return "unknown"
    margin, few = manner.margin(state.capacity), manner.few(state.capacity)
    if state.free <= (margin if before == "full" else 0):
        return "full"
    if state.free <= few + (margin if before in {"full", "few"} else 0):
        return "few"
    return "free"


def choose_rows(
    sign: Sign, ranked: Sequence[tuple[str, int]], memory: Memory, now_s: float, manner: Manner
) -> tuple[str, ...]:
    """Which lots stand on the panel, in its order: all that fit, else the best ranked.

    A level 3 sign has its one lot. The choice stands for `hold_s` while all of it has spaces.
    """
    if sign.level == 3:
        return sign.lots[:1]
    if len(sign.lots) <= sign.rows:
        return sign.lots
    tiers = dict(ranked)
    best = {lot for lot, _ in ranked[: sign.rows]}
    if memory.rows and set(memory.rows) != best:
        serves = all(tiers.get(lot, Tier.UNFIT) <= Tier.FEW for lot in memory.rows)
        if serves and now_s < memory.rows_since_s + manner.hold_s:
            return memory.rows
    return tuple(lot for lot in sign.lots if lot in best)


def same(one: Sequence[FrameLine], other: Sequence[FrameLine]) -> bool:
    """Whether two panels look the same."""
    return [(a.lot, a.value, a.state, a.arrow) for a in one] == [
        (b.lot, b.value, b.state, b.arrow) for b in other
    ]


def _line(lot: str, name: Name, held: Held, arrow: str) -> FrameLine:
    match held.state:
        case "closed":
            value = CLOSED_TEXT
        case "unknown":
            value = UNKNOWN_TEXT
        case "full":
            value = FULL_TEXT
        case _:
            value = str(held.number)
    return FrameLine(lot, name, value, held.state, arrow, held.as_of)


def _known(state: LotState, now_s: float, lease_s: float) -> bool:
    """Whether the number may be shown at all."""
    if state.quality is Quality.FRESH:
        return True
    return state.quality is not Quality.UNKNOWN and _within(state.as_of, now_s, lease_s)


def _within(as_of: datetime | None, now_s: float, lease_s: float) -> bool:
    return as_of is not None and now_s < as_of.timestamp() + lease_s


def _until_s(state: LotState, now_s: float, lease_s: float, fresh_for_s: float) -> float:
    """Until when a panel may go on showing this lot's number by itself."""
    if state.as_of is None:
        return now_s + lease_s
    measured_s = state.as_of.timestamp()
    if state.quality is not Quality.FRESH:
        return measured_s + lease_s
    return max(measured_s + max(lease_s, fresh_for_s), now_s + lease_s * SHORTEST_SHARE)


def moment(posix_s: float) -> datetime:
    """Aware UTC, to the millisecond."""
    return datetime.fromtimestamp(round(posix_s, 3), UTC)


class FrameBytes(NamedTuple):
    """A frame as it is sent: its JSON, a name for exactly these bytes, and when its lease ends."""

    body: bytes
    etag: str
    until_s: float


def frame_bytes(frame: Frame, body: bytes) -> FrameBytes:
    """The same in every process that serves them."""
    name = hashlib.blake2s(body, digest_size=8).hexdigest()
    return FrameBytes(body, f'"{name}"', frame.lease_until.timestamp())
