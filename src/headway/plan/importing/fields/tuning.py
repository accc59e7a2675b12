"""A fine-tuning run in the words of transformers and TRL, in a file or on a command line.

Owns TRL's own fields and defaults (TRL 0.24, trl/trainer/{sft,dpo,kto,orpo,reward,grpo}_config.py and
trl/trainer/model_config.py); what `TrainingArguments` decides is `trainer`.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.importing.fields import trainer, words
from headway.plan.importing.fields.objectives import objective_of
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.reading.yaml import Map, Seq, Text

MODEL: Final = (
    "model_name_or_path", "model_name", "model", "model_id", "base_model", "model_path",
    "pretrained_model_name_or_path", "model.name", "model.name_or_path", "model.model_name_or_path", "model.id",
    "model.model_name", "model.base_model", "model.path",
)  # fmt: skip
LENGTH: Final = (
    "max_seq_length", "max_length", "model_max_length", "max_seq_len", "block_size", "cutoff_len", "seq_length",
    "sequence_length", "seq_len", "max_len", "max_source_length", "model.max_seq_length", "model.max_length",
    "data.max_seq_length", "data.max_length", "dataset.max_seq_length", "dataset.max_length", "tokenizer.max_length",
)  # fmt: skip
_OWN: Final = frozenset(
    "max_seq_length max_length packing dataset_name dataset_text_field dataset_mixture dataset_mixer use_peft lora_r "
    "beta loss_type max_prompt_length num_generations max_completion_length attn_implementation assistant_only_loss "
    "dataset_num_proc padding_free model_revision reward_funcs lora_target_modules".split()
)
"""Fields of TRL's configurations and scripts: a file without any is plain `TrainingArguments`."""
_TRL: Final = {
    "gradient_checkpointing": "full", "precision": "bf16", "max_length": "1024", "pack": "false", "log": "10 steps",
}  # fmt: skip
_TRL_SOURCE: Final = "TRL 0.24, trl/trainer/sft_config.py and its siblings"
_DTYPE: Final = ("torch_dtype", "dtype", "model_init_kwargs.torch_dtype", "model_init_kwargs.dtype")
_ADAPTER_SOURCE: Final = "TRL 0.24, trl/trainer/model_config.py"
_TARGETS_SOURCE: Final = "PEFT 0.17, src/peft/utils/constants.py: the model family's own"
_TRANSFORMERS: Final = {
    "micro_batch": "8", "grad_accum": "1", "epochs": "3", "optimizer": "adamw_torch_fused",
    "gradient_checkpointing": "none", "save": "500 steps", "evaluate": "no", "precision": "fp32", "log": "500 steps",
    "lr_schedule": "linear",
}  # fmt: skip
_KINDS = re.compile(
    r"(?<![a-z])(orpo|simpo|cpo|kto|bco|dpo|ipo|apo|grpo|rloo|ppo|gkd|prm|reward|rm|online_dpo|sft)(?![a-z])"
)
_ROWS = re.compile(r"\[:(\d{1,11})\]$")


def kind_of(taking: Taking) -> Hit | None:
    """Which objective is trained: the command's or script's name, then telling fields, then names of folders."""
    program = _KINDS.search(taking.source.program.lower().replace("-", "_"))
    place = taking.source.tree.where
    if program is not None:
        return Hit(objective_of(program[1]), taking.source.program, place)
    named = taking.word("rlhf_type", "trainer_type", "trainer", "rl", "train_method")
    if named is not None and objective_of(named.value):
        return Hit(objective_of(named.value), named.key, named.where)
    words_of = [
        taking.source.name,
        *(str(taking.node(key) or "") for key in ("output_dir", "hub_model_id", "run_name")),
    ]
    said = [found[1] for text in words_of for found in _KINDS.finditer(text.lower()) if found[1] not in ("sft", "rm")]
    for keys, kinds in ((("num_generations", "reward_funcs"), ("grpo", "online_dpo", "rloo")),
                        (("desirable_weight",), ("kto",)),
                        (("beta", "max_prompt_length"), ("dpo", "orpo", "simpo", "cpo", "kto", "ipo"))):  # fmt: skip
        if taking.has(*keys):
            key = next(key for key in keys if taking.has(key))
            kind = next((word for word in said if word in kinds), kinds[0])
            return Hit(objective_of(kind), key, taking.place(key))
    columns = _columns(taking)
    if {"chosen", "rejected"} <= columns:
        reward = any(word in said for word in ("reward",))
        return Hit("rm" if reward else "dpo", "dataset_mixture", taking.place("dataset_mixture"))
    return None


def _columns(taking: Taking) -> set[str]:
    """Columns that the mixture of a recipe names."""
    node = taking.node("dataset_mixture.datasets")
    items = [one for one in node if isinstance(one, Map)] if isinstance(node, Seq) else []
    return {str(c) for one in items for c in (one.get("columns") or []) if isinstance(c, Text)}


def take(taking: Taking, kind: Hit | None, *, commanded: bool = False) -> None:
    """Everything that decides time and memory."""
    own = commanded or any(key in _OWN for key in taking.source.tree)
    taking.take("model", taking.word(*MODEL))
    if kind is not None:
        taking.take("objective", kind)
    trainer.training_arguments(taking)
    _other_names(taking)
    _method(taking, commanded)
    taking.take("max_length", taking.whole(*LENGTH))
    taking.take("pack", taking.flag("packing", "sample_packing", "pack"))
    words.attention(taking, "attn_implementation", "model_init_kwargs.attn_implementation", "attn_impl")
    if taking.on("use_flash_attn", "use_flash_attention", "use_flash_attention_2"):
        key = next(k for k in ("use_flash_attn", "use_flash_attention", "use_flash_attention_2") if taking.has(k))
        taking.take("attention", taking.flag(key), "flash")
    online(taking, ("num_generations",), "8", "256")
    data(taking)
    if own and (not commanded or taking.source.program.startswith("trl ") or kind is not None):
        trainer.defaults(taking, _TRL, _TRL_SOURCE)
    trainer.defaults(taking, _TRANSFORMERS, trainer.TRANSFORMERS)


def _other_names(taking: Taking) -> None:
    """What scripts of one's own call the same things."""
    taking.take("micro_batch", taking.whole("micro_batch_size", "train_micro_batch_size", "train_batch_size"))
    if not taking.value("micro_batch"):
        taking.take("micro_batch", taking.whole("batch_size"))
    taking.take("grad_accum", taking.whole("gradient_accumulation", "grad_accum", "accumulate_grad_batches"))
    if not taking.value("steps") and not taking.value("epochs"):
        taking.take("epochs", taking.number("epochs", "max_epochs", "n_epochs"))
    format_ = taking.word("mixed_precision", "precision")
    if format_ is not None and words.precision(format_):
        taking.take("precision", format_, words.precision(format_))
    words.optimizer(taking, taking.word("optimizer"))


def _method(taking: Taking, commanded: bool) -> None:
    """An adapter where `use_peft` says so; where a script has no such switch, where a rank is given."""
    switch = taking.flag("use_peft", "use_lora", "lora_enable", "lora", "peft", "enable_lora")
    rank = next(
        (taking.word(key) for key in ("lora_r", "lora_rank", "peft_lora_r", "lora_dim") if taking.has(key)), None
    )
    method = taking.word("peft_method", "finetuning_type", "adapter", "train_type")
    on = switch if switch is not None and switch.value == "true" else None
    if on is None and switch is None:
        on = method if method is not None and "lora" in method.value.lower() else rank
    nested = next(
        (key for key in ("lora", "peft_config", "lora_config", "peft") if isinstance(taking.node(key), Map)), ""
    )
    if on is None and nested and taking.has(f"{nested}.r", f"{nested}.rank"):
        on = Hit("lora", nested, taking.place(nested))
    if on is not None:
        trainer.lora(taking, on, ("lora_", "peft_lora_", *((f"{nested}.", f"{nested}.lora_") if nested else ())))
        trainer.defaults(taking, {"rank": "16", "alpha": "32", "dropout": "0.05"}, _ADAPTER_SOURCE)
        _targets(taking)
    else:
        taking.take("method", switch, "full")
        taking.default(
            "method", "full", "TRL 0.24, model_config.py: use_peft is off" if not commanded else "no adapter"
        )
    trainer.quantized(taking)


def wide_weights(taking: Taking) -> None:
    """Whether weights stay fp32 under `bf16` or `fp16` (autocast): not where they are loaded in 16 bits.

    `fp16` needs them in fp32: its gradient scaler refuses 16-bit gradients (torch, amp/grad_scaler.py).
    """
    format_ = taking.fields.get("precision")
    dtype = taking.word(*_DTYPE)
    loaded = dtype is not None and (dtype.value == "auto" or words.precision(dtype) in ("bf16", "fp16"))
    if format_ is None or format_.key in (*_DTYPE, "pure_bf16") or (loaded and format_.value != "fp16"):
        return
    words.wide_weights(taking, format_ if format_.key else None, f"{trainer.TRANSFORMERS}: autocast over fp32 weights")


def _targets(taking: Taking) -> None:
    """What PEFT adapts where no targets are said: modules of the model's family, known by its name."""
    if taking.value("targets"):
        return
    own = words.own_targets(taking.given.get("model") or taking.value("model"))
    if not own:
        taking.note("which modules PEFT adapts by default is not known for this model: q and v are counted")
    taking.default("targets", own or "q, v", _TARGETS_SOURCE)


def online(taking: Taking, generations: tuple[str, ...], usual: str, tokens: str) -> None:
    """Completions of online reinforcement learning: how many for a prompt, how long, against which reference."""
    kind = taking.value("objective")
    if kind not in ("grpo", "ppo"):
        return
    if kind == "grpo":
        taking.take("generations", taking.whole(*generations))
        taking.default("generations", usual, "the tool's num_generations")
    taking.take("completion_length", taking.whole("max_completion_length", "response_length", "max_new_tokens"))
    taking.default("completion_length", tokens, "the tool's max_completion_length")
    taking.take("prompt_length", taking.whole("max_prompt_length"))
    taking.default("prompt_length", "512", "TRL 0.24, trl/trainer/grpo_config.py")
    if taking.word("vllm_mode") is not None and str(taking.node("vllm_mode")) == "server":
        taking.note("completions come from a vLLM server on GPUs of its own, which are not counted")
    taking.take("served", taking.flag("use_vllm"))
    taking.take("generation_tensor", taking.whole("vllm_tensor_parallel_size"))
    again = taking.whole("num_iterations")
    if again is not None and int(again.value) > 1:
        taking.note(f"each batch of completions is trained on {again.value} times (num_iterations): counted once")
    beta = taking.number("beta", "kl_coef")
    if kind == "grpo" and beta is not None and float(beta.value) > 0:
        taking.take("forward_passes", beta, "1")
        taking.note("the reference model passes over the completions once (beta is above 0)")
    total = int(taking.value("prompt_length")) + int(taking.value("completion_length"))
    key = taking.fields["completion_length"].key or "max_completion_length"
    taking.take("max_length", Hit(str(total), key, taking.fields["completion_length"].where))


def data(taking: Taking) -> None:
    """The dataset's name; its rows where they are capped; what is held out."""
    named = _mixture(taking)
    hit = taking.word("dataset_name", "dataset_id_or_path", "dataset", "data_path", "train_file", "dataset_path",
                      "train_data", "train_data_path", "train_dataset", "dataset.name", "data.dataset_name",
                      "dataset.path", "data.path", "data.train_file", "data.dataset")  # fmt: skip
    taking.take("data", named or hit)
    split = taking.word("dataset_train_split", "train_split")
    taking.part = split is not None and "[" in split.value
    cap = _ROWS.search(split.value) if split is not None else None
    taking.take("rows", taking.whole("max_train_samples", "max_samples", "num_train_samples"))
    if cap is not None:
        taking.take("rows", split, cap[1])
    taking.take("eval_rows", taking.whole("max_eval_samples"))
    held = taking.number(
        "test_split_size", "dataset_mixture.test_split_size", "validation_split_percentage", "val_size"
    )
    if held is not None and float(held.value) > 0:
        percent = held.key == "validation_split_percentage"
        taking.take("held_out", held, str(float(held.value) / 100) if percent else None)


def _mixture(taking: Taking) -> Hit | None:
    """`dataset_mixture: {datasets: [{id: ...}]}` and `dataset_mixer: {name: weight}` of alignment-handbook."""
    for key in ("dataset_mixture.datasets", "dataset_mixer"):
        node = taking.node(key)
        items = [str(one.get("id", "")) for one in node if isinstance(one, Map)] if isinstance(node, Seq) else []
        items = list(node) if isinstance(node, Map) else items
        if items:
            taking.use(key.partition(".")[0])
            return Hit(" + ".join(dict.fromkeys(items))[:200], key, taking.place(key))
    return None
