"""LLaMA-Factory's YAML and JSON, and `llamafactory-cli train --...`.

Owns its keys and its defaults: LLaMA-Factory 0.9.4, src/llamafactory/hparams/{data,finetuning,model}_args.py and
model/model_utils/checkpointing.py; what it leaves out is transformers' `TrainingArguments`.
"""

from __future__ import annotations

from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import sharding, trainer, words
from headway.plan.importing.fields.objectives import objective_of
from headway.plan.importing.fields.taking import Hit, Taking, as_number
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import no_training

_TELLING: Final = frozenset(
    "stage finetuning_type template cutoff_len dataset_dir lora_target lora_rank quantization_bit pref_beta pref_loss "
    "do_predict export_dir infer_backend adapter_name_or_path max_samples overwrite_cache preprocessing_num_workers "
    "freeze_trainable_layers neat_packing use_galore flash_attn enable_liger_kernel plot_loss dataset media_dir "
    "tokenized_path model_class kernel_config train_dataset dist_config peft_config init_config".split()
)
_DEFAULTS: Final = {
    "objective": "sft", "method": "lora", "max_length": "2048", "pack": "false", "gradient_checkpointing": "full",
    "attention": "sdpa",
}  # fmt: skip
_SOURCE: Final = "LLaMA-Factory 0.9.4, src/llamafactory/hparams"
_PRECISION_SOURCE: Final = (
    "LLaMA-Factory 0.9.4, src/llamafactory/model/patcher.py: bf16 where the device has it, else fp16"
)
_TRAINER: Final = {
    "micro_batch": "8", "grad_accum": "1", "epochs": "3", "optimizer": "adamw_torch_fused", "save": "500 steps",
    "evaluate": "no", "log": "500 steps", "lr_schedule": "linear",
}  # fmt: skip


def recognises(source: Source) -> str:
    """Keys that only LLaMA-Factory has, or its command."""
    if source.form == "command" and not source.program.startswith(("llamafactory-cli", "llamafactory")):
        return ""
    found = [key for key in source.tree if key in _TELLING]
    named = "model_name_or_path" in source.tree or "model" in source.tree
    if "base_model" in source.tree or not named:
        return ""
    telling = {"stage", "finetuning_type", "cutoff_len", "infer_backend", "export_dir", "model_class", "template"}
    return f"it has {', '.join(found[:3])}" if len(found) >= 2 and telling & set(found) else ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError for inference, export and prediction."""
    _refuse(taking)
    taking.take("model", taking.word("model_name_or_path", "model"))
    _objective(taking)
    _method(taking)
    trainer.training_arguments(taking, infers_format=True)
    taking.take("micro_batch", taking.whole("micro_batch_size"))
    if not taking.value("grad_accum"):
        taking.take("batch", taking.whole("global_batch_size"))
    taking.take("max_length", taking.whole("cutoff_len"))
    packed = taking.flag("packing", "neat_packing")
    taking.take("pack", packed)
    if packed is None and taking.value("objective") == "pt":
        taking.take("pack", Hit("true", "stage", taking.place("stage")))
    words.attention(taking, "flash_attn")
    off = taking.flag("disable_gradient_checkpointing")
    taking.take("gradient_checkpointing", off, "none" if off is not None and off.value == "true" else "full")
    _sizes(taking)
    _data(taking)
    sharding.launched(taking)
    trainer.defaults(taking, _DEFAULTS, _SOURCE)
    trainer.defaults(taking, _TRAINER, trainer.TRANSFORMERS)
    taking.default("precision", "the best of the GPU", _PRECISION_SOURCE)
    if taking.value("method") == "lora":
        trainer.defaults(taking, {"rank": "8", "targets": "all-linear"}, _SOURCE)


def _refuse(taking: Taking) -> None:
    """Raises PlanError for a configuration that trains nothing."""
    wanted = "the configuration that has `do_train: true`"
    trains = taking.has("do_train", "stage", "num_train_epochs", "per_device_train_batch_size", "train_dataset")
    if taking.has("export_dir"):
        raise no_training(taking.source, "a LLaMA-Factory configuration that merges and exports a model", wanted)
    if taking.has("do_predict") and not taking.on("do_train"):
        raise no_training(taking.source, "a LLaMA-Factory configuration that evaluates or predicts", wanted)
    if not trains and (taking.has("infer_backend", "task") or not taking.has("dataset")):
        raise no_training(taking.source, "a LLaMA-Factory configuration for inference", wanted)
    if taking.has("sample_backend") and not taking.has("train_dataset"):
        raise no_training(taking.source, "a LLaMA-Factory configuration for inference", wanted)


def _objective(taking: Taking) -> None:
    stage = taking.word("stage")
    kind = objective_of(stage.value) if stage is not None else ""
    loss = taking.word("pref_loss")
    if kind == "dpo" and loss is not None and loss.value in ("orpo", "simpo"):
        taking.take("objective", loss)
    elif kind:
        taking.take("objective", stage, kind)
    if kind == "ppo":
        taking.take("completion_length", taking.whole("max_new_tokens"))
        taking.default("completion_length", "1024", "LLaMA-Factory 0.9.4, src/llamafactory/hparams/generating_args.py")


def _method(taking: Taking) -> None:
    kind = taking.word("finetuning_type")
    name = kind.value.lower() if kind is not None else "lora"
    peft = taking.word("peft_config.name")
    if kind is None and taking.has("model_class"):
        kind, name = peft, peft.value.lower() if peft is not None else "full"
    if name == "lora":
        trainer.lora(taking, kind, ("lora_", "peft_config.", "peft_config.lora_"))
    elif name == "oft":
        taking.take("method", kind, "lora", shown="oft")
        taking.take("rank", taking.whole("oft_block_size"), "8")
        words.take_targets(taking, "oft_target")
        taking.note("OFT is counted as LoRA of rank 8: about as many parameters as blocks of 32")
    elif name == "freeze":
        taking.take("method", kind, "full", shown="freeze")
        layers = as_number(taking.node("freeze_trainable_layers"))
        taking.use("freeze_trainable_layers", "freeze_trainable_modules")
        taking.take("trained_blocks", kind, str(int(layers)) if layers else "2")
        if taking.on("use_llama_pro"):
            taking.note("LLaMA Pro trains its added blocks, which are spread over the stack: counted as the last ones")
    else:
        taking.take("method", kind, "full")
    if taking.has("model_class") and kind is None:
        taking.default("method", "full", "LLaMA-Factory 0.9.4, v1: all weights without peft_config")
    trainer.quantized(taking)
    for key, what in (("use_galore", "GaLore"), ("use_apollo", "APOLLO"), ("use_badam", "BAdam"),
                      ("use_adam_mini", "Adam-mini"), ("use_muon", "Muon")):  # fmt: skip
        hit = taking.flag(key)
        if hit is not None and hit.value == "true":
            taking.take("optimizer", hit, "muon" if what == "Muon" else "adamw")
            if what != "Muon":
                taking.note(f"{what} is counted as AdamW: the memory it saves is not counted")


def _sizes(taking: Taking) -> None:
    for field, key in (("tensor", "tensor_model_parallel_size"), ("pipeline", "pipeline_model_parallel_size")):
        size = taking.whole(key)
        if size is not None and int(size.value) > 1:
            taking.take(field, size)
    expert = taking.whole("expert_model_parallel_size")
    if expert is not None and int(expert.value) > 1:
        taking.note(f"experts are spread over {expert.value} GPUs: counted as data parallel")
    workers = taking.whole("ray_num_workers")
    if workers is not None:
        each = taking.whole("resources_per_worker.GPU")
        taking.take("gpus", workers, str(int(workers.value) * int(each.value if each is not None else 1)))
    hit = taking.word("dist_config.name")
    if hit is not None:
        taking.use("dist_config")
        taking.take("parallel", hit, "zero3" if "fsdp" in hit.value else "zero2")
    recompute = taking.word("recompute_granularity")
    if recompute is not None:
        taking.take("gradient_checkpointing", recompute, "full" if recompute.value == "full" else "selective")


def _data(taking: Taking) -> None:
    """`max_samples` cuts each of the datasets, so that it bounds the rows."""
    names = taking.words("dataset", "train_dataset")
    taking.use("dataset", "train_dataset")
    if names:
        taking.take("data", Hit(" + ".join(hit.value for hit in names)[:200], names[0].key, names[0].where))
    most = taking.whole("max_samples")
    if most is not None:
        total = int(most.value) * max(1, len(names))
        taking.take("rows", most, str(total))
        if names:
            taking.note(f"max_samples cuts each of {len(names)} datasets: {total} rows, fewer where one is smaller")
    held = taking.number("val_size")
    if held is not None and float(held.value) > 0:
        taking.take("held_out", held)
    elif taking.has("eval_dataset"):
        taking.take("eval_data", taking.word("eval_dataset"))


IMPORTER = one_run("a LLaMA-Factory configuration", "yaml json command", recognises, take)
