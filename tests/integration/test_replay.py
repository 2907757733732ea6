"""`bowei replay` through a real broker: values, order, ages, refusals and the report."""

import os
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from occupancy_scene import until

from devices.mqtt import Link
from devices.sensors import bowei
from service.clock import Clock
from service.commands.replay import replay
from service.replay.player import Player, Voice
from service.replay.recording import Sample
from service.running import Running, announce

LONG = """North,100,40,2016-10-04 08:00:00
North,100,45,2016-10-04 08:30:00
South,50,20,2016-10-04 08:00:10
North,100,-1,2016-10-04 09:00:00
North,100,140,2016-10-04 09:30:00
North,100,many,2016-10-04 09:40:00
South,50,25,2016-10-04 09:30:10
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "city.csv"
    path.write_text(LONG)
    return path


def run(*arguments):
    return CliRunner().invoke(replay, [str(one) for one in arguments])


async def heard_while(url, act, times):
    """What a subscriber gets: (topic, uplink) in order, once there are `times` of them."""
    heard = []
    async with Link(url, "listener") as link:
        await link.subscribe(
            ("bowei/#",),
            lambda message: heard.append(
                (message.topic, bowei.decode_count(message.topic.split("/"), message.payload))
            ),
        )
        await act()
        await until(lambda: len(heard) >= times)  # the broker tells it in its own time
    return heard


@pytest.mark.parametrize("speed", [None, 36_000.0])
async def test_values_come_in_order_with_ages_that_are_kept(broker_url, speed):
    samples = [
        Sample(1000.0, "a", 5),
        Sample(1000.0, "b", 7),
        Sample(4600.0, "a", -2),
        Sample(8200.0, "a", 6),
        Sample(11_800.0, "b", 8, carried=True),
    ]
    voices = {"a": Voice("north", "all", "n1"), "b": Voice("south", "all", "s1")}
    clock = Clock(speed=1.0)
    before = clock.now()

    async def act():
        async with Link(broker_url, "player") as link:
            player = Player(link, clock, voices, counts="free", speed=speed)
            steps = []
            played = await player.play(samples, steps.append)
            assert (played.sent, played.withheld) == (4, 1)
            assert steps == samples

    heard = await heard_while(broker_url, act, 4)
    said = [(topic.split("/")[2], uplink.readings[0].free) for topic, uplink in heard]
    assert said == [("north", 5), ("south", 7), ("north", 6), ("south", 8)]
    orders = [(uplink.device, uplink.seq) for _, uplink in heard]
    assert orders == [("n1", 1), ("s1", 1), ("n1", 2), ("s1", 2)], "what is withheld leaves no hole"
    assert len({uplink.boot for _, uplink in heard}) == 1
    times = [uplink.measured_at for _, uplink in heard]
    assert before <= times[0]
    assert times[-1] <= datetime.now(UTC)  # noqa: TID251 - what a wall clock says
    if speed:  # 3 h at 36,000 times: 0.3 s, by what was recorded and not by when it could be sent
        assert (times[-1] - times[0]).total_seconds() == pytest.approx(0.3, abs=0.01)


def test_the_command_plays_reports_and_names_its_sources(broker_url, file, tmp_path):
    done = run(file, "--speed", "max", "--mqtt", broker_url, "--allow-foreign-broker",
               "--state", tmp_path / "none")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "long layout, 7 rows, lots 2" in done.output
    assert "100 spaces, from the recording" in done.output
    assert "2016-10-04 08:00:00Z is now" in done.output
    assert "played 5 values; 1 could not be said" in done.output
    for said in ("1  rows that cannot be read", "line 6: expected", "line 5: North: 140 of 100",
                 "1  negative values"):  # fmt: skip
        assert said in done.output


def test_a_foreign_broker_is_refused(broker_url, file, tmp_path):
    done = run(file, "--mqtt", broker_url, "--state", tmp_path)
    assert done.exit_code == 2
    assert "--allow-foreign-broker" in done.output
    done = run(file, "--state", tmp_path)
    assert done.exit_code == 2
    assert "bowei run" in done.output
    running = Running(
        os.getpid(), "http://127.0.0.1:1", broker_url, "", "", own_broker=True,
        clock=Clock(), sites=(), seed=1,
    )  # fmt: skip
    announce(tmp_path, running)
    assert run(file, "--speed", "max", "--state", tmp_path).exit_code == 0
    other = run(file, "--speed", "max", "--state", tmp_path, "--mqtt", "mqtt://192.0.2.1")
    assert other.exit_code == 2, "the run's own broker, and no other"


def test_a_window_and_a_site_of_its_own(broker_url, file, tmp_path):
    site = tmp_path / "site"
    written = run(file, "--as-site", site)
    assert written.exit_code == 0, written.output
    assert "bowei run --site" in written.output
    assert run(file, "--as-site", site).exit_code == 1, "a site is never written over"
    aimed = ["--speed", "max", "--mqtt", broker_url, "--allow-foreign-broker", "--site", site,
             "--state", tmp_path / "none"]  # fmt: skip
    done = run(file, "--from", "2016-10-04 08:10", "--until", "2016-10-04 08:40", *aimed)
    assert "played 1 values" in done.output
    assert "not in the catalogue" not in done.output
    nothing = run(file, "--from", "2030-01-01", *aimed)
    assert nothing.exit_code == 1
    assert "nothing was recorded" in nothing.output


def test_two_recorded_lots_never_speak_for_one_zone(broker_url, file, tmp_path):
    mapped = tmp_path / "map.toml"
    mapped.write_text('[North]\nlot = "x"\n[South]\nlot = "x"\n')
    done = run(file, "--map", mapped, "--mqtt", broker_url, "--allow-foreign-broker",
               "--state", tmp_path)  # fmt: skip
    assert done.exit_code == 1
    assert "both mapped" in done.output


@pytest.mark.parametrize(
    "arguments",
    [("--timezone", "Mars/Olympus"), ("--speed", "0"), ("--speed", "soon"), ("--layout", "round"),
     ("--from", "yesterday", "--check"), ("--layout", "wide", "--check")],
)  # fmt: skip
def test_wrong_options_are_told_plainly(file, tmp_path, arguments):
    done = run(file, "--state", tmp_path, *arguments)
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
