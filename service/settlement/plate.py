"""Pure: number plates: written one way, told apart by kind, masked for eyes, hashed for storage.

The formats of embassy, police, military, civil aviation and emergency plates rest on secondary
sources.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from devices.reading import PlateColor

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_LETTER = "A-HJ-NP-Z"  # I and O are not issued; O is, for offices, and is looked for beside it
_SHORTEST, _LONGEST = 4, 12
_DROPPED = re.compile(r"[\s·•・.\-_]+")
_NO_PLATE = frozenset({"无", "无牌", "无牌车", "未识别", "UNKNOWN", "NONE", "NULL", "NOPLATE"})


class Kind(StrEnum):
    ORDINARY = "ordinary"
    OFFICE = "office"
    NEW_ENERGY_SMALL = "new_energy_small"
    NEW_ENERGY_LARGE = "new_energy_large"
    EMBASSY = "embassy"
    ARMED_POLICE = "armed_police"
    MILITARY = "military"
    AVIATION = "aviation"
    EMERGENCY = "emergency"
    FOREIGN = "foreign"


_FORMS = tuple(
    (kind, re.compile(form))
    for kind, form in (
        (Kind.NEW_ENERGY_SMALL, f"[{PROVINCES}][A-HJ-NP-Z][DABCEFGHJK][{_LETTER}0-9][0-9]{{4}}"),
        (Kind.NEW_ENERGY_LARGE, f"[{PROVINCES}][A-HJ-NP-Z][0-9]{{5}}[DABCEFGHJK]"),
        (Kind.EMERGENCY, f"[{PROVINCES}][XS]?[A-HJ-NP-Z0-9]{{4,5}}应急"),
        (
            Kind.ORDINARY,
            f"[{PROVINCES}][A-HJ-NP-Z][{_LETTER}0-9]{{4}}[{_LETTER}0-9挂学警港澳使领]",
        ),
        (Kind.OFFICE, f"[{PROVINCES}]O[{_LETTER}0-9]{{5}}"),
        (Kind.EMBASSY, "使?[0-9]{6}使?"),
        (Kind.ARMED_POLICE, f"WJ[{PROVINCES}]?[0-9]{{4}}[{_LETTER}0-9]"),
        (Kind.MILITARY, f"[{_LETTER}]{{2}}[0-9]{{5}}"),
        (Kind.AVIATION, f"民航[{_LETTER}0-9]{{5}}"),
    )
)
_NEW_ENERGY_COLORS = frozenset({PlateColor.GREEN, PlateColor.YELLOW_GREEN})
_ON_DUTY = frozenset({Kind.EMERGENCY, Kind.ARMED_POLICE})
# Misreads that were seen; whichever way round, they cost half a change.
_LOOK_ALIKE = ("0DOQ", "8B", "1IL", "2Z", "5S", "6G", "7T", "VY", "UV", "MN", "EF", "CG")
_ALIKE = frozenset((a, b) for group in _LOOK_ALIKE for a in group for b in group if a != b)


class Plate(msgspec.Struct, frozen=True):
    """A plate in its one written form. It stands in memory only; at rest it is hashed or sealed."""

    text: str
    kind: Kind
    color: PlateColor = PlateColor.UNKNOWN

    @property
    def new_energy(self) -> bool:
        return (
            self.kind in (Kind.NEW_ENERGY_SMALL, Kind.NEW_ENERGY_LARGE)
            or self.color in _NEW_ENERGY_COLORS
        )

    @property
    def on_duty(self) -> bool:
        """Fire, ambulance, police on duty: never held and never charged."""
        if self.kind is Kind.MILITARY:  # plates of other countries look like it, in other colours
            return self.color is PlateColor.WHITE
        return self.kind in _ON_DUTY


def read(raw: str | None, color: PlateColor = PlateColor.UNKNOWN) -> Plate | None:
    """The plate that a camera read, or None where what it sent cannot be one.

    A plate of no form we know is kept as `foreign`: it still pairs an exit with its entry.
    """
    text = normalise(raw or "")
    if text is None:
        return None
    return Plate(text, kind_of(text), color)


def normalise(raw: str) -> str | None:
    """One way of writing: full-width folded, upper case, no separators; None where unreadable."""
    if len(raw) > 4 * _LONGEST:
        return None
    text = _DROPPED.sub("", unicodedata.normalize("NFKC", raw)).upper()
    if not _SHORTEST <= len(text) <= _LONGEST or text in _NO_PLATE:
        return None
    return text if all(one.isalnum() for one in text) else None


def kind_of(text: str) -> Kind:
    return next((kind for kind, form in _FORMS if form.fullmatch(text)), Kind.FOREIGN)


def masked(text: str) -> str:
    """For eyes that need not know: the first two characters and the last two of a whole plate."""
    if len(text) < 7:
        return text[:1] + "*" * (len(text) - 1)
    return f"{text[:2]}{'*' * (len(text) - 4)}{text[-2:]}"


def keyed(key: bytes, text: str) -> str:
    """What stands for a plate at rest: the same for the same plate, nothing without the key."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def distance(read_plate: str, known: str) -> float:
    """How many misreads lie between two plates; look-alikes and provinces cost half."""
    above = [float(at) for at in range(len(known) + 1)]
    for row, a in enumerate(read_plate, start=1):
        line = [float(row)]
        for column, b in enumerate(known, start=1):
            change = above[column - 1] + _change(a, b)
            line.append(min(change, above[column] + 1, line[column - 1] + 1))
        above = line
    return above[-1]


def _change(a: str, b: str) -> float:
    if a == b:
        return 0.0
    if (a, b) in _ALIKE or (a in PROVINCES and b in PROVINCES):
        return 0.5
    return 1.0


def proposal(read_plate: str, known: Iterable[tuple[str, str]], limit: float = 1.5) -> str | None:
    """The id whose plate is most likely the one that was misread; None where it is not clear.

    `known` are (id, plate). Clear means within `limit` and half a misread ahead of the next. A
    proposal is for a person to confirm.
    """
    letters = set(read_plate)
    ranked = sorted(
        (distance(read_plate, text), name)
        for name, text in known
        if len(letters.difference(text)) <= 2 * limit  # cheap, and true of all within the limit
    )
    if not ranked or ranked[0][0] > limit:
        return None
    if len(ranked) > 1 and ranked[1][0] - ranked[0][0] < 0.5:
        return None
    return ranked[0][1]
