"""A made-up district for the simulator's tests: one lot of each kind around one door."""

from devices.simulator.plan import (
    CameraPlan,
    DestinationPlan,
    District,
    LanePlan,
    LotPlan,
    SensorPlan,
    SignPlan,
    Window,
    ZonePlan,
)

MONDAY_8 = 1772409600.0  # 2026-03-02 08:00 in Shanghai
KINDS = ("hospital", "public", "office", "street", "private")
MODELS = {
    "hospital": "bowei",
    "public": "vzenith_mqtt",
    "office": "vzenith_http",
    "street": "hikvision_http",
    "private": "bowei",
}


def district(capacity=100, kinds=KINDS, **settings):
    lots, cameras, sensors = [], [], []
    for at, kind in enumerate(kinds):
        windows = (Window(8 * 3600, 18 * 3600, (1, 2, 3, 4, 5)),) if kind == "private" else ()
        fed_by = ("counter", "absolute")[at % 2]
        zones = (
            ZonePlan("main", "shared" if windows else "general", capacity, fed_by, windows=windows),
            ZonePlan("ev", "ev", 6, "bays", report_every_s=600.0),
        )
        lanes = (LanePlan("in", "in"), LanePlan("out", "out"))
        lots.append(LotPlan(kind, kind, 30.25 + at * 0.001, 120.16, zones, lanes))
        model = MODELS[kind]
        transport = "http" if model.endswith("http") else "mqtt"
        cameras += [
            CameraPlan(f"{kind}-cam-{lane.id}", kind, lane.id, model, transport) for lane in lanes
        ]
        sensors.append(SensorPlan(f"{kind}-count", kind, "main"))
        for bay in range(6):
            vendor = (
                ("bosch_tps110", "chirpstack_v4"),
                ("pni_placepod", "things_stack_v3"),
                ("bowei", None),
            )[bay % 3]
            sensors.append(
                SensorPlan(f"{kind}-bay-{bay}", kind, "ev", vendor[0], f"E{bay}", vendor[1])
            )
    signs = (
        SignPlan("far", 30.24, 120.15, 1, tuple(kinds), "door"),
        SignPlan("near", 30.249, 120.159, 2, tuple(kinds), "door"),
    )
    return District(
        tuple(lots),
        tuple(cameras),
        tuple(sensors),
        signs,
        (DestinationPlan("door", 30.25, 120.16),),
        **settings,
    )
