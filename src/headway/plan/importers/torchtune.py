"""torchtune's YAML recipes.

Owns its components and defaults: torchtune 0.6, recipes/*.py (`cfg.get(...)`) and recipes/configs.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import trainer, words
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import no_training
from headway.plan.importing.text.tree import leaves
from headway.plan.reading.yaml import Map, Seq, Text

_SOURCE: Final = "torchtune 0.6, recipes/*.py"
_DEFAULTS: Final = {
    "grad_accum": "1", "gradient_checkpointing": "none", "save": "1 epochs", "evaluate": "no", "pack": "false",
    "precision": "bf16", "compile": "false", "attention": "sdpa", "optimizer": "adamw", "log": "1 steps",
    "max_length": "the longest row", "micro_batch": "1",
}  # fmt: skip
_SIZE = re.compile(r"^(.*?)_?(\d+(?:_\d)?b)(?:_.*)?$")
_FAMILIES: Final = {
    "llama2": "meta-llama/Llama-2-{}-hf", "llama3": "meta-llama/Meta-Llama-3-{}", "llama3_1": "meta-llama/Llama-3.1-{}",
    "llama3_2": "meta-llama/Llama-3.2-{}", "llama3_3": "meta-llama/Llama-3.3-{}-Instruct",
    "code_llama2": "codellama/CodeLlama-{}-hf", "mistral": "mistralai/Mistral-{}-v0.1", "gemma": "google/gemma-{}",
    "gemma2": "google/gemma-2-{}", "qwen2": "Qwen/Qwen2-{}", "qwen2_5": "Qwen/Qwen2.5-{}", "qwen3": "Qwen/Qwen3-{}",
    "mistral_reward": "mistralai/Mistral-{}-v0.1", "llama3_2_vision": "meta-llama/Llama-3.2-{}-Vision",
}  # fmt: skip
"""Builder's family -> hub id; builders are torchtune/models/*/_model_builders.py."""
_ALONE: Final = {"phi3_mini": "microsoft/Phi-3-mini-4k-instruct", "phi4_14b": "microsoft/phi-4",
                 "phi4_mini": "microsoft/Phi-4-mini-instruct"}  # fmt: skip
_SHAPE: Final = {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "embed_dim": "hidden_size",
                 "num_kv_heads": "num_key_value_heads", "intermediate_dim": "intermediate_size",
                 "vocab_size": "vocab_size", "max_seq_len": "max_position_embeddings"}  # fmt: skip
_LOWER_SIZES: Final = ("gemma", "gemma2", "llama2", "code_llama2")


def recognises(source: Source) -> str:
    """Components: values of `_component_` that name torchtune."""
    for key, _, item in leaves(source.tree, 400):
        if key.endswith("_component_") and isinstance(item, Text) and item.startswith("torchtune."):
            return f"{key} is {item}"
    return ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError for evaluation, generation and quantization."""
    if not taking.has("optimizer", "training.optimizer") or not taking.has(
        "epochs", "num_steps", "max_steps_per_epoch", "loss"
    ):
        raise no_training(taking.source, "a torchtune configuration that evaluates, generates or quantizes",
                          "a recipe's configuration, with `optimizer` and `epochs`")  # fmt: skip
    part = next((key for key in ("model", "policy_model", "student_model") if taking.has(key)), "model")
    _model(taking, part)
    _objective(taking)
    _method(taking, part)
    taking.take("grad_accum", taking.whole("gradient_accumulation_steps"))
    _length_of_run(taking)
    taking.take("micro_batch", taking.whole("batch_size", "training.batch_size"))
    taking.take("max_length", taking.whole("tokenizer.max_seq_len", "max_seq_len"))
    packed = taking.flag("dataset.packed", "packed", "dataloader.packed") or _packed(taking)
    taking.take("pack", packed)
    words.take_precision(taking, "dtype")
    words.optimizer(taking, taking.word("optimizer._component_"))
    taking.use("optimizer.lr", "optimizer.fused", "optimizer.weight_decay")
    taking.take("learning_rate", trainer.positive(taking, "optimizer.lr"))
    taking.take("weight_decay", taking.number("optimizer.weight_decay"))
    taking.take("seed", taking.whole("seed", least=0))
    checkpointing = taking.flag("enable_activation_checkpointing")
    if checkpointing is not None:
        taking.take("gradient_checkpointing", checkpointing, "full" if checkpointing.value == "true" else "none")
    if taking.on("enable_activation_offloading"):
        taking.note("activations are offloaded to the CPU: the time of that is not counted")
    if taking.on("optimizer_in_bwd"):
        taking.note("the optimizer runs within the backward pass: the gradients' memory it saves is not counted")
    taking.take("compile", taking.flag("compile"))
    _cadences(taking)
    _sizes(taking)
    _data(taking)
    trainer.defaults(taking, _DEFAULTS, _SOURCE)


def _model(taking: Taking, part: str) -> None:
    """The builder's name as a hub id; a shape written out is the model's own."""
    hit = taking.word(f"{part}._component_")
    builder = hit.value.rpartition(".")[2] if hit is not None else ""
    plain = re.sub(r"^(?:q?lora_|q?dora_)", "", builder)
    family = next((name for name in sorted(_FAMILIES, key=len, reverse=True) if plain.startswith(f"{name}_")), "")
    found = _SIZE.match(plain.removeprefix(f"{family}_"))
    folder = taking.word("checkpointer.checkpoint_dir")
    if plain in _ALONE:
        taking.take("model", hit, _ALONE[plain])
    elif found is not None:
        size = found[2].replace("_", ".")
        size = size if family in _LOWER_SIZES else size.upper()
        taking.take("model", hit, _FAMILIES.get(family, f"{found[1].replace('_', '-')}-{{}}").format(size))
    elif folder is not None:
        taking.take("model", folder, folder.value.rstrip("/").rpartition("/")[2])
    else:
        taking.take("model", hit, plain)
    node = taking.node(part)
    shape = {
        name: hit.value
        for key, name in _SHAPE.items()
        if isinstance(node, Map) and (hit := taking.whole(f"{part}.{key}"))
    }
    if {"num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"} <= shape.keys():
        # torchtune/modules/common_utils.py, scale_hidden_dim_for_mlp: two thirds of 4 x width, to the next 256
        scaled = 256 * -(-(int(shape["hidden_size"]) * 8 // 3) // 256)
        taking.shape.update({"intermediate_size": str(scaled), **shape})


def _objective(taking: Taking) -> None:
    loss = taking.word("loss._component_", "loss")
    name = loss.value.lower() if loss is not None else ""
    if taking.has("policy_model", "reward_and_value_model") or "ppo" in name:
        taking.take("objective", loss, "ppo")
    elif "grpo" in name or taking.has("grpo_samples"):
        taking.take("objective", loss, "grpo")
        taking.take("generations", taking.whole("grpo_samples"))
        taking.default("forward_passes", "1", f"{_SOURCE}: the reference model passes over each completion")
    elif "simpo" in name:
        taking.take("objective", loss, "simpo")
    elif any(word in name for word in ("dpo", "rso", "ipo")):
        taking.take("objective", loss, "dpo")
    elif taking.has("teacher_model"):
        taking.take("objective", Hit("gkd", "teacher_model", taking.place("teacher_model")))
    if taking.value("objective") in ("ppo", "grpo"):
        taking.take("completion_length", taking.whole("max_generated_tokens"))
        taking.default("generations", "1", "one completion a prompt")
    if taking.has("quantizer"):
        taking.use("quantizer")
        taking.note("quantization-aware training: the time of its fake quantization is not counted")


def _method(taking: Taking, part: str) -> None:
    hit = taking.word(f"{part}._component_")
    builder = hit.value.rpartition(".")[2] if hit is not None else ""
    if "lora_" in builder or "dora_" in builder or taking.has(f"{part}.lora_rank"):
        trainer.lora(taking, hit, (f"{part}.lora_",))
        taking.fields["method"] = Hit("dora" if taking.on(f"{part}.use_dora") or "dora" in builder else "lora",
                                      f"{part}._component_", taking.place(f"{part}._component_"))  # fmt: skip
        trainer.defaults(taking, {"rank": "8", "alpha": "16"}, "torchtune 0.6, torchtune/models/*/_model_builders.py")
        attention = [Hit(h.value.replace("output_proj", "o_proj"), h.key, h.where)
                     for h in taking.words(f"{part}.lora_attn_modules")]  # fmt: skip
        chosen = words.targets(attention) or "q_proj, v_proj"
        for key, more in (("apply_lora_to_mlp", "mlp"), ("apply_lora_to_output", "head")):
            chosen += f", {more}" if taking.on(f"{part}.{key}") else ""
        taking.take("targets", attention[0] if attention else hit, chosen)
        if builder.startswith(("qlora_", "qdora_")) or taking.on(f"{part}.quantize_base"):
            taking.take("quantize", hit, "nf4")
    else:
        taking.take("method", hit, "full")


def _length_of_run(taking: Taking) -> None:
    """Epochs, or epochs times the steps that each is cut to; steps of reinforcement learning are rounds."""
    epochs, most = taking.number("epochs"), taking.whole("max_steps_per_epoch")
    rounds = taking.whole("num_steps")
    kind = taking.value("objective")
    if kind == "ppo" and rounds is not None:
        batch = taking.whole("batch_size")
        times = taking.whole("ppo_epochs")
        own = taking.whole("ppo_batch_size")
        made = max(1, int(rounds.value) // int(batch.value if batch else 1)) * int(times.value if times else 1)
        taking.take("steps", rounds, str(made * max(1, int(batch.value) // int(own.value)) if batch and own else made))
        passes = int(taking.value("grad_accum") or 1)
        taking.take("micro_batch", own, str(max(1, int(own.value) // passes)) if own else None)
    elif kind == "grpo" and rounds is not None:
        batch, each = taking.whole("batch_size"), int(taking.value("generations") or 1)
        taking.take("steps", rounds)
        taking.take("micro_batch", batch, str(int(batch.value) * each) if batch else None)
        taking.use("epochs")
    elif most is not None:
        taking.take("steps", most, str(max(1, round(int(most.value) * float(epochs.value if epochs else 1)))))
        taking.note("max_steps_per_epoch bounds each epoch: the steps are fewer where the data is shorter")
    else:
        taking.take("epochs", epochs, f"{float(epochs.value):g}" if epochs is not None else None)


def _packed(taking: Taking) -> Hit | None:
    """`packed` of the first of several datasets."""
    node = taking.node("dataset")
    first = node[0] if isinstance(node, Seq) and node else None
    value = first.get("packed") if isinstance(first, Map) else None
    if isinstance(value, Text) and value.lower() in ("true", "false"):
        return Hit(value.lower(), "dataset", value.where)
    return None


def _cadences(taking: Taking) -> None:
    saved, evaluated = taking.whole("save_every_n_epochs"), taking.whole("run_val_every_n_steps")
    steps = taking.whole("save_every_n_steps")
    taking.take("save", steps, f"{steps.value} steps" if steps else None)
    taking.take("save", saved, f"{saved.value} epochs" if saved else None)
    taking.take("evaluate", evaluated, f"{evaluated.value} steps" if evaluated else None)
    logged = taking.whole("log_every_n_steps")
    taking.take("log", logged, f"{logged.value} steps" if logged else None)


def _sizes(taking: Taking) -> None:
    """One GPU for single-device recipes; the others shard with FSDP over as many as they are started on."""
    tensor = taking.whole("tensor_parallel_dim")
    if tensor is not None and int(tensor.value) > 1:
        taking.take("tensor", tensor)
    shards = taking.whole("data_parallel_shard_dim")
    if shards is not None and int(shards.value) > 1:
        total = int(shards.value) * int(taking.value("tensor") or 1)
        taking.take("gpus", shards, str(total))
    single = "single_device" in taking.source.name or "single_device" in str(taking.node("output_dir") or "")
    if single:
        where = taking.place("output_dir")
        taking.take("gpus", Hit("1", "output_dir", where))
        taking.take("parallel", Hit("ddp", "output_dir", where))
    else:
        if taking.has("fsdp"):
            taking.take("parallel", Hit("zero3", "fsdp", taking.place("fsdp")))
            taking.use("fsdp")
        taking.default("parallel", "zero3", f"{_SOURCE}: distributed recipes shard everything with FSDP2")


def _data(taking: Taking) -> None:
    """The dataset's builder or source; a split such as `train[:95%]` leaves the rows unknown."""
    hit = taking.word("dataset.source", "dataset._component_")
    node = taking.node("datasets") or taking.node("dataset")
    if hit is None and isinstance(node, Seq):
        names = [str(one.get("source") or one.get("_component_") or "") for one in node if isinstance(one, Map)]
        key = "datasets" if taking.has("datasets") else "dataset"
        hit = Hit(" + ".join(dict.fromkeys(names))[:200], key, taking.place(key)) if names else None
    if hit is not None:
        taking.take("data", hit, hit.value.rpartition(".")[2] if hit.value.startswith("torchtune.") else None)
    taking.part = "[" in str(taking.node("dataset.split") or "")
    taking.use("dataset", "datasets", "dataset_val")


IMPORTER = one_run("a torchtune configuration", "yaml json", recognises, take)
