"""The device book: every sensor and camera, when it was heard, how it is, and who is unknown."""

from datetime import datetime

import msgspec

from service.catalog import Catalog
from service.occupancy import report
from service.occupancy.report import moment
from service.occupancy.shard import Snapshot
from service.occupancy.store import Store
from service.occupancy.strangers import listed

BOOT_DIGITS = slice(0, 20)
NUMBER_DIGITS = slice(20, 40)
RECEIPT_DIGITS = slice(40, None)


class Known(msgspec.Struct, frozen=True):
    """A device of the catalogue. kind: sensor | camera. `missing` counts messages not yet come.

    `heard_at` None means never. Health is None where the device did not tell.
    """

    device: str
    kind: str
    model: str
    lot: str
    place: str
    heard_at: datetime | None
    boot: int | None = None
    seq: int | None = None
    missing: int = 0
    online: bool | None = None
    battery_v: float | None = None
    battery_low: bool | None = None
    temperature_c: float | None = None
    firmware: str | None = None
    reset_cause: str | None = None
    faults: tuple[str, ...] = ()
    debug_codes: tuple[int, ...] = ()


class Unknown(msgspec.Struct, frozen=True):
    """A device that speaks and is not counted, and why."""

    device: str
    topic: str
    reason: str
    first_at: datetime
    last_at: datetime
    count: int


class DeviceBook:
    """Reads Redis when asked; raises StoreAway where it cannot."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    async def known(self) -> list[Known]:
        """Every device of the catalogue, in its order."""
        marks = await self._store.marks()
        facts: dict[str, dict[str, tuple[int, object]]] = {}
        missing: dict[str, int] = {}
        for shard in range(self._store.shards):
            snapshot: Snapshot = await self._store.snapshot(shard)
            for field, value in snapshot.fields.items():
                if field.startswith("h/"):
                    _, device, what = field.split("/", 2)
                    facts.setdefault(device, {})[what] = report.read_health(value)
                elif field.startswith("g/"):
                    gaps = report.read_gaps(value)
                    spans = [gap.seqs for gap in gaps]
                    missing[field[2:]] = sum(last - first + 1 for first, last in spans)
        places = [
            (one.id, "sensor", one.model, one.lot, one.bay or one.zone)
            for one in self._catalog.sensors.values()
        ]
        places += [
            (one.id, "camera", one.model, one.lot, one.lane)
            for one in self._catalog.cameras.values()
        ]
        return [
            _known(place, marks.get(place[0]), facts.get(place[0], {}), missing.get(place[0], 0))
            for place in places
        ]

    async def unknown(self) -> list[Unknown]:
        """Who else spoke, the latest first."""
        strangers = (await listed(self._store)).values()
        return [
            Unknown(
                one.device,
                one.topic,
                one.reason,
                moment(one.first_ms),
                moment(one.last_ms),
                one.count,
            )
            for one in sorted(strangers, key=lambda one: -one.last_ms)
        ]


def _known(
    place: tuple[str, str, str, str, str],
    mark: str | None,
    facts: dict[str, tuple[int, object]],
    missing: int,
) -> Known:
    heard_ms = max((at_ms for at_ms, _ in facts.values()), default=0)
    if mark is not None:
        heard_ms = max(heard_ms, int(mark[RECEIPT_DIGITS]))
    said = {what: fact for what, (_, fact) in facts.items() if what in Known.__struct_fields__}
    told = {
        **dict(zip(("device", "kind", "model", "lot", "place"), place, strict=True)),
        **said,
        "heard_at": moment(heard_ms) if heard_ms else None,
        "missing": missing,
    }
    if mark is not None:
        told |= {"boot": int(mark[BOOT_DIGITS]), "seq": int(mark[NUMBER_DIGITS]) - 1}
    return msgspec.convert(told, Known)
