"""`bowei keys`: what HTTP cameras and pushing operators need to be believed."""

import os
from pathlib import Path

import click

from service.catalog import Catalog
from service.catalog_file import load_catalog
from service.commands.beside import told_plainly
from service.config import load_config
from service.credentials import SIGNING_KEY, holder_key, signing_key
from service.exchange.push import PURPOSE
from service.running import running_in


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
        "  bowei keys --lot east-p3          of one of its lots\n"
        "  bowei keys my.toml                of what my.toml serves\n"
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
        run = None if file else running_in(folder)
        catalog = load_catalog(run.sites if run else config.sites)
    if lot is not None and lot not in catalog.lots:
        raise click.ClickException(f"no lot {lot!r}")
    here = run.http_url if run else f"http://{config.http.host}:{config.http.port}"
    key = signing_key(os.environ, folder)
    lines = _lines(catalog, config.http.public_url or here, key, lot)
    if not lines:
        click.echo("no camera here speaks HTTP, and nobody pushes counts", err=True)
    for line in lines:
        click.echo(line)


def _lines(catalog: Catalog, base: str, key: bytes, only: str | None) -> list[str]:
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
