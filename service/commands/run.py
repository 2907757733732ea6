"""`bowei run`: everything on this machine, with a district that lives."""

import os
import platform
import sys
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import msgspec

from service import lifecycle, logs, resumption
from service.catalog import Catalog
from service.catalog_file import load_catalog
from service.clock import Clock
from service.commands.launch import ROLES, Launch, Steps, need_free_port, told_plainly
from service.config import Config, load_config
from service.credentials import signing_key
from service.guidance import qr
from service.lifecycle import Child, InstanceLock
from service.machine import Machine
from service.running import Running, announce, withdraw

DEMO_SPEED = 10.0
DEMO_MORNING = time(8, 0)


def _time_of_day(_ctx: click.Context, _param: click.Parameter, text: str | None) -> time | None:
    try:
        return time.fromisoformat(text) if text else None
    except ValueError:
        raise click.BadParameter("a time of day like 07:30") from None


@click.command(
    short_help="Everything on this machine, with a simulated district.",
    help=(
        "Everything on this machine: embedded Redis and broker, SQLite, the service and a"
        " simulated district.\n\n"
        "State lives in one folder (.bowei, or --state) and survives a restart, bills too. A URL"
        " for Redis, MQTT or SQL in --config replaces the embedded part.\n\n\b\n"
        "  bowei run                   every shipped site, a morning ten times as fast\n"
        "  bowei run --site deploy/sites/hangzhou-east-station --at 17:00 --speed 60\n"
        "  bowei run --no-simulate     no cars of ours: waits for your devices\n"
    ),
    context_settings={"max_content_width": 100},
)
@click.option(
    "--site", "sites", multiple=True, type=click.Path(exists=True, file_okay=False),
    help="A folder of the catalogue; repeatable. Default: every site of deploy/sites.",
)  # fmt: skip
@click.option("--config", "file", type=click.Path(dir_okay=False), help="A configuration (TOML).")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the pages; 0: any. Default: 8080.")
@click.option(
    "--speed", type=click.FloatRange(0.1, 600),
    help="How fast the clock runs. Default: 10, and 1 with --no-simulate.",
)  # fmt: skip
@click.option("--at", callback=_time_of_day, help="The local time to start at, like 07:30.")
@click.option("--state", type=click.Path(file_okay=False), help="The state folder.")
@click.option("--no-simulate", is_flag=True, help="Without the simulated district.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated district.")
def run(
    sites: tuple[str, ...],
    file: str | None,
    port: int | None,
    speed: float | None,
    at: time | None,
    state: str | None,
    no_simulate: bool,
    seed: int,
) -> None:
    parent = lifecycle.follow_parent()
    with told_plainly():
        config = _config(file, sites, port, state)
        _run(config, parent, speed=speed, at=at, simulate=not no_simulate, seed=seed)


def _config(
    file: str | None, sites: tuple[str, ...], port: int | None, state: str | None
) -> Config:
    """The file's configuration with what the command line says instead; pays into the sandbox."""
    config = load_config(file)
    replace = msgspec.structs.replace
    if port is not None:
        config = replace(config, http=replace(config.http, port=port))
    if config.payments.provider is None:
        config = replace(config, payments=replace(config.payments, provider="sandbox"))
    return replace(config, sites=sites or config.sites, state_dir=state or config.state_dir)


def _run(
    config: Config,
    parent: int | None,
    *,
    speed: float | None,
    at: time | None,
    simulate: bool,
    seed: int,
) -> None:
    say = Steps()
    say(f"Python {platform.python_version()}")
    state = Path(config.state_dir)
    with InstanceLock(state):
        need_free_port(config)
        logs.configure(state / "bowei.log")
        catalog = load_catalog(config.sites)
        lots = catalog.lots.values()
        spaces, public = sum(lot.capacity for lot in lots), sum(lot.public_capacity for lot in lots)
        say(
            f"catalogue: sites {len(catalog.sites)}, lots {len(lots)}, spaces {spaces:,}"
            f" ({public:,} of them public), signs {len(catalog.signs)}"
        )
        clock = _clock(state, catalog, say, speed=speed, at=at, simulate=simulate)
        machine = Machine(config, state, say)

        def ready(url: str) -> None:
            running = Running(
                pid=os.getpid(),
                http_url=url,
                mqtt_url=config.mqtt.url or machine.mqtt_url,
                redis_url=config.redis.url or machine.redis_url,
                sql_url=config.sql.url or machine.sql_url,
                own_broker=machine.own_broker,
                clock=clock,
                sites=config.sites,
                seed=seed,
            )
            announce(state, running)
            if simulate and machine.own_broker:
                machine.run("simulator", partial(_start_simulator, state))
                say(f"district: simulated with seed {seed}")
            elif simulate:
                say(
                    "district: none, the broker is not ours and real signs may hang on it"
                    " (bowei simulate --allow-foreign-broker)"
                )
            _welcome(url, catalog, machine, state)

        if config.payments.provider == "sandbox":
            say("payments: sandbox, no money moves")
        beside = partial(resumption.keep_on, state, clock, Clock())
        try:
            Launch(config, catalog, clock, machine, frozenset(ROLES), parent, ready, beside).run()
        finally:
            withdraw(state)


def _clock(
    state: Path,
    catalog: Catalog,
    say: Steps,
    *,
    speed: float | None,
    at: time | None,
    simulate: bool,
) -> Clock:
    """A simulated district begins in the morning and runs fast; real devices want wall time."""
    zone = next((site.timezone for site in catalog.sites.values()), "UTC")
    fresh = not (state / resumption.FILE).exists()
    if speed is None:
        speed = DEMO_SPEED if simulate else 1.0
        if simulate and at is None and fresh:
            at = DEMO_MORNING
    clock = resumption.resume(state, Clock(), speed=speed, at=at, zone=zone)
    shown = datetime.fromtimestamp(clock.now_s(), UTC).astimezone(ZoneInfo(zone))
    pace = "at the wall's pace" if speed == 1 else f"{speed:g} times as fast as the wall's"
    say(f"clock: {shown:%a %Y-%m-%d %H:%M} ({zone}), {pace}")
    return clock


def _start_simulator(state: Path) -> Child:
    argv = [sys.executable, "-m", "service", "simulate", "--state", str(state)]
    return Child("simulator", argv, state / "simulator.log")


def _welcome(url: str, catalog: Catalog, machine: Machine, state: Path) -> None:
    pages = [(f"{url}/signs", "every sign, as its LED panel shows it")]
    guiding = [one for one in catalog.signs.values() if one.destination]
    if guiding:
        key = signing_key(os.environ, state)
        page = qr.address(
            url, key, max(guiding, key=lambda one: (one.level == 2, len(one.lots))).id
        )
        pages.append((page, "what a driver sees who scans the code beside a sign"))
    pages += [
        (f"{url}/ops/", "lots, signs, devices and sessions"),
        (f"{url}/api/v1/lots", "the same as JSON; /openapi.json describes it"),
    ]
    click.echo()
    click.secho(f"ready: {url}", bold=True)
    for page, about in pages:
        click.echo(f"  {about}\n    {page}")
    click.echo(f"  devices speak to {machine.mqtt_url}; state and logs are in {state}")
    click.echo("  Ctrl-C stops everything\n")
    sys.stdout.flush()
