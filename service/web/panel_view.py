"""Pure: what the wall draws of each sign, from its frame and from what its panel reported."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from service.catalog import Name, Sign
from service.guidance.model import Frame, Shown
from service.web import words

ARROWS: Final = {"left": "←", "straight": "↑", "right": "→"}
# A panel of parking lots need not say so on every line.
_SUFFIXES: Final = ("地下停车场", "公共停车场", "地下停车库", "停车场", "停车库", "停车楼", "车库")
_ARROW_COLUMNS: Final = 3
_VALUE_COLUMNS: Final = 5


class Line(msgspec.Struct, frozen=True):
    """One line of a panel; `sign` is the arrow as a character."""

    arrow: str
    sign: str
    name: str
    value: str
    state: str


class Panel(msgspec.Struct, frozen=True):
    """One sign on the wall; `path` is its id in an address, `scan` where its code leads."""

    id: str
    path: str
    site: str
    level: int
    rows: int
    columns: int
    single: bool
    name: Name
    lines: tuple[Line, ...]
    scan: str


class News(msgspec.Struct, frozen=True):
    """A sign's frame as the wall's script takes it; `lease_s` in wall seconds."""

    revision: int
    lease_s: float
    lines: tuple[Line, ...]
    shown: Shown | None


def fitting(name: str, columns: int) -> str:
    """A lot's name for `columns` half-width characters: without its suffix where it is too long."""
    name = words.plain(name)
    if len(name) * 2 <= columns:
        return name
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix) + 1:
            return name.removesuffix(suffix)
    return name


def lines(sign: Sign, frame: Frame | None, at: datetime) -> tuple[Line, ...]:
    """What stands on the panel at `at`; after the lease every number is `--`."""
    room = sign.columns - _VALUE_COLUMNS - (_ARROW_COLUMNS if sign.arrows else 0)
    if frame is None:
        return ()
    over = at >= frame.lease_until
    return tuple(
        Line(
            arrow=line.arrow if line.arrow in ARROWS else "",
            sign=ARROWS.get(line.arrow, ""),
            name=fitting(line.name.zh, room),
            value="--" if over else words.plain(line.value),
            state="unknown" if over else line.state,
        )
        for line in frame.lines
    )


def panel(sign: Sign, frame: Frame | None, at: datetime, scan: str) -> Panel:
    drawn = lines(sign, frame, at)
    return Panel(
        id=sign.id,
        path=quote(sign.id, safe=""),
        site=sign.site,
        level=sign.level,
        rows=sign.rows,
        columns=sign.columns,
        single=sign.level == 3 and len(sign.lots) == 1,
        name=Name(words.plain(sign.name.zh), words.plain(sign.name.en)),
        lines=drawn,
        scan=scan,
    )


def news(sign: Sign, frame: Frame, shown: Shown | None, at: datetime, speed: float) -> News:
    left_s = (frame.lease_until - at).total_seconds() / speed
    return News(frame.revision, round(max(0.0, left_s), 2), lines(sign, frame, at), shown)


def tally(signs: Iterable[Sign], frames: dict[str, Frame], shown: Any, at: datetime) -> dict[str, int]:
    """How many panels are lit, dark (no frame, or its lease is over), and have not answered."""
    counts = {"lit": 0, "dark": 0, "silent": 0}
    for sign in signs:
        frame = frames.get(sign.id)
        lit = frame is not None and at < frame.lease_until
        counts["lit" if lit else "dark"] += 1
        answer = shown.get(sign.id)
        if frame is not None and not (
            answer is not None and answer.state == "shown" and answer.revision >= frame.revision
        ):
            counts["silent"] += 1
    return counts
