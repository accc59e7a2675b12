"""ms-swift: `swift sft|pt|rlhf` and `megatron sft|pt|rlhf` in scripts, and the YAML that `--config` takes.

Owns its keys and defaults: ms-swift 3.11, docs/source_en/Instruction/Command-line-parameters.md and
docs/source_en/Megatron-SWIFT/Command-line-parameters.md.
"""

from __future__ import annotations

import math
import re
from typing import Final

from headway.domain.errors import PlanError
from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import sharding, trainer, tuning, words
from headway.plan.importing.fields.objectives import objective_of
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import no_training

_TELLING: Final = frozenset(
    "train_type tuner_type sft_type rlhf_type split_dataset_ratio load_from_cache_file vllm_mode quant_bits "
    "model_id_or_path dataset_num_proc template_type truncation_strategy use_hf model_author target_modules".split()
)
_TRAINS: Final = frozenset({"sft", "pt", "rlhf"})
_SOURCE: Final = "ms-swift 3.11, docs/source_en/Instruction/Command-line-parameters.md"
_DEFAULTS: Final = {
    "micro_batch": "1", "epochs": "3", "gradient_checkpointing": "full", "save": "500 steps", "pack": "false",
    "precision": "bf16", "optimizer": "adamw_torch_fused", "log": "5 steps", "lr_schedule": "cosine",
    "max_length": "the model's longest",
}  # fmt: skip
_MEGATRON: Final = {
    "micro_batch": "1", "batch": "16", "method": "full", "gradient_checkpointing": "selective", "save": "500 steps",
    "pack": "false", "precision": "bf16", "optimizer": "adamw", "log": "5 steps", "max_length": "2048",
    "evaluate": "no",
    "attention": "flash", "epochs": "1",
}  # fmt: skip
_COUNT = re.compile(r"#(\d{1,11})$")


def recognises(source: Source) -> str:
    """Its commands; in YAML two keys that only swift has, beside `model`."""
    if source.form == "command":
        tool = source.program.partition(" ")[0]
        return f"it is the command {source.program}" if tool in ("swift", "megatron") else ""
    found = [key for key in source.tree if key in _TELLING]
    named = "model" in source.tree or "model_id_or_path" in source.tree
    own = "train_type" in found or "tuner_type" in found or "sft_type" in found or "rlhf_type" in found
    return f"it has {', '.join(found[:3])}" if named and own and "model_name_or_path" not in source.tree else ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError for inference, deployment and export."""
    tool, _, verb = taking.source.program.partition(" ")
    if taking.source.form == "command" and verb not in _TRAINS:
        raise no_training(
            taking.source, f"the command {taking.source.program}", "the script with swift sft, pt or rlhf"
        )
    if taking.has("config") and not taking.has("model", "model_type", "model_id_or_path"):
        raise _names_a_file(taking)
    model = taking.word("model", "model_id_or_path", "load", "mcore_model", "ckpt_dir", "model_type")
    taking.take("model", model, _hub_name(model) if model is not None else None)
    _objective(taking, verb)
    _method(taking, tool)
    sharding.launched(taking)
    trainer.training_arguments(taking, steps_evaluate=True)
    taking.take("micro_batch", taking.whole("batch_size"))
    _length(taking)
    words.attention(taking, "attn_impl", "attention_backend")
    if taking.on("use_flash_attn"):
        taking.take("attention", taking.flag("use_flash_attn"), "flash")
    _batches(taking, tool)
    _data(taking)
    if tool == "megatron":
        _megatron(taking)
        return
    trainer.defaults(taking, _DEFAULTS, _SOURCE)
    trainer.defaults(taking, {"evaluate": taking.value("save") if taking.value("held_out") else "no"}, _SOURCE)


def _hub_name(hit: Hit) -> str:
    """A model's name as the hub writes it: `qwen1half-7b` and `qwen2_5-7b` are ms-swift 2's, `-mcore` Megatron's."""
    name = hit.value.removesuffix("-mcore")
    return re.sub(r"(?<=\d)(?:half|_5)(?=-)", ".5", name) if hit.key == "model_type" else name


def _names_a_file(taking: Taking) -> PlanError:
    named = taking.word("config")
    return no_training(
        taking.source, f"a command that only names {named.value if named else 'a file'}", "that configuration"
    )


def _objective(taking: Taking, verb: str) -> None:
    place = taking.source.tree.where
    named = taking.word("rlhf_type")
    task = taking.word("task_type")
    if named is not None or verb == "rlhf":
        word = named.value if named is not None else "dpo"
        taking.take("objective", named or Hit("dpo", "swift rlhf", place), objective_of(word) or "dpo")
    elif task is not None and task.value != "causal_lm":
        taking.take("objective", task, "seq_cls")
        taking.note(f"task_type {task.value}: counted with the language model's head")
    else:
        taking.take("objective", Hit(verb or "sft", taking.source.program or "sft", place))
    beta = taking.number("beta")
    if taking.value("objective") == "grpo" and (beta is None or float(beta.value) > 0):
        taking.default("forward_passes", "1", f"{_SOURCE}: beta 0.04, so that a reference model passes too")


def _method(taking: Taking, tool: str) -> None:
    kind = taking.word("tuner_type", "train_type", "sft_type")
    name = kind.value.lower() if kind is not None else ("full" if tool == "megatron" else "lora")
    if name == "full":
        taking.take("method", kind, "full")
    else:
        on = kind or Hit("lora", "", taking.source.tree.where)
        trainer.lora(taking, on, ("lora_", ""))
        if kind is None:
            taking.read.pop("method", None)
            taking.fields.pop("method", None)
            taking.default("method", "lora", _SOURCE)
        elif name not in ("lora", "qlora"):
            taking.note(f"{name} is counted as LoRA")
        trainer.defaults(taking, {"rank": "8", "alpha": "32", "targets": "all-linear", "dropout": "0.05"}, _SOURCE)
    if taking.on("use_dora"):
        taking.fields["method"] = Hit("dora", "use_dora", taking.place("use_dora"))
    trainer.quantized(taking)


def _length(taking: Taking) -> None:
    """`max_length`; in online reinforcement learning it is the prompt's, and completions come on top."""
    if taking.value("objective") in ("grpo", "ppo"):
        taking.take("prompt_length", taking.whole("max_length"))
        tuning.online(taking, ("num_generations",), "8", "512")
    taking.take("max_length", taking.whole("packing_length", "max_length"))
    taking.take("pack", taking.flag("packing"))
    taking.use("max_length")


def _batches(taking: Taking, tool: str) -> None:
    """GPUs, and the accumulation that makes 16 rows a step where none is said (1 in GRPO)."""
    known = taking.source.gpus
    processes = taking.value("gpus") or "1"
    sequence = taking.whole("sequence_parallel_size", "context_parallel_size")
    if sequence is not None and int(sequence.value) > 1:
        taking.note(f"{sequence.value} GPUs share each sequence ({sequence.key}): counted as tensor parallel")
        taking.take("tensor", sequence)
    tensor = taking.whole("deepspeed_autotp_size")
    if tensor is not None and int(tensor.value) > 1:
        taking.take("tensor", tensor)
    if tool == "megatron":
        return
    if known is not None and taking.source.form == "command" and _alone(taking):
        taking.take("pipeline", Hit(processes, "CUDA_VISIBLE_DEVICES", known.where))
        taking.note("without NPROC_PER_NODE one process spreads the model over its GPUs: counted as pipeline stages")
        processes = "1"
    rows = int(taking.value("micro_batch") or 1) * int(processes)
    online = taking.value("objective") == "grpo"
    accum = 1 if online else max(1, math.ceil(16 / rows))
    why = "1 in GRPO" if online else "as many as make 16 rows a step"
    taking.default("grad_accum", str(accum), f"{_SOURCE}: {why}")


def _alone(taking: Taking) -> bool:
    """Whether one process runs on several GPUs: several are visible, and no number of processes is said."""
    launched = any(key in taking.source.launcher for key in ("nproc_per_node", "num_processes", "num_gpus"))
    several = taking.value("gpus").isdigit() and int(taking.value("gpus")) > 1
    return several and not launched and not taking.source.processes and "config_file" not in taking.source.launcher


def _megatron(taking: Taking) -> None:
    """Megatron's own names."""
    for field, key in (("tensor", "tensor_model_parallel_size"), ("pipeline", "pipeline_model_parallel_size")):
        size = taking.whole(key)
        if size is not None and int(size.value) > 1:
            taking.take(field, size)
    expert = taking.whole("expert_model_parallel_size")
    if expert is not None and int(expert.value) > 1:
        taking.note(f"experts are spread over {expert.value} GPUs: counted as data parallel")
    taking.take("micro_batch", taking.whole("micro_batch_size"))
    taking.take("batch", taking.whole("global_batch_size"))
    steps = taking.whole("train_iters")
    if steps is not None:
        taking.take("steps", steps)
    elif not taking.value("epochs"):
        taking.take("epochs", taking.number("max_epochs"))
    taking.take("learning_rate", trainer.positive(taking, "lr"))
    recompute = taking.word("recompute_granularity")
    taking.take("gradient_checkpointing", recompute, "full" if recompute and recompute.value == "full" else "selective")
    taking.use("recompute_method", "recompute_num_layers")
    saved, evaluated = taking.whole("save_interval"), taking.whole("eval_interval")
    taking.take("save", saved, f"{saved.value} steps" if saved else None)
    taking.take("evaluate", evaluated, f"{evaluated.value} steps" if evaluated else None)
    optimizer = taking.flag("use_distributed_optimizer")
    taking.take("parallel", optimizer or Hit("zero1", "megatron", taking.source.tree.where), "zero1")
    taking.fields["framework"] = Hit("megatron", "megatron", taking.source.tree.where)
    table = {key: value for key, value in _MEGATRON.items() if key != "epochs" or not taking.value("steps")}
    trainer.defaults(taking, table, "ms-swift 3.11, docs/source_en/Megatron-SWIFT/Command-line-parameters.md")


def _data(taking: Taking) -> None:
    """`ID:subset#1000` takes a thousand rows."""
    names = taking.words("dataset", "cached_dataset")
    taking.use("dataset", "val_dataset")
    if names:
        counts = [_COUNT.search(hit.value) for hit in names]
        plain = [_COUNT.sub("", hit.value) for hit in names]
        taking.take("data", Hit(" + ".join(plain)[:200], names[0].key, names[0].where))
        if all(count is not None for count in counts):
            total = sum(int(count[1]) for count in counts if count is not None)
            taking.take("rows", Hit(str(total), names[0].key, names[0].where))
    samples = taking.whole("train_dataset_sample", "max_dataset_samples")
    taking.take("rows", samples)
    held = taking.number("split_dataset_ratio", "dataset_test_ratio")
    if held is not None and float(held.value) > 0:
        taking.take("held_out", held)
    elif not taking.has("val_dataset"):
        trainer.not_evaluated(taking, f"split_dataset_ratio is 0 from ms-swift 3.6 on ({_SOURCE})")


IMPORTER = one_run("an ms-swift command", "command yaml json", recognises, take)
