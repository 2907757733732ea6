"""`bowei lot`: staff's word over the sensors', recorded with before and after, undone by `undo`."""

import asyncio
import getpass
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import click

from service.catalog import Catalog
from service.catalog_file import load_catalog
from service.clock import Clock
from service.commands.beside import told_plainly
from service.config import Config, load_config
from service.credentials import with_password
from service.occupancy.combine import Rules
from service.occupancy.store import Store, StoreAway
from service.operations.corrections import Desk, Look, NotPossibleError, Order, Recorded
from service.running import running_in
from service.sql import open_engine

Answer = TypeVar("Answer")
DURATION = re.compile(r"(\d+)([mhd])")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.group(
    short_help="Staff's word: recount, close, open, reserve, undo.",
    help=(
        "Correct what the sensors say: signs and pages follow within their pace.\n\n\b\n"
        "  bowei lot recount chengming 112 --reason 'walked it at 14:00'\n"
        "  bowei lot close tcm-surface --reason 'lift broken' --until 18:00\n"
        "  bowei lot set-capacity chengming 180 --reason 'scaffolding' --until 3d\n"
        "  bowei lot reserve tcm-surface 20 --zone general --reason 'blood donors' --until 12:00\n"
        "  bowei lot undo tcm-surface --reason 'lift works again'\n"
        "  bowei lot list\n"
    ),
)
@click.option("--config", "file", type=click.Path(exists=True, dir_okay=False), help="As served.")
@click.option("--state", default=".bowei", show_default=True, help="Of the run to speak to.")
@click.pass_context
def lot(ctx: click.Context, file: str | None, state: str) -> None:
    with told_plainly():
        config = load_config(file)
    ctx.obj = (config, Path(config.state_dir if file else state))


REASON = click.option("--reason", required=True, help="Why; kept in the books.")
UNTIL = click.option("--until", help="When it ends: 18:00, 90m, 3h, 2d or 2026-05-01T08:00+08:00.")
BY = click.option("--by", default=getpass.getuser, show_default="your login", help="Who says so.")
ZONE = click.option("--zone", help="The zone, where the lot has several.")


def _order_command(what: str, told: str, *, counted: bool) -> None:
    def call(
        obj: tuple[Config, Path],
        name: str,
        reason: str,
        until: str | None,
        by: str,
        zone: str | None,
        spaces: int | None = None,
    ) -> None:
        def order(catalog: Catalog, clock: Clock) -> Order:
            ends = _until(until, catalog, name, clock.now()) if until else None
            return Order(what, name, by, reason, spaces, zone, ends)

        _show(*_with_desk(obj, lambda desk, c, k: desk.make(order(c, k))))

    command = click.pass_obj(call)
    for option in (ZONE, BY, UNTIL, REASON):
        command = option(command)
    if counted:
        metavar = "CARS" if what == "recount" else "SPACES"
        command = click.argument("spaces", metavar=metavar, type=click.IntRange(min=0))(command)
    command = click.argument("name", metavar="LOT")(command)
    # A negative number is an argument that is wrong, not an option that nobody knows.
    lot.command(what, help=told, context_settings={"ignore_unknown_options": counted})(command)


_order_command("recount", "The cars that are inside, counted by a person.", counted=True)
_order_command("close", "Not to be used: signs show it closed.", counted=False)
_order_command("open", "To be used, whatever its hours say.", counted=False)
_order_command("set-capacity", "How many spaces there are for now.", counted=True)
_order_command("reserve", "Spaces that are kept back from drivers.", counted=True)


@lot.command(help="Take back the newest correction of LOT; what it replaced holds again.")
@click.argument("name", metavar="LOT")
@REASON
@BY
@click.pass_obj
def undo(obj: tuple[Config, Path], name: str, reason: str, by: str) -> None:
    _show(*_with_desk(obj, lambda desk, _c, _k: desk.undo(name, by, reason)))


@lot.command("list", help="Every correction of LOT, or of all lots, oldest first.")
@click.argument("name", metavar="[LOT]", required=False)
@click.pass_obj
def listed(obj: tuple[Config, Path], name: str | None) -> None:
    rows, catalog = _with_desk(obj, lambda desk, _c, _k: desk.history(name))
    for row in rows:
        _show(row, catalog)
    if not rows and name is not None and name not in catalog.lots:
        raise click.ClickException(f"no lot {name!r}")
    if not rows:
        click.echo("no corrections")


def _with_desk(
    obj: tuple[Config, Path], do: Callable[[Desk, Catalog, Clock], Awaitable[Answer]]
) -> tuple[Answer, Catalog]:
    config, state = obj
    run = running_in(state)
    redis_url = config.redis.url or (run.redis_url if run else None)
    sql_url = config.sql.url or (run.sql_url if run else None)
    if redis_url is None or sql_url is None:
        raise click.UsageError(f"nothing runs in {state}: name it with --state, or give --config")
    with told_plainly():
        catalog = load_catalog(run.sites if run else config.sites)
    clock = run.clock if run else Clock()

    async def ask() -> Answer:
        environment = os.environ
        store = Store.open(
            with_password(redis_url, "BOWEI_REDIS_PASSWORD", environment), config.redis.shards
        )
        engine = open_engine(with_password(sql_url, "BOWEI_SQL_PASSWORD", environment))
        told = config.occupancy
        rules = Rules(told.stale_after, told.unknown_after, told.bays_known_share)
        try:
            return await do(Desk(catalog, engine, store, clock, rules), catalog, clock)
        finally:
            await store.close()
            await engine.dispose()

    try:
        return asyncio.run(ask()), catalog
    except NotPossibleError as error:
        raise click.ClickException(str(error)) from None
    except StoreAway as error:
        raise click.ClickException(
            f"Redis is away ({error}): what was recorded is laid when it is back"
        ) from None


def _until(text: str, catalog: Catalog, name: str, now: datetime) -> datetime:
    """A moment from a time of day (the lot's), a duration or a full time."""
    found = DURATION.fullmatch(text)
    if found:
        return now + timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        if "T" not in text:
            local = now.astimezone(_zone(catalog, name))
            of_day = time.fromisoformat(text)
            ends = local.replace(hour=of_day.hour, minute=of_day.minute, second=0, microsecond=0)
            return (ends if ends > local else ends + timedelta(days=1)).astimezone(UTC)
        ends = datetime.fromisoformat(text)
    except ValueError:
        ends = None
    if ends is None or ends.tzinfo is None:
        raise click.BadParameter(
            f"{text!r}: give 18:00, 90m, 3h, 2d or 2026-05-01T08:00+08:00", param_hint="--until"
        )
    return ends.astimezone(UTC)


def _zone(catalog: Catalog, lot: str) -> tzinfo:
    """The zone of the lot's clocks; a lot that is gone from the catalogue has none."""
    place = catalog.lots.get(lot)
    return ZoneInfo(catalog.sites[place.site].timezone) if place else UTC


def _show(row: Recorded, catalog: Catalog) -> None:
    """Times are the lot's own, as those that are given are."""
    zone = _zone(catalog, row.lot)
    at = row.at.astimezone(zone)
    where = f"{row.lot}/{row.zone}" if row.zone else row.lot
    number = "" if row.value is None else f" {row.value}"
    ends = f" until {row.until.astimezone(zone):%Y-%m-%d %H:%M}" if row.until else ""
    click.echo(f"{at:%Y-%m-%d %H:%M:%S}  {where}: {row.what}{number}{ends}")
    click.echo(f"    {row.by}: {row.reason}")
    if row.after:
        click.echo(f"    before: {_told(row.before)}")
        click.echo(f"    after:  {_told(row.after)}")
    if row.undone_at:
        at = row.undone_at.astimezone(zone)
        click.echo(f"    undone {at:%Y-%m-%d %H:%M:%S} by {row.undone_by}: {row.undone_reason}")


def _told(looks: tuple[Look, ...]) -> str:
    return "; ".join(
        f"{one.zone} {'--' if one.free is None else one.free}/{one.capacity} {one.openness}"
        f" {one.quality}"
        for one in looks
    )
