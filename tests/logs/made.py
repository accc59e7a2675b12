"""Pieces of the binary formats, for files that the tests of several formats make."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A whole number as Protocol Buffers write it: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
