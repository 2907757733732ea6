"""A small stage for the gate: one lot, one book, passages in minutes after 08:00."""

from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from devices.reading import PlateColor
from service.catalog import Lane, Lot, Name, Point
from service.settlement import plate as plates
from service.settlement.book import Book
from service.settlement.decision import decide
from service.settlement.passing import Passing
from service.settlement.policy import Policy
from service.settlement.session import State
from service.tariff.model import Band, Tariff

MORNING = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)  # 08:00 in Hangzhou
HOURLY = Tariff("t", "1", (Band(unit_minutes=60, unit_fee_fen=500),), free_minutes=15)


def lot(payment: str = "leave_first", name: str = "p1") -> Lot:
    lanes = (Lane("in", name, "in", "gate"), Lane("out", name, "out", "gate"))
    return Lot(
        id=name, site="s", name=Name(name, name), position=Point(30.0, 120.0), kind="public",
        zones=(), entrances=(), lanes=lanes, tariff="t", payment=payment,
    )  # fmt: skip


class Scene:
    """A book and a lot; `enter` and `leave` take minutes after 08:00 and give the record."""

    def __init__(self, payment: str = "leave_first", **policy) -> None:
        self.book = Book()
        self.book.tariffs["v1"] = HOURLY
        self.lot = lot(payment)
        self.policy = Policy(**policy)
        self.events = count()

    def passing(self, direction, minute, plate, **more) -> Passing:
        event = more.pop("event", f"e{next(self.events)}")
        read = plates.read(plate, more.pop("color", PlateColor.BLUE))
        at = MORNING + timedelta(minutes=minute)
        fields = {
            "lot": self.lot, "tz": ZoneInfo("Asia/Shanghai"), "policy": self.policy,
            "lane": direction, "camera": f"cam-{direction}", "event_id": event,
            "direction": direction, "at": at, "received_at": at, "live": True, "skewed": False,
            "vehicle": "small", "tariff": "v1", "plate": read,
            "plate_key": plates.keyed(b"k", read.text) if read else "", "nonce": event.encode(),
            "token_hash": event,
        }  # fmt: skip
        return Passing(**{**fields, **more})

    def take(self, direction, minute, plate, *, turned_back=False, **more):
        passing = self.passing(direction, minute, plate, **more)
        record = decide(self.book, passing, turned_back=turned_back)
        self.book.take(record, passing.plate.text if passing.plate else None)
        return record

    def enter(self, minute, plate="浙A00001", **more):
        return self.take("in", minute, plate, **more)

    def leave(self, minute, plate="浙A00001", **more):
        return self.take("out", minute, plate, **more)

    def state(self, record) -> State:
        return self.book.sessions[record.seen.session].state
