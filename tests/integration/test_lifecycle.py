"""`bowei run` from start to end: nothing is left behind, a busy place is refused with advice."""

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
from processes import ROOT, SMALL, Run, descendants, processes_of, wait_until_gone

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
    run.process.wait(15)
    assert wait_until_gone(everybody) == set()


def test_a_second_ctrl_c_forces(start):
    run = start().wait_until_ready()
    everybody = family(run)
    for pid in everybody - {run.process.pid}:  # servers that do not answer their TERM
        os.kill(pid, signal.SIGSTOP)
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    run.process.send_signal(signal.SIGINT)
    run.process.wait(8)
    assert wait_until_gone(everybody) == set()


def test_a_killed_start_leaves_nothing(start):
    """Whatever it was doing: the signal comes before it says that it is ready."""
    for delay_s in (0.8, 1.6):
        run = start(state=f"state-{delay_s}")
        time.sleep(delay_s)
        everybody = descendants(run.process.pid) | processes_of(run.state)
        run.process.kill()
        run.process.wait(5)
        assert wait_until_gone(everybody | processes_of(run.state)) == set()


def test_a_busy_port_is_refused_with_advice(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start(port=port)
        assert run.process.wait(30) == 2
    assert f"port {port} on 127.0.0.1 is busy" in run.said()
    assert f"make run PORT={port + 1}" in run.said()
    assert processes_of(run.state) == set()


def test_a_second_instance_is_refused_with_advice_and_harms_nobody(start):
    first = start().wait_until_ready()
    second = start()
    assert second.process.wait(30) == 2
    assert f"in use by bowei, process {first.process.pid}" in second.said()
    assert "--state" in second.said()
    beside = start(state="another").wait_until_ready()
    assert _get(first, "/healthz")
    assert _get(beside, "/healthz")


def test_a_child_that_dies_is_started_again(start):
    run = start().wait_until_ready()
    before = descendants(run.process.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        now = descendants(run.process.pid)
        if len(now) >= len(before) and not now & before:
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"not started again: {run.said()}")
    assert run.end() == 0


def test_the_clock_never_goes_back_after_a_kill(start):
    first = start("--speed", "60", "--at", "09:00").wait_until_ready()
    time.sleep(1)
    running = json.loads((first.state / "run.json").read_text())
    began = running["clock"]
    shown_s = began["anchor_s"] + (time.time() - began["anchor_wall_s"]) * 60  # noqa: TID251
    first.end(signal.SIGKILL)
    again = start("--speed", "60").wait_until_ready()
    assert json.loads((again.state / "run.json").read_text())["clock"]["anchor_s"] >= shown_s


def test_everything_listens_on_loopback_only(start):
    run = start().wait_until_ready()
    listing = subprocess.run(
        ["ss", "-Hltnp"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    mine = [f"pid={pid}," for pid in family(run) | {run.process.pid}]
    addresses = [line.split()[3] for line in listing if any(pid in line for pid in mine)]
    assert len(addresses) >= 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_serve_wants_urls_or_to_be_told(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(f'sites = ["{SMALL}"]\n[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--config", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert "gives no URL for mqtt, sql" in done.stderr
    assert "--embedded" in done.stderr


def _get(run: Run, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{run.port}{path}", timeout=5) as answer:
        return answer.read()
