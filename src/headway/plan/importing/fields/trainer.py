"""Names of Hugging Face's `TrainingArguments`, which most fine-tuning tools pass through unchanged.

Owns what these names mean. Which defaults hold where one is left out differs by tool and is each importer's own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from headway.plan.importing.fields import sharding, words
from headway.plan.importing.fields.taking import Hit, Taking

NAMES: Final = frozenset(
    "per_device_train_batch_size gradient_accumulation_steps num_train_epochs max_steps learning_rate output_dir bf16 "
    "fp16 optim save_strategy save_steps eval_strategy evaluation_strategy eval_steps logging_steps lr_scheduler_type "
    "warmup_ratio warmup_steps weight_decay gradient_checkpointing per_device_eval_batch_size report_to "
    "save_total_limit adam_beta1 adam_beta2 max_grad_norm dataloader_num_workers remove_unused_columns "
    "logging_strategy overwrite_output_dir push_to_hub hub_model_id do_train do_eval group_by_length deepspeed fsdp "
    "ddp_find_unused_parameters torch_compile tf32 seed".split()
)
"""Enough of them to know the kind of file (transformers 4.57, `training_args.py`)."""
_SHOWN: Final = frozenset({"qlora", "longlora", "adalora", "llamapro", "vera", "oft", "boft", "loha", "lokr"})
"""Names of methods that are counted as LoRA and shown as what they are."""
BUDGETS: Final = ("steps", "tokens", "epochs")
TRANSFORMERS: Final = "transformers 4.57, src/transformers/training_args.py"


def training_arguments(taking: Taking, *, steps_evaluate: bool = False, infers_format: bool = False) -> None:
    """Takes everything that `TrainingArguments` decides about time and memory.

    `steps_evaluate`: `eval_steps` alone makes it evaluate (ms-swift); in transformers `eval_strategy` has to, too.
    `infers_format`: without `bf16` and `fp16` the tool takes the device's best format (LLaMA-Factory), not fp32.
    """
    taking.take("micro_batch", taking.whole("per_device_train_batch_size", "per_gpu_train_batch_size"))
    taking.take("grad_accum", taking.whole("gradient_accumulation_steps"))
    length_of_run(taking)
    number_format(taking, infers=infers_format)
    words.optimizer(taking, taking.word("optim", "optim_type"))
    checkpointing = taking.flag("gradient_checkpointing")
    taking.use("gradient_checkpointing_kwargs")
    if checkpointing is not None:
        taking.take("gradient_checkpointing", checkpointing, "full" if checkpointing.value == "true" else "none")
    cadences(taking)
    if not steps_evaluate and not taking.has("eval_strategy", "evaluation_strategy"):
        not_evaluated(taking, f"eval_strategy is `no` where it is left out ({TRANSFORMERS})")
    rates(taking)
    sharding.deepspeed(taking)
    sharding.fsdp(taking)
    compiled = taking.flag("torch_compile")
    taking.take("compile", compiled)
    if taking.on("auto_find_batch_size"):
        taking.note("the batch is the largest that fits (auto_find_batch_size); the written one is counted")


def length_of_run(taking: Taking) -> None:
    """Steps where `max_steps` is positive, else epochs."""
    steps = taking.whole("max_steps")
    epochs = taking.number("num_train_epochs", "num_epochs")
    if steps is not None:
        taking.take("steps", steps)
    elif epochs is not None and float(epochs.value) > 0:
        taking.take("epochs", epochs, f"{float(epochs.value):g}")
    taking.use("max_steps")


def number_format(taking: Taking, *, infers: bool = False) -> None:
    """`bf16` and `fp16` as flags; else the dtype that weights are loaded in; else fp32, unless it `infers`."""
    for key, word in (("bf16", "bf16"), ("fp16", "fp16"), ("pure_bf16", "bf16"), ("fp8", "fp8")):
        hit = taking.flag(key)
        if hit is not None and hit.value == "true":
            taking.take("precision", hit, word)
    words.take_precision(taking, "torch_dtype", "dtype", "model_init_kwargs.torch_dtype", "model_init_kwargs.dtype")
    off = next((hit for key in ("bf16", "fp16") if (hit := taking.flag(key)) is not None), None)
    if off is not None and not infers:
        taking.take("precision", off, "fp32")


def cadences(taking: Taking) -> None:
    """How often is saved, evaluated and logged."""
    cadence(taking, "log", ("logging_strategy",), ("logging_steps",), "500")
    cadence(taking, "save", ("save_strategy",), ("save_steps",), "500")
    evaluated = ("eval_strategy", "evaluation_strategy")
    cadence(taking, "evaluate", evaluated, ("eval_steps", "evaluation_steps"), taking.value("log") or "500")
    taking.take("keep", taking.whole("save_total_limit"))
    taking.use("do_train", "do_eval", "per_device_eval_batch_size")


def cadence(taking: Taking, field: str, strategies: tuple[str, ...], steps: tuple[str, ...], usual: str) -> None:
    """`no`, `1 epochs` or `N steps`; below 1 a number of steps is a share of the whole run."""
    strategy = taking.word(*strategies)
    number = taking.number(*steps)
    word = strategy.value.lower().rpartition(".")[2] if strategy is not None else ""
    if strategy is not None and word in ("no", "false", "none"):
        taking.take(field, strategy, "no")
    elif strategy is not None and word in ("epoch", "best"):
        taking.take(field, strategy, "1 epochs")
        if word == "best":
            taking.note("saves of the best model come as often as evaluations: counted once an epoch")
    elif number is not None and float(number.value) > 0 and (strategy is None or word == "steps"):
        taking.take(field, number, every(taking, float(number.value)))
    elif strategy is not None and word == "steps":
        taking.take(field, strategy, f"{usual.partition(' ')[0]} steps")


def every(taking: Taking, number: float) -> str:
    """`500 steps`; a number below 1 is that share of the run's steps or epochs."""
    if number >= 1:
        return f"{int(number)} steps"
    if taking.value("steps"):
        return f"{max(1, round(number * int(taking.value('steps'))))} steps"
    return f"{number * float(taking.value('epochs') or 1):g} epochs"


def not_evaluated(taking: Taking, why: str) -> None:
    """A cadence of evaluations that does not take effect: it is shown, and nothing is counted."""
    said = taking.read.get("evaluate")
    if said is None or said.value == "no":
        taking.default("evaluate", "no", why)
        return
    taking.read["evaluate"] = replace(said, value=f"{said.value}, without effect")
    taking.fields["evaluate"] = Hit("no", said.key, said.where)
    taking.note(f"no evaluation is counted: {why}")


def rates(taking: Taking) -> None:
    """What costs no time, and belongs to the run's identity."""
    taking.take("learning_rate", positive(taking, "learning_rate", "lr"))
    taking.take("lr_schedule", taking.word("lr_scheduler_type", "lr_scheduler"))
    steps, share = taking.whole("warmup_steps", least=0), taking.number("warmup_ratio")
    if steps is not None and steps.value != "0":
        taking.take("warmup", steps, f"{steps.value} steps")
    elif share is not None and 0 < float(share.value) <= 1:
        taking.take("warmup", share, f"{100 * float(share.value):g}%")
    taking.take("weight_decay", taking.number("weight_decay"))
    taking.take("seed", taking.whole("seed", least=0))


def positive(taking: Taking, *keys: str) -> Hit | None:
    """A number above 0."""
    found = taking.number(*keys)
    return found if found is not None and float(found.value) > 0 else None


def lora(taking: Taking, on: Hit | None, prefix: tuple[str, ...] = ("lora_", "peft_lora_")) -> None:
    """An adapter with its rank, scale, dropout and targets, where `on` says that there is one."""
    if on is None:
        return
    kind = "dora" if taking.on("use_dora", "peft_use_dora") else "rslora" if taking.on("use_rslora") else "lora"
    taking.take("method", on, kind, shown=on.value if on.value.lower() in _SHOWN else "")
    ranks = [f"{head}{tail}" for head in prefix for tail in ("r", "rank")]
    taking.take("rank", taking.whole(*ranks))
    taking.take("alpha", positive(taking, *(f"{head}alpha" for head in prefix)))
    taking.take("dropout", taking.number(*(f"{head}dropout" for head in prefix)))
    words.take_targets(taking, *(f"{head}{tail}" for head in prefix for tail in ("target_modules", "target")))


def defaults(taking: Taking, table: Mapping[str, str], source: str) -> None:
    """What the tool takes for every field that the file leaves out; one length of the run is enough."""
    known = any(taking.value(field) for field in BUDGETS)
    for field, value in table.items():
        if field in BUDGETS and known:
            continue
        taking.default(field, value, source)


def quantized(taking: Taking) -> None:
    """`load_in_4bit` and `load_in_8bit`, and `quantization_bit` and their like."""
    for key, word in (("load_in_4bit", "nf4"), ("load_in_8bit", "int8"), ("use_bnb_nested_quant", "")):
        hit = taking.flag(key)
        if word and hit is not None and hit.value == "true":
            taking.take("quantize", hit, word)
    for key in ("quantization_bit", "quant_bits", "quant_method", "quantization_method"):
        hit = taking.word(key)
        if hit is not None and (word := words.bits(hit.value)):
            taking.take("quantize", hit, word)
