"""What the operations page tells of devices."""

from datetime import UTC, datetime, timedelta

import pytest

from service.occupancy.devices import Known
from service.web.ops_devices import known_rows

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
SENSOR = {
    "device": "e2", "kind": "sensor", "model": "pni_placepod", "lot": "clinic-yard", "place": "E2",
    "heard_at": NOW - timedelta(seconds=5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "state", "more"),
    [
        ({}, "healthy", ""),
        ({"battery_v": 3.65, "temperature_c": 23.5}, "healthy", "3.65 V · 23.5 °C"),
        ({"battery_low": True, "battery_v": 3.1}, "battery_low", "3.1 V"),
        ({"faults": ("sensor_5",), "temperature_c": -4.0}, "fault", "sensor_5 · -4 °C"),
        (
            {"firmware": "0.29.2", "reset_cause": "watchdog", "debug_codes": (804, 885)},
            "healthy",
            "0.29.2 · watchdog · #804 #885",
        ),
    ],
)
def test_a_device_is_shown_with_what_it_told_of_its_health(catalog, told, state, more):
    (row,) = known_rows(catalog, [Known(**SENSOR, **told)], NOW, 3.0)
    assert (row.state, row.more, row.heard_s) == (state, more, 5)
