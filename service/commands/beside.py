"""What a command that makes traffic is told of the run beside it, and whose broker it may fill."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from service.clock import Clock
from service.credentials import with_password
from service.problems import ConfigProblems
from service.running import Running, running_in

LOOPBACK = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Beside(msgspec.Struct, frozen=True):
    """The broker to speak to, and the run (if there is one) whose clock and sites are shared."""

    mqtt_url: str
    clock: Clock
    run: Running | None

    @property
    def run_lives(self) -> bool:
        """False once the run that we stand beside is gone."""
        if self.run is None:
            return True
        try:
            os.kill(self.run.pid, 0)
        except OSError:
            return False
        return True


def beside(state: Path, mqtt: str | None, *, allow_foreign: bool) -> Beside:
    """The run in `state`, or the broker at `mqtt`; a broker that Bowei did not start is refused.

    Raises `click.UsageError` with what to do.
    """
    run = running_in(state)
    url = mqtt or (run.mqtt_url if run else None)
    if url is None:
        raise click.UsageError(
            f"nothing runs in {state}: start `bowei run` first, or name a broker with --mqtt"
        )
    try:
        own = run is not None and run.own_broker and _place(url) == _place(run.mqtt_url)
    except ValueError:
        raise click.UsageError("--mqtt: an address like mqtt://127.0.0.1:1883") from None
    if not own and not allow_foreign:
        raise click.UsageError(
            f"the broker at {_shown(url)} was not started by Bowei: made-up cars could reach real"
            " signs. If that is what you want, say --allow-foreign-broker"
        )
    clock = run.clock if run else Clock()
    return Beside(with_password(url, "BOWEI_MQTT_PASSWORD", os.environ), clock, run)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme not in MQTT_PORTS or not parts.hostname:
        raise ValueError(url)
    host = LOOPBACK.get(parts.hostname, parts.hostname)
    return host, parts.port or MQTT_PORTS[parts.scheme]


def _shown(url: str) -> str:
    """Without a password."""
    host, port = _place(url)
    return f"{host}:{port}"


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Problems of a configuration or catalogue are shown as they are, without a traceback."""
    try:
        yield
    except ConfigProblems as problems:
        raise click.ClickException(str(problems)) from None


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - there is no wheel for every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
