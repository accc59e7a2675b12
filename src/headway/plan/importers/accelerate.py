"""Accelerate's configuration: a side file.

Owns how it is recognised; `plan/importing/fields/sharding.py` reads it where a command or a recipe names it.
"""

from __future__ import annotations

from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields.taking import Taking
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import side_file

_TELLING: Final = frozenset(
    "compute_environment distributed_type downcast_bf16 machine_rank main_training_function mixed_precision "
    "num_machines num_processes rdzv_backend same_network tpu_env tpu_use_cluster use_cpu debug "
    "deepspeed_config fsdp_config enable_cpu_affinity gpu_ids main_process_port".split()
)


def recognises(source: Source) -> str:
    """`distributed_type` or `compute_environment` beside other keys of `accelerate config`."""
    found = [key for key in source.tree if key in _TELLING]
    if len(found) >= 3 and ("distributed_type" in found or "compute_environment" in found):
        return f"it has {', '.join(found[:3])}"
    return ""


def take(taking: Taking) -> None:
    """Raises PlanError: what is trained stands in another file."""
    raise side_file(
        taking.source, "an Accelerate configuration (accelerate config)",
        "the recipe or command that is started with `accelerate launch --config_file`",
    )  # fmt: skip


IMPORTER = one_run("an Accelerate configuration", "yaml json", recognises, take)
