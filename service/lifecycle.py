"""How processes begin and end together: children that die with us, a parent that is watched, locks.

StartProblem   something needed could not be started; carries advice for the person at the shell
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

LOG_LIMIT_BYTES = 5_000_000
PR_SET_PDEATHSIG = 1
PARENT_POLL_S = 0.5
PARENT = "BOWEI_PARENT"

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartProblem(Exception):  # noqa: N818 - it is shown to a person, not to a programmer
    """What could not be started, and `advice`: what to do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}\n  {advice}")
        self.what = what
        self.advice = advice


class Child:
    """A process of ours that ends when we end, however we end.

    Linux sends `death` to the child when the *thread* that started it is gone, so a child is
    started from the main thread only. Output goes to `log`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: pwd.struct_passwd | None = None,
        death: signal.Signals = signal.SIGKILL,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{name} must be started from the main thread")
        self.name = name
        self.log = log
        _turn(log)
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - the command line is ours
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(environment) if environment is not None else None,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                # A terminal's Ctrl-C reaches the whole foreground group: children must wait for us
                # to stop them in order, so they stand in a session of their own.
                start_new_session=True,
                preexec_fn=die_with(os.getpid(), death),  # noqa: PLW1509 - before any thread of ours
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, patience_s: float = 5.0) -> None:
        """Ask it to end, insist after `patience_s`. Safe to call twice."""
        if not self.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])


def die_with(parent: int, death: signal.Signals) -> Callable[[], None]:
    """What a child of `parent` does before it becomes another program, to end with it."""

    def before_exec() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:  # the parent was gone before we asked
            os._exit(0)

    return before_exec


def _turn(log: Path) -> None:
    """Keep a log bounded: one old file beside it."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))


class InstanceLock:
    """At most one `bowei run` per state directory: a lock the kernel drops when we die."""

    def __init__(self, state: Path) -> None:
        self.path = state / "lock"
        self._file = None
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self.path.open("a+")
        except OSError as error:
            raise StartProblem(
                f"state cannot be kept in {state}: {error.strerror}",
                "name a folder that you may write to: --state DIR (make run STATE=DIR)",
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise StartProblem(
                f"{state} is in use by {holder}",
                "stop that one first (Ctrl-C or kill it), or give this one its own:"
                " --state DIR (make run STATE=DIR)",
            ) from None
        file.truncate(0)
        file.write(f"bowei, process {os.getpid()}")
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def follow_parent() -> int | None:
    """The process we were told to follow (in BOWEI_PARENT), from now on ended with us; or None.

    `make` tells: a killed `make` must not leave anything running. A shell does not: a service that
    was put into the background outlives it.
    """
    told = os.environ.pop(PARENT, "")
    if not told.isdigit():
        return None
    parent = int(told)
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(f"process {parent}, which started this one, is already gone")
    return parent


async def parent_gone(parent: int) -> None:
    """Return once the process `parent`, which started us, is gone, looking twice a second."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel sets no Event
        await asyncio.sleep(PARENT_POLL_S)
