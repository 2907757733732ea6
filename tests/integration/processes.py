"""Real `bowei` and `make` processes for tests, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from service import lifecycle
from service.embedded import free_port

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "catalogs" / "small"
READY_WITHIN_S = 120
GONE_WITHIN_S = 30


class Run:
    """One `bowei run` (or `make run`) in a session of its own, ready when constructed."""

    def __init__(
        self,
        state: Path,
        *options: str,
        make: bool = False,
        port: int | None = None,
        site: Path = SMALL,
    ) -> None:
        self.state = state
        self.port = port or free_port()
        self.out = state.with_name(f"{state.name}-{self.port}.out")
        options = ("--no-simulate", *options)
        if make:
            argv = ["make", "--old-file=pyproject.toml", "run", f"PORT={self.port}",
                    f"SITE={site}", f"STATE={state}", f"ARGS={' '.join(options)}"]  # fmt: skip
        else:
            argv = [sys.executable, "-m", "service", "run", "--port", str(self.port),
                    "--site", str(site), "--state", str(state), *options]  # fmt: skip
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BOWEI_", "MAKE", "MFLAGS"))
        }
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, stdout=out, stderr=out, start_new_session=True, env=environment,
                preexec_fn=lifecycle.die_with(os.getpid(), signal.SIGKILL),  # noqa: PLW1509
            )  # fmt: skip

    def wait_until_ready(self) -> "Run":
        deadline = time.monotonic() + READY_WITHIN_S
        while f"\nready: http://127.0.0.1:{self.port}\n" not in self.said():
            assert self.process.poll() is None, f"ended with {self.said()}"
            assert time.monotonic() < deadline, f"not ready: {self.said()}"
            time.sleep(0.05)
        while not self._every_part_is():
            assert time.monotonic() < deadline, f"not ready: {self.said()}"
            time.sleep(0.05)
        return self

    def _every_part_is(self) -> bool:
        """Pages answer sooner than the ingester is subscribed."""
        address = f"http://127.0.0.1:{self.port}/readyz"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    def said(self) -> str:
        return self.out.read_text("utf-8", "replace")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(GONE_WITHIN_S)

    def destroy(self) -> None:
        """End the whole session, whatever became of it."""
        for pid in descendants(self.process.pid) | processes_of(self.state):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.kill()
        self.process.wait(GONE_WITHIN_S)


def descendants(pid: int) -> set[int]:
    """Living processes below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def processes_of(state: Path) -> set[int]:
    """Living processes that work in `state` or name it on their command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        if (str(state) in words or folder.startswith(str(state))) and alive(int(entry.name)):
            found.add(int(entry.name))
    return found


def alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def wait_until_gone(pids: set[int]) -> set[int]:
    """Who of `pids` is still there after a while: nobody, one hopes."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := {pid for pid in pids if alive(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
