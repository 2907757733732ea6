"""Pure: what the street says, before it is put into anybody's wire format.

    News = Counted | BaySeen | Passed | Alive | Status

Times are POSIX seconds of the clock; `boot` and `seq` order one device's news.
"""

import msgspec

from devices.reading import PlateColor
from devices.simulator.plan import CameraPlan, SensorPlan


class Counted(msgspec.Struct, frozen=True):
    """A counting device's report: absolute (`occupied`) or cumulative (`entered`, `left`)."""

    sensor: SensorPlan
    at_s: float
    boot: int
    seq: int
    occupied: int | None = None
    entered: int | None = None
    left: int | None = None


class BaySeen(msgspec.Struct, frozen=True):
    """A bay sensor's report. cause: start | change | alive."""

    sensor: SensorPlan
    at_s: float
    boot: int
    seq: int
    occupied: bool
    cause: str
    battery_v: float = 3.6
    temperature_c: float = 18.0


class Passed(msgspec.Struct, frozen=True):
    """A camera saw a vehicle; `waits`: a barrier is shut in front of it."""

    camera: CameraPlan
    at_s: float
    boot: int
    seq: int
    event: str
    direction: str
    plate: str | None
    color: PlateColor
    confidence: float
    buffered: bool = False
    waits: bool = False


class Alive(msgspec.Struct, frozen=True):
    """A camera's heartbeat."""

    camera: CameraPlan
    at_s: float
    boot: int
    seq: int


class Status(msgspec.Struct, frozen=True):
    """A device of our own formats comes or goes in good order."""

    device: str
    at_s: float
    boot: int
    seq: int
    online: bool


News = Counted | BaySeen | Passed | Alive | Status
