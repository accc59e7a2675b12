"""Steps that several lines tell of, for which earlier ones must be known to read a later one."""
