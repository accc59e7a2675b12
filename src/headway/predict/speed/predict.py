"""A situation and a fitted predictor -> seconds of a step: terms, p10/p50/p90, tier, and what would narrow it.

Owns the prediction as a record. Learning is `predict.learning`; what surrounds a step is `estimate/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from headway.domain.errors import Finding
from headway.domain.spread import Draws
from headway.domain.units import Range
from headway.predict.rates import matmul_rate
from headway.predict.speed.basis import basis
from headway.predict.speed.model import floor_seconds, seconds_by_term
from headway.predict.speed.residual import FEW
from headway.predict.speed.situation import Situation, features
from headway.predict.speed.state import Speed, Stack, log_middle_and_difficulty
from headway.predict.speed.tiers import Quantiles, advice, tier_of
from headway.predict.values import Constants
from headway.work.step import step_work

_CHUNK = 256
"""Situations that are predicted at a time: their closeness to 400 neighbours then stays in the cache."""
_AFTER = {"measured": 0.08, "after 3": 0.19}
"""Half-width of the interval that rows of the same machine, or three of a new stack, leave: half of `width80` as
`./scripts/bench accuracy` prints it for `known_stack/without_vtrain` and `after_3`."""
Binds = Literal["compute", "bandwidth", "overhead", "communication"]
_BINDS: Mapping[Binds, tuple[str, ...]] = {
    "compute": ("linear", "recompute", "attention", "head"),
    "bandwidth": ("elementwise", "dequantise", "optimizer"),
    "overhead": ("overhead",),
    "communication": ("communication", "bubble"),
}
"""What a step waits for while it spends its terms, by what most of each is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of one optimizer step."""

    p10_s: float
    p50_s: float
    p90_s: float
    terms_s: Mapping[str, float]
    """By term at the median, in the order of `model.TERMS`; they add up to `p50_s`."""
    model_flop_utilisation: float
    """FLOP of forward and backward that are executed, without recomputation, per second of dense peak."""
    tier: str
    """One of `tiers.TIERS`."""
    evidence: str
    """What that tier stands on here, in words."""
    narrows: str
    """The measurement that would narrow the interval most."""
    warnings: tuple[Finding, ...] = ()

    @property
    def binds(self) -> Binds:
        """What most of the step waits for."""
        shares = {name: sum(self.terms_s[term] for term in terms) for name, terms in _BINDS.items()}
        return max(shares, key=lambda name: shares[name])

    def slower(self, times: Range) -> StepTime:
        """The step on a machine that is so many times slower than the one it was predicted for."""
        return replace(
            self,
            p10_s=self.p10_s * times.low,
            p50_s=self.p50_s * times.mid,
            p90_s=self.p90_s * times.high,
            terms_s={name: seconds * times.mid for name, seconds in self.terms_s.items()},
            model_flop_utilisation=self.model_flop_utilisation / times.mid,
        )


def _quantiles(speed: Speed, stack: Stack | None, tier: str) -> Quantiles:
    if stack is None:
        return speed.unseen.get(tier) or speed.unseen["unseen"]
    if stack.rows <= FEW:
        return speed.unseen["after 1" if stack.rows < 3 else "after 3"]
    return speed.known.get(stack.name) or speed.known["known"]


def _tier(speed: Speed, stack: Stack | None, situation: Situation) -> str:
    own = stack.neighbours.devices if stack else ()
    return tier_of(
        stack is not None,
        situation.device in own,
        situation.device in speed.devices,
        situation.generation in speed.generations,
    )


def log_quantiles(
    speed: Speed, stack: Stack | None, family: str, rows: Draws, coordinates: Draws, devices: list[str], tier: str
) -> tuple[Draws, Draws, Draws]:
    """Log of p10, p50 and p90 of situations of one stack, each (rows,): the vectorised prediction.

    All are of one stack and tier. `rows` (rows, columns) are those of `basis`, `coordinates` those of `features`.
    """
    middle, difficulty = np.empty(len(rows)), np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        found = log_middle_and_difficulty(speed, stack, family, rows[part], coordinates[part], devices[part])
        middle[part], difficulty[part] = found
    width = _quantiles(speed, stack, tier)
    floor = np.log(np.maximum(floor_seconds(rows), 1e-12))
    return np.maximum(middle + width.low * difficulty, floor), middle, middle + width.high * difficulty


def predict_step(situation: Situation, speed: Speed, constants: Constants) -> StepTime:
    """Seconds of one optimizer step with its interval, terms and tier.

    `constants` are the middles of the shipped calibration (rates that were never measured). A stack whose name is not
    known gets its family's effect. No prediction goes under the dense peak. Carries a warning for a dtype that the
    device emulates. Raises KeyError for a missing constant.
    """
    stack = speed.stacks.get(situation.stack)
    rows, coordinates = basis(situation, constants)[None, :], features(situation)[None, :]
    tier = _tier(speed, stack, situation)
    logs = log_quantiles(speed, stack, situation.family, rows, coordinates, [situation.device], tier)
    p10_s, p50_s, p90_s = (float(np.exp(one[0])) for one in logs)
    effect = stack.effect if stack else speed.centre(situation.family)
    terms = {name: float(one[0]) for name, one in seconds_by_term(rows, speed.coefficients + effect).items()}
    total = sum(terms.values())
    return StepTime(
        p10_s=p10_s,
        p50_s=p50_s,
        p90_s=p90_s,
        terms_s={name: seconds * p50_s / total for name, seconds in terms.items()},
        model_flop_utilisation=_model_seconds(situation, constants) / p50_s,
        tier=tier,
        evidence=_evidence(speed, stack, tier, situation),
        narrows=advice(tier, p10_s / p50_s, p90_s / p50_s, _AFTER),
        warnings=matmul_rate(situation.node.device, situation.recipe.precision, constants).warnings,
    )


def _model_seconds(situation: Situation, constants: Constants) -> float:
    """Seconds at dense peak for the FLOP of forward and backward."""
    work = step_work(situation.architecture, situation.recipe, situation.batches)
    device = situation.node.device
    return sum(
        term.executed_flop / matmul_rate(device, term.dtype, constants).peak_flop_per_s
        for term in work.terms
        if term.flop and term.phase != "recompute"
    )


def _evidence(speed: Speed, stack: Stack | None, tier: str, situation: Situation) -> str:
    """What a tier stands on: how many measured steps, of which stack, device or generation."""
    device, precision = situation.node.device.name, situation.recipe.precision
    if stack is not None:
        where = f"on {device}, {precision}" if tier == "measured" else "on other devices"
        return f"{stack.rows} measured configuration{'' if stack.rows == 1 else 's'} of {stack.name}, {where}"
    of = {
        "same device": f"measured steps of {device}, {precision}, in other stacks",
        "same generation": f"measured steps of other {situation.node.device.generation} devices, {precision}, in other "
        "stacks",
        "never seen": f"no measured step of a {situation.node.device.generation} device in {precision}",
    }
    stacks = sum(one.family == situation.family for one in speed.stacks.values())
    return f"{of[tier]}; {stacks} stacks of the {situation.family} family"
