"""One file per command: parse the flags, call `app`, write the page. Named in `headway.cli.COMMANDS`."""
