"""Pure: fictional number plates from the seed.

Blue plates have five places after the city's letter, green (new energy) ones six, of which the
first is D or F. The letters I and O are never used. Source: GA 36-2018, 6 and annex.
"""

from random import Random

from devices.reading import PlateColor

CITIES = ("浙A", "浙A", "浙A", "浙A", "浙B", "浙D", "浙F", "沪C", "苏E", "皖A")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS = "0123456789"


def draw(rng: Random, new_energy_share: float) -> tuple[str, PlateColor]:
    """One plate and its colour."""
    city = rng.choice(CITIES)
    if rng.random() < new_energy_share:
        tail = rng.choice("DF") + rng.choice(LETTERS) + _digits(rng, 4)
        return city + tail, PlateColor.GREEN
    letters_at = rng.sample(range(4), rng.choice((0, 1, 1, 2)))
    tail = "".join(
        rng.choice(LETTERS) if at in letters_at else rng.choice(DIGITS) for at in range(5)
    )
    return city + tail, PlateColor.BLUE


def misread(rng: Random, plate: str) -> str:
    """The same plate with one character taken for another of its sort."""
    at = rng.randrange(2, len(plate))
    pool = DIGITS if plate[at] in DIGITS else LETTERS
    return plate[:at] + rng.choice(pool.replace(plate[at], "")) + plate[at + 1 :]


def _digits(rng: Random, count: int) -> str:
    return "".join(rng.choice(DIGITS) for _ in range(count))
