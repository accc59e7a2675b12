"""The verb `init`: the text of a commented plan, from a few flags or from a configuration of another tool.

Owns the flags' meaning; the text is `plan/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.app.imported import opened
from headway.app.quick import Flags, count, refuse_contradictions
from headway.catalog import Ambiguous, find_device
from headway.domain.errors import UsageError, UserError
from headway.plan import commented_plan
from headway.plan.importing.assemble import GIVEN


def commented(flags: Flags) -> str:
    """The plan's text; what was not said has an example in its place.

    Raises UsageError for flags that contradict, and for a GPU that is unknown or may be several.
    """
    refuse_contradictions(flags)
    if flags.gpu is not None:
        _refuse_unclear(flags.gpu)
    said: dict[str, Any] = {
        "model": flags.model,
        "method": next(iter(flags.methods), None),
        "rank": flags.lora or flags.qlora,
        "gpu": flags.gpu,
        "rows": None if flags.samples is None else count(flags.samples, "--samples"),
        "length": None if flags.tokens_per_sample is None else count(flags.tokens_per_sample, "--tokens-per-sample"),
        "batch": flags.batch,
        "epochs": None if flags.epochs is None else count(flags.epochs, "--epochs"),
        "steps": None if flags.steps is None else count(flags.steps, "--steps"),
    }
    return commented_plan(**{key: value for key, value in said.items() if value is not None})


def commented_import(path: str, flags: Flags, assume: Mapping[str, str]) -> tuple[str, str]:
    """The text of the plan that another tool's file describes, and the guess of what it is.

    Flags and `assume` complete it. Raises UsageError for a file that no importer knows and for contradicting flags, and
    PlanError for one that trains nothing.
    """
    refuse_contradictions(flags)
    if flags.gpu is not None:
        _refuse_unclear(flags.gpu)
    said = {key: getattr(flags, key) for key in GIVEN if getattr(flags, key, None) is not None}
    found = opened(path, {**said, **assume})
    if found is None:
        raise UsageError(
            "--from takes a configuration of another tool", got=path,
            hint="Known by their keys: axolotl (base_model, micro_batch_size), LLaMA-Factory (stage, finetuning_type), "
            "torchtune (model._component_), LitGPT (train, checkpoint_dir), Lightning CLI (trainer), Hugging Face and "
            "TRL (model_name_or_path, output_dir), commands of ms-swift and others, Markdown tables of experiments.",
        )  # fmt: skip
    return found.text(), found.imported.summary


def _refuse_unclear(gpu: str) -> None:
    """Raises UsageError for a GPU that `headway estimate` would refuse: unknown, or a name of several."""
    try:
        find_device(gpu)
    except UserError as error:
        hint = error.hint
        if isinstance(error, Ambiguous):
            hint = f'Write the whole name, for example --gpu "{error.candidates[0]}".'
        raise UsageError(error.rule, got=error.got, hint=hint, field="--gpu", candidates=error.candidates) from error
