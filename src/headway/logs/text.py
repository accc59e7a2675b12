"""Text of run logs as it comes: encodings, line ends, colour codes, cut lines, numbers spelt as text.

Owns bytes to lines, and to JSON; what a line means is its reader's business. Files are streamed, never held whole,
but for JSON documents.
"""

from __future__ import annotations

import codecs
import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from headway.domain.errors import Position, UserError

CHUNK_BYTES: Final = 1 << 20
LONGEST_LINE: Final = 1 << 20
"""Characters of a line that are read at once; a longer one comes in pieces."""
MOST_DOCUMENT_BYTES: Final = 256 << 20
"""A JSON document is held in memory: longer ones are refused."""
MOST_TEXT_BYTES: Final = 8 << 30
"""Where reading stops, so that a few packed kilobytes cannot cost hours."""

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
LINE_END = re.compile(r"\r?\n|\r(?!\n|\Z)")
FLAT_OBJECT = re.compile(r"\{[^{}]*\}")


class Problems(list[str]):
    """What is odd about a log, in words: each once, and of a flood the first twenty, so that a page stays one."""

    MOST: Final = 20

    def append(self, problem: str) -> None:
        """Keeps `problem`, unless it stands there or twenty others do."""
        if problem in self:
            return
        if len(self) < self.MOST:
            super().append(problem)
        elif len(self) == self.MOST:
            super().append("and more of the like")

    def extend(self, problems: Iterable[str]) -> None:
        """`append` of each."""
        for problem in problems:
            self.append(problem)


def open_bytes(path: Path) -> BinaryIO:
    """The bytes at `path`, unpacked where they are gzip."""
    stream = path.open("rb")
    if stream.read(2) == b"\x1f\x8b":
        stream.close()
        return cast(BinaryIO, gzip.open(path, "rb"))
    stream.seek(0)
    return stream


def head_of(path: Path, most: int) -> bytes:
    """The first `most` bytes at `path`, as many of them as can be unpacked. Raises UserError where nothing can."""
    try:
        with open_bytes(path) as stream:
            return stream.read(most)
    except (OSError, EOFError, zlib.error) as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: Path, problem: Exception) -> UserError:
    """The refusal of a file that the system or the unpacking refuses."""
    why = getattr(problem, "strerror", None) or str(problem)
    return UserError("a run log is a file that can be read", got=why, where=Position(path.name))


def encoding_of(head: bytes) -> str:
    """The encoding that the first bytes show: by their mark, or by the zeros of UTF-16; else UTF-8."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    pairs = len(head[:512]) // 2
    if pairs >= 4:
        even, odd = head[0:512:2], head[1:512:2]
        for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
            if zeros.count(0) > 0.8 * pairs and others.count(0) < 0.2 * pairs:
                return name
    return "utf-8"


HOLE = re.compile(rb"\x00{16,}")
"""What a file system leaves of a log that was cut while it was written to, or of a machine that went down."""
CONTROL: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\x0b\x0c\r\x08\x1b")


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text: one in fifty may be a control character that no terminal uses."""
    if not head or encoding_of(head).startswith("utf-16"):
        return bool(head)
    head = HOLE.sub(b"", head)
    return bool(head) and len(head) - len(head.translate(None, CONTROL)) <= len(head) // 50


def as_text(head: bytes) -> str:
    """The first bytes of a file as text, for recognising a format: a character cut in two is left out."""
    return head.decode(encoding_of(head), errors="ignore").lstrip("\ufeff")


def lines_of(path: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    r"""Number (from 1) and text of each line, without its end and colour codes; `\r` and `\n` both end one.

    Bytes that are not text in the file's encoding are read as Latin-1, an overlong line comes in pieces; both are
    said in `problems`. Raises UserError where the file cannot be opened.
    """
    rest, number = "", 1
    for piece in _decoded(path, problems):
        text = rest + piece
        at = 0
        for match in LINE_END.finditer(text):
            yield number, plain(text[at : match.start()])
            number += match.group() != "\r"
            at = match.end()
        rest = text[at:]
        if len(rest) > LONGEST_LINE:
            problems.append(f"line {number}: longer than {LONGEST_LINE:,} characters, read in pieces")
            yield number, plain(rest)
            rest = ""
    if rest:
        yield number, plain(rest)


def plain(line: str) -> str:
    """A line without the codes that colour it and move the cursor, without the zeros of a hole and without its end."""
    line = line.replace("\0", "") if "\0" in line else line
    return ANSI.sub("", line).strip("\r") if "\x1b" in line else line.strip("\r")


def _decoded(path: Path, problems: list[str]) -> Iterator[str]:
    """The text of a file piece by piece, its encoding recognised."""
    encoding = encoding_of(head_of(path, 512))
    decoder = codecs.getincrementaldecoder(encoding)(errors="latin-1-bytes")
    if encoding not in ("utf-8", "utf-8-sig"):
        problems.append(f"the file is {encoding.upper()}, not UTF-8")
    read, odd = 0, False
    try:
        with open_bytes(path) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                read += len(chunk)
                text = decoder.decode(chunk)
                if not odd and encoding.startswith("utf-8") and not _is_utf8(chunk):
                    odd = True
                    problems.append("some bytes are not UTF-8: read as Latin-1")
                yield text
                if read > MOST_TEXT_BYTES:
                    problems.append(f"only the first {MOST_TEXT_BYTES:,} bytes were read")
                    return
            yield decoder.decode(b"", final=True)
    except (OSError, EOFError, zlib.error) as problem:
        if not read:
            raise unreadable(path, problem) from problem
        problems.append(f"reading stopped after {read:,} bytes: {problem}")


def _is_utf8(chunk: bytes) -> bool:
    """Whether a chunk is UTF-8 but for characters cut at its ends."""
    try:
        chunk[_first_whole(chunk) :].decode("utf-8")
    except UnicodeDecodeError as problem:
        return problem.reason == "unexpected end of data"
    return True


def _first_whole(chunk: bytes) -> int:
    """Where the first whole character of a chunk begins: at most three bytes belong to one begun before."""
    return next((at for at, byte in enumerate(chunk[:4]) if byte & 0xC0 != 0x80), 0)


def _latin_1(problem: UnicodeError) -> tuple[str, int]:
    """Bytes that no character begins with, each as the Latin-1 character of its number."""
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    return problem.object[problem.start : problem.end].decode("latin-1"), problem.end


codecs.register_error("latin-1-bytes", _latin_1)


def document(path: Path, problems: list[str]) -> Any:
    """The JSON document at `path`; None where it is none, which is said in `problems` with the place.

    NaN and Infinity are numbers. Raises UserError where the file cannot be opened or is longer than 256 MB.
    """
    found, _ = document_and_text(path, problems)
    return found


def document_and_text(path: Path, problems: list[str]) -> tuple[Any, str]:
    """As `document`, and the text itself, for picking whole rows out of a broken one."""
    pieces, length = [], 0
    for piece in _decoded(path, problems):
        length += len(piece)
        if length > MOST_DOCUMENT_BYTES:
            raise UserError("a JSON log has at most 256 MB", got=f"more at {path.name}", where=Position(path.name))
        pieces.append(piece)
    text = "".join(pieces).lstrip("\ufeff")
    try:
        return json.loads(text), text
    except json.JSONDecodeError as problem:
        problems.append(f"line {problem.lineno}: not whole JSON ({problem.msg}); what could be read was kept")
    except (ValueError, RecursionError) as problem:
        problems.append(f"not whole JSON ({problem}); what could be read was kept")
    return None, text


def mapping_in(text: str) -> Mapping[str, Any] | None:
    """The JSON object that a line is; None for any other line."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def flat_objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects without inner ones in a broken document, in order."""
    for match in FLAT_OBJECT.finditer(text):
        if (found := mapping_in(match.group())) is not None:
            yield found


def single_numbers(text: str) -> dict[str, float]:
    """The numbers with a name in a broken document, of a name that comes again the last."""
    pairs = re.findall(r'"(\w{1,100})"\s{0,9}:\s{0,9}([-+.\deE]{1,40})', text)
    return {name: value for name, digits in pairs if (value := finite(digits)) is not None}


def number(value: object) -> float | None:
    """A number, also one spelt as text with separators or a percent sign; NaN and infinities are numbers too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value.strip().replace(",", "").rstrip("%") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None


def finite(value: object) -> float | None:
    """As `number`, without NaN and infinities."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def whole(value: object) -> int | None:
    """As `finite`, without what stands behind the point."""
    found = finite(value)
    return None if found is None else int(found)


_CLOCK = re.compile(r"(?:(\d+)\s*(?:days?,?|d|-)\s*)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")
_WORDS = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|ms|m|s)(?:[a-z]*)", re.IGNORECASE)
_UNIT_S: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration_s(text: object) -> float | None:
    """Seconds of `1:02:03`, `06:45`, `1 day, 2:03:04`, `9-21:39:23`, `1h 2m 3s` or a number; None for anything else."""
    if not isinstance(text, str):
        return finite(text)
    words = text.strip()
    if match := _CLOCK.fullmatch(words):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return finite(86_400 * days + 3_600 * hours + 60 * minutes + seconds)
    pieces = _WORDS.findall(words)
    if pieces and not _WORDS.sub("", words).strip(" ,"):
        return finite(sum(float(count) * _UNIT_S[unit.lower()] for count, unit in pieces))
    return finite(words)
