"""What a command line says when it cannot go on, and the exit code it leaves with.

Owns the text of errors on stderr: the rule, what came, the line of the file with a caret, what to do. No traceback
ever; HEADWAY_DEBUG=1 shows it for a report.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import click

from headway.domain.errors import PlanError, Position, UsageError, UserError

OK, ERROR, USAGE, INVALID_PLAN, FAILED_ON, MISSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_LONGEST_LINE = 100
_CUT = "…"


def exit_code_of(run: Callable[[], object]) -> int:
    """Run a command; whatever it raises becomes a message on stderr and an exit code."""
    try:
        outcome = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`headway … | head`): nothing to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        click.echo("\n".join(message(error)), err=True)
        return _code(error)
    except Exception as error:
        return _unexpected(error)
    return outcome if isinstance(outcome, int) else OK


@contextmanager
def as_plan_error() -> Iterator[None]:
    """Inside, whatever a plan names that cannot be used is the plan's fault (exit code 3), misuse of flags is not."""
    try:
        yield
    except UsageError:
        raise
    except UserError as error:
        raise _turned(error, PlanError) from error


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Inside, whatever cannot be used came from flags (exit code 2); places in a file that nobody wrote are dropped."""
    try:
        yield
    except UserError as error:
        raise _turned(error, UsageError, Position()) from error


def _turned(error: UserError, kind: type[UserError], where: Position | None = None) -> UserError:
    return kind(
        error.rule,
        got=error.got,
        hint=error.hint,
        where=error.where if where is None else where,
        field=error.field,
        candidates=error.candidates,
    )


def _code(error: UserError) -> int:
    if isinstance(error, PlanError):
        return INVALID_PLAN
    return USAGE if isinstance(error, UsageError) else ERROR


def _unexpected(error: Exception) -> int:
    """A fault of headway's own."""
    if os.environ.get("HEADWAY_DEBUG"):
        raise error
    words = " ".join(str(error).split())
    click.echo(f"error: headway failed with {type(error).__name__}: {words}", err=True)
    click.echo("This is a fault of headway, please report it; HEADWAY_DEBUG=1 shows where it happened.", err=True)
    return ERROR


def message(error: UserError) -> Iterator[str]:
    """The lines of an error: what is wrong, where, with the line itself, what to do, what may have been meant."""
    field = f"{error.field}: " if error.field else ""
    came = f", got {error.got}" if error.got else ""
    yield printable(f"error: {field}{error.rule}{came}")
    if error.where.file or error.where.line:
        yield printable(f"  at {error.where}")
        yield from excerpt(error.where)
    hint = error.hint.rstrip()
    if hint:
        yield printable(f"  {hint}")
    missing = [name for name in error.candidates if name not in hint]
    if missing:
        yield printable(f"  Did you mean {', '.join(error.candidates)}?")


def excerpt(where: Position) -> Iterator[str]:
    """The line of the file and a caret under the column; nothing where the file cannot be read again."""
    if not (where.file and where.line):
        return
    try:
        with open(where.file, encoding="utf-8", errors="replace") as lines:
            line = next(islice(lines, where.line - 1, where.line), "").rstrip("\r\n")
    except (OSError, ValueError):
        return
    if not line.strip():
        return
    column = max(where.column, 1) - 1
    start = 0 if len(line) <= _LONGEST_LINE else max(0, min(column - 30, len(line) - _LONGEST_LINE))
    shown = printable(line[start : start + _LONGEST_LINE])
    head = f"  {where.line} | {_CUT if start else ''}"
    yield f"{head}{shown}{_CUT if start + _LONGEST_LINE < len(line) else ''}"
    if where.column and column <= len(line):
        yield f"{' ' * (len(head) + _cells(shown[: column - start]))}^"


def printable(text: str) -> str:
    """Text without control characters, so that a plan cannot steer the terminal; a tab is one space."""
    return "".join(" " if char == "\t" else char if unicodedata.category(char)[0] != "C" else "�" for char in text)


def _cells(text: str) -> int:
    """Terminal columns of a text: wide characters take two, combining ones none (Unicode Annex 11)."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
