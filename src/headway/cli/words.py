"""Commands that take another command after `--`.

Owns the split: what stands before `--` are our options and words, what stands after is not looked at.
"""

from __future__ import annotations

from typing import Any

import click

AFTER = "headway.words"


class WithCommand(click.Command):
    """Keeps the words after the first `--` apart; `words_after()` gives them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Our words, without those after `--`."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[AFTER] = tuple(args[cut + 1 :])
            args = args[:cut]
        return super().parse_args(ctx, args)


def words_after() -> tuple[str, ...] | None:
    """The words after `--` of the command in progress; None where there was no `--`."""
    found: Any = click.get_current_context().meta.get(AFTER)
    return None if found is None else tuple(str(word) for word in found)
