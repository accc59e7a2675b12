"""axolotl's YAML.

Owns its keys and its defaults: axolotl 0.12, src/axolotl/utils/schemas/{config,training,peft,model}.py and
core/builders/base.py.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import sharding, trainer, words
from headway.plan.importing.fields.objectives import objective_of
from headway.plan.importing.fields.taking import Hit, Taking, as_flag, as_number
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import no_training
from headway.plan.reading.yaml import Map, Seq, Text

_TELLING: Final = frozenset(
    "micro_batch_size sequence_len num_epochs datasets pretraining_dataset adapter val_set_size sample_packing "
    "dataset_prepared_path lora_target_linear load_in_4bit load_in_8bit rl reward_model evals_per_epoch "
    "saves_per_epoch model_type tokenizer_type gradient_accumulation_steps pad_to_sequence_len chat_template plugins "
    "special_tokens flash_attention wandb_project quantization".split()
)
_DEFAULTS: Final = {
    "micro_batch": "1", "grad_accum": "1", "epochs": "1", "max_length": "512", "optimizer": "adamw_torch_fused",
    "gradient_checkpointing": "none", "save": "1 epochs", "keep": "4", "pack": "false",
    "precision": "the best of the GPU", "evaluate": "no", "lr_schedule": "cosine",
}  # fmt: skip
_SOURCE: Final = "axolotl 0.12, src/axolotl/utils/schemas and core/builders/base.py"
_LORA: Final = {"rank": "8", "alpha": "16"}
_CAP = re.compile(r"\[:(\d+)\]$")


def recognises(source: Source) -> str:
    """`base_model`, which axolotl says, where others say `model_name_or_path`."""
    found = [key for key in source.tree if key in _TELLING]
    if "base_model" in source.tree and len(found) >= 2:
        return f"it has base_model, {', '.join(found[:3])}"
    return ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError for a configuration that only quantizes."""
    if taking.has("quantization") and not taking.has("micro_batch_size", "datasets", "num_epochs"):
        raise no_training(
            taking.source, "an axolotl configuration that quantizes a trained model", "the one that trains"
        )
    taking.take("model", taking.word("base_model"))
    _objective(taking)
    _method(taking)
    taking.take("micro_batch", taking.whole("micro_batch_size"))
    taking.take("grad_accum", taking.whole("gradient_accumulation_steps"))
    if not taking.value("micro_batch") or not taking.value("grad_accum"):
        taking.take("batch", taking.whole("batch_size"))
    trainer.length_of_run(taking)
    taking.take("max_length", taking.whole("sequence_len"))
    taking.take("pack", taking.flag("sample_packing", "pretraining_sample_concatenation"))
    _precision(taking)
    words.optimizer(taking, taking.word("optimizer"))
    _checkpointing(taking)
    _attention(taking)
    _cadences(taking)
    trainer.rates(taking)
    compiled = taking.word("torch_compile")
    taking.take("compile", compiled, "false" if compiled and as_flag(Text(compiled.value)) is False else "true")
    sharding.deepspeed(taking)
    _fsdp(taking)
    _sizes(taking)
    _data(taking)
    trainer.defaults(taking, _DEFAULTS, _SOURCE)


def _objective(taking: Taking) -> None:
    """`rl`, reward models and continued pre-training; supervised fine-tuning where none is named."""
    hit = taking.word("rl", "rl_type")
    kind = objective_of(hit.value) if hit is not None else ""
    if hit is not None and as_flag(Text(hit.value)) is not False:
        taking.take("objective", hit, kind or "sft")
        if not kind:
            taking.note(f"rl: {hit.value} is not known here: counted as supervised fine-tuning")
    elif taking.on("reward_model"):
        taking.take("objective", taking.flag("reward_model"), "rm")
    elif taking.on("process_reward_model"):
        taking.take("objective", taking.flag("process_reward_model"), "prm")
    elif taking.has("pretraining_dataset"):
        taking.take("objective", Hit("pt", "pretraining_dataset", taking.place("pretraining_dataset")))
    if taking.value("objective") == "grpo":
        taking.take("generations", taking.whole("trl.num_generations"))
        taking.take("completion_length", taking.whole("trl.max_completion_length"))
        taking.default("generations", "8", "TRL 0.2x, GRPOConfig")
        taking.default("completion_length", "256", "TRL 0.2x, GRPOConfig")
        taking.take("served", taking.flag("trl.use_vllm"))
        taking.take("generation_tensor", taking.whole("vllm.tensor_parallel_size"))
        beta = taking.number("trl.beta", "rl_beta")
        if beta is not None and float(beta.value) > 0:
            taking.take("forward_passes", beta, "1")


def _method(taking: Taking) -> None:
    adapter = taking.word("adapter")
    name = adapter.value.lower() if adapter is not None else ""
    if "lora" in name or name in ("dora", "llama-adapter", "oft"):
        trainer.lora(taking, adapter)
        if taking.on("peft_use_dora"):
            taking.fields["method"] = Hit("dora", "peft_use_dora", taking.place("peft_use_dora"))
        linear = taking.flag("lora_target_linear")
        if linear is not None and linear.value == "true":
            taking.take("targets", linear, "all-linear")
            taking.fields["targets"] = Hit("all-linear", "lora_target_linear", linear.where)
        for field, value in _LORA.items():
            taking.default(field, value, "PEFT 0.17, LoraConfig")
        taking.default("targets", "all-linear", "not said")
    else:
        taking.take("method", adapter, "full")
        taking.default("method", "full", "axolotl trains all weights where `adapter` is left out")
    trainer.quantized(taking)
    for key, what in (("unfrozen_parameters", "some weights are frozen (unfrozen_parameters): counted as all trained"),
                      ("lisa_n_layers", "LISA trains a few layers at a time: counted as all trained"),
                      ("relora", "ReLoRA merges and restarts: counted as LoRA")):  # fmt: skip
        if taking.has(key):
            taking.use(key)
            taking.note(what)


def _precision(taking: Taking) -> None:
    """`bf16: auto` is bf16 on GPUs that have it, which axolotl decides on the machine."""
    for key, word in (("fp8", "fp8"), ("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16"), ("float16", "fp16")):
        hit = taking.word(key)
        if hit is None:
            continue
        if hit.value.lower() == "auto":
            taking.take("precision", hit, "", shown="auto: bf16 where the GPU has it")
            return
        if hit.value.lower() in ("full", "true", "yes", "on"):
            taking.take("precision", hit, word)
            return
    off = next((hit for key in ("bf16", "fp16", "float32") if (hit := taking.word(key)) is not None), None)
    taking.take("precision", off, "fp32")


def _checkpointing(taking: Taking) -> None:
    hit = taking.word("gradient_checkpointing")
    taking.use("gradient_checkpointing_kwargs")
    if hit is not None:
        if "offload" in hit.value:
            taking.note("activations are offloaded to the CPU: the time of that is not counted")
        on = as_flag(Text(hit.value)) is not False
        taking.take("gradient_checkpointing", hit, "full" if on else "none")
    if taking.on("activation_offloading"):
        taking.note("activations are offloaded to the CPU: the time of that is not counted")


def _attention(taking: Taking) -> None:
    words.attention(taking, "attn_implementation")
    for key, kind in (("flash_attention", "flash"), ("xformers_attention", "flash"), ("flex_attention", "flash"),
                      ("sdp_attention", "sdpa"), ("eager_attention", "eager"), ("s2_attention", "flash")):  # fmt: skip
        hit = taking.flag(key)
        if hit is not None and hit.value == "true":
            taking.take("attention", hit, kind)


def _cadences(taking: Taking) -> None:
    """`saves_per_epoch: 4` is a save every quarter of an epoch; evaluation needs rows held out."""
    for field, often, steps, strategy in (("save", "saves_per_epoch", "save_steps", "save_strategy"),
                                          ("evaluate", "evals_per_epoch", "eval_steps", "eval_strategy")):  # fmt: skip
        number = taking.whole(often, least=0)
        if number is not None:
            taking.take(field, number, f"{1 / int(number.value):g} epochs" if number.value != "0" else "no")
        trainer.cadence(taking, field, (strategy, "evaluation_strategy") if field == "evaluate" else (strategy,),
                        (steps,), "500")  # fmt: skip
    taking.take("keep", taking.whole("save_total_limit"))
    logged = taking.whole("logging_steps")
    taking.take("log", logged, f"{logged.value} steps" if logged is not None else None)
    held = taking.number("val_set_size")
    if held is not None and float(held.value) > 0:
        taking.take("held_out", held)
    elif taking.has("test_datasets"):
        taking.take("held_out", Hit("0", "test_datasets", taking.place("test_datasets")))
    else:
        trainer.not_evaluated(taking, f"val_set_size is 0 ({_SOURCE})")


def _fsdp(taking: Taking) -> None:
    version = taking.whole("fsdp_version")
    sharding.fsdp(taking, alone=True)
    if version is not None and not taking.value("parallel"):
        taking.take("parallel", version, "zero3")


def _sizes(taking: Taking) -> None:
    """GPUs that share a copy of the model or a sequence."""
    tensor = taking.whole("tensor_parallel_size")
    if tensor is not None and int(tensor.value) > 1:
        taking.take("tensor", tensor)
    sequence = taking.whole("context_parallel_size", "sequence_parallel_degree")
    if sequence is not None and int(sequence.value) > 1:
        taking.note(f"{sequence.value} GPUs share each sequence ({sequence.key}): counted as tensor parallel")
        taking.take("tensor", sequence)
    data = taking.whole("dp_shard_size")
    if data is not None and int(data.value) > 1:
        taking.take("parallel", data, "zero3")
        copies = taking.whole("dp_replicate_size")
        total = int(data.value) * int(taking.value("tensor") or 1) * int(copies.value if copies is not None else 1)
        taking.take("gpus", data, str(total))


def _data(taking: Taking) -> None:
    """The dataset's name, and its rows where a split says them (`train[:500]`)."""
    key = next((one for one in ("datasets", "pretraining_dataset") if taking.has(one)), "")
    node = taking.node(key) if key else None
    items = [one for one in node if isinstance(one, Map)] if isinstance(node, Seq) else []
    items = [node] if isinstance(node, Map) else items
    names = [str(one["path"]) for one in items if isinstance(one.get("path"), Text) and one["path"]]
    taking.use("datasets", "pretraining_dataset", "test_datasets")
    if names:
        taking.take("data", Hit(" + ".join(names)[:200], key, taking.place(key)))
    if any("[" in str(one.get("split", "")) or one.get("shards") for one in items):
        taking.part = True
    caps = [_cap(one) for one in items]
    if items and all(cap is not None for cap in caps):
        taking.take("rows", Hit(str(sum(cap or 0 for cap in caps)), key, taking.place(key)))


def _cap(item: Map) -> int | None:
    """Rows that a split takes by number."""
    split = item.get("split")
    found = _CAP.search(split) if isinstance(split, Text) else None
    shards = as_number(item.get("shards"))
    return int(found[1]) if found is not None and len(found[1]) < 12 and not shards else None


IMPORTER = one_run("an axolotl configuration", "yaml json", recognises, take)
