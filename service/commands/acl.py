"""`bowei acl`: the broker's access file, from the catalogue."""

import click

from service.broker_access import access_file
from service.catalog_file import load_catalog
from service.commands.launch import told_plainly
from service.config import load_config


@click.command(
    short_help="Mosquitto's access file for the devices of the catalogue.",
    help=(
        "Print Mosquitto's access file for the sites of the configuration FILE: every device may"
        " publish where the catalogue seats it and nowhere else. See deploy/mosquitto.\n\n\b\n"
        "  bowei acl my.toml > /etc/mosquitto/bowei.acl\n"
    ),
)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def acl(file: str | None) -> None:
    with told_plainly():
        click.echo(access_file(load_catalog(load_config(file).sites)), nl=False)
