"""One file a format: the readers of run logs, listed in `headway.logs.READERS`."""
