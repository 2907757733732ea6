"""The forecast's bench judges only what it says it judges, and knows nothing before its time."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from click.testing import CliRunner

from service.bench.forecast import forecast
from service.bench.forecast_walk import Tally, grid, walk
from service.occupancy.forecast import HORIZONS_MIN
from service.replay.recording import read

START = datetime(2026, 3, 1, 23, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")


def recorded(path, days=40, *, still_on=None, seed=3):
    """Two lots, every 15 minutes, busy around noon; nothing moves on day `still_on`."""
    noise, lines, last = random.Random(seed), ["timestamp,a,b"], (0, 0)
    for quarter in range(days * 96):
        at = START + timedelta(minutes=15 * quarter)
        hour = at.astimezone(ZONE).hour + at.minute / 60
        busy = max(0.0, 1 - abs(hour - 13) / 6)
        now = tuple(max(0, round(top * (1 - busy) + noise.gauss(0, 2))) for top in (100, 300))
        last = last if quarter // 96 == still_on else now
        lines.append(f"{at:%Y-%m-%d %H:%M:%S}+00:00,{last[0]},{last[1]}")
    path.write_text("\n".join(lines))
    return path


def test_a_daily_pattern_is_forecast_better_than_by_what_is_now(tmp_path):
    cells = grid(read(recorded(tmp_path / "wide.csv"), layout="wide"), ZONE)
    tallies = {horizon: Tally() for horizon in HORIZONS_MIN}
    assert sum(1 for _ in walk(cells, tallies)) > 0
    for tally in tallies.values():
        assert tally.cases > 1000
        assert tally.ratio("bowei") < 0.9


def test_capacity_is_what_was_seen_before_the_judged_weeks(tmp_path):
    path = recorded(tmp_path / "wide.csv")
    lines = path.read_text().splitlines()
    lines[-5] = lines[-5].rpartition(",")[0] + ",9999"
    path.write_text("\n".join(lines))
    assert grid(read(path, layout="wide"), ZONE).capacity["b"] < 320


def test_a_day_on_which_nothing_moved_is_not_judged(tmp_path):
    moving = grid(read(recorded(tmp_path / "a.csv"), layout="wide"), ZONE)
    still = grid(read(recorded(tmp_path / "b.csv", still_on=35), layout="wide"), ZONE)
    judged = [sum(map(one.tested, range(len(one.moments)))) for one in (moving, still)]
    assert judged[0] - judged[1] >= 13 * 12 - 24
    assert sum(still.standing) < sum(still.quiet)


def test_the_command_prints_one_json_object_or_says_what_is_wrong(tmp_path):
    path = str(recorded(tmp_path / "wide.csv", days=30))
    told = CliRunner().invoke(forecast, [path, "--json"])
    assert told.exit_code == 0, told.output
    assert '"mae_15_vs_persistence":' in told.output
    assert "no time zone" in CliRunner().invoke(forecast, [path, "--timezone", "Mars"]).output
