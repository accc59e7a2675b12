"""The wire format of Protocol Buffers, read without descriptors, and the sums that guard records of it.

Owns bytes to (field number, value) pairs as https://protobuf.dev/programming-guides/encoding/ has them, and CRC-32C;
which field means what is known to the readers of event files (`tfevents.py`) and W&B files (`wandb_offline.py`).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.logs.text import unreadable

Value = int | bytes
"""A varint or fixed number as its unsigned integer, or the bytes of anything with a length."""
LONGEST_VARINT_BYTES: Final = 10
_FIXED_BYTES: Final = {1: 8, 5: 4}


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order. Raises WireError where the bytes stop being a message."""
    at, end = 0, len(message)
    while at < end:
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            found: Value
            found, at = varint(message, at)
            yield key >> 3, found
            continue
        if kind == 2:
            size, at = varint(message, at)
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise WireError(f"a field of wire type {kind}")
        if size > end - at:
            raise WireError("a field is longer than its message")
        piece = message[at : at + size]
        yield key >> 3, piece if kind == 2 else int.from_bytes(piece, "little")
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The base-128 number at `at`, and where the next begins. Raises WireError where it does not end."""
    if at < len(message) and message[at] < 0x80:  # most numbers are short
        return message[at], at + 1
    found = 0
    for place, byte in enumerate(message[at : at + LONGEST_VARINT_BYTES]):
        found |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return found & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
    raise WireError("a number does not end")


def double(value: Value) -> float:
    """A field of type double (or of eight bytes)."""
    found: float = struct.unpack("<d", _packed(value, 8))[0]
    return found


def single(value: Value) -> float:
    """A field of type float (or of four bytes)."""
    found: float = struct.unpack("<f", _packed(value, 4))[0]
    return found


def signed(value: Value) -> int:
    """A field of type int32 or int64."""
    if not isinstance(value, int):
        raise WireError("a number is needed")
    return value - (1 << 64) if value >= 1 << 63 else value


def text(value: Value) -> str:
    """A field of type string; what is not UTF-8 in it is replaced."""
    return inner(value).decode("utf-8", errors="replace")


def inner(value: Value) -> bytes:
    """A field that is a message or bytes."""
    if not isinstance(value, bytes):
        raise WireError("a message is needed")
    return value


def moment_s(value: Value) -> float:
    """Seconds since 1970 of a google.protobuf.Timestamp."""
    found = dict(fields(inner(value)))
    return signed(found.get(1, 0)) + signed(found.get(2, 0)) * 1e-9


def _packed(value: Value, size: int) -> bytes:
    if isinstance(value, int):
        if value >= 1 << (8 * size):
            raise WireError("a number is too long")
        return value.to_bytes(size, "little")
    if len(value) != size:
        raise WireError("a number has the wrong length")
    return value


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes at `path`, read as they are needed. Raises UserError for an empty file and one that cannot be read."""
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise UserError("a run log says something", got="an empty file", where=Position(path.name))
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
                yield held
    except OSError as problem:
        raise unreadable(path, problem) from problem


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F6_3B78 if rest & 1 else 0)
        found.append(rest)
    return tuple(found)


_CRC32C: Final = _table()


def crc32c(data: bytes) -> int:
    """The Castagnoli sum of `data` (RFC 3720, appendix B.4), which zlib lacks."""
    rest = 0xFFFF_FFFF
    for byte in data:
        rest = rest >> 8 ^ _CRC32C[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFF_FFFF


def masked_crc32c(data: bytes) -> int:
    """`crc32c` as TFRecord files store it (tensorflow/core/lib/hash/crc32c.h): rotated, and a constant added."""
    found = crc32c(data)
    return ((found >> 15 | found << 17) + 0xA282_EAD8) & 0xFFFF_FFFF
