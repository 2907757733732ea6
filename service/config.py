"""The configuration: one TOML, read once, every problem reported together.

An empty file is valid and means one machine with everything embedded. Secrets never stand in the
file; they come from the environment (see `service.credentials`). `deploy/bowei.example.toml` shows
every key.
"""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from service.conversion import Unfit, environment_variable, fill, read_toml
from service.problems import ConfigProblems, Problem

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Port = Annotated[int, Meta(ge=0, le=65535, description="a port from 0 to 65535 (0: any free one)")]

REPOSITORY_SITES = Path(__file__).resolve().parent.parent / "deploy" / "sites"


class _Url:
    """A rule: an address of one of `schemes`, without a password, in the form our clients take."""

    def __init__(self, example: str, password_key: str | None, **schemes: str) -> None:
        self.example = example
        self.password_key = password_key
        self.schemes = {name.replace("_", "+"): said for name, said in schemes.items()}

    def __call__(self, url: str) -> str:
        parts = urlsplit(url) if _splits(url) else None
        if parts is None or parts.scheme not in self.schemes:
            named = ", ".join(f"{scheme}://" for scheme in self.schemes)
            raise Unfit(f"an address like {self.example} ({named})")
        if parts.password is not None:
            where = (
                f"; set the environment variable {environment_variable(self.password_key)}"
                if self.password_key
                else ""
            )
            raise Unfit(f"the address without its password{where}", "a password (not shown)")
        if parts.scheme.startswith("sqlite"):
            if not parts.path.strip("/"):
                raise Unfit(f"an address like {self.example}, with a file")
        elif not parts.hostname:
            raise Unfit(f"an address like {self.example}, with a host")
        return self.schemes[parts.scheme] + url[len(parts.scheme) :]


def _splits(url: str) -> bool:
    try:
        return urlsplit(url).port is None or True
    except ValueError:  # a port that is no number, a broken IPv6 host
        return False


def _public_url(url: str) -> str:
    url = _Url("https://parking.example.cn", None, https="https", http="http")(url).rstrip("/")
    if urlsplit(url).query or urlsplit(url).fragment:
        raise Unfit("an address without a query: it goes into QR codes and links")
    return url


RedisUrl = Annotated[
    str,
    Meta(
        extra={
            "rule": _Url(
                "redis://10.0.0.5:6379/0", "redis.password", redis="redis", rediss="rediss"
            )
        }
    ),
]
MqttUrl = Annotated[
    str,
    Meta(extra={"rule": _Url("mqtt://10.0.0.6:1883", "mqtt.password", mqtt="mqtt", mqtts="mqtts")}),
]
SqlUrl = Annotated[
    str,
    Meta(
        extra={
            "rule": _Url(
                "postgresql://bowei@10.0.0.7/bowei",
                "sql.password",
                postgresql="postgresql+asyncpg",
                postgres="postgresql+asyncpg",
                postgresql_asyncpg="postgresql+asyncpg",
                sqlite="sqlite+aiosqlite",
                sqlite_aiosqlite="sqlite+aiosqlite",
            )
        }
    ),
]
PublicUrl = Annotated[str, Meta(extra={"rule": _public_url})]
WebUrl = Annotated[
    str,
    Meta(extra={"rule": _Url("http://127.0.0.1:5000", None, http="http", https="https")}),
]


class Http(msgspec.Struct, frozen=True):
    """Where pages and API are served. `public_url` goes into QR codes and bill links."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: PublicUrl | None = None


class Redis(msgspec.Struct, frozen=True):
    """Live occupancy. Without `url` a Valkey is started as a child. `shards` is fixed for good."""

    url: RedisUrl | None = None
    shards: Annotated[int, Meta(ge=1, le=1024)] = 8


class Mqtt(msgspec.Struct, frozen=True):
    """The broker. Without `url` one is started as a child.

    `share` names the `$share` group over which several ingesters split the messages.
    """

    url: MqttUrl | None = None
    share: (
        Annotated[str, Meta(pattern=r"^[^/+#\s]{1,64}$", description="a name without / + #")] | None
    ) = None
    client_id: Annotated[
        str,
        Meta(pattern=r"^[0-9A-Za-z_-]{1,23}$", description="1 to 23 letters, digits, - and _"),
    ] = "bowei"


class Sql(msgspec.Struct, frozen=True):
    """Sessions, bills, ledger, audit. Without `url` a SQLite file in the state directory."""

    url: SqlUrl | None = None


class Occupancy(msgspec.Struct, frozen=True):
    """When a number is old: limits in multiples of the source's own `report_every_s`.

    Of messages that nobody could read the newest `letters_most` are kept for `letters_keep_days`.
    """

    stale_after: Positive = 3.0
    unknown_after: Positive = 10.0
    bays_known_share: Share = 0.75
    history_every_s: Positive = 300.0
    history_keep_days: Positive = 400.0
    letters_keep_days: Positive = 7.0
    letters_most: Annotated[int, Meta(ge=1, le=100_000)] = 5000


class Guidance(msgspec.Struct, frozen=True):
    """How lots are ranked. `osrm_url` gives road times; without it straight line × detour."""

    osrm_url: WebUrl | None = None
    value_of_time_fen_per_hour: Annotated[int, Meta(ge=1)] = 3000
    min_free: Annotated[int, Meta(ge=0)] = 5
    follow_share: Share = 0.85


class Board(msgspec.Struct, frozen=True):
    """How signs change. `pace_s` is wall time; the others are the service clock's.

    A number that is shown stands at least `hold_s` unless the lot turns full, closed or unknown,
    and changes by at least `hysteresis` spaces.
    """

    pace_s: Positive = 0.2
    hold_s: NotNegative = 60.0
    hysteresis: Annotated[int, Meta(ge=0)] = 2


class Payments(msgspec.Struct, frozen=True):
    """Who collects. Nothing is charged until a provider is named; `sandbox` moves no money."""

    provider: Literal["sandbox"] | None = None


class Exchanges(msgspec.Struct, frozen=True):
    """Data in from other systems: the feeds that the catalogue names."""

    pull: bool = True
    timeout_s: Positive = 10.0
    max_bytes: Annotated[int, Meta(ge=1024, le=100_000_000)] = 8_000_000


class Config(msgspec.Struct, frozen=True):
    """Everything that is not the static world. `sites` are folders of the catalogue."""

    sites: tuple[str, ...] = ()
    state_dir: str = ".bowei"
    http: Http = Http()
    redis: Redis = Redis()
    mqtt: Mqtt = Mqtt()
    sql: Sql = Sql()
    occupancy: Occupancy = Occupancy()
    guidance: Guidance = Guidance()
    board: Board = Board()
    payments: Payments = Payments()
    exchanges: Exchanges = Exchanges()


def load_config(path: str | Path | None) -> Config:
    """The configuration at `path`, or the one of an empty file; raises `ConfigProblems`.

    Paths in the file are taken from its own folder; `sites` left out means every site that comes
    with Bowei.
    """
    config, problems = read_config(path)
    if problems:
        raise ConfigProblems(problems)
    return config


def read_config(path: str | Path | None) -> tuple[Config, list[Problem]]:
    """As `load_config`, but hands the problems back beside what could be read."""
    if path is None:
        return Config(sites=shipped_sites()), []
    path = Path(path)
    raw, problems = read_toml(path)
    config, more = fill(raw, Config, str(path))
    problems += more
    wrong = {problem.key for problem in problems}
    problems += [one for one in _contradictions(config, str(path)) if one.key not in wrong]
    sites = tuple(
        str(path.parent / folder)
        for at, folder in enumerate(config.sites)
        if f"sites[{at}]" not in wrong
    )
    state_dir = str(path.parent / config.state_dir) if "state_dir" in raw else config.state_dir
    if not config.sites and "sites" not in wrong:
        sites = shipped_sites()
    return msgspec.structs.replace(config, sites=sites, state_dir=state_dir), problems


def shipped_sites() -> tuple[str, ...]:
    """The folders of `deploy/sites` that come with the source."""
    return tuple(str(one.parent) for one in sorted(REPOSITORY_SITES.glob("*/site.toml")))


def _contradictions(config: Config, file: str) -> list[Problem]:
    """What is right by itself but not beside the rest."""
    problems = []
    occupancy = config.occupancy
    if occupancy.unknown_after <= occupancy.stale_after:
        problems.append(
            Problem(
                file,
                "occupancy.unknown_after",
                f"{occupancy.unknown_after:g}",
                f"more than occupancy.stale_after ({occupancy.stale_after:g})",
            )
        )
    for at, folder in enumerate(config.sites):
        if not (Path(file).parent / folder).is_dir():
            problems.append(
                Problem(file, f"sites[{at}]", f'"{folder}"', "a folder with a site.toml in it")
            )
        elif config.sites.index(folder) < at:
            problems.append(Problem(file, f"sites[{at}]", f'"{folder}"', "each folder once"))
    if re.search(r"[\x00-\x1f]", config.state_dir) or not config.state_dir:
        problems.append(Problem(file, "state_dir", "no usable path", "a folder like .bowei"))
    return problems
