"""Where a Mosquitto can be had without root, and the settings we run it with."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

APT_PATIENCE_S = 30

SETTINGS = """# Written by bowei at each start.
listener {port} {host}
allow_anonymous true

# Nagle's algorithm would add 20 ms to every sign change.
set_tcp_nodelay true

# Bounds. The defaults (20 in flight, 1000 queued) drop QoS 1 messages silently in a burst, and no
# bound at all lets sessions that never come back fill the memory.
max_inflight_messages 1000
max_queued_messages 100000
max_queued_bytes 67108864
max_packet_size 1048576
persistent_client_expiration 1d

# Retained frames and reports survive a restart; money never relies on this.
persistence true
persistence_location {folder}/
autosave_interval 60

log_dest stderr
log_dest topic
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_type error
log_type warning
log_type notice
"""


class Found(msgspec.Struct, frozen=True):
    """A Mosquitto: `libraries` where it was unpacked rather than installed."""

    program: Path
    kind: str
    libraries: Path | None = None

    def environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        if self.libraries is not None:
            environment["LD_LIBRARY_PATH"] = str(self.libraries)
        return environment


def settings(folder: Path, host: str, port: int) -> str:
    """The configuration of a broker that listens on `host` and keeps its data in `folder`."""
    text = SETTINGS.format(folder=folder, host=host, port=port)
    # Started by root it would become the user `mosquitto`, who may not write here.
    return text + ("user root\n" if os.geteuid() == 0 else "")


def find(unpacked: Path, say: Callable[[str], None] = print) -> Found | None:
    """An installed Mosquitto, one unpacked into `unpacked` before or now, or None.

    `say` is told before the network is asked, which may take a while.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("mosquitto", path=places)
    if program is not None:
        return Found(Path(program), "mosquitto")
    if before := _unpacked(unpacked):
        return before
    say(f"no Mosquitto is installed: fetching Debian's into {unpacked} (no root needed)")
    return _unpacked(unpacked) if unpack(unpacked) else None


def unpack(target: Path) -> bool:
    """Unpack Debian's Mosquitto and the libraries it lacks into `target`; no root needed.

    The packages come from the machine's own apt sources and are checked by apt's signatures.
    """
    if sys.platform != "linux" or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    target = target.absolute()
    work = target.with_name(target.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        own: list[str] = []
        if not _download(work, own):
            own = _own_lists(work)
            if _apt(work, [*own, "update"]) is None or not _download(work, own):
                return False
        for package in sorted(work.glob("*.deb")):
            subprocess.run(  # noqa: S603
                ["dpkg-deb", "-x", package, work],  # noqa: S607
                check=True,
                capture_output=True,
            )
            package.unlink()
        shutil.rmtree(work / "apt", ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        work.replace(target)
    except (subprocess.SubprocessError, OSError):
        return False
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return True


def _unpacked(target: Path) -> Found | None:
    program = target / "usr" / "sbin" / "mosquitto"
    if not program.exists():
        return None
    libraries = next(iter(sorted((target / "usr" / "lib").glob("*-linux-*"))), None)
    found = Found(program.resolve(), "mosquitto, unpacked", libraries)
    try:
        shown = subprocess.run(  # noqa: S603
            [program, "-h"],
            env=found.environment(),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found if "mosquitto version" in shown.stdout else None


def _download(work: Path, own: list[str]) -> bool:
    """Fetch Mosquitto and what apt would install beside it, as far as it is a library."""
    plan = _apt(work, [*own, "-s", "--no-install-recommends", "install", "mosquitto"])
    if plan is None:
        return False
    wanted = [name for name in re.findall(r"^Inst (\S+)", plan, re.MULTILINE) if _needed(name)]
    return "mosquitto" in wanted and _apt(work, [*own, "download", *wanted]) is not None


def _needed(package: str) -> bool:
    return package == "mosquitto" or (package.startswith("lib") and "perl" not in package)


def _own_lists(work: Path) -> list[str]:
    """Options that keep apt's package lists in `work`: a fresh machine has none yet."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / "apt" / folder).mkdir(parents=True, exist_ok=True)
    return [
        f"-oDir::State::lists={work}/apt/lists",
        f"-oDir::Cache={work}/apt/cache",
        "-oAcquire::Languages=none",
        "-oAcquire::Retries=1",
        "-oAcquire::http::Timeout=10",
    ]


def _apt(work: Path, arguments: list[str]) -> str | None:
    """What apt-get printed, or None where it failed."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(  # noqa: S603
            ["apt-get", "-qq", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=", *arguments],  # noqa: S607
            cwd=work, env=environment, capture_output=True, text=True,
            timeout=APT_PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
