"""What a run has started and where: written into its state directory for the commands beside it.

`bowei simulate`, `replay` and `bench` find the servers of a run by it, and learn whether the broker
is one that Bowei started itself (and may therefore be filled with made-up cars).
"""

import os
from pathlib import Path

import msgspec

from service.clock import Clock

FILE = "run.json"


class Running(msgspec.Struct, frozen=True):
    """One run: its process, URLs without passwords, clock, sites; `own_broker`: started by it."""

    pid: int
    http_url: str
    mqtt_url: str
    redis_url: str
    sql_url: str
    own_broker: bool
    clock: Clock
    sites: tuple[str, ...]
    seed: int


def announce(state: Path, running: Running) -> None:
    """Leave `running` in the state directory, whole or not at all.

    Its sites are named from the root, for commands that are given in other folders.
    """
    sites = tuple(str(Path(one).absolute()) for one in running.sites)
    running = msgspec.structs.replace(running, sites=sites)
    part = state / f"{FILE}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(running)))
    part.replace(state / FILE)


def running_in(state: Path) -> Running | None:
    """The run that lives in `state` now, or None."""
    try:
        found = msgspec.json.decode((state / FILE).read_bytes(), type=Running)
        os.kill(found.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return found


def withdraw(state: Path) -> None:
    """Say that no run lives there any more."""
    (state / FILE).unlink(missing_ok=True)
