"""What each assumption moves: the total with one input at its favourable and at its unfavourable end.

Owns the one-at-a-time table. Stated ranges move their own term; constants behind predictions are ranked by a linear
fit of the log of the total on all of them, over the draws that were made anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from headway.domain.calibration import P90_SCORE
from headway.domain.spread import Draws, Spread
from headway.domain.statement import Factor
from headway.estimate.nouns import Estimate, ExperimentEstimate
from headway.estimate.setting import Setting
from headway.estimate.step import MODEL

SURE = 4.0
"""Standard errors that a slope must be away from 0: what a plan does not touch has one too, by chance."""
SMALLEST_SHARE = 0.0005
"""Effects below this share of the total are not worth a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One input at both of its ends, everything else in the middle; seconds of wall time over the whole plan."""

    name: str
    favourable_s: float
    """Change of the total at the favourable end (0 or negative); NaN where the size is unknown."""
    unfavourable_s: float
    total_s: float
    kind: str
    source: str

    @property
    def favourable_share(self) -> float:
        """The change over the total."""
        return self.favourable_s / self.total_s if self.total_s else math.nan

    @property
    def unfavourable_share(self) -> float:
        """The change over the total."""
        return self.unfavourable_s / self.total_s if self.total_s else math.nan


def effects(setting: Setting, estimate: Estimate) -> tuple[Effect, ...]:
    """Every input that moves the total, the largest first; the author's stated factors among them."""
    counted = [item for item in estimate.experiments if not item.optional]
    found = list(_of_ends(counted, estimate)) + list(_of_draws(setting, estimate))
    found = [e for e in found if max(-e.favourable_s, e.unfavourable_s) >= SMALLEST_SHARE * e.total_s]
    found += _of_factors(counted, estimate)
    return tuple(sorted(found, key=_size, reverse=True))


def _size(effect: Effect) -> float:
    width = effect.unfavourable_s - effect.favourable_s
    return -1.0 if math.isnan(width) else width


def _of_ends(counted: Iterable[ExperimentEstimate], estimate: Estimate) -> Iterable[Effect]:
    """Stated ranges: each term, or each of its parts, moves by its own ends."""
    moves: dict[str, list[Spread]] = {}
    for item in counted:
        parts = {part: spreads for stage in item.stages for part, spreads in stage.details.items()}
        for term, spread in item.terms_s.items():
            if spread.draws is not None or spread.is_exact:
                continue
            if len(item.stages) == 1 and term in parts:
                for name, part in parts[term].items():
                    moves.setdefault(f"{term}: {name}", []).append(part)
            else:
                moves.setdefault(term, []).append(spread)
    scale = 1 + estimate.buffer_share
    for name, spreads in moves.items():
        yield Effect(
            name=name,
            favourable_s=sum(s.p10 - s.p50 for s in spreads) * scale,
            unfavourable_s=sum(s.p90 - s.p50 for s in spreads) * scale,
            total_s=estimate.wall_s.p50,
            kind=spreads[0].kind,
            source=spreads[0].source,
        )


def _of_factors(counted: Iterable[ExperimentEstimate], estimate: Estimate) -> list[Effect]:
    """The author's factors: a share of the step time, or seconds of the whole, that come on top or fall away."""
    found: dict[str, Effect] = {}
    step_s: dict[str, float] = {}
    factors: dict[str, Factor] = {}
    for item in counted:
        for stage in item.stages:
            for factor in stage.stated_factors:
                factors[factor.cause] = factor
                step = stage.terms_s.get("step")
                step_s[factor.cause] = step_s.get(factor.cause, 0.0) + (step.p50 if step else 0.0)
    for cause, factor in factors.items():
        change = factor.change
        whole = step_s[cause] if change.unit == "share" else 1.0
        low, high = sorted((factor.sign * change.range.low * whole, factor.sign * change.range.high * whole))
        if change.unknown:
            low = high = math.nan
        found[cause] = Effect(
            name=cause,
            favourable_s=min(low, 0.0) if not math.isnan(low) else low,
            unfavourable_s=max(high, 0.0) if not math.isnan(high) else high,
            total_s=estimate.wall_s.p50,
            kind="stated",
            source=f"stated: {change.stated_as or change.text}",
        )
    return list(found.values())


def _of_draws(setting: Setting, estimate: Estimate) -> Iterable[Effect]:
    """Constants, row lengths and drawn stated values, by their share in the doubt of the total."""
    total = estimate.wall_s
    if total.draws is None:
        return
    inputs: dict[str, tuple[Draws, str, str]] = {
        _title(setting, name): (draws, "assumed", setting.sources[name]) for name, draws in setting.constants.items()
    }
    for (count, lengths), draws in setting.memory.lengths.items():
        if count != setting.draws:
            continue
        used = [name for name, known in setting.lookup.lengths.items() if known == lengths]
        which = f"of {used[0]}" if len(used) == 1 else f"of {len(used)} datasets"
        inputs[f"tokens in a row {which}"] = (draws, lengths.kind, lengths.source)
    for (count, device), draws in setting.memory.errors.items():
        if count == setting.draws:
            inputs[f"the time of a step on {device}"] = (draws, "predicted", MODEL)
    for spread in setting.drawn.values():
        if spread.draws is not None:
            inputs[spread.source] = (spread.draws, spread.kind, spread.source)
    slopes = _slopes({name: draws for name, (draws, _, _) in inputs.items()}, total.draws)
    for name, slope in slopes.items():
        reach = abs(slope) * P90_SCORE
        yield Effect(
            name=name,
            favourable_s=total.p50 * (math.exp(-reach) - 1),
            unfavourable_s=total.p50 * (math.exp(reach) - 1),
            total_s=total.p50,
            kind=inputs[name][1],
            source=inputs[name][2],
        )


def _title(setting: Setting, name: str) -> str:
    """Words for a constant, with its variant: `host time to launch a kernel (huggingface)`."""
    variant = name.partition(".")[2]
    return f"{setting.titles[name]} ({variant})" if variant else setting.titles[name]


def _slopes(inputs: Mapping[str, Draws], total: Draws) -> dict[str, float]:
    """Change of the log of the total per standard deviation of each input, by least squares over the draws."""
    names = [name for name, draws in inputs.items() if draws.std() > 0]
    if not names or len(total) <= 2 * len(names):
        return {}
    columns = [np.log(np.maximum(inputs[name], 1e-30)) for name in names]
    scores = np.column_stack([(c - c.mean()) / (c.std() or 1.0) for c in columns])
    logs = np.log(np.maximum(total, 1e-30))
    centred = logs - logs.mean()
    # normal equations: columns of variance 1 that are drawn apart are well conditioned, and it takes a hundredth of
    # the time of a decomposition; the ridge is for two inputs that are one
    gram = scores.T @ scores + 1e-6 * len(total) * np.eye(len(names))
    solution = np.linalg.solve(gram, scores.T @ centred)
    left = centred - scores @ solution
    noise = math.sqrt(
        float(left @ left) / (len(total) - len(names)) / len(total)
    )  # of one slope; scores have variance 1
    return {name: float(slope) for name, slope in zip(names, solution, strict=True) if abs(slope) > SURE * noise}
