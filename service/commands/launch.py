"""From a configuration to a running service and back: what `bowei run` and `bowei serve` share."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from time import monotonic
from typing import Any

import click
import msgspec
import structlog

from service import app, lifecycle, memory, sql
from service.catalog import Catalog
from service.catalog_watch import changed_catalog
from service.clock import Clock
from service.commands.beside import loop_factory
from service.config import Config
from service.embedded import free_port, port_is_free
from service.instance import instance
from service.lifecycle import StartProblem
from service.machine import Machine
from service.problems import ConfigProblems

ROLES = tuple(sorted(app.ALL_ROLES))
SHUTDOWN_PATIENCE_S = 8.0

_log = structlog.get_logger()


class Steps:
    """Tells each step as it is done, with the seconds since the start."""

    def __init__(self) -> None:
        self.began = monotonic()

    def __call__(self, text: str) -> None:
        click.echo(f"{monotonic() - self.began:6.1f} s  {text}")


class Launch(msgspec.Struct):
    """One process of Bowei: its configuration, world, clock, roles and the servers under it.

    `ready` is called with the URL once the service answers; `beside` runs next to it to the end.
    `name` is the operator's own for it among like processes.
    """

    config: Config
    catalog: Catalog
    clock: Clock
    machine: Machine
    roles: frozenset[str]
    parent: int | None = None
    ready: Callable[[str], None] | None = None
    beside: Callable[[], Coroutine[object, object, None]] | None = None
    name: str | None = None

    def run(self) -> None:
        """Serve until a signal or the parent's end; the machine is stopped on every way out."""
        try:
            self.machine.start()
            asyncio.run(sql.upgrade(self.machine.sql_url))
            self.machine.say("SQL: the schema is up to date")
            with (
                instance(self.machine.state, self.roles, self.name) as name,
                asyncio.Runner(loop_factory=loop_factory()) as runner,
            ):
                runner.run(self._live(name))
        finally:
            self._stop_machine()

    def _stop_machine(self) -> None:
        try:
            self.machine.stop()
        except KeyboardInterrupt:
            self.machine.kill()

    async def _live(self, name: str) -> None:
        stop = asyncio.Event()
        self._listen_for_signals(stop)
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(self._serve(name, url.set_result, stop), name="service")
        around: list[asyncio.Task[Any]] = [
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(self.machine.keep_alive(), name="keep_alive"),
        ]
        if self.parent is not None:
            around.append(asyncio.create_task(self._follow(self.parent, stop), name="parent"))
        if self.beside:
            around.append(asyncio.create_task(self.beside(), name="beside"))
        await _first(serving, url, *around)
        if url.done() and not stop.is_set() and self.ready:
            self.ready(url.result())
        await _first(serving, *around)
        await self._end(serving, around, stop)

    async def _serve(self, name: str, ready: Callable[[str], None], stop: asyncio.Event) -> None:
        """Serve to the end; on a changed catalogue anew, while messages wait at the broker."""
        http = self.config.http
        if http.port == 0:  # the same one through all of it
            http = msgspec.structs.replace(http, port=free_port())
        config = msgspec.structs.replace(self.config, http=http)
        catalog: Catalog | None = self.catalog
        while catalog is not None:
            over = asyncio.Event()
            serving = app.serve(
                config,
                catalog,
                self.clock,
                roles=self.roles,
                redis_url=self.machine.redis_url,
                mqtt_url=self.machine.mqtt_url,
                sql_url=self.machine.sql_url,
                state=self.machine.state,
                ready=partial(_stands, ready),
                stop=over,
                instance=name,
            )
            catalog = await self._until_changed(serving, catalog, over, stop)
            ready = self._served_anew

    async def _until_changed(
        self,
        serving: Coroutine[object, object, None],
        catalog: Catalog,
        over: asyncio.Event,
        stop: asyncio.Event,
    ) -> Catalog | None:
        """Serve until there is another catalogue, which is returned, or until told to stop."""
        changed = asyncio.create_task(changed_catalog(self.config.sites, catalog), name="catalogue")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        running = asyncio.create_task(serving, name="house")
        await _first(running, changed, stopping)
        over.set()
        await asyncio.wait({running})
        following = changed.result() if changed.done() and not stop.is_set() else None
        changed.cancel()
        stopping.cancel()
        await asyncio.wait({changed, stopping})
        running.result()
        if following is not None:
            self.machine.say(f"catalogue: changed, lots now {len(following.lots)}")
        return following

    def _served_anew(self, url: str) -> None:
        self.machine.say(f"serving it at {url}")

    async def _end(
        self, serving: asyncio.Task[None], around: list[asyncio.Task[Any]], stop: asyncio.Event
    ) -> None:
        """First whoever makes work, then the service, its servers last; errors are raised."""
        stop.set()
        failed = [task for task in around if task.done() and task.exception()]
        for task in around:
            task.cancel()
        self.machine.stop_one("simulator")
        await asyncio.wait({serving}, timeout=SHUTDOWN_PATIENCE_S)
        if not serving.done():
            # Whatever holds it up, nothing that was acknowledged depends on a tidy end.
            _log.error("slow_shutdown", patience_s=SHUTDOWN_PATIENCE_S)
            self.machine.stop()
            os._exit(1)
        serving.result()
        await asyncio.gather(*around, return_exceptions=True)
        for task in failed:
            task.result()

    async def _follow(self, parent: int, stop: asyncio.Event) -> None:
        await lifecycle.parent_gone(parent)
        _log.warning("parent_gone", parent=parent)
        stop.set()

    def _listen_for_signals(self, stop: asyncio.Event) -> None:
        def asked(name: signal.Signals) -> None:
            if stop.is_set():
                self.machine.kill()
                os._exit(128 + name)
            stop.set()
            with contextlib.suppress(OSError):  # `| tee` and a closed terminal end before us
                click.echo("\nstopping (once more to force)")

        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) is not signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(name, asked, name)


def need_free_port(config: Config) -> None:
    """Refuse a busy HTTP port before anything is started."""
    http = config.http
    if http.port and not port_is_free(http.port, http.host):
        raise StartProblem(
            f"port {http.port} on {http.host} is busy",
            f"stop what listens there, or choose another: make run PORT={http.port + 1}"
            f" (bowei run --port {http.port + 1})",
        )


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """What a person can put right ends the command with its advice instead of a traceback."""
    try:
        yield
    except (StartProblem, ConfigProblems) as problem:
        click.secho(str(problem), fg="red", err=True)
        raise SystemExit(2) from None


def _stands(ready: Callable[[str], None], url: str) -> None:
    """Every part is here: what was made until now stays."""
    memory.spare_what_stands()
    ready(url)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
