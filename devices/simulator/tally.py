"""Pure: what happened to the drivers of a district, added up."""

import msgspec


class Tally(msgspec.Struct):
    """Counts since the start.

    `met_full`: arrivals at a lot with no place; `diverted`: drivers whom a sign sent elsewhere;
    `guided`: drivers who went where a sign pointed; `guided_met_full`: of those, arrivals at a
    full lot. `by_hand`: barriers that were opened by hand because no opening answer came.
    """

    came: int = 0
    parked: int = 0
    entered: int = 0
    left: int = 0
    met_full: int = 0
    gave_up: int = 0
    guided: int = 0
    diverted: int = 0
    guided_met_full: int = 0
    answered_open: int = 0
    answered_shut: int = 0
    by_hand: int = 0
    search_s: float = 0.0

    @property
    def minutes_to_park(self) -> float:
        """Mean minutes from setting out to standing in a bay."""
        return self.search_s / 60 / self.parked if self.parked else 0.0

    def since(self, before: "Tally") -> "Tally":
        """What was added after `before`."""
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(before)
        return Tally(**{name: mine[name] - theirs[name] for name in mine})

    def copy(self) -> "Tally":
        return Tally(**msgspec.structs.asdict(self))
