"""A task measured: what is timed, in which order, how large it may be, and when it is enough."""
