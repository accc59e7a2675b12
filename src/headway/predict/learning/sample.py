"""Measured steps as arrays: what the predictor learns from.

Owns the noun. How rows are read is their reader's affair; what is learnt from them is `fit` and `calibrate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.basis import basis
from headway.predict.speed.situation import Situation, features
from headway.predict.values import Constants


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Measured steps, one entry a row."""

    basis: Draws
    """`speed.basis`, (rows, columns)."""
    features: Draws
    """`speed.situation.features`, (rows, features)."""
    log_seconds: Draws
    weight: Draws
    """0 to 1: how far a row is trusted; 1 where lengths and settings are all stated."""
    stack: Sequence[str]
    family: Sequence[str]
    device: Sequence[str]
    generation: Sequence[str]
    configuration: Sequence[str]
    """Rows that agree in it are measurements of the same thing and never separated in cross-validation."""

    def __len__(self) -> int:
        return len(self.log_seconds)

    def take(self, rows: Iterable[int]) -> Sample:
        """The rows at these positions."""
        at = [int(row) for row in rows]
        return Sample(
            basis=self.basis[at],
            features=self.features[at],
            log_seconds=self.log_seconds[at],
            weight=self.weight[at],
            stack=[self.stack[i] for i in at],
            family=[self.family[i] for i in at],
            device=[self.device[i] for i in at],
            generation=[self.generation[i] for i in at],
            configuration=[self.configuration[i] for i in at],
        )

    def of_stack(self, name: str) -> Sample:
        """The rows of one stack."""
        return self.take(i for i, one in enumerate(self.stack) if one == name)

    def without_stack(self, name: str) -> Sample:
        """The rows of all other stacks."""
        return self.take(i for i, one in enumerate(self.stack) if one != name)

    def by_stack(self) -> dict[str, Sample]:
        """The rows of each stack, in the order of names."""
        return {name: self.of_stack(name) for name in sorted(set(self.stack))}

    def thinned(self, most: int) -> Sample:
        """At most so many rows of every stack, evenly over its rows."""
        kept: list[int] = []
        for name in sorted(set(self.stack)):
            own = [i for i, one in enumerate(self.stack) if one == name]
            count = min(len(own), most)
            kept += [own[at] for at in np.unique(np.linspace(0, len(own) - 1, count).round().astype(int))]
        return self.take(kept)


def sample_of(situations: Sequence[Situation], seconds: Sequence[float], constants: Constants) -> Sample:
    """Steps of a user's own, all trusted fully; each situation is a configuration of its own.

    `seconds` of one step each; `constants` as in `predict_step`.
    """
    return Sample(
        basis=np.array([basis(one, constants) for one in situations]),
        features=np.array([features(one) for one in situations]),
        log_seconds=np.log(np.asarray(seconds, dtype=float)),
        weight=np.ones(len(situations)),
        stack=[one.stack for one in situations],
        family=[one.family for one in situations],
        device=[one.device for one in situations],
        generation=[one.generation for one in situations],
        configuration=[str(index) for index in range(len(situations))],
    )
