"""A recording read whole: its samples in order of time, its lots, and what is wrong with it.

    recording = read("nuernberg12_2025.csv")
    for sample in recording.samples(): ...

Values are as recorded: negative, over capacity, twice. Who uses them decides.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from service.replay.defects import Defects
from service.replay.layouts import Columns, Unreadable, Value, columns, reader

CARRY_S = 2 * 3600.0  # how long a blank cell may mean "no change"
LEAST_GAP_S = 3600.0
GAP_TIMES = 4.0  # a gap is so many times the lot's usual distance
LOOK_AT = 20
DEFAULT_COUNTS = {"wide": "free", "long": "occupied", "single": "free"}


class Sample(msgspec.Struct, frozen=True):
    """A lot's count at a time (POSIX seconds); `carried`: said again, since the cell was blank."""

    at_s: float
    lot: str
    value: int
    carried: bool = False


class Recording:
    """Everything of one file. `counts` says what its values are: free | occupied.

    `capacities` are those that the file itself gives. `defects` go on being counted by whoever
    learns a lot's capacity.
    """

    def __init__(self, name: str, layout: str, counts: str) -> None:
        self.name = name
        self.layout = layout
        self.counts = counts
        self.capacities: dict[str, int] = {}
        self.defects = Defects()
        self.rows = 0
        self._series: dict[str, list[tuple[float, int, int]]] = {}  # lot: time, value, line
        self._carried: list[Sample] = []

    @property
    def lots(self) -> tuple[str, ...]:
        return tuple(self._series)

    def series(self, lot: str) -> list[tuple[float, int]]:
        """One lot's recorded (time, value) in order, without what was carried."""
        return [(at_s, value) for at_s, value, _ in self._series[lot]]

    def samples(
        self, from_s: float = -math.inf, until_s: float = math.inf, *, carried: bool = True
    ) -> Iterator[Sample]:
        """All lots' samples in order of time, equal times in the order of the file."""
        rows = [
            (at_s, line, Sample(at_s, lot, value))
            for lot, series in self._series.items()
            for at_s, value, line in series
            if from_s <= at_s <= until_s
        ]
        if carried:
            rows += [(one.at_s, 0, one) for one in self._carried if from_s <= one.at_s <= until_s]
        rows.sort(key=lambda row: row[:2])
        return iter([sample for _, _, sample in rows])

    @property
    def span_s(self) -> tuple[float, float]:
        """The first and the last time."""
        ends = [(series[0][0], series[-1][0]) for series in self._series.values() if series]
        return min(start for start, _ in ends), max(end for _, end in ends)

    def usual_gap_s(self, lot: str) -> float:
        """The median distance of a lot's samples, those carried included."""
        times = [at_s for at_s, _, _ in self._series[lot]]
        times += [one.at_s for one in self._carried if one.lot == lot]
        return _median_gap_s(sorted(times)) or 60.0

    def put(self, value: Value, line: int) -> None:
        """Take one number as it stands in the file."""
        series = self._series.setdefault(value.lot, [])
        if value.value is not None:
            series.append((value.at_s, value.value, line))

    def settle(self, carry_s: float, blanks: dict[str, list[float]]) -> None:
        """Bring the file's order into time's order, and count what was wrong on the way."""
        self._series = {lot: series for lot, series in self._series.items() if series}
        for lot, series in self._series.items():
            latest_s = -math.inf
            for at_s, value, line in series:
                if at_s < latest_s:
                    self.defects.add("unordered", line, f"{lot} at {shown(at_s)}")
                latest_s = max(latest_s, at_s)
                if value < 0:
                    self.defects.add("negative", line, f"{lot}: {value} at {shown(at_s)}")
            series.sort(key=lambda row: row[0])  # stable: of equal times the later line counts
            for before, after in pairwise(series):
                if before[0] == after[0]:
                    self.defects.add("duplicate", after[2], f"{lot} at {shown(after[0])}")
        for lot, times in blanks.items():
            self._carry(lot, times, carry_s)
        for lot in self._series:
            self._find_gaps(lot)

    def _carry(self, lot: str, times: list[float], carry_s: float) -> None:
        series = self._series.get(lot, [])
        place = -1
        for at_s in sorted(times):
            while place + 1 < len(series) and series[place + 1][0] <= at_s:
                place += 1
            if place >= 0 and at_s - series[place][0] <= carry_s:
                self._carried.append(Sample(at_s, lot, series[place][1], carried=True))

    def _find_gaps(self, lot: str) -> None:
        times = [at_s for at_s, _, _ in self._series[lot]]
        times = sorted(times + [one.at_s for one in self._carried if one.lot == lot])
        usual_s = _median_gap_s(times) or 0.0
        for before_s, after_s in pairwise(times):
            if after_s - before_s > max(LEAST_GAP_S, GAP_TIMES * usual_s):
                hours = (after_s - before_s) / 3600
                text = f"{lot}: {hours:.1f} h without a value from {shown(before_s)}"
                self.defects.add("gap", None, text)

    def check_capacity(self, lot: str, capacity: int) -> None:
        """Count what does not fit into `capacity`, value by value and for the lot."""
        most = -1
        for at_s, value, line in self._series[lot]:
            most = max(most, value)
            if value > capacity:
                text = f"{lot}: {value} of {capacity} at {shown(at_s)}"
                self.defects.add("over_capacity", line, text)
        if most > capacity:
            word = "free" if self.counts == "free" else "inside"
            kind = "capacity_below_free" if self.counts == "free" else "capacity_below_occupied"
            self.defects.add(kind, None, f"{lot}: capacity {capacity}, up to {most} {word}")

    def high_mark(self, lot: str, share: float = 0.999) -> int:
        """The value that `share` of a lot's values do not exceed; at least 1."""
        values = sorted(value for _, value, _ in self._series[lot])
        return max(1, values[min(len(values) - 1, math.ceil(share * len(values)) - 1)])


def read(
    path: Path | str,
    *,
    layout: str | None = None,
    counts: str | None = None,
    timezone: str = "UTC",
    carry_s: float = CARRY_S,
) -> Recording:
    """The recording at `path`; times without an offset are in `timezone`.

    `counts` (free | occupied) is taken from the layout where it is not said. Raises `Unreadable`
    where no layout fits; a row that does not fit is a defect.
    """
    path = Path(path)
    zone = ZoneInfo(timezone)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(_without_nul(file), delimiter=_delimiter(path))
        where, first = _columns(lines, layout, path.stem)
        recording = Recording(path.stem, where.layout, counts or _counts(where))
        rows = reader(where, recording.counts, zone)
        blanks: dict[str, list[float]] = {}
        for line, row in chain(first, _numbered(lines)):
            recording.rows += 1
            if row is None:
                recording.defects.add("bad_row", line, "expected a row of CSV")
                continue
            try:
                for value in rows(row):
                    recording.put(value, line)
                    if value.value is None:
                        blanks.setdefault(value.lot, []).append(value.at_s)
                    if value.capacity is not None:
                        _note_capacity(recording, value, line)
            except Unreadable as expected:
                recording.defects.add("bad_row", line, f"expected {expected}")
    recording.settle(carry_s, blanks)
    if not recording.lots:
        raise Unreadable("at least one row with a count")
    return recording


def _counts(where: Columns) -> str:
    if where.layout != "wide" and where.free is not None:
        return "free"
    if where.layout != "wide" and where.occupied is not None:
        return "occupied"
    return DEFAULT_COUNTS[where.layout]


def _note_capacity(recording: Recording, value: Value, line: int) -> None:
    known = recording.capacities.get(value.lot)
    if value.capacity is None or value.capacity <= 0 or known == value.capacity:
        return
    if known is not None:
        text = f"{value.lot}: {known} became {value.capacity}"
        recording.defects.add("capacity_changed", line, text)
    recording.capacities[value.lot] = value.capacity


Numbered = tuple[int, list[str] | None]
"""A line and its cells; None where it is no row of CSV."""


def _columns(
    lines: Iterator[list[str]], layout: str | None, stem: str
) -> tuple[Columns, list[Numbered]]:
    """Where things stand, and the rows that were read to find out."""
    first = list(islice(_numbered(lines), LOOK_AT))
    where = columns([row for _, row in first if row is not None], layout, stem)
    if where.header:
        head = next(place for place, (_, row) in enumerate(first) if row is not None)
        del first[head]
    return where, first


def _numbered(lines: Iterator[list[str]]) -> Iterator[Numbered]:
    """What is not blank, with its line."""
    for row in _tolerant(lines):
        line = int(getattr(lines, "line_num", 0))
        if row is None:
            yield line, None
        elif any(cell.strip() for cell in row):
            yield line, [cell.strip() for cell in row]


def _tolerant(lines: Iterator[list[str]]) -> Iterator[list[str] | None]:
    """Rows, and None for each that the reader cannot take."""
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except csv.Error:
            yield None


def _without_nul(file: Iterator[str]) -> Iterator[str]:
    return (line.replace("\0", "�") for line in file)


def _delimiter(path: Path) -> str:
    """Whichever of comma, semicolon and tab stands most often in the first line."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        counted = Counter(file.readline(65_536))
    return max(",;\t", key=lambda mark: counted[mark])


def _median_gap_s(times: list[float]) -> float | None:
    gaps = sorted(after - before for before, after in pairwise(times))
    gaps = [gap for gap in gaps if gap > 0]
    return gaps[len(gaps) // 2] if gaps else None


def shown(at_s: float) -> str:
    """A time for a person."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
