"""Pure: how long vehicles stay, learned by the time of day they come."""

import math

BIN_S = 900.0
BINS = 97  # a day and a bit
CLASSES = 8  # of three hours: who comes in the evening may stay the night
DAY_S = 86_400.0
PRIOR_STAYS = 30
LEARN_EVERY = 100


class Stays:
    """What share stays longer than a given time; all times in seconds.

    Only stays of vehicles that came a full day ago should be added, lest short ones be counted
    before long ones.
    """

    def __init__(self) -> None:
        self._ended = [[0] * BINS for _ in range(CLASSES)]
        self._longer = [_before_seen()] * CLASSES
        self._added = 0

    def add(self, entered_s: float, stay_s: float) -> None:
        self._ended[_class(entered_s)][min(int(stay_s / BIN_S), BINS - 1)] += 1
        self._added += 1
        if self._added % LEARN_EVERY == 0:
            whole = _survival([sum(bins) for bins in zip(*self._ended, strict=True)])
            self._longer = [_survival(ended, whole) for ended in self._ended]

    def longer(self, entered_s: float, stay_s: float) -> float:
        """The share of those who came then that stays longer than `stay_s`."""
        at = min(max(stay_s / BIN_S, 0.0), BINS - 1.001)
        low = int(at)
        shares = self._longer[_class(entered_s)]
        return shares[low] + (shares[low + 1] - shares[low]) * (at - low)

    def density(self, entered_s: float, stay_s: float) -> float:
        """The share that ends per second of stay, at `stay_s`."""
        low = min(max(int(stay_s / BIN_S), 0), BINS - 2)
        shares = self._longer[_class(entered_s)]
        return max(shares[low] - shares[low + 1], 1e-5) / BIN_S

    def hazard(self, entered_s: float, stay_s: float) -> float:
        """How likely per second who is still here leaves, after `stay_s`."""
        low = min(max(int(stay_s / BIN_S), 0), BINS - 2)
        shares = self._longer[_class(entered_s)]
        return max(shares[low] - shares[low + 1], 1e-5) / shares[low] / BIN_S


def _class(entered_s: float) -> int:
    return int(entered_s % DAY_S * CLASSES / DAY_S)


def _before_seen() -> list[float]:
    """Before anything was seen: most stay an hour or two, a few the night."""
    return [0.97 * math.exp(-max(at - 1, 0) / 6) + 0.03 * math.exp(-at / 32) for at in range(BINS)]


def _survival(ended: list[int], prior: list[float] | None = None) -> list[float]:
    """The share longer than each bin's start, `prior` weighing as much as PRIOR_STAYS stays."""
    prior = prior or _before_seen()
    total = left = sum(ended)
    shares = []
    for at in range(BINS):
        shares.append(max((prior[at] * PRIOR_STAYS + left) / (PRIOR_STAYS + total), 1e-5))
        left -= ended[at]
    return shares
