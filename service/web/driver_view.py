"""Pure: what the driver's page says of each lot, from the ranking and what is known of the lot."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from service.catalog import Lot
from service.guidance.model import Choice, Ranking
from service.occupancy.model import LotState, Openness, Quality
from service.web import words
from service.web.words import Lang

FEW: Final = 5
FARTHEST_M: Final = 15_000.0  # beyond that it is another town
FARTHEST_WALK_S: Final = 1500.0  # who can park nearer to his door does not walk longer
SHOWN_MOST: Final = 8
STAYS_MINUTES: Final = (30, 60, 120, 240, 480)


class Card(msgspec.Struct, frozen=True):
    """One lot on the page. tone: free | few | full | closed | unknown; `value` is the big text.

    `doubts` are whole sentences on how far the number can be trusted. `advised`: a driver may be
    sent there now.
    """

    lot: str
    name: str
    tone: str
    value: str
    why: str
    age_s: int | None
    drive_min: int | None
    walk_min: int | None
    price: str
    stay: str
    distance: str
    limit: str | None
    doubts: tuple[str, ...]
    advised: bool
    open: bool


def tone(choice: Choice) -> str:
    """In what light a lot stands; anything not known to be open and free is not free."""
    if choice.openness is Openness.CLOSED:
        return "closed"
    if choice.free is None or choice.quality is Quality.UNKNOWN:
        return "unknown"
    if choice.free <= 0:
        return "full"
    expected = choice.free if choice.expected is None else choice.expected
    return "few" if min(expected, choice.free) < FEW else "free"


def _value(lang: Lang, light: str, free: int | None) -> str:
    if light in {"free", "few"}:
        return str(free)
    if light == "unknown":
        return "--"
    return words.WORDS[light][0 if lang == "zh" else 1]


def doubts(lang: Lang, choice: Choice, light: str, state: LotState | None) -> tuple[str, ...]:
    """Sentences on uncertainty, worst first; none where the number is plain."""
    zh = lang == "zh"
    said = []
    if light == "unknown" and state is not None:
        said.append(words.why(lang, state.why))
    if light in {"free", "few"}:
        if choice.quality is Quality.STALE:
            said.append("数据偏旧，按保守估计" if zh else "Older number, estimated cautiously")
        elif choice.quality is Quality.UNVERIFIED:
            reason = words.why(lang, state.why) if state is not None else ""
            said.append(f"待核实：{reason}" if zh else f"Unverified: {reason}")
        band = state.band if state is not None else 0
        if band:
            said.append(f"误差约 ±{band} 个" if zh else f"Give or take {band}")
        if choice.on_the_way:
            said.append(
                f"{choice.on_the_way} 辆正在前往" if zh else f"{choice.on_the_way} on the way"
            )
        if choice.expected is not None and round(choice.expected) != choice.free:
            said.append(_on_arrival(zh, round(choice.expected)))
    return tuple(said)


def _on_arrival(zh: bool, left: int) -> str:
    """What is expected is estimated cautiously: half the doubt is taken off, and who is coming."""
    if left == 0:
        return "到达时可能没有空位" if zh else "Possibly none left when you arrive"
    return f"到达时估计至少剩 {left} 个" if zh else f"Likely {left} or more left when you arrive"


def _price(lang: Lang, fen: int) -> str:
    if fen == 0:
        return words.WORDS["free_of_charge"][0 if lang == "zh" else 1]
    return f"¥{words.yuan(fen)}"


def _distance(distance_m: float) -> str:
    if distance_m < 950:
        return f"{max(10, round(distance_m, -1)):.0f} m"
    return f"{distance_m / 1000:.1f} km"


class Asked(msgspec.Struct, frozen=True):
    """What the page was asked: `placed` says we know where the driver is, `door` where he goes."""

    stay_minutes: int
    placed: bool = True
    door: bool = True


def card(
    lang: Lang,
    choice: Choice,
    known: tuple[Lot | None, LotState | None],
    at: datetime,
    asked: Asked,
) -> Card:
    """One lot, with no minutes that nobody can know."""
    lot, state = known
    light = tone(choice)
    height_m = lot.height_limit_m if lot is not None else None
    return Card(
        lot=choice.lot,
        name=words.named(lang, choice.name),
        tone=light,
        value=_value(lang, light, choice.free),
        why="",
        age_s=words.age_s(at, choice.as_of),
        drive_min=words.minutes(choice.drive_s) if asked.placed else None,
        walk_min=words.minutes(choice.walk_s) if asked.door else None,
        price=_price(lang, choice.price_fen),
        stay=words.stay(lang, asked.stay_minutes),
        distance=_distance(choice.distance_m),
        limit=None if height_m is None else f"{height_m:g} m",
        doubts=doubts(lang, choice, light, state),
        advised=light in {"free", "few"},
        open=light != "closed",
    )


class Page(msgspec.Struct, frozen=True):
    """All cards: the best (if any lot can be advised), the others advised, and the rest.

    `flag` names, as a key of the words, what the best is best at.
    """

    best: Card | None
    good: tuple[Card, ...]
    rest: tuple[Card, ...]
    flag: str = "best"


def reason(lang: Lang, best: Choice, second: Choice | None) -> str:
    """Why the first lot is first: how long it takes in all, and what it has over the next."""
    zh = lang == "zh"
    whole = words.minutes(_whole_s(best))
    if best.walk_s:
        said = f"约 {whole} 分钟到门口" if zh else f"About {whole} min to the door"
    else:
        said = f"约 {whole} 分钟开到" if zh else f"About {whole} min away"
    if second is None:
        return said
    name = words.named(lang, second.name)
    sooner = words.minutes(_whole_s(second)) - whole
    cheaper_fen = second.price_fen - best.price_fen
    if sooner > 0:
        more = f"，比{name}快 {sooner} 分钟" if zh else f", {sooner} min sooner than {name}"
    elif cheaper_fen > 0:
        less = words.yuan(cheaper_fen)
        more = f"，比{name}便宜 ¥{less}" if zh else f", ¥{less} cheaper than {name}"
    elif tone(second) == "few" and tone(best) == "free":
        more = f"，比{name}更有把握" if zh else f", surer than {name}"
    else:
        more = ""
    return said + more


def _whole_s(choice: Choice) -> float:
    return choice.drive_s + choice.walk_s


def _flag(asked: Asked, advised: list[Choice]) -> str:
    """What may be claimed of the first lot; *fastest* only of the one that is."""
    if not asked.placed:
        return "closest" if asked.door else "roomiest"
    return "best" if _whole_s(advised[0]) <= min(map(_whole_s, advised)) + 30 else "recommended"


def _advisable(choice: Choice) -> bool:
    return tone(choice) in {"free", "few"}


def _near(choices: Sequence[Choice], asked: Asked) -> list[Choice]:
    """Lots of this town; of these the ones in walking distance of the door, where one has room."""
    near = [one for one in choices if one.distance_m <= FARTHEST_M]
    if asked.door:
        walkable = [one for one in near if one.walk_s <= FARTHEST_WALK_S]
        if any(map(_advisable, walkable)):
            near = walkable
    return near[:SHOWN_MOST]


def page(
    lang: Lang,
    ranking: Ranking,
    lots: Mapping[str, Lot],
    states: Mapping[str, LotState],
    asked: Asked,
) -> Page:
    """The ranking's own order, split where its advice ends; by room where there is no place."""
    near = _near(ranking.choices, asked)
    advised = [one for one in near if _advisable(one)]
    if not asked.placed and not asked.door:
        advised.sort(key=lambda one: -(one.free or 0))

    def drawn(choice: Choice) -> Card:
        known = (lots.get(choice.lot), states.get(choice.lot))
        return card(lang, choice, known, ranking.at, asked)

    rest = tuple(drawn(one) for one in near if one not in advised)
    if not advised:
        return Page(None, (), rest)
    best = drawn(advised[0])
    if asked.placed:
        why = reason(lang, advised[0], advised[1] if len(advised) > 1 else None)
        best = msgspec.structs.replace(best, why=why)
    return Page(best, tuple(drawn(one) for one in advised[1:]), rest, _flag(asked, advised))
