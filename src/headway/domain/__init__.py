"""Nouns, units and messages that every room shares; standard library and numpy only."""
