"""`python -m service` is the command `bowei`."""

from service.cli import main

main(prog_name="bowei")
