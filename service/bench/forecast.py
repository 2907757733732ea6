"""`bowei bench forecast FILE`: the forecast against what happened next, on a real recording.

The recording is walked forward; its last three weeks are judged, Monday to Saturday from 7 to 20
local time, without stretches in which no lot changed for over an hour. Capacity is the 99.9th
percentile of what was seen before.
"""

from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from service.bench.forecast_walk import METHODS, Tally, grid, walk
from service.bench.report import Cell, Report, publish
from service.occupancy.forecast import HORIZONS_MIN
from service.replay.layouts import Unreadable
from service.replay.recording import read


@click.command(
    help=(
        "Walk a recording forward and hold the forecast against it.\n\n"
        "Prints persistence (what is now), the time-of-week mean, level plus drift, and ours, as"
        " mean absolute errors in % of capacity, and the Brier score of P(a space in 15 minutes)"
        " where a lot runs tight.\n\n\b\n"
        "  bowei bench forecast nuernberg12_2025.csv --timezone Europe/Berlin\n"
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--timezone", default="Europe/Berlin", show_default=True,
    help="Local time of the recording: of opening hours, and of times without an offset.",
)  # fmt: skip
@click.option("--free", "counts", flag_value="free", help="The values are free spaces.")
@click.option("--occupied", "counts", flag_value="occupied", help="The values are cars inside.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def forecast(file: str, timezone: str, counts: str | None, as_json: bool) -> None:
    try:
        zone = ZoneInfo(timezone)
        recording = read(Path(file), counts=counts, timezone=timezone)
    except ZoneInfoNotFoundError:
        raise click.BadParameter(f"no time zone {timezone!r}", param_hint="--timezone") from None
    except Unreadable as expected:
        raise click.ClickException(f"{file}: expected {expected}") from None
    cells = grid(recording, zone)
    tallies = {horizon: Tally() for horizon in HORIZONS_MIN}
    began_s = perf_counter()
    ticks = len(cells.moments)
    with click.progressbar(
        walk(cells, tallies), length=ticks, label="walking", hidden=as_json, update_min_steps=200
    ) as steps:
        for _ in steps:
            pass
    if not tallies[HORIZONS_MIN[0]].cases:
        raise click.ClickException(f"{file}: too short, nothing to judge in its last quarter")
    each_us = (perf_counter() - began_s) * 1e6 / max(1, ticks * len(cells.free))
    publish(_report(tallies, each_us, f"{len(cells.free)} lots, {timezone}"), as_json=as_json)


def _report(tallies: dict[int, Tally], each_us: float, about: str) -> Report:
    rows: list[dict[str, Cell]] = []
    ratios = {}
    for horizon, tally in tallies.items():
        row: dict[str, Cell] = {"horizon_min": horizon}
        row |= {f"{m}_percent": 100 * tally.errors[m] / tally.cases for m in METHODS}
        row["band_holds_percent"] = 100 * tally.held / tally.cases
        row["brier_now"] = tally.brier_now / tally.tight if tally.tight else None
        row["brier_bowei"] = tally.brier / tally.tight if tally.tight else None
        row["cases"] = tally.cases
        row["tight_cases"] = tally.tight
        rows.append(row)
        ratios[f"mae_{horizon}_vs_persistence"] = tally.ratio("bowei")
    ratios["brier_15_vs_persistence"] = tallies[15].brier_ratio
    notes = [about, f"{each_us:.0f} µs a lot and tick, learning, three horizons and judging"]
    return Report("forecast", rows, ratios, notes)
