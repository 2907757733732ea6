"""Pure: what the wall draws of each sign, from its frame and from what its panel reported."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from service.catalog import Name, Sign
from service.guidance.deliveries import Delivery
from service.guidance.model import Frame
from service.web import words

ARROWS: Final = {"left": "←", "straight": "↑", "right": "→"}


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
    """A sign's frame as the wall's script takes it; `lease_s` in wall seconds.

    state: sent | accepted | shown | failed, and then `reason`.
    """

    revision: int
    lease_s: float
    lines: tuple[Line, ...]
    state: str
    reason: str | None


def lines(frame: Frame | None, at: datetime) -> tuple[Line, ...]:
    """What stands on the panel at `at`; after the lease every number is `--`."""
    if frame is None:
        return ()
    over = at >= frame.lease_until
    return tuple(
        Line(
            arrow=line.arrow if line.arrow in ARROWS else "",
            sign=ARROWS.get(line.arrow, ""),
            name=words.plain(line.name.zh),
            value="--" if over else words.plain(line.value),
            state="unknown" if over else line.state,
        )
        for line in frame.lines
    )


def panel(sign: Sign, frame: Frame | None, at: datetime, scan: str) -> Panel:
    drawn = lines(frame, at)
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


def news(frame: Frame, delivery: Delivery | None, at: datetime, speed: float) -> News:
    left_s = (frame.lease_until - at).total_seconds() / speed
    return News(
        revision=frame.revision,
        lease_s=round(max(0.0, left_s), 2),
        lines=lines(frame, at),
        state="sent" if delivery is None else delivery.state,
        reason=None if delivery is None else delivery.reason,
    )


def tally(known: Iterable[tuple[Frame | None, Delivery | None]], at: datetime) -> dict[str, int]:
    """How many panels are lit, dark (no frame, or its lease is over), and have not answered."""
    counts = {"lit": 0, "dark": 0, "silent": 0}
    for frame, delivery in known:
        counts["lit" if frame is not None and at < frame.lease_until else "dark"] += 1
        if delivery is None or delivery.state != "shown":
            counts["silent"] += 1
    return counts
