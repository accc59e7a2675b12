"""What a fit knows: the shared coefficients, each stack's effect and neighbours, and the errors it made when held out.

Owns the nouns and the prediction of many rows at once. How they are learnt is `predict.learning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.model import BETWEEN, NAMES, log_seconds_and_slopes
from headway.predict.speed.residual import NOISE, Neighbours, total_variance
from headway.predict.speed.situation import HUGGINGFACE, family_of
from headway.predict.speed.tiers import Quantiles

_TYPICAL = 0.15
"""Log sd of a step of an unseen stack. Difficulties there are the geometric mean of it and of their own: between one
stack's rows they tell less of the error than between stacks (leave-stack-out, published rows)."""


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


def middle_and_difficulty(
    speed: Speed, stack: Stack | None, family: str, basis: Draws, features: Draws, devices: list[str]
) -> tuple[Draws, Draws, Draws]:
    """Log seconds by physics, the neighbours' residual, and the local difficulty (log sd); each (rows,)."""
    effect = stack.effect if stack else speed.centre(family)
    middle, slopes = log_seconds_and_slopes(basis, speed.coefficients + effect)
    if stack is None:
        sd = np.sqrt(((slopes * BETWEEN) ** 2).sum(1) + total_variance(0) + NOISE**2)
        return middle, np.zeros(len(basis)), np.sqrt(sd * _TYPICAL)
    residual, variance = stack.neighbours.residual(features, devices)
    return middle, residual, np.sqrt(variance + ((slopes * stack.doubt) ** 2).sum(1))
