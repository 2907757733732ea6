"""The servers a process stands on: those the configuration names, and children for the rest."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import structlog

from service import embedded
from service.config import Config
from service.credentials import with_password
from service.embedded import Server
from service.lifecycle import Child, StartProblem
from service.sql import sqlite_url

MQTT_PORT = 1883
LOOK_EVERY_S = 1.0
LONGEST_PAUSE_S = 30.0

_log = structlog.get_logger()


class Machine:
    """URLs to connect to, and the children behind those that are ours.

    `say` is told each step. Children stop in the reverse of the order they started in.
    """

    def __init__(self, config: Config, state: Path, say: Callable[[str], None]) -> None:
        self.state = state
        self.say = say
        self.redis_url = _given(config.redis.url, "BOWEI_REDIS_PASSWORD")
        self.mqtt_url = _given(config.mqtt.url, "BOWEI_MQTT_PASSWORD")
        self.sql_url = _given(config.sql.url, "BOWEI_SQL_PASSWORD")
        self.own_broker = not self.mqtt_url
        self._restart: dict[str, Callable[[], Child]] = {}
        self._children: dict[str, Child] = {}

    def start(self) -> None:
        """Start what no URL was given for; raises `StartProblem`."""
        if not self.redis_url:
            server = embedded.start_valkey(self.state / "redis")
            self._own("redis", server)
            self.redis_url = server.url
            self.say(f"Redis: embedded Valkey at {server.url}")
        else:
            self.say("Redis: as configured")
        if not self.mqtt_url:
            server = self._start_broker()
            self._own("broker", server)
            self.mqtt_url = server.url
            self.say(f"MQTT: {server.kind} at {server.url}")
        else:
            self.say("MQTT: as configured")
        if not self.sql_url:
            self.sql_url = sqlite_url(self.state.absolute() / "bowei.sqlite")

    def run(self, name: str, start: Callable[[], Child]) -> None:
        """Start a further child, kept alive like the servers."""
        self._restart[name] = start
        self._children[name] = start()

    async def keep_alive(self) -> None:
        """Start again what died, after a growing pause, until cancelled."""
        again_at: dict[str, float] = {}
        pause_s = dict.fromkeys(self._children, LOOK_EVERY_S)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for name, child in list(self._children.items()):
                if child.alive:
                    continue
                if name not in again_at:
                    again_at[name] = monotonic() + pause_s.setdefault(name, LOOK_EVERY_S)
                    pause_s[name] = min(LONGEST_PAUSE_S, 2 * pause_s[name])
                    _log.error(
                        "child_died", child=name, code=child.process.returncode, log=str(child.log)
                    )
                elif monotonic() >= again_at[name]:
                    del again_at[name]
                    self._start_again(name)

    def stop(self) -> None:
        """End the children, the last one started first."""
        for name in reversed(list(self._children)):
            self.stop_one(name)

    def stop_one(self, name: str) -> None:
        if child := self._children.get(name):
            child.stop()
            del self._children[name]

    def kill(self) -> None:
        """End the children as a crash would."""
        while self._children:
            _, child = self._children.popitem()
            child.kill()

    def _own(self, name: str, server: Server) -> None:
        def again() -> Child:
            server.restart()
            return server.child

        self._restart[name] = again
        self._children[name] = server.child

    def _start_again(self, name: str) -> None:
        try:
            self._children[name] = self._restart[name]()
        except StartProblem as problem:
            _log.error("child_not_started", child=name, why=problem.what)
        else:
            _log.warning("child_started_again", child=name)

    def _start_broker(self) -> Server:
        """On the port every MQTT tool expects where it is free, else on any."""
        folder = self.state / "mqtt"
        if embedded.port_is_free(MQTT_PORT):
            try:
                return embedded.start_broker(folder, port=MQTT_PORT, say=self.say)
            except StartProblem:  # somebody took it in between
                pass
        return embedded.start_broker(folder, say=self.say)


def _given(url: str | None, variable: str) -> str:
    return with_password(url, variable, os.environ) if url else ""
