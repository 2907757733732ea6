"""The command `bowei`: every subcommand by name, loaded only when it is called."""

import importlib

import click

COMMANDS = {
    "run": "service.commands.run:run",
    "serve": "service.commands.serve:serve",
    "check": "service.commands.check:check",
    "replay": "service.commands.replay:replay",
    "simulate": "service.commands.simulate:simulate",
    "acl": "service.commands.acl:acl",
    "keys": "service.commands.keys:keys",
    "lot": "service.commands.lot:lot",
    "deadletters": "service.commands.deadletters:deadletters",
    "bench": "service.cli:bench",
}

BENCHES = {
    "ingest": "service.bench.ingest:ingest",
    "query": "service.bench.query:query",
    "path": "service.bench.path:path",
    "forecast": "service.bench.forecast:forecast",
    "drift": "service.bench.drift:drift",
}


class Lazy(click.Group):
    """A group whose commands are a literal table of `module:attribute`."""

    def __init__(self, table: dict[str, str], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = self.table.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


main = Lazy(
    COMMANDS,
    name="bowei",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=(
        "Bowei (泊位): tells a driver where the next free space is, and lets him leave first and"
        " pay later.\n\n\b\n"
        "  bowei run                       everything on this machine, with a simulated district\n"
        "  bowei check my.toml             what is wrong with a configuration, all at once\n"
        "  bowei serve --config my.toml    the service against your Redis, broker and database\n"
    ),
)
main = click.version_option(package_name="bowei", prog_name="bowei")(main)

bench = Lazy(
    BENCHES,
    name="bench",
    short_help="Ratios to ceilings taken in the same run.",
    help="Measure what must be fast, as ratios to ceilings taken in the same run.",
)

if __name__ == "__main__":
    main()
