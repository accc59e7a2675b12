"""Texts for the jobs: made-up words, so many to a row, whose tokens a tokenizer trained on them makes about one each.

Owns the making; the same seed gives the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

WORDS = 300
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_rows(path: Path, rows: int, length: int | Mapping[str, int], seed: int) -> None:
    """`rows` lines of JSON with a `text` each; a length is that of every row, or mean, min and max of a log-normal."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list(LETTERS), size=rng.integers(2, 9))) for _ in range(WORDS)]
    with path.open("w", encoding="utf-8") as out:
        for count in _lengths(rng, rows, length):
            out.write(json.dumps({"text": " ".join(rng.choice(words, size=count))}) + "\n")


def _lengths(rng: np.random.Generator, rows: int, length: int | Mapping[str, int]) -> Iterator[int]:
    if isinstance(length, int):
        yield from [length] * rows
        return
    sigma = 0.6
    drawn = rng.lognormal(np.log(length["mean"]) - sigma**2 / 2, sigma, size=rows)
    yield from np.clip(drawn, length["min"], length["max"]).astype(int).tolist()
