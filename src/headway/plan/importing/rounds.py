"""Online reinforcement learning as stages of a plan: completions are generated in rounds, then trained on.

Owns how many rounds a run has. A round of completions at once is counted as one completion of the longest length:
decoding is bound by reading the weights, which all rows of a round share (Pope et al. 2022, arXiv:2211.05102), up to
`AT_ONCE` rows a GPU; beyond, arithmetic takes over and the rows count as further rounds.
"""

from __future__ import annotations

import math
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.fields.taking import Taking
from headway.plan.reading.yaml import Map, Seq, Text, node_from

AT_ONCE: Final = 128
"""Rows from which a GPU is bound by arithmetic, not by reading weights: 312 TFLOP/s over 2.0 TB/s of an A100 are 153
FLOP a byte, one row does one a byte of 16-bit weights; H100 and H200 have 295 and 206."""
MOVED: Final = frozenset(
    "micro_batch grad_accum max_length pack steps epochs tokens save data evaluate forward_passes learning_rate "
    "lr_schedule warmup weight_decay log".split()
)
"""Keys of the training stage; the others hold for both."""


def generation(plan: Map, taking: Taking) -> Map:
    """The plan with two stages: the rounds of completions, and the training on them."""
    each = int(taking.value("generations") or 1)
    new = int(taking.value("completion_length") or 256)
    steps = _steps(plan, taking)
    micro, accum, gpus = (int(str(plan[key])) for key in ("micro_batch", "grad_accum", "gpus"))
    copies = max(1, gpus // _split(plan))
    at_once = micro * accum * copies
    rounds = steps * math.ceil(at_once / (AT_ONCE * gpus)) if steps else 0
    where = plan.places.get("micro_batch", Position(taking.source.name))
    taking.note(
        f"generation is counted by bandwidth: {at_once} completions of {new} tokens at once for each step ({each} a "
        f"prompt), as long as one of the full length; reading their caches is not counted"
    )
    training = Map({"name": Text("training", where)}, where, {"name": where})
    for key in [key for key in plan if key in MOVED]:
        training[key] = plan.pop(key)
        training.places[key] = plan.place(key)
    stage: dict[str, object] = {
        "name": "generation",
        "generate": {"prompts": str(max(1, rounds) * gpus), "samples": "1", "tokens": str(new),
                     "prompt_tokens": taking.value("prompt_length") or "512"},
    }  # fmt: skip
    if gpus % (split := int(taking.value("generation_tensor") or 1)) == 0 and split > 1:
        stage["parallel"] = {"tensor": str(split), "pipeline": "1", "sharding": "none"}
    made = node_from(stage, where)
    plan["stages"] = Seq([made, training] if rounds else [training], where)
    plan.places["stages"] = where
    return plan


def _split(plan: Map) -> int:
    parallel = plan.get("parallel")
    if not isinstance(parallel, Map):
        return 1
    return int(str(parallel.get("tensor", "1"))) * int(str(parallel.get("pipeline", "1")))


def _steps(plan: Map, taking: Taking) -> int:
    """Optimizer steps of the run; 0 where the rows are unknown."""
    if taking.value("steps"):
        return int(taking.value("steps"))
    datasets = plan.get("datasets")
    training = datasets.get("training") if isinstance(datasets, Map) else None
    rows = str(training.get("rows", "")) if isinstance(training, Map) else ""
    if not rows.isdigit():
        return 0
    per_step = int(str(plan["micro_batch"])) * int(str(plan["grad_accum"])) * (int(str(plan["gpus"])) // _split(plan))
    return math.ceil(float(taking.value("epochs") or 1) * int(rows) / max(1, per_step))
