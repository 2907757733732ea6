"""`bowei run` from start to end: nothing is left behind, a busy place is refused with advice."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from processes import GONE_WITHIN_S, ROOT, SMALL, Run, descendants, processes_of, wait_until_gone

from devices.mqtt import Link
from service.clock import Clock

BIN = ROOT / ".venv" / "bin" / "bowei"


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Run]]:
    runs = []

    def started(*options: str, state: str = "state", **more: object) -> Run:
        runs.append(Run(tmp_path / state, *options, **more))
        return runs[-1]

    yield started
    for one in runs:
        one.destroy()


def family(run: Run) -> set[int]:
    below = descendants(run.process.pid)
    assert len(below) >= 2, "Redis and the broker at least"
    return below | processes_of(run.state)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_bowei(start, how):
    run = start().wait_until_ready()
    everybody = family(run)
    code = run.end(how)
    assert wait_until_gone(everybody) == set()
    assert code == (-signal.SIGKILL if how is signal.SIGKILL else 0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_make(start, how):
    if not BIN.exists():
        pytest.skip("this is not the environment that make sets up")
    run = start(make=True).wait_until_ready()
    everybody = family(run)
    assert len(everybody) >= 3, "bowei and its children"
    run.end(how)
    assert wait_until_gone(everybody) == set()


def test_ctrl_c_under_make_reaches_everybody(start):
    if not BIN.exists():
        pytest.skip("this is not the environment that make sets up")
    run = start(make=True).wait_until_ready()
    everybody = family(run)
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    run.process.wait(GONE_WITHIN_S)
    assert wait_until_gone(everybody) == set()


def test_a_second_ctrl_c_forces(start):
    run = start().wait_until_ready()
    everybody = family(run)
    for pid in everybody - {run.process.pid}:  # servers that do not answer their TERM
        os.kill(pid, signal.SIGSTOP)
    run.process.send_signal(signal.SIGINT)
    _until(lambda: "once more to force" in run.said())
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(GONE_WITHIN_S) == 128 + signal.SIGINT, "it did not wait for them"
    assert wait_until_gone(everybody) == set()


def test_a_killed_start_leaves_nothing(start):
    """Whatever it was doing: the signal comes before it says that it is ready."""
    for delay_s in (0.8, 1.6):
        run = start(state=f"state-{delay_s}")
        time.sleep(delay_s)
        everybody = descendants(run.process.pid) | processes_of(run.state)
        run.process.kill()
        run.process.wait(GONE_WITHIN_S)
        assert wait_until_gone(everybody | processes_of(run.state)) == set()


def test_a_busy_port_is_refused_with_advice(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(port=port)
        assert run.process.wait(GONE_WITHIN_S) == 2
    assert f"port {port} on 127.0.0.1 is busy" in run.said()
    assert f"make run PORT={port + 1}" in run.said()
    assert processes_of(run.state) == set()


def test_a_state_that_cannot_be_written_is_refused_with_advice(start, tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    run = start("--state", str(tmp_path / "taken" / "state"))
    assert run.process.wait(GONE_WITHIN_S) == 2
    assert "state cannot be kept in" in run.said()
    assert "--state DIR" in run.said()
    assert "Traceback" not in run.said()


@pytest.fixture(scope="module")
def living(tmp_path_factory) -> Iterator[Run]:
    """One run that several tests look at."""
    run = Run(tmp_path_factory.mktemp("living") / "state").wait_until_ready()
    yield run
    run.destroy()


def test_a_second_instance_is_refused_with_advice_and_harms_nobody(living):
    second = Run(living.state)
    assert second.process.wait(GONE_WITHIN_S) == 2
    assert f"in use by bowei, process {living.process.pid}" in second.said()
    assert "--state" in second.said()
    assert _get(living, "/healthz")


def test_another_instance_with_a_state_of_its_own_lives_beside_it(living, start):
    beside = start().wait_until_ready()
    assert _get(living, "/healthz")
    assert _get(beside, "/healthz")


def test_everything_listens_on_loopback_only(living):
    listing = subprocess.run(
        ["ss", "-Hltnp"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    mine = [f"pid={pid}," for pid in family(living) | {living.process.pid}]
    addresses = [line.split()[3] for line in listing if any(pid in line for pid in mine)]
    assert len(addresses) >= 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_a_child_that_dies_is_started_again(living):
    before = descendants(living.process.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        now = descendants(living.process.pid)
        if len(now) >= len(before) and not now & before:
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"not started again: {living.said()}")
    assert _get(living, "/healthz")
    assert living.end() == 0


async def test_a_kill_loses_no_car_no_number_and_no_time(start):
    """Before it a car's entry and a count; after it the car's bill, and the count at its age."""
    first = start("--speed", "300", "--at", "09:00").wait_until_ready()
    url = json.loads((first.state / "run.json").read_text())["mqtt_url"]
    async with Link(url, "town") as link:
        entry = await _pass(link, "in", 0)
        count = {"device": "hotel-count", "boot": 1, "seq": 0, "occupied": 33}
        await link.publish("bowei/lots/hotel/zones/all/count", json.dumps(count).encode())
        await asyncio.to_thread(_until, lambda: _zone(first)["counted"] == 33)
        counted_at = _zone(first)["as_of"]
        await asyncio.sleep(3.5)  # a stay beyond the free quarter of an hour
    shown_s = _running(first).now_s()
    first.end(signal.SIGKILL)
    assert entry["open"]

    again = start("--speed", "300", port=first.port).wait_until_ready()
    assert _running(again).anchor_s >= shown_s
    assert (_zone(again)["counted"], _zone(again)["as_of"]) == (33, counted_at)
    async with Link(json.loads((again.state / "run.json").read_text())["mqtt_url"], "town") as link:
        left = await _pass(link, "out", 0)
    assert left["open"]
    assert left["bill"], "the stay that began before the kill is billed"


async def _pass(link: Link, way: str, seq: int) -> dict[str, object]:
    """One car at the square's lane, and what the gate answers."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    lane = f"bowei/lots/square/lanes/{way}"
    await link.subscribe(f"{lane}/answer", lambda message: answers.put_nowait(message.payload))
    body = {"device": f"square-cam-{way}", "boot": 1, "seq": seq, "event": f"{way}-{seq}",
            "plate": "浙A00001", "color": "blue", "confidence": 0.99, "direction": way}  # fmt: skip
    await link.publish(f"{lane}/passage", json.dumps(body).encode())
    return json.loads(await asyncio.wait_for(answers.get(), 60))


def _running(run: Run) -> Clock:
    clock = json.loads((run.state / "run.json").read_text())["clock"]
    return Clock(**clock)


def _zone(run: Run) -> dict[str, object]:
    return json.loads(_get(run, "/api/v1/lots/hotel"))["zones"][0]


def _until(true: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_serve_wants_urls_or_to_be_told(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(f'sites = ["{SMALL}"]\n[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--config", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "gives no URL for mqtt, sql" in done.stderr
    assert "--embedded" in done.stderr


def _get(run: Run, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{run.port}{path}", timeout=30) as answer:
        return answer.read()
