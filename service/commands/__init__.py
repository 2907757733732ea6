"""One file a subcommand of `bowei`."""
