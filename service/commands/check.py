"""`bowei check`: everything that is wrong with a configuration and its sites, at once."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from service.catalog import Catalog
from service.catalog_file import read_catalog
from service.config import Config, read_config
from service.credentials import SIGNING_KEY, environment_problems
from service.problems import listing

EXAMPLE = """\
\b
  sites = ["sites/my-hospital"]      # folders, from the file's own; left out: those shipped
  [http]
  port = 8080
  public_url = "https://parking.example.cn"
  [redis]
  url = "redis://10.0.0.5:6379/0"    # password: BOWEI_REDIS_PASSWORD
  [mqtt]
  url = "mqtt://bowei@10.0.0.6:1883" # password: BOWEI_MQTT_PASSWORD
  [sql]
  url = "postgresql://bowei@10.0.0.7/bowei"   # password: BOWEI_SQL_PASSWORD
"""


@click.command(
    short_help="What is wrong with a configuration and its sites, all at once.",
    epilog="deploy/bowei.example.toml explains every key; an empty file is valid.",
    help=(
        "Read the configuration FILE and every site it names, and list all problems: the file, the"
        " key, what stands there and what would be right. Exit 0 and a short summary where nothing"
        " is wrong, exit 1 otherwise. Nothing is started and nothing is contacted.\n\n"
        "Without FILE the defaults are checked, with the sites that come with Bowei.\n\n"
        "A configuration may be as short as this:\n\n"
        f"{EXAMPLE}\n"
        "\b\nExamples:\n"
        "  bowei check my.toml\n"
        "  bowei check --site deploy/sites/try-it      only this site, with the defaults\n"
    ),
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--site",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Check this site instead of those that FILE names; may be given several times.",
)
def check(file: Path | None, folders: tuple[Path, ...]) -> None:
    config, problems = read_config(file)
    named = [str(folder) for folder in folders] or [
        folder for folder in config.sites if Path(folder).is_dir()
    ]
    catalog, more = read_catalog(named)
    problems += more + environment_problems(os.environ)
    if problems or catalog is None:
        click.echo(listing(problems))
        files = len({problem.file for problem in problems})
        click.secho(_counted(len(problems), "problem") + f" in {_counted(files, 'file')}", fg="red")
        sys.exit(1)
    click.secho(f"ok: {file or 'the defaults'}", fg="green")
    for name, value in [*_parts(config), *_world(catalog)]:
        click.echo(f"  {name:14}{value}")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _parts(config: Config) -> list[tuple[str, str]]:
    """Where the parts run, and where the signing key comes from."""
    key = "from the environment" if SIGNING_KEY in os.environ else f"kept in {config.state_dir}"
    return [
        ("http", f"{config.http.host}:{config.http.port}"),
        ("redis", _where(config.redis.url, "embedded Valkey")),
        ("mqtt", _where(config.mqtt.url, "embedded broker")),
        ("sql", _where(config.sql.url, "SQLite in the state directory")),
        ("signing key", key),
        ("payments", config.payments.provider or "no provider named: nothing is charged"),
    ]


def _where(url: str | None, embedded: str) -> str:
    if url is None:
        return embedded
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"


def _world(catalog: Catalog) -> list[tuple[str, str]]:
    lots = catalog.lots.values()
    spaces = sum(lot.capacity for lot in lots)
    public = sum(lot.public_capacity for lot in lots)
    return [
        ("sites", f"{len(catalog.sites):,}  {', '.join(catalog.sites)}"),
        ("lots", f"{len(lots):,}"),
        ("spaces", f"{spaces:,}, of which {public:,} open to the public"),
        ("destinations", f"{len(catalog.destinations):,}"),
        ("signs", f"{len(catalog.signs):,}"),
        ("cameras", f"{len(catalog.cameras):,}"),
        ("sensors", f"{len(catalog.sensors):,}"),
        ("tariffs", f"{len(catalog.tariffs):,}"),
        ("catalogue", f"version {catalog.version}"),
    ]
