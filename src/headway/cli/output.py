"""Where a page goes and how it looks there: stdout or a file, format, width, colour.

Owns the streams: data on stdout or in `-o FILE`, everything else on stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from headway.domain.errors import UserError
from headway.report.view import Layout, Page

_WIDEST = 200


def write(page: Page, *, form: str, file: str | None) -> None:
    """The page in `form`, on stdout or in a file. Raises UserError for a file that cannot be written."""
    from headway.report.render import FORMATS, OF_FINDINGS

    write_text((FORMATS | OF_FINDINGS)[form](page, layout(to_file=file is not None)), file=file)


def write_text(pieces: Iterable[str], *, file: str | None) -> None:
    """Text on stdout, or in a file. Raises UserError for a file that cannot be written."""
    if file is None or file == "-":
        _print(pieces)
    else:
        write_file(file, pieces)


def _print(pieces: Iterable[str]) -> None:
    """Text on standard output; a reader that has gone (`headway ... | head`) has read what it wanted."""
    try:
        stream = _stdout()
        stream.writelines(pieces)
        stream.flush()
    except BrokenPipeError:
        # click would leave with 1; and the interpreter flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stdout() -> TextIO:
    """Standard output, in UTF-8 whatever the locale says: data has one encoding. Raises UserError for a closed one."""
    stream = sys.stdout
    if stream is None:
        raise UserError("standard output must be open", got="none", hint="Write to a file with -o FILE.")
    if isinstance(stream, TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
        stream.reconfigure(encoding="utf-8")
    return stream


def write_file(file: str, pieces: Iterable[str]) -> None:
    """Text into a file, whole or not at all: first beside it, then renamed; a link stays one, its file is written.

    Raises UserError when that fails.
    """
    target = Path(file)
    if target.is_symlink():
        target = Path(os.path.realpath(target))  # unlike resolve(), it does not fail on a circle of links
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            beside = target  # a pipe or a device: there is nothing to rename
        with open(beside, "w", encoding="utf-8", newline="\n") as out:
            out.writelines(pieces)
        if beside != target:
            beside.replace(target)
    except BaseException as error:  # Ctrl-C too leaves no half-written file; all but the system's refusals go on
        if beside != target:
            beside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or type(error).__name__
        raise UserError(
            "the output file must be writable", got=f"{file}: {reason}", hint="Choose another -o FILE."
        ) from None


def layout(*, to_file: bool = False) -> Layout:
    """Width and colour of stdout: COLUMNS, NO_COLOR and FORCE_COLOR decide before the terminal does."""
    return Layout(width=min(shutil.get_terminal_size((80, 24)).columns, _WIDEST), color=not to_file and _is_colored())


def _is_colored() -> bool:
    """NO_COLOR first (no-color.org), then FORCE_COLOR (force-color.org), then whether stdout is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
