"""`bowei replay`: real car parks, as they were recorded, through MQTT."""

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from devices.mqtt import Link, LinkError
from service import logs
from service.catalog import Catalog
from service.catalog_file import load_catalog
from service.commands.beside import Beside, beside, loop_factory, told_plainly
from service.replay.layouts import LAYOUTS, Unreadable, moment_s
from service.replay.places import MapError, Place, places, read_geojson, read_map
from service.replay.player import Played, Player, Voice
from service.replay.recording import CARRY_S, Recording, Sample, read, shown
from service.replay.site import ZONE, sensor_of, write_site

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar  # click names the type nowhere else

UNENDING = float("inf")
SHARES = 1000  # steps of the progress bar


class Speed(click.ParamType[float | None]):
    """Recorded seconds a wall second, or `max` (None)."""

    name = "NUMBER|max"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value == "max":
            return None
        try:
            speed = float(str(value))
        except ValueError:
            speed = 0.0
        if not 0 < speed < UNENDING:
            self.fail("a number above 0, or max", param, ctx)
        return speed


def _zone(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter("a time zone like Europe/London") from None
    return name


@click.command(
    help=(
        "Plays a recording of car parks through MQTT, shifted to now.\n\n"
        "Layouts: wide (a time, then a column a lot), long (a row a lot and time), single (one"
        " lot). What is wrong in the file is counted and reported; it stops nothing.\n\n\b\n"
        "  bowei replay nuernberg.csv --capacities Nuernberg.geojson --as-site sites/nuernberg\n"
        "  bowei run --site sites/nuernberg\n"
        "  bowei replay nuernberg.csv --speed 60          (in another shell)\n"
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--speed", type=Speed(), default="60", show_default=True,
              help="Recorded seconds a wall second; max: as fast as it goes.")  # fmt: skip
@click.option("--layout", type=click.Choice(LAYOUTS), help="Default: told from the file.")
@click.option("--free/--occupied", "free", default=None,
              help="What the values count. Default: by header or layout.")  # fmt: skip
@click.option("--timezone", default="UTC", show_default=True, callback=_zone,
              help="Of times without an offset, and of --as-site.")  # fmt: skip
@click.option("--carry", type=click.FloatRange(min=0), default=CARRY_S / 3600, show_default=True,
              help="Hours for which a blank cell means: no change.")  # fmt: skip
@click.option("--capacities", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A GeoJSON with the lots' names, positions and `total`.")  # fmt: skip
@click.option("--map", "map_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help='TOML or JSON: ["recorded name"] lot, zone, capacity.')  # fmt: skip
@click.option("--from", "start", help="Play from this recorded time on.")
@click.option("--until", "end", help="Play up to this recorded time.")
@click.option("--as-site", type=click.Path(file_okay=False, path_type=Path),
              help="Write a catalogue folder for the recording and stop.")  # fmt: skip
@click.option("--check", is_flag=True, help="Read, report and stop.")
@click.option("--site", "sites", multiple=True, type=click.Path(exists=True, file_okay=False),
              help="The catalogue with the lots. Default: the run's.")  # fmt: skip
@click.option("--state", type=click.Path(file_okay=False), default=".bowei", show_default=True,
              help="The run's state folder.")  # fmt: skip
@click.option("--mqtt", help="The broker. Default: the run's.")
@click.option("--allow-foreign-broker", is_flag=True,
              help="Speak to a broker that Bowei did not start.")  # fmt: skip
def replay(
    *,
    file: Path,
    speed: float | None,
    layout: str | None,
    free: bool | None,
    timezone: str,
    carry: float,
    capacities: Path | None,
    map_file: Path | None,
    start: str | None,
    end: str | None,
    as_site: Path | None,
    check: bool,
    sites: tuple[str, ...],
    state: str,
    mqtt: str | None,
    allow_foreign_broker: bool,
) -> None:
    logs.configure()
    plays = not (as_site or check)
    place = beside(Path(state), mqtt, allow_foreign=allow_foreign_broker) if plays else None
    counts = None if free is None else "free" if free else "occupied"
    try:
        recording = read(
            file, layout=layout, counts=counts, timezone=timezone, carry_s=carry * 3600
        )
        features = read_geojson(capacities) if capacities else []
        found, unmatched = places(recording, features, read_map(map_file) if map_file else None)
        window = (_moment(start, timezone, -UNENDING), _moment(end, timezone, UNENDING))
    except Unreadable as expected:
        raise click.ClickException(f"{file}: expected {expected}; see --layout") from None
    except MapError as error:
        raise click.ClickException(str(error)) from None
    _say_what(recording, found, unmatched)
    if as_site:
        _write(as_site, recording, found, timezone, file)
    if place is None:
        _say_defects(recording, None)
        return
    run_sites = place.run.sites if place.run else ()
    with told_plainly():
        catalog = load_catalog(sites or run_sites) if sites or run_sites else None
    voices = _voices(found, catalog)
    samples = list(recording.samples(*window))
    if not samples:
        raise click.ClickException("nothing was recorded between --from and --until")
    played = _play(place, recording, voices, samples, speed)
    _say_defects(recording, played)


def _moment(text: str | None, timezone: str, default: float) -> float:
    return default if text is None else moment_s(text, ZoneInfo(timezone))


def _say_what(recording: Recording, found: list[Place], unmatched: list[str]) -> None:
    start_s, end_s = recording.span_s
    click.echo(
        f"{recording.name}: {recording.layout} layout, {recording.rows:,} rows,"
        f" lots {len(found)}, {shown(start_s)} to {shown(end_s)}; its values are taken as"
        f" {recording.counts} spaces (--free, --occupied)"
    )
    width = max(len(place.title) for place in found)
    for place in found:
        click.echo(
            f"  {place.title:{width}}  {place.capacity:>6,} spaces, from"
            f" {_source(place, recording)}"
        )
    for line in unmatched:
        click.secho(f"  not matched: {line}", fg="yellow")


def _source(place: Place, recording: Recording) -> str:
    return {
        "map": "the map file",
        "geojson": "the GeoJSON",
        "recording": "the recording",
        "p99.9": f"the 99.9th percentile of {recording.counts}",
    }[place.capacity_from]


def _write(
    folder: Path, recording: Recording, found: list[Place], timezone: str, file: Path
) -> None:
    try:
        write_site(folder, recording, found, timezone)
        load_catalog([folder])
    except FileExistsError as error:
        raise click.ClickException(f"{error}; remove it first") from None
    click.secho(f"\nwrote {folder}; now:", bold=True)
    click.echo(f"  bowei run --site {shlex.quote(str(folder))}")
    click.echo(f"  bowei replay {shlex.quote(str(file))} --speed 60\n")


def _voices(found: Iterable[Place], catalog: Catalog | None) -> dict[str, Voice]:
    """Whose device each recorded lot speaks as."""
    voices: dict[str, Voice] = {}
    strangers = []
    for place in found:
        voice = _known_voice(place, catalog) if catalog else None
        if voice is None:
            strangers.append(place.lot)
            voice = Voice(place.lot, place.zone or ZONE, sensor_of(place.lot))
        clash = next((name for name, other in voices.items() if other.topic == voice.topic), None)
        if clash is not None:
            raise click.ClickException(
                f'"{clash}" and "{place.name}" are both mapped to {voice.lot}/{voice.zone}'
            )
        voices[place.name] = voice
    if strangers:
        named = ", ".join(strangers[:5]) + (" …" if len(strangers) > 5 else "")
        click.secho(
            f"  not in the catalogue, so the service will only list their devices: {named}"
            " (see --as-site and --map)",
            fg="yellow",
        )
    return voices


def _known_voice(place: Place, catalog: Catalog) -> Voice | None:
    """The first device of ours that counts the zone in the catalogue."""
    lot = catalog.lots.get(place.lot)
    if lot is None:
        return None
    zones = [zone.id for zone in lot.zones if place.zone in (None, zone.id)]
    for zone in zones:
        for sensor in catalog.sensors.values():
            own = sensor.model == "bowei" and sensor.bay is None
            if own and (sensor.lot, sensor.zone) == (lot.id, zone):
                return Voice(lot.id, zone, sensor.id)
    return None


def _play(
    place: Beside,
    recording: Recording,
    voices: dict[str, Voice],
    samples: list[Sample],
    speed: float | None,
) -> Played:
    pace = "as fast as it goes" if speed is None else f"{speed:g} times as fast as recorded"
    click.echo(
        f"playing {len(samples):,} values {pace}; recorded times are shifted:"
        f" {shown(samples[0].at_s)} is now"
    )
    bar: ProgressBar[Sample] = click.progressbar(
        length=SHARES,
        label="replay",
        item_show_func=lambda sample: shown(sample.at_s) if sample else "",
    )
    with bar, asyncio.Runner(loop_factory=loop_factory()) as runner:
        done = 0

        def step(sample: Sample) -> None:
            nonlocal done
            done += 1
            ahead = done * SHARES // len(samples) - bar.pos
            if ahead > 0:
                bar.update(ahead, sample)

        try:
            return runner.run(_stream(place, recording, voices, samples, speed, step))
        except LinkError as error:
            raise click.ClickException(str(error)) from None


async def _stream(
    place: Beside,
    recording: Recording,
    voices: dict[str, Voice],
    samples: list[Sample],
    speed: float | None,
    step: Callable[[Sample], None],
) -> Played:
    """Until played, or stopped by a signal; what was sent counts either way."""
    async with Link(place.mqtt_url, f"replay-{os.getpid()}") as link:
        player = Player(link, place.clock, voices, counts=recording.counts, speed=speed)
        playing = asyncio.create_task(player.play(samples, step), name="replay")
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, playing.cancel)
        try:
            return await playing
        except asyncio.CancelledError:
            return player.played


def _say_defects(recording: Recording, played: Played | None) -> None:
    if played is not None:
        click.echo(f"\nplayed {played.sent:,} values", nl=False)
        withheld = f"; {played.withheld:,} could not be said by a counter (negative)"
        click.echo(withheld if played.withheld else "")
    click.secho(f"what is wrong in {recording.name}:", bold=True)
    for line in recording.defects.lines():
        click.echo(f"  {line}")
