"""`bowei serve`: the service against Redis, broker and database of your own."""

from pathlib import Path

import click

from service import lifecycle, logs
from service.catalog_file import load_catalog
from service.clock import Clock
from service.commands.launch import ROLES, Launch, Steps, need_free_port, told_plainly
from service.config import Config, load_config
from service.instance import NAME
from service.lifecycle import InstanceLock, StartProblem
from service.machine import Machine


def _instance(_ctx: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not NAME.fullmatch(name):
        raise click.BadParameter("1 to 32 letters, digits, - and _")
    return name


@click.command(
    short_help="The service, or some of its roles, against your servers.",
    help=(
        "The service against Redis, broker and database of your own, split by role if need be.\n\n"
        "Each role can run many times: web answers pages and API, ingest turns messages into"
        " occupancy, signs composes and sends frames, settle decides at gates and collects.\n\n\b\n"
        "  bowei serve --config my.toml\n"
        "  bowei serve --config my.toml --role ingest --role settle\n"
    ),
    context_settings={"max_content_width": 100},
)
@click.option(
    "--config", "file", required=True, type=click.Path(dir_okay=False),
    help="The configuration (TOML); `bowei check` says what is wrong with it.",
)  # fmt: skip
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(ROLES),
    help="What this process does; repeatable. Default: everything.",
)  # fmt: skip
@click.option(
    "--instance", "name", callback=_instance,
    help="This process's own name among like ones; stays over restarts. Default: made and kept.",
)  # fmt: skip
@click.option("--embedded", is_flag=True, help="Start what the configuration gives no URL for.")
def serve(file: str, roles: tuple[str, ...], name: str | None, embedded: bool) -> None:
    parent = lifecycle.follow_parent()
    with told_plainly():
        config = load_config(file)
        missing = _missing(config)
        if missing and not embedded:
            raise StartProblem(
                f"{file} gives no URL for {', '.join(missing)}",
                "name them in the configuration, or start them as children with --embedded",
            )
        state = Path(config.state_dir)
        chosen = frozenset(roles or ROLES)
        if not missing:
            # Processes that share their servers may share the folder of secrets and journals too.
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            _serve(config, state, chosen, parent, name)
            return
        with InstanceLock(state):
            _serve(config, state, chosen, parent, name)


def _missing(config: Config) -> list[str]:
    urls = {"redis": config.redis.url, "mqtt": config.mqtt.url, "sql": config.sql.url}
    return [name for name, url in urls.items() if not url]


def _serve(
    config: Config, state: Path, roles: frozenset[str], parent: int | None, name: str | None
) -> None:
    say = Steps()
    if "web" in roles:
        need_free_port(config)
    logs.configure(None, loud="info")
    catalog = load_catalog(config.sites)
    say(f"catalogue: sites {len(catalog.sites)}, lots {len(catalog.lots)}")
    say(f"roles: {', '.join(sorted(roles))}")

    def ready(url: str) -> None:
        click.echo(f"ready: {url}")

    machine = Machine(config, state, say)
    Launch(config, catalog, Clock(), machine, roles, parent, ready, name=name).run()
