"""How good predictions are: error, signed error, coverage and width of the 80 % interval, by group.

Owns the scores and which groups there are. Fractions, not percent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from judging.folds import KNOWN, UNSEEN
from judging.prediction import Prediction
from rows import ADAPTERS, Label

VTRAIN = "VIA-Research/vTrain"
SMALL_B = 1.6
"""Parameters (10^9) up to which a model with an adapter is small."""
_SIZES = ((0.4, "under 0.4B"), (1.6, "0.4-1.6B"), (5.0, "1.6-5B"), (15.0, "5-15B"), (100.0, "15-100B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One row, what was predicted for it (None: no answer), and what was measured (seconds or bytes).

    `measured` is 0 for a row that could not be read, which has no prediction either.
    """

    label: Label
    split: str
    prediction: Prediction | None
    measured: float
    seen_by: str = ""
    """Of memory: who saw the peak (`Peak.seen_by`)."""

    @property
    def error(self) -> float:
        """Predicted over measured, minus 1; -1 without an answer."""
        return self.prediction.p50 / self.measured - 1 if self.prediction else -1.0

    @property
    def covered(self) -> bool:
        """The measurement lies within p10..p90."""
        return self.prediction is not None and self.prediction.p10 <= self.measured <= self.prediction.p90


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Scores of a group of rows; a row without an answer counts as 100 % error and as not covered."""

    n: int
    answered: int
    mdape: float
    p90: float
    bias: float
    """Median of predicted / measured - 1, of the rows with an answer."""
    coverage80: float
    width80: float
    """Mean of (p90 - p10) / p50."""
    mdape_answered: float
    """Median error of the rows with an answer: what a peer gets right of what it can express."""

    def to_dict(self) -> dict[str, float]:
        """The fields, rounded to a hundredth of a percent."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def score(group: Sequence[Judgement]) -> Score:
    """Scores of a group with at least one row."""
    errors = np.array([abs(one.error) for one in group])
    answers = [one for one in group if one.prediction]
    widths = [(one.prediction.p90 - one.prediction.p10) / one.prediction.p50 for one in answers if one.prediction]
    return Score(
        n=len(group),
        answered=len(answers),
        mdape=float(np.median(errors)),
        p90=float(np.quantile(errors, 0.9)),
        bias=float(np.median([one.error for one in answers])) if answers else -1.0,
        coverage80=float(np.mean([one.covered for one in group])),
        width80=float(np.mean(widths)) if widths else 0.0,
        mdape_answered=float(np.median([abs(one.error) for one in answers])) if answers else 1.0,
    )


def mean_over_sources(group: Sequence[Judgement]) -> Score:
    """Scores of each source by itself, averaged: a source with many rows counts once."""
    sources: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in group:
        sources[one.label.source].append(one)
    each = [score(members) for members in sources.values()]
    means = {
        name: float(np.mean([getattr(one, name) for one in each]))
        for name in ("mdape", "p90", "bias", "coverage80", "width80", "mdape_answered")
    }
    return Score(n=len(group), answered=sum(one.answered for one in each), **means)


def size_of(label: Label) -> str:
    """Size class of the model."""
    return next((name for limit, name in _SIZES if label.parameters_b <= limit), "over 100B")


def _three(name: str, group: Sequence[Judgement]) -> dict[str, Score]:
    """A group, the same without vTrain (one grid, 58 % of the rows), and as the mean over its sources."""
    found = {name: score(group)}
    others = [one for one in group if one.label.source != VTRAIN]
    if others:
        found[f"{name}/without_vtrain"] = score(others)
    found[f"{name}/mean_over_sources"] = mean_over_sources(group)
    return found


def _parts(prefix: str, group: Sequence[Judgement]) -> dict[str, Score]:
    """By source, task, GPU family, model size and trust."""
    parts: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in group:
        label = one.label
        kinds = {"source": label.source, "task": label.task, "gpu": label.gpu, "size": size_of(label)}
        for kind, value in (kinds | {"trust": label.trust}).items():
            parts[f"{prefix}{kind}/{value}"].append(one)
    return {name: score(members) for name, members in sorted(parts.items())}


def small_adapter(label: Label) -> bool:
    """A model of at most 1.6B with an adapter, of trust A or B. Rows without known token counts are never cases."""
    return label.task in ADAPTERS and label.parameters_b <= SMALL_B and label.trust in ("A", "B")


def groups(judgements: Iterable[Judgement]) -> Mapping[str, Score]:
    """Every group of time predictions, by name: splits, adapters, small adapters, and parts of each split.

    Adapters and the parts without a prefix are of unseen configurations of known stacks; of a file that has splits of
    its own and none of that name, they are of all its rows. Other splits have their name before their parts. Small
    adapters of stacks that are never known are judged as unseen.
    """
    by_split: defaultdict[str, list[Judgement]] = defaultdict(list)
    small: list[Judgement] = []
    for one in judgements:
        if one.label.judged:
            by_split[one.split].append(one)
        if small_adapter(one.label) and not one.split.startswith("after_"):
            small.append(one)
    splits = {split: group for split, group in by_split.items() if not split.startswith("after_")}
    whole = splits.get(KNOWN) or [one for group in splits.values() for one in group]
    known = {one.label.id for one in small if one.split == KNOWN}
    found: dict[str, Score] = {}
    for split, group in (
        by_split
        | {"adapters": [one for one in whole if one.label.task in ADAPTERS]}
        | {"small_adapters": [one for one in small if one.split == KNOWN or one.label.id not in known]}
    ).items():
        if group:
            found |= _three(split, group)
    found |= _parts("", whole)
    for split, group in splits.items():
        if split != KNOWN:
            found |= _parts(f"{split}/", group)
    return found


def _false_fits(members: Sequence[tuple[Judgement, float]]) -> float:
    """Share predicted under the card's capacity and measured over it, or within 2 % of it."""
    wrong = [
        one.prediction is not None and one.prediction.p50 < limit and one.measured >= 0.98 * limit
        for one, limit in members
    ]
    return float(np.mean(wrong))


def _memory_parts(name: str, members: Sequence[tuple[Judgement, float]]) -> dict[str, dict[str, float]]:
    """A group of memory predictions, as the mean over its sources, and by task, GPU, observer, source and trust."""
    parts: defaultdict[str, list[tuple[Judgement, float]]] = defaultdict(list)
    for one, limit in members:
        label = one.label
        kinds = {"task": label.task, "gpu": label.gpu, "seen_by": one.seen_by, "source": label.source}
        for kind, value in (kinds | {"trust": label.trust}).items():
            parts[f"{name}/{kind}/{value}"].append((one, limit))
    found = {
        group: score([one for one, _ in own]).to_dict() | {"false_fits": round(_false_fits(own), 4)}
        for group, own in ({name: list(members)} | dict(sorted(parts.items()))).items()
    }
    by_source = [_false_fits(own) for group, own in parts.items() if group.startswith(f"{name}/source/")]
    found[f"{name}/mean_over_sources"] = mean_over_sources([one for one, _ in members]).to_dict() | {
        "false_fits": round(float(np.mean(by_source)), 4)
    }
    return found


def memory_groups(judgements: Sequence[Judgement], capacities: Sequence[float]) -> dict[str, dict[str, float]]:
    """Groups of memory predictions, each with the share of false fits; a group for each split under its name.

    `memory` is of unseen stacks; of a file that has splits of its own and none of that name, of all its rows.
    """
    by_split: defaultdict[str, list[tuple[Judgement, float]]] = defaultdict(list)
    for one, capacity in zip(judgements, capacities, strict=True):
        by_split[one.split].append((one, capacity))
    whole = by_split.get(UNSEEN) or [pair for group in by_split.values() for pair in group]
    found = _memory_parts("memory", whole) if whole else {}
    for split, group in by_split.items():
        found |= _memory_parts(f"memory/{split}", group)
    return found
