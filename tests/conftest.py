"""Real parts for every test: servers on free ports that end with the tests, nothing mocked."""

import asyncio
import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings
from real_postgres import Postgres

from service import embedded, lifecycle, mosquitto
from service.clock import ManualClock
from service.embedded import Server

SMALL = Path(__file__).parent / "catalogs" / "small"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)  # a Monday, 08:00 in Hangzhou
_names = count()

# How long an example takes says more of the machine than of the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def missing(what: str, advice: str) -> None:
    """Skip and say why; where everything must be there (CI), fail instead."""
    told = f"{what} is not here: {advice}"
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


def pytest_configure() -> None:
    """A killed `make` must not leave tests running."""
    lifecycle.follow_parent()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("chromium") and CHROMIUM is None:
        missing("chromium", "apt install chromium fonts-noto-cjk")
    if item.get_closest_marker("mosquitto") and not mosquitto.find(
        _unpacked_mosquitto(item.config)
    ):
        missing("Mosquitto", "apt install mosquitto")


@pytest.fixture(scope="session")
def _valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = embedded.start_valkey(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_url(_valkey: Server) -> str:
    """A real, empty Valkey, configured as ours."""
    with redis.Redis.from_url(_valkey.url) as client:
        client.flushall()
        client.script_flush()
    return _valkey.url


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a Valkey of the test's own, to be killed, restarted and starved at will."""
    started: list[Server] = []

    def start(name: str = "redis", **options: object) -> Server:
        started.append(embedded.start_valkey(tmp_path / name, **options))
        return started[-1]

    yield start
    for server in started:
        server.child.kill()


@pytest.fixture
def start_broker(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Callable[..., Server]]:
    """Start a Mosquitto of the test's own, to be killed and restarted at will."""
    started: list[Server] = []
    unpacked = _unpacked_mosquitto(pytestconfig)
    if mosquitto.find(unpacked) is None:
        missing("Mosquitto", "apt install mosquitto")

    def start(name: str = "mqtt", **options: object) -> Server:
        started.append(embedded.start_broker(tmp_path / name, unpacked=unpacked, **options))
        return started[-1]

    yield start
    for server in started:
        server.child.kill()


@pytest.fixture
def fallback_broker(tmp_path: Path) -> Iterator[Server]:
    """The broker of machines that have no Mosquitto and can unpack none."""
    server = embedded.start_fallback_broker(tmp_path / "fallback")
    yield server
    server.child.kill()


@pytest.fixture
def broker_url(start_broker: Callable[..., Server]) -> str:
    """A real Mosquitto with nothing retained, configured as ours."""
    return start_broker().url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite"
    _upgrade(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    for piece in _migrated_sqlite.parent.glob(_migrated_sqlite.name + "*"):
        shutil.copy(piece, tmp_path / piece.name.replace("migrated", "bowei"))
    return f"sqlite+aiosqlite:///{tmp_path / 'bowei.sqlite'}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server behind `postgres_url`, with an empty migrated database named `migrated`."""
    server = Postgres()
    server.execute("CREATE DATABASE migrated")
    _upgrade(server.url("migrated"))
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A migrated PostgreSQL database of the test's own."""
    name = f"test_{next(_names)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    yield postgres.url(name)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands on a Monday, 08:00 in Hangzhou, until it is told."""
    return ManualClock(shown=[START.timestamp()])


@pytest.fixture(scope="session")
def catalog() -> object:
    """The small world of tests/catalogs/small."""
    from service.catalog_file import load_catalog

    return load_catalog([SMALL])


def _unpacked_mosquitto(config: pytest.Config) -> Path:
    """Where one that was unpacked without root serves every test of every run."""
    return config.cache.mkdir("mosquitto") / "unpacked"


def _upgrade(url: str) -> None:
    from service import sql

    done = sql.upgrade(url)
    if inspect.isawaitable(done):
        asyncio.run(_finish(done))


async def _finish(work: object) -> None:
    await work
