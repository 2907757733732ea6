"""`bowei simulate`: fill the catalogue's lots with a district that lives."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from datetime import time
from pathlib import Path

import click

from devices.simulator import plan
from devices.simulator.http_cameras import Endpoint
from devices.simulator.street import Street, remembered
from devices.simulator.world import World
from service import lifecycle, logs
from service.catalog import Camera, Catalog, Lot
from service.catalog import Window as OpenWindow
from service.catalog_file import load_catalog
from service.clock import Clock, clock_from
from service.commands.beside import Beside, beside, loop_factory, told_plainly
from service.config import shipped_sites
from service.credentials import holder_key, signing_key

MEMORY = "district.json"
LOOK_EVERY_S = 1.0


def district(
    catalog: Catalog,
    *,
    seed: int = 1,
    speed: float = 1.0,
    habits: plan.Habits | None = None,
    faults: plan.Faults | None = None,
    await_answers: bool = True,
) -> plan.District:
    """The catalogue's simulated lots as a plan, its traffic bounded for a clock at `speed`."""
    lots = {lot.id: lot for lot in catalog.lots.values() if lot.simulated}
    return plan.District(
        lots=tuple(_lot(catalog, lot) for lot in lots.values()),
        cameras=tuple(
            plan.CameraPlan(one.id, one.lot, one.lane, one.model, one.transport)
            for one in catalog.cameras.values()
            if one.lot in lots
        ),
        sensors=tuple(
            plan.SensorPlan(one.id, one.lot, one.zone, one.model, one.bay, one.envelope)
            for one in catalog.sensors.values()
            if one.lot in lots
        ),
        signs=tuple(
            plan.SignPlan(
                one.id, one.position.lat, one.position.lng, one.level, one.lots, one.destination
            )
            for one in catalog.signs.values()
        ),
        destinations=tuple(
            plan.DestinationPlan(one.id, one.position.lat, one.position.lng)
            for one in catalog.destinations.values()
        ),
        seed=seed,
        habits=habits or plan.Habits(),
        faults=faults or plan.Faults(),
        pace=plan.Pace().at_speed(speed),
        await_answers=await_answers,
    )


def _lot(catalog: Catalog, lot: Lot) -> plan.LotPlan:
    site = catalog.sites[lot.site]
    return plan.LotPlan(
        id=lot.id,
        kind=lot.kind,
        lat=lot.position.lat,
        lng=lot.position.lng,
        zones=tuple(
            plan.ZonePlan(
                id=zone.id,
                kind=zone.kind,
                capacity=zone.capacity,
                fed_by=zone.fed_by,
                public=zone.public,
                report_every_s=zone.report_every_s,
                windows=tuple(_window(window) for window in zone.windows),
            )
            for zone in lot.zones
        ),
        lanes=tuple(plan.LanePlan(lane.id, lane.direction, lane.zone) for lane in lot.lanes),
        barrier=lot.barrier,
        timezone=site.timezone,
        drive_kmh=site.drive_kmh,
        detour=site.detour,
    )


def _window(window: OpenWindow) -> plan.Window:
    return plan.Window(_seconds(window.from_), _seconds(window.until), window.days)


def _seconds(moment: time) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def endpoints(cameras: Iterable[Camera], http_url: str, key: bytes) -> dict[str, Endpoint]:
    """Where each HTTP camera posts, with the key that the service expects of it."""
    return {
        camera.id: Endpoint(
            f"{http_url}/cameras/{camera.id}/{camera.model.removesuffix('_http')}",
            holder_key(key, "camera", camera.id, camera.key_env, os.environ).decode(),
        )
        for camera in cameras
        if camera.transport == "http"
    }


@click.command(
    short_help="A simulated district: cars, sensors, cameras, signs.",
    help=(
        "A district that lives: cars come through the day, follow signs or not, park and leave;"
        " sensors, cameras, barriers and signs speak over MQTT and HTTP as real ones do.\n\n"
        "Beside `bowei run` it finds broker, clock and sites by itself. Lots with"
        " `simulated = false` are left alone; their signs still show and acknowledge.\n\n\b\n"
        "  bowei simulate                                beside the run in .bowei\n"
        "  bowei simulate --mqtt mqtt://10.0.0.6 --allow-foreign-broker --site my/site\n"
    ),
)
@click.option("--state", type=click.Path(file_okay=False), default=".bowei", show_default=True,
              help="The run's state folder.")  # fmt: skip
@click.option("--mqtt", help="The broker. Default: the run's.")
@click.option("--http", help="Where HTTP cameras post to. Default: the run's.")
@click.option("--site", "sites", multiple=True, type=click.Path(exists=True, file_okay=False),
              help="A folder of the catalogue; repeatable. Default: the run's.")  # fmt: skip
@click.option("--seed", type=int, help="Same seed, same cars. Default: the run's, else 1.")
@click.option("--speed", type=click.FloatRange(0.1, 600), help="Of a clock of its own.")
@click.option("--anchor-wall", type=float, help="A shared clock: at this wall second …")
@click.option("--anchor", type=float, help="… it showed this second …")
@click.option("--clock-speed", type=float, help="… and runs this fast.")
@click.option("--adherence", type=click.FloatRange(0, 1), default=0.85, show_default=True,
              help="The share of drivers who do what a sign says.")  # fmt: skip
@click.option("--demand", type=click.FloatRange(0, 3), default=1.0, show_default=True,
              help="Scales how many cars come.")  # fmt: skip
@click.option("--report-every", type=click.FloatRange(min=1), default=30.0, show_default=True,
              help="Wall seconds between lines of statistics.")  # fmt: skip
@click.option("--allow-foreign-broker", is_flag=True,
              help="Speak to a broker that Bowei did not start.")  # fmt: skip
def simulate(
    *,
    state: str,
    mqtt: str | None,
    http: str | None,
    sites: tuple[str, ...],
    seed: int | None,
    speed: float | None,
    anchor_wall: float | None,
    anchor: float | None,
    clock_speed: float | None,
    adherence: float,
    demand: float,
    report_every: float,
    allow_foreign_broker: bool,
) -> None:
    parent = lifecycle.follow_parent()
    logs.configure()
    with told_plainly():
        place = beside(Path(state), mqtt, allow_foreign=allow_foreign_broker)
        run = place.run
        catalog = load_catalog(sites or (run.sites if run else shipped_sites()))
        clock = _clock(place, speed, anchor_wall, anchor, clock_speed)
        habits = plan.Habits(adherence=adherence, demand=demand)
        chosen = seed if seed is not None else (run.seed if run else 1)
        what = district(catalog, seed=chosen, speed=clock.speed, habits=habits)
        url = http or (run.http_url if run else None)
        posts = {}
        if url:
            posts = endpoints(catalog.cameras.values(), url, signing_key(os.environ, Path(state)))
    memory_file = Path(state) / MEMORY if run else None
    world = World(what, clock.now_s(), remembered(memory_file))
    click.echo(
        f"a district of {len(what.lots)} lots with {sum(world.truth().values()):,} cars inside,"
        f" seed {chosen}, {clock.speed:g} times as fast as the wall's"
    )
    street = Street(
        world,
        clock,
        place.mqtt_url,
        endpoints=posts,
        name=f"district-{os.getpid()}",
        memory_file=memory_file,
        say=_say,
        report_every_s=report_every,
    )
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_live(street, place, parent))


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _clock(
    place: Beside,
    speed: float | None,
    anchor_wall: float | None,
    anchor: float | None,
    clock_speed: float | None,
) -> Clock:
    """The anchors' clock, one of its own, or the run's."""
    anchors = (anchor_wall, anchor, clock_speed)
    if anchor_wall is not None and anchor is not None and clock_speed is not None:
        return Clock(anchor_wall, anchor, clock_speed)
    if any(one is not None for one in anchors):
        raise click.UsageError("--anchor-wall, --anchor and --clock-speed belong together")
    return clock_from(None, speed) if speed is not None else place.clock


async def _live(street: Street, place: Beside, parent: int | None) -> None:
    """Until a signal, or until the run beside us or whoever started us is gone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    living = asyncio.create_task(street.run(), name="street")
    ends = [
        living,
        asyncio.create_task(stop.wait(), name="stop"),
        asyncio.create_task(_run_gone(place), name="run gone"),
    ]
    if parent is not None:
        ends.append(asyncio.create_task(lifecycle.parent_gone(parent), name="parent gone"))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in ends:
        task.cancel()
    results = await asyncio.gather(*ends, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


async def _run_gone(place: Beside) -> None:
    while place.run_lives:  # noqa: ASYNC110 - another process sets no Event
        await asyncio.sleep(LOOK_EVERY_S)
