"""How much a run does: how often it pays each term, how large its steps are, and steps made smaller on purpose.

Owns sizes only; nothing here is timed.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from headway.worker.task import Task
from headway.worker.training.rows import Rows, Step, optimizer_steps

MOST_STEPS_SEEN = 2_000
"""Steps of the run whose sizes are added up: their mean is known to 0.5 % where sizes vary by a fifth."""


def counts_of(task: Task) -> dict[str, float]:
    """How often a run of the task pays each term, as `train.py` does it."""
    found = {"load": 1.0, "tokenize": 1.0, "step": float(task.steps)}
    if task.recipe.compile:
        found["compile"] = 1.0
    if task.evaluation is not None:
        found["evaluation"] = float(task.steps // task.evaluation.every_steps)
    if task.save is not None:
        found["checkpoint"] = float(task.steps // task.save.every_steps)
    if task.out is not None:
        found["final_save"] = 1.0
    return found


def run_sizes(rows: Rows, task: Task) -> dict[str, float]:
    """Steps of the run, and the mean tokens, squares, rows and micro-steps of one, in the run's own order of rows."""
    sizes = []
    for step in islice(optimizer_steps(rows.train, task.batches, task.seed), min(task.steps, MOST_STEPS_SEEN)):
        widths = [(len(batch), max(map(len, batch))) for batch in step]
        sizes.append((sum(many * wide for many, wide in widths), sum(many * wide**2 for many, wide in widths),
                      sum(many for many, _ in widths), len(widths)))  # fmt: skip
    tokens, squares, many, micro_steps = np.mean(np.array(sizes, dtype=float), axis=0).tolist()
    return {"steps": task.steps, "tokens": tokens, "squares": squares, "rows": many, "micro_steps": micro_steps}


def shorter(step: Step) -> Step | None:
    """The same rows, each cut to half; None for rows of one token."""
    if max(len(row) for batch in step for row in batch) < 4:
        return None
    return tuple(tuple(row[: max(len(row) // 2, 2)] for row in batch) for batch in step)


def fewer(step: Step) -> Step | None:
    """One micro-step of several, else half the rows of the one; None where there is nothing to take away."""
    if len(step) > 1:
        return step[:1]
    return (step[0][: len(step[0]) // 2],) if len(step[0]) > 1 else None
