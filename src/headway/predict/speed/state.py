"""What a fit knows: the shared coefficients, each stack's effect and neighbours, and the errors it made when held out.

Owns the nouns and the prediction of many rows at once. How they are learnt is `predict.learning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.model import BETWEEN, NAMES, floor_seconds, log_seconds_and_slopes
from headway.predict.speed.residual import FEW, NOISE, Neighbours, coordinates, total_variance
from headway.predict.speed.situation import HUGGINGFACE, family_of
from headway.predict.speed.tiers import Quantiles

_MOST = 0.7
"""Neighbours move the physics by at most this (log): beyond it they tell of another situation."""
_TYPICAL, _OWN = 0.15, 0.25
"""Log sd of a step of an unseen stack, and the power of a step's own in its difficulty, the rest being the typical:
between the rows of one stack their own tells less of the error than between stacks (leave-stack-out, published rows).
It holds until more than `FEW` rows of a stack are known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """What is known of one training stack."""

    name: str
    family: str
    effect: Draws
    """On the shared log coefficients, (names,)."""
    doubt: Draws
    """Sd that is left of it, (names,)."""
    neighbours: Neighbours
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Speed:
    """A fitted predictor of step times."""

    coefficients: Draws
    """Shared log coefficients, (names,)."""
    families: Mapping[str, Draws]
    stacks: Mapping[str, Stack]
    devices: frozenset[str]
    generations: frozenset[str]
    known: Mapping[str, Quantiles]
    """Of held-out configurations: by stack, and `known` for all."""
    unseen: Mapping[str, Quantiles]
    """Of held-out stacks: `unseen`, by tier, and after some rows of theirs: `after 1`, `after 3`."""
    source: str = ""
    """What it was fitted on, in words."""

    def centre(self, family: str) -> Draws:
        """The effect expected of a stack of which only the family is known, (names,)."""
        return self.families.get(family, np.zeros(len(NAMES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """The software that trains, as far as measurements tell it apart."""

    words: str = ""
    """As written, in lower case: names of fused kernels among them count."""
    family: str = HUGGINGFACE
    stack: str = ""
    """The stack whose published measurements are taken; empty: none, only the family's."""


def framework_of(name: str, speed: Speed) -> Framework:
    """What a framework's name stands for: a measured stack (`pytorch/torchtitan`, or `torchtitan`), else a family.

    Without a name it is an ordinary Hugging Face trainer.
    """
    words = name.lower()
    stack = next((one for one in speed.stacks if words and words in (one.lower(), one.lower().rpartition("/")[2])), "")
    family = speed.stacks[stack].family if stack else family_of(words) if words else HUGGINGFACE
    return Framework(words=words, family=family, stack=stack)


def _tempered(difficulty: Draws) -> Draws:
    return np.asarray(difficulty**_OWN * _TYPICAL ** (1 - _OWN))


def log_middle_and_difficulty(
    speed: Speed, stack: Stack | None, family: str, rows: Draws, features: Draws, devices: Sequence[str]
) -> tuple[Draws, Draws]:
    """Log of the median seconds of steps of one stack, and the local difficulty (log sd); each (rows,).

    Rows (rows, columns) of `basis`, features (rows, features) of `situation`. Physics, what neighbours add to it, and
    no less than the dense peak takes.
    """
    effect = stack.effect if stack else speed.centre(family)
    middle, slopes = log_seconds_and_slopes(rows, speed.coefficients + effect)
    floor = np.log(np.maximum(floor_seconds(rows), 1e-12))
    if stack is None:
        sd = np.sqrt((slopes**2) @ BETWEEN**2 + total_variance(0) + NOISE**2)
        return np.maximum(middle, floor), _tempered(sd)
    residual, variance = stack.neighbours.residual(coordinates(features, middle, slopes), devices)
    difficulty = np.sqrt(variance + (slopes**2) @ stack.doubt**2)
    if stack.rows <= FEW:
        difficulty = _tempered(difficulty)
    return np.maximum(middle + np.clip(residual, -_MOST, _MOST), floor), difficulty
