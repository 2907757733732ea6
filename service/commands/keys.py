"""`bowei keys`: what HTTP cameras and pushing operators need to be believed."""

import os
from pathlib import Path

import click

from service.catalog_file import load_catalog
from service.commands.beside import told_plainly
from service.config import Config, load_config
from service.credentials import SIGNING_KEY, holder_key, signing_key
from service.exchange.push import PURPOSE


@click.command(
    short_help="Addresses and keys of HTTP cameras and pushed feeds.",
    help=(
        "Print where each HTTP camera and each lot with pushed counts sends to, and its own key."
        " Keys are derived from the signing key of the environment or of the state directory, or"
        " stand in the environment variable that the catalogue names. Treat the output as"
        " secret.\n\n"
        "A camera shows its id and key by HTTP Basic. A push is signed with its key: see"
        " deploy/sites/README.md.\n\n\b\n"
        "  bowei keys                        of the run in .bowei\n"
        "  bowei keys my.toml --lot nongfa   of one lot\n"
    ),
)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--state", type=click.Path(file_okay=False), help="The run's state folder.")
@click.option("--lot", help="Only this lot.")
def keys(file: str | None, state: str | None, lot: str | None) -> None:
    with told_plainly():
        config = load_config(file)
        folder = Path(state or config.state_dir)
        if SIGNING_KEY not in os.environ and not (folder / "signing.key").exists():
            raise click.ClickException(
                f"no signing key: set {SIGNING_KEY}, or name the --state of a run that has begun"
            )
        for line in _lines(config, signing_key(os.environ, folder), lot):
            click.echo(line)


def _lines(config: Config, key: bytes, only: str | None) -> list[str]:
    catalog = load_catalog(config.sites)
    base = config.http.public_url or f"http://{config.http.host}:{config.http.port}"
    lines = []
    for camera in catalog.cameras.values():
        if camera.transport == "http" and only in (None, camera.lot):
            own = holder_key(key, "camera", camera.id, camera.key_env, os.environ).decode()
            vendor = camera.model.removesuffix("_http")
            lines.append(f"camera  {camera.id}  {base}/cameras/{camera.id}/{vendor}  {own}")
    for push in catalog.pushes.values():
        if only in (None, push.lot):
            own = holder_key(key, PURPOSE, push.lot, push.key_env, os.environ).decode()
            lines.append(f"push    {push.lot}  {base}/api/v1/feeds/{push.lot}  {own}")
    return lines
