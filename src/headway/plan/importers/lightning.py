"""Lightning CLI's YAML: `trainer:` beside `model:` and `data:`.

Owns its keys and defaults: Lightning 2.5, src/lightning/pytorch/trainer/trainer.py. What models and data modules call
their own settings is theirs: the usual names are looked for.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import trainer, words
from headway.plan.importing.fields.taking import Hit, Taking, as_number
from headway.plan.importing.nouns import Source
from headway.plan.importing.text.tree import leaves
from headway.plan.reading.yaml import Map, Seq, Text

_TELLING: Final = frozenset(
    "max_epochs max_steps devices accelerator precision accumulate_grad_batches strategy gradient_clip_val num_nodes "
    "val_check_interval check_val_every_n_epoch log_every_n_steps limit_train_batches callbacks".split()
)
_SOURCE: Final = "Lightning 2.5, src/lightning/pytorch/trainer/trainer.py"
_DEFAULTS: Final = {
    "grad_accum": "1", "precision": "fp32", "save": "1 epochs", "evaluate": "1 epochs", "log": "50 steps",
    "gradient_checkpointing": "none", "pack": "false",
}  # fmt: skip
_MODELS: Final = ("model_name_or_path", "model_name", "pretrained_model_name_or_path", "model_id", "pretrained",
                  "checkpoint", "restore_from_path", "backbone", "base_model")  # fmt: skip
_LENGTHS: Final = ("max_seq_length", "max_length", "max_seq_len", "block_size", "seq_length", "encoder_seq_length")


def recognises(source: Source) -> str:
    """`trainer:` with two or more names of Lightning's `Trainer`."""
    part = _within(source.tree).get("trainer")
    found = sorted(_TELLING & part.keys()) if isinstance(part, Map) else []
    return f"trainer has {', '.join(found[:3])}" if len(found) >= 2 else ""


def _within(tree: Map) -> Map:
    """The tree, or what stands below the subcommand (`fit:`)."""
    inner = tree.get("fit")
    return inner if isinstance(inner, Map) and "trainer" in inner else tree


def take(taking: Taking) -> None:
    """Everything that decides time and memory."""
    inner = _within(taking.source.tree)
    if inner is not taking.source.tree:
        for key in list(inner):
            taking.source.tree[key] = inner[key]
            taking.source.tree.places[key] = inner.place(key)
        taking.source.tree.pop("fit")
    for field, names in (("model", _MODELS), ("max_length", _LENGTHS)):
        taking.take(field, _anywhere(taking, names, whole=field == "max_length"))
    taking.take("micro_batch", _anywhere(taking, ("micro_batch_size", "train_batch_size", "batch_size"), whole=True))
    taking.take("batch", _anywhere(taking, ("global_batch_size",), whole=True))
    taking.take("grad_accum", taking.whole("trainer.accumulate_grad_batches"))
    _length_of_run(taking)
    words.take_precision(taking, "trainer.precision")
    words.optimizer(taking, taking.word("optimizer.class_path", "model.optim.name", "optimizer"))
    taking.take("learning_rate", _rate(taking))
    trainer.lora(taking, _anywhere(taking, ("lora_r", "lora_rank"), whole=True), ("model.init_args.lora_", "lora_"))
    _cadences(taking)
    _gpus(taking)
    hit = _anywhere(taking, ("dataset_name", "dataset", "data_path", "task_name"))
    taking.take("data", hit or taking.word("data.class_path", "data"))
    trainer.defaults(taking, _DEFAULTS, _SOURCE)
    words.mixed(taking, "trainer.precision")


def _anywhere(taking: Taking, names: tuple[str, ...], whole: bool = False) -> Hit | None:
    """The first of these names in `model`, `data` or the top level."""
    for name in names:
        for key, _, _ in leaves(taking.source.tree, 500):
            if key.rpartition(".")[2] == name and not key.startswith("trainer."):
                hit = taking.whole(key) if whole else taking.word(key)
                if hit is not None:
                    return hit
    return None


def _rate(taking: Taking) -> Hit | None:
    for name in ("learning_rate", "lr"):
        for key, _, _ in leaves(taking.source.tree, 500):
            if key.rpartition(".")[2] == name and (hit := trainer.positive(taking, key)) is not None:
                return hit
    return None


def _length_of_run(taking: Taking) -> None:
    steps, epochs = taking.whole("trainer.max_steps"), taking.number("trainer.max_epochs")
    taking.use("trainer.max_steps")
    if steps is not None:
        taking.take("steps", steps)
    elif epochs is not None and float(epochs.value) > 0:
        taking.take("epochs", epochs, f"{float(epochs.value):g}")
    else:
        taking.default("epochs", "1000", f"{_SOURCE}: where neither epochs nor steps are said")


def _cadences(taking: Taking) -> None:
    """Validation every so many steps or parts of an epoch; saves as the checkpoint callback says, else each epoch."""
    interval, epochs = taking.number("trainer.val_check_interval"), taking.whole("trainer.check_val_every_n_epoch")
    if interval is not None and float(interval.value) > 0:
        value = float(interval.value)
        taking.take("evaluate", interval, f"{int(value)} steps" if value > 1 else f"{value:g} epochs")
    taking.take("evaluate", epochs, f"{epochs.value} epochs" if epochs is not None else None)
    logged = taking.whole("trainer.log_every_n_steps")
    taking.take("log", logged, f"{logged.value} steps" if logged is not None else None)
    callbacks = taking.node("trainer.callbacks")
    for one in callbacks if isinstance(callbacks, Seq) else []:
        args = one.get("init_args") if isinstance(one, Map) else None
        if isinstance(one, Map) and "Checkpoint" in str(one.get("class_path", "")) and isinstance(args, Map):
            for key, noun in (("every_n_train_steps", "steps"), ("every_n_epochs", "epochs")):
                if (number := as_number(args.get(key))) and number >= 1:
                    taking.take("save", Hit(str(int(number)), key, args.place(key)), f"{int(number)} {noun}")
    off = taking.flag("trainer.enable_checkpointing")
    if off is not None and off.value == "false":
        taking.take("save", off, "no")
    taking.use("trainer.callbacks")


def _gpus(taking: Taking) -> None:
    """Devices times nodes; a list of devices is as many as it names."""
    node = taking.node("trainer.devices")
    count = len(node) if isinstance(node, Seq) else int(as_number(node) or 0)
    if isinstance(node, Text) and "," in node:
        count = len([word for word in node.split(",") if word.strip()])
    nodes = taking.whole("trainer.num_nodes")
    if count >= 1:
        taking.use("trainer.devices")
        total = count * int(nodes.value if nodes is not None else 1)
        taking.take("gpus", Hit(str(total), "trainer.devices", taking.place("trainer.devices")))
    hit = taking.word("trainer.strategy", "trainer.strategy.class_path")
    if hit is not None and (stage := re.search(r"deepspeed.*?stage_?(\d)", hit.value)):
        taking.take("parallel", hit, {"1": "zero1", "2": "zero2", "3": "zero3"}.get(stage[1], "zero2"))
    elif hit is not None:
        kind = "zero3" if "fsdp" in hit.value.lower() else "zero2" if "deepspeed" in hit.value.lower() else "ddp"
        taking.take("parallel", hit, kind)
    for field, key in (
        ("tensor", "model.tensor_model_parallel_size"),
        ("pipeline", "model.pipeline_model_parallel_size"),
    ):
        size = taking.whole(key)
        if size is not None and int(size.value) > 1:
            taking.take(field, size)


IMPORTER = one_run("a Lightning CLI configuration", "yaml json", recognises, take)
