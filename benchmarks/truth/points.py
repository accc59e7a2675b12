"""The grid: which training steps are measured, in which order.

Owns shapes and points. A budget cuts the order at any place, so neighbours in it differ in everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import product


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder of the Llama kind, with random weights."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    tied: bool


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(name="tiny", layers=2, hidden=64, heads=4, kv_heads=2, ffn=128, vocab=512, tied=True),
        Shape(name="0.1B", layers=30, hidden=576, heads=9, kv_heads=3, ffn=1536, vocab=49152, tied=True),
        Shape(name="0.5B", layers=24, hidden=896, heads=14, kv_heads=2, ffn=4864, vocab=151936, tied=True),
        Shape(name="1.2B", layers=16, hidden=2048, heads=32, kv_heads=8, ffn=8192, vocab=128256, tied=True),
        Shape(name="3.2B", layers=28, hidden=3072, heads=24, kv_heads=8, ffn=8192, vocab=128256, tied=True),
        Shape(name="8.0B", layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocab=128256, tied=False),
    )
}
"""Of SmolLM2-135M, Qwen2.5-0.5B, Llama-3.2-1B, Llama-3.2-3B and Llama-3.1-8B (their config.json); `tiny` for tests."""

TASKS = ("full_finetune", "lora", "qlora")
BATCHES = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
TINY_BATCHES, TINY_LENGTHS = (1, 4), (16, 64)
PER_SETUP = 6
"""Sizes measured with one model before the next is made: making it costs more than a step."""
MOST_TOKENS = 131_072
RANKS = (8, 64)
TARGETS = (("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A model made ready to train."""

    shape: Shape
    task: str
    checkpointing: bool
    attention: str
    """`sdpa`, or `flash` (flash-attn 2)."""
    compile: bool
    rank: int = 0
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One training step to measure: so many rows of so many random tokens."""

    setup: Setup
    batch: int
    length: int

    @property
    def tokens(self) -> int:
        """Tokens of one step."""
        return self.batch * self.length


def _order(*things: object) -> str:
    """A fixed order without pattern."""
    return hashlib.sha256(repr(things).encode()).hexdigest()


def fingerprint(point: Point, machine: str) -> str:
    """Twelve hexadecimal digits that name a point on a machine."""
    return _order(astuple(point), machine)[:12]


def setups(shapes: Sequence[str], *, attentions: Sequence[str], tasks: Sequence[str] = TASKS) -> list[Setup]:
    """Every model of the grid; adapters in two sizes."""
    found = []
    for name, task, checkpointing, attention, compiled in product(
        shapes, tasks, (False, True), attentions, (False, True)
    ):
        sizes = [(0, ())] if task == "full_finetune" else list(zip(RANKS, TARGETS, strict=True))
        for rank, targets in sizes:
            found.append(
                Setup(
                    shape=SHAPES[name],
                    task=task,
                    checkpointing=checkpointing,
                    attention=attention,
                    compile=compiled,
                    rank=rank,
                    targets=targets,
                )
            )
    return sorted(found, key=lambda setup: _order(astuple(setup)))


def points(setup: Setup) -> Iterator[Point]:
    """Sizes for one model, small ones first, so that what follows an out-of-memory can be left out."""
    tiny = setup.shape.name == "tiny"
    sizes = [
        (batch, length)
        for batch, length in product(TINY_BATCHES if tiny else BATCHES, TINY_LENGTHS if tiny else LENGTHS)
        if batch * length <= MOST_TOKENS
    ]
    chosen = sorted(sizes, key=lambda size: _order(astuple(setup), size))[:PER_SETUP]
    for batch, length in sorted(chosen, key=lambda size: (size[0] * size[1], size)):
        yield Point(setup=setup, batch=batch, length=length)
