"""DeepSpeed's JSON: a side file.

Owns how it is recognised; what it says is read by `plan/importing/fields/sharding.py` where a configuration names it.
"""

from __future__ import annotations

from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields.taking import Taking
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import side_file

_TELLING: Final = frozenset(
    "zero_optimization train_micro_batch_size_per_gpu gradient_clipping zero_allow_untested_optimizer "
    "zero_force_ds_cpu_optimizer steps_per_print wall_clock_breakdown bf16 fp16 train_batch_size tensor_parallel "
    "communication_data_type flops_profiler activation_checkpointing".split()
)


def recognises(source: Source) -> str:
    """`zero_optimization`, or two other keys that only DeepSpeed has."""
    found = [key for key in source.tree if key in _TELLING]
    if "zero_optimization" in found or "train_micro_batch_size_per_gpu" in found:
        return f"it has {', '.join(found[:3])}"
    return ""


def take(taking: Taking) -> None:
    """Raises PlanError: what is trained stands in another file."""
    raise side_file(
        taking.source, "a DeepSpeed configuration (DeepSpeed JSON)", "the trainer's file that has `deepspeed: FILE`"
    )


IMPORTER = one_run("a DeepSpeed configuration", "yaml json", recognises, take)
