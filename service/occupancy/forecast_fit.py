"""Pure: the two small learners under the forecast, both streaming and bounded."""

import math
from collections.abc import Sequence

import msgspec

FORGET_PER_DAY = 0.95
ROBUST_SHARE = 0.03
RATE = 0.3


def dot(weights: Sequence[float], features: Sequence[float]) -> float:
    return sum(map(float.__mul__, weights, features))


class Fit(msgspec.Struct):
    """Linear regression from decaying sums, solved once a day.

    Errors are weighted by 1/|error| beyond `ROBUST_SHARE` of capacity, so that it is the absolute
    error that becomes small and one broken sensor does not bend everybody's forecast. The prior
    says: the profile's drift alone (feature `prior_at`) with weight 1.
    """

    weights: list[float]
    matrix: list[list[float]]
    vector: list[float]

    @classmethod
    def fresh(cls, size: int, prior_at: int) -> "Fit":
        unit = [1.0 if at == prior_at else 0.0 for at in range(size)]
        matrix = [[1.0 if row == at else 0.0 for at in range(size)] for row in range(size)]
        return cls(list(unit), matrix, list(unit))

    def learn(self, features: Sequence[float], change: float) -> None:
        error = abs(change - dot(self.weights, features))
        weight = ROBUST_SHARE / error if error > ROBUST_SHARE else 1.0
        for row, value in enumerate(features):
            scaled = weight * value
            if scaled:
                line = self.matrix[row]
                for at, other in enumerate(features):
                    line[at] += scaled * other
                self.vector[row] += scaled * change

    def settle(self) -> None:
        self.weights = solve(self.matrix, self.vector)
        self.matrix = [[cell * FORGET_PER_DAY for cell in line] for line in self.matrix]
        self.vector = [cell * FORGET_PER_DAY for cell in self.vector]
        for at, line in enumerate(self.matrix):  # a floor, so that it can always be solved
            line[at] += 1e-6


def solve(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Find x of matrix·x = vector by elimination with pivoting; `matrix` is square and regular."""
    size = len(vector)
    rows = [[*line, value] for line, value in zip(matrix, vector, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for row in range(at + 1, size):
            factor = rows[row][at] / rows[at][at]
            if factor:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[at], strict=True)]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = sum(rows[at][col] * found[col] for col in range(at + 1, size))
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found


class Odds(msgspec.Struct):
    """Logistic regression by AdaGrad: each outcome moves the weights a little, ever less."""

    weights: list[float]
    moved: list[float]

    @classmethod
    def fresh(cls, size: int) -> "Odds":
        # Before anything is learned: the predicted margin and the present state speak.
        weights = [0.0] * size
        weights[0], weights[1], weights[2], weights[4] = 1.0, -3.0, 0.7, 0.6
        return cls(weights, [0.5] * size)

    def probability(self, features: Sequence[float]) -> float:
        z = dot(self.weights, features)
        return 1 / (1 + math.exp(-min(max(z, -8.0), 8.0)))

    def learn(self, features: Sequence[float], *, happened: bool) -> None:
        surprise = self.probability(features) - happened
        for at, value in enumerate(features):
            step = surprise * value
            if step:
                self.moved[at] += step * step
                self.weights[at] -= RATE * step / math.sqrt(self.moved[at])
