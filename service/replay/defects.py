"""Pure: what is wrong with a recording, counted and shown by example; it never stops anything."""

import msgspec

EXAMPLES = 3

KINDS = {
    "bad_row": "rows that cannot be read",
    "over_capacity": "values over the recorded capacity",
    "negative": "negative values",
    "duplicate": "second values of a lot for the same time",
    "unordered": "values that stand after a later one of their lot",
    "gap": "gaps in a lot's recording",
    "capacity_below_free": "lots whose capacity is below what was counted free there",
    "capacity_below_occupied": "lots whose capacity is below what was counted inside",
    "capacity_changed": "changes of a lot's recorded capacity",
}


class Defect(msgspec.Struct):
    """How often, and the first few with their line (None where it has none)."""

    count: int = 0
    examples: list[tuple[int | None, str]] = msgspec.field(default_factory=list)


class Defects:
    """Counts by kind."""

    def __init__(self) -> None:
        self.found: dict[str, Defect] = {}

    def add(self, kind: str, line: int | None, text: str) -> None:
        """`kind` is one of KINDS."""
        assert kind in KINDS
        defect = self.found.setdefault(kind, Defect())
        defect.count += 1
        if len(defect.examples) < EXAMPLES:
            defect.examples.append((line, text))

    def count(self, kind: str) -> int:
        return self.found[kind].count if kind in self.found else 0

    @property
    def total(self) -> int:
        return sum(defect.count for defect in self.found.values())

    def lines(self) -> list[str]:
        """A report a person can read."""
        if not self.found:
            return ["no defects found"]
        said = []
        for kind, about in KINDS.items():
            defect = self.found.get(kind)
            if defect is None:
                continue
            said.append(f"{defect.count:>7,}  {about}")
            for line, text in defect.examples:
                said.append(f"         {f'line {line}: ' if line else ''}{text}")
        return said
