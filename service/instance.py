"""Which of several like processes this is: a name that stays over restarts and that nobody shares.

The broker keeps a session by its client id and throws out whoever had it before; a journal has one
writer. So every process has a name of its own: the state directory's random one, and where several
with the same roles share the directory, a number. Whoever runs holds a lock on the name; the next
process with these roles takes the first that is free, and finds what its forerunner left.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from service.lifecycle import StartProblem

NAME = re.compile(r"[0-9A-Za-z_-]{1,32}")
FOLDER = "instances"


@contextmanager
def instance(state: Path, roles: frozenset[str], named: str | None = None) -> Iterator[str]:
    """The name of this process while the context is open; `named` is one chosen by the operator.

    Raises `StartProblem` where another process runs under the chosen name.
    """
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _numbered(_name_of(folder)) if named is None else iter((named,)):
        lock = _locked(folder / f"{'-'.join(sorted(roles))}@{name}")
        if lock is not None:
            try:
                yield name
            finally:
                os.close(lock)
            return
    raise StartProblem(
        f"{named} with these roles already runs in {state}",
        "give each process an --instance of its own, or none",
    )


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def _name_of(folder: Path) -> str:
    """The state directory's own name, made once: folders of two machines differ."""
    file, made = folder / "name", folder / f"name.{os.getpid()}"
    if not file.exists():
        made.write_text(secrets.token_hex(3))
        with suppress(FileExistsError):
            os.link(made, file)  # whole, and only the first one counts
        made.unlink()
    return file.read_text()


def _locked(path: Path) -> int | None:
    """The lock, which the kernel drops when we die; None where another process has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
