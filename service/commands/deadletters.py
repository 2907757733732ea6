"""`bowei deadletters`: messages that nobody could read, to be looked at and to be tried again."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from devices.mqtt import Link, LinkError
from service.commands.beside import told_plainly
from service.config import Config, load_config
from service.credentials import with_password
from service.occupancy.letters import DeadLetters, Letter
from service.occupancy.store import Store, StoreAway
from service.running import running_in

Answer = TypeVar("Answer")

OUTLINE_BYTES = 24
TOPIC_SHOWN = 120  # a topic may be as long as 65,535 letters
CONNECT_WITHIN_S = 10.0
PUBLISHED_WITHIN_S = 10.0


@click.group(
    short_help="Messages that were put aside, and why.",
    help=(
        "Messages that nobody could read are kept aside with the reason, for"
        " `occupancy.letters_keep_days`.\n\n\b\n"
        "  bowei deadletters list\n"
        "  bowei deadletters show 0f3a\n"
        "  bowei deadletters retry 0f3a 77c1     once what refused them is mended\n"
        "  bowei deadletters retry --all\n"
    ),
)
@click.option("--config", "file", type=click.Path(exists=True, dir_okay=False), help="As served.")
@click.option("--state", default=".bowei", show_default=True, help="Of the run to speak to.")
@click.pass_context
def deadletters(ctx: click.Context, file: str | None, state: str) -> None:
    with told_plainly():
        config = load_config(file)
    ctx.obj = (config, Path(config.state_dir if file else state))


@deadletters.command(
    "list",
    help=(
        "What is kept, newest first. Of a payload only the outline is shown: letters as x, digits"
        " as 0, so that no plate is told."
    ),
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.pass_obj
def listed(obj: tuple[Config, Path], limit: int) -> None:
    letters = _with_letters(obj, lambda kept: kept.listed())
    for one in letters[:limit]:
        click.echo(
            f"{one.id}  {one.at:%Y-%m-%d %H:%M:%S}Z  {one.size:>7,} B"
            f"  {_short(_plain(one.topic))}\n"
            f"    {one.reason}: {_plain(one.detail)}   {_outline(one)}"
        )
    if len(letters) > limit:
        click.echo(f"and {len(letters) - limit} older ones (--limit)")
    if not letters:
        click.echo("no dead letters")


@deadletters.command(help="All of one: ID as `list` prints it, or how it begins.")
@click.argument("name", metavar="ID")
@click.pass_obj
def show(obj: tuple[Config, Path], name: str) -> None:
    one = _named(_with_letters(obj, lambda kept: kept.listed()), [name])[0]
    click.echo(f"id      {one.id}")
    click.echo(f"topic   {_plain(one.topic)}")
    click.echo(f"at      {one.at:%Y-%m-%d %H:%M:%S.%f}Z")
    click.echo(f"reason  {one.reason}: {_plain(one.detail)}")
    whole = "" if one.payload is not None else f", of which {len(one.kept):,} were kept"
    click.echo(f"size    {one.size:,} bytes{whole}\n")
    click.echo(_readable(one.kept))


@deadletters.command(
    help=(
        "Publish letters again on their topics, and drop each once the broker has it. One that"
        " still cannot be read comes back."
    )
)
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Whatever is kept, oldest first.")
@click.pass_obj
def retry(obj: tuple[Config, Path], names: tuple[str, ...], everything: bool) -> None:
    if everything == bool(names):
        raise click.UsageError("name letters, or say --all")
    mqtt_url = _mqtt_url(obj)

    async def send(kept: DeadLetters) -> int:
        listed = await kept.listed()
        chosen = listed[::-1] if everything else _named(listed, names)
        left = 0
        async with Link(mqtt_url, f"bowei-deadletters-{os.getpid()}") as link:
            for one in chosen:
                async with asyncio.timeout(PUBLISHED_WITHIN_S):
                    sent = await kept.retry(one.id, link)
                left += not sent
                said = "published again" if sent else "not whole: it can only be shown"
                click.echo(f"{one.id}  {_short(_plain(one.topic))}: {said}")
        if not chosen:
            click.echo("no dead letters")
        return left

    left = _with_letters(obj, send)
    if left:
        raise SystemExit(1)


def _with_letters(
    obj: tuple[Config, Path], do: Callable[[DeadLetters], Awaitable[Answer]]
) -> Answer:
    config, state = obj
    run = running_in(state)
    redis_url = config.redis.url or (run.redis_url if run else None)
    if redis_url is None:
        raise _nothing_runs(state)

    async def ask() -> Answer:
        url = with_password(redis_url, "BOWEI_REDIS_PASSWORD", os.environ)
        store = Store.open(url, config.redis.shards)
        try:
            return await do(DeadLetters(store))
        finally:
            await store.close()

    try:
        return asyncio.run(ask())
    except StoreAway as error:
        raise click.ClickException(f"Redis is away ({error})") from None
    except LinkError as error:
        raise click.ClickException(f"{error}: what was not published is still kept") from None
    except TimeoutError:
        raise click.ClickException(
            "the broker does not take it: what was not published is still kept"
        ) from None


def _mqtt_url(obj: tuple[Config, Path]) -> str:
    config, state = obj
    run = running_in(state)
    url = config.mqtt.url or (run.mqtt_url if run else None)
    if url is None:
        raise _nothing_runs(state)
    return with_password(url, "BOWEI_MQTT_PASSWORD", os.environ)


def _nothing_runs(state: Path) -> click.UsageError:
    return click.UsageError(f"nothing runs in {state}: name it with --state, or give --config")


def _named(letters: list[Letter], names: "tuple[str, ...] | list[str]") -> list[Letter]:
    """The letters whose ids begin so; each beginning must fit just one."""
    chosen = []
    for name in names:
        found = [one for one in letters if one.id.startswith(name)]
        if len(found) != 1:
            many = "several letters begin" if found else "no letter begins"
            raise click.ClickException(f"{many} with {_plain(name)!r}")
        chosen += [one for one in found if one not in chosen]
    return chosen


def _plain(text: str) -> str:
    """What came from outside must not steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _short(text: str) -> str:
    return text if len(text) <= TOPIC_SHOWN else text[: TOPIC_SHOWN - 1] + "…"


def _outline(letter: Letter) -> str:
    """How a payload begins, with nothing of what it says."""
    shape = "".join(
        "0"
        if c.isdigit()
        else "x"
        if c.isalnum()
        else c
        if c.isascii() and c.isprintable()
        else "?"
        for c in letter.kept[:OUTLINE_BYTES].decode("utf-8", "replace")
    )
    return shape + ("…" if letter.size > OUTLINE_BYTES else "")


def _stand_in(c: str) -> str:
    if c.isdigit():
        return "0"
    if c.isalnum():
        return "x"
    return c if c.isascii() and c.isprintable() else "?"


def _readable(body: bytes) -> str:
    """Text where it is text, else lines of hex."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if text and all(c.isprintable() or c in "\n\t" for c in text):
        return text
    rows = (body[at : at + 16] for at in range(0, len(body), 16))
    return "\n".join(f"{at * 16:08x}  {row.hex(' ')}" for at, row in enumerate(rows))
