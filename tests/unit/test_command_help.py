"""What `--help` says of every command: whole sentences, and examples that exist."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.cli import BENCHES, COMMANDS, bench, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("group", [main, bench])
def test_the_list_of_commands_cuts_no_sentence(group):
    said = CliRunner().invoke(group, ["--help"], terminal_width=80).output
    listed = said.partition("Commands:")[2]
    assert listed.count("\n  ") == len(COMMANDS if group is main else BENCHES)
    assert "..." not in listed


def test_every_site_that_help_names_is_shipped():
    for name in COMMANDS:
        said = CliRunner().invoke(main, [name, "--help"]).output
        for site in re.findall(r"deploy/sites/([\w-]+)(?=\s)", said):
            assert (ROOT / "deploy" / "sites" / site).is_dir(), (name, site)


def test_a_recount_is_of_cars_and_a_negative_one_is_told_so():
    command = main.get_command(click.Context(main), "lot")
    assert "LOT CARS" in CliRunner().invoke(command, ["recount", "--help"]).output
    said = CliRunner().invoke(command, ["recount", "one", "-5", "--reason", "x"]).output
    assert "-5 is not in the range" in said
