"""LitGPT's YAML, and `litgpt finetune_lora ... --train.epochs 1`.

Owns its keys and defaults: LitGPT 0.5, litgpt/{pretrain.py,args.py} and litgpt/finetune/{full,lora}.py.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import trainer, words
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.importing.nouns import Source
from headway.plan.importing.refusals import no_training
from headway.plan.reading.yaml import Map

_LORA: Final = (("lora_query", "q", True), ("lora_key", "k", False), ("lora_value", "v", True),
                ("lora_projection", "o", False), ("lora_mlp", "mlp", False), ("lora_head", "head", False))  # fmt: skip
"""Switch, target, default."""
_SOURCE: Final = "LitGPT 0.5, litgpt/finetune and litgpt/args.py"
_FINETUNE: Final = {
    "micro_batch": "1", "batch": "16", "epochs": "5", "save": "1000 steps", "evaluate": "100 steps",
    "optimizer": "adamw", "precision": "the best of the GPU", "pack": "false", "gradient_checkpointing": "none",
    "max_length": "the longest row", "log": "1 steps", "attention": "sdpa",
}  # fmt: skip
_PRETRAIN: Final = {
    "micro_batch": "4", "batch": "512", "tokens": "3e12", "save": "1000 steps", "evaluate": "1000 steps",
    "optimizer": "adamw", "precision": "the best of the GPU", "pack": "true", "gradient_checkpointing": "none",
    "max_length": "the model's longest", "log": "1 steps", "attention": "sdpa",
}  # fmt: skip
_SHAPE: Final = {"n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embd": "hidden_size",
                 "n_query_groups": "num_key_value_heads", "intermediate_size": "intermediate_size",
                 "padded_vocab_size": "vocab_size", "block_size": "max_position_embeddings",
                 "head_size": "head_dim"}  # fmt: skip


def recognises(source: Source) -> str:
    """`train:` with LitGPT's names beside `checkpoint_dir` or `model_name`, or its command."""
    if source.form == "command":
        return f"it is the command {source.program}" if source.program.startswith("litgpt") else ""
    train = source.tree.get("train")
    names = {
        "global_batch_size",
        "micro_batch_size",
        "max_seq_length",
        "save_interval",
        "lr_warmup_steps",
        "max_tokens",
    }
    found = sorted(names & train.keys()) if isinstance(train, Map) else []
    own = {
        "checkpoint_dir",
        "model_name",
        "lora_r",
        "initial_checkpoint_dir",
        "model_config",
        "eval",
    } & source.tree.keys()
    return f"train has {', '.join(found[:3])}" if len(found) >= 2 and own else ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError for its other commands."""
    program = taking.source.program
    if program and not re.search(r"finetune|pretrain", program):
        raise no_training(taking.source, f"the command {program}", "the one with litgpt finetune or pretrain")
    pretrains = "pretrain" in program or taking.has("model_config", "initial_checkpoint_dir", "tokenizer_dir")
    pretrains = pretrains or (taking.has("model_name") and not taking.has("checkpoint_dir"))
    _model(taking)
    taking.take("objective", Hit("pt" if pretrains else "sft", "data", taking.place("data")))
    _method(taking)
    taking.take("micro_batch", taking.whole("train.micro_batch_size"))
    taking.take("batch", taking.whole("train.global_batch_size"))
    _length_of_run(taking)
    taking.take("max_length", taking.whole("train.max_seq_length"))
    words.take_precision(taking, "precision")
    words.optimizer(taking, taking.word("optimizer.class_path", "optimizer"))
    taking.take("learning_rate", trainer.positive(taking, "optimizer.init_args.lr", "train.learning_rate"))
    taking.take("weight_decay", taking.number("optimizer.init_args.weight_decay", "train.weight_decay"))
    taking.take("seed", taking.whole("seed", least=0))
    warm = taking.whole("train.lr_warmup_steps")
    taking.take("warmup", warm, f"{warm.value} steps" if warm is not None else None)
    _cadences(taking)
    _gpus(taking, pretrains)
    _data(taking)
    table = {
        key: value for key, value in (_PRETRAIN if pretrains else _FINETUNE).items() if not _has_budget(taking, key)
    }
    trainer.defaults(taking, table, _SOURCE)
    words.mixed(taking, "precision")


def _has_budget(taking: Taking, key: str) -> bool:
    return key in ("epochs", "tokens") and any(taking.value(field) for field in ("epochs", "steps", "tokens"))


def _model(taking: Taking) -> None:
    """The folder of the checkpoint holds the hub id; a shape written out is the model's own."""
    hit = taking.word("checkpoint_dir", "model_name", "model_config.name")
    if hit is None and taking.source.program:
        hit = taking.word("checkpoint")
    if hit is not None:
        taking.take("model", hit, re.sub(r"^.*?checkpoints/", "", hit.value).strip("/"))
    found = {name: taking.whole(f"model_config.{key}") for key, name in _SHAPE.items()}
    taking.shape.update({name: hit.value for name, hit in found.items() if hit is not None})
    taking.use("model_config")


def _method(taking: Taking) -> None:
    rank = taking.whole("lora_r")
    on = rank or next((taking.flag(key) for key, _, _ in _LORA if taking.has(key)), None)
    if on is None and "lora" in taking.source.program:
        on = Hit("lora", taking.source.program, taking.source.tree.where)
    if on is not None:
        trainer.lora(taking, on)
        chosen = [word for key, word, usual in _LORA if (taking.on(key) if taking.has(key) else usual)]
        taking.take("targets", on, ", ".join(chosen) or "q, v")
        trainer.defaults(taking, {"rank": "8", "alpha": "16", "dropout": "0.05"}, _SOURCE)
    else:
        taking.default("method", "full", "litgpt/finetune/full.py and pretrain.py train all weights")
    scheme = taking.word("quantize")
    if scheme is not None and (word := words.bits(scheme.value)):
        taking.take("quantize", scheme, word)


def _length_of_run(taking: Taking) -> None:
    steps, tokens, epochs = (
        taking.whole("train.max_steps"),
        taking.whole("train.max_tokens"),
        taking.number("train.epochs"),
    )
    if steps is not None:
        taking.take("steps", steps)
    elif tokens is not None:
        taking.take("tokens", tokens)
    elif epochs is not None and float(epochs.value) > 0:
        taking.take("epochs", epochs, f"{float(epochs.value):g}")


def _cadences(taking: Taking) -> None:
    for field, key in (("save", "train.save_interval"), ("evaluate", "eval.interval"), ("log", "train.log_interval")):
        number = taking.whole(key)
        taking.take(field, number, f"{number.value} steps" if number is not None else None)
    passes = taking.whole("eval.max_iters")
    if passes is not None:
        rows = int(passes.value) * int(taking.value("micro_batch") or 1)
        taking.take("eval_rows", passes, str(rows))


def _gpus(taking: Taking, pretrains: bool) -> None:
    devices, nodes = taking.whole("devices"), taking.whole("num_nodes")
    total = int(devices.value if devices else 1) * int(nodes.value if nodes else 1)
    if devices is not None:
        taking.take("gpus", devices, str(total))
    if total > 1:
        taking.default("parallel", "zero3", f"{_SOURCE}: FSDP on more than one device")
        if not pretrains:
            taking.default("gradient_checkpointing", "full", f"{_SOURCE}: with FSDP every block is checkpointed")


def _data(taking: Taking) -> None:
    hit = taking.word("data.class_path", "data")
    taking.use("data")
    if hit is not None:
        taking.take("data", hit, hit.value.rpartition(".")[2])
    taking.take("held_out", trainer.positive(taking, "data.init_args.val_split_fraction"))
    if taking.value("objective") == "pt":
        taking.take("pack", Hit("true", "data", taking.place("data")))


IMPORTER = one_run("a LitGPT configuration", "yaml json command", recognises, take)
