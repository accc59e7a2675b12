"""How GPUs share a run, as other tools say it: DeepSpeed and FSDP settings, Accelerate files, numbers of GPUs.

Owns their meaning in the plan's `parallel` and `gpus`. A side file that a configuration names is read where it lies
beside it; else its name tells (`ds_z3_config.json`). Nothing is fetched or run.
"""

from __future__ import annotations

import os
import re
from typing import Final

from headway.plan.importing.fields.taking import Hit, Taking, as_flag, as_number
from headway.plan.importing.text.tree import MOST_CHARACTERS, json_tree, yaml_tree
from headway.plan.reading.yaml import Map, Node, Seq, Text

_STAGE: Final = re.compile(r"(?:z|zero|stage|ds)[-_ ]?(?:stage|config)?[-_ ]?([0-3])", re.IGNORECASE)
KINDS: Final = {"0": "ddp", "1": "zero1", "2": "zero2", "3": "zero3"}
_FSDP_KINDS: Final = {"full_shard": "zero3", "1": "zero3", "hybrid_shard": "zero3", "hybrid_shard_zero2": "zero2",
                      "shard_grad_op": "zero2", "2": "zero2", "no_shard": "ddp", "3": "ddp", "4": "zero3"}  # fmt: skip
"""`fsdp_sharding_strategy` by name and number (torch `ShardingStrategy`, accelerate 1.x docs) -> `parallel`."""
OFFLOADED: Final = "offloading to the CPU is not counted, neither its time nor the memory it saves"


def beside(taking: Taking, name: str) -> Map | None:
    """A side file that lies where the configuration says, from its own folder or one of the three above it."""
    folder = taking.source.folder
    if not folder or not name or len(name) > 500 or "\0" in name or os.path.isabs(name):
        return None
    for _ in range(4):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.path.getsize(path) <= MOST_CHARACTERS:
            return _tree_of(path)
        folder = os.path.dirname(folder)
    return None


def _tree_of(path: str) -> Map | None:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            text = file.read(MOST_CHARACTERS)
    except OSError:
        return None
    return json_tree(path, text) or yaml_tree(path, text)


def deepspeed(taking: Taking, key: str = "deepspeed") -> None:
    """Takes `parallel` from a DeepSpeed setting: a file's name, a name such as `zero3`, or the settings themselves."""
    node = taking.node(key)
    if node is None or as_flag(node) is False:
        return
    taking.use(key)
    if isinstance(node, Map):
        _from_settings(taking, node, Hit("", key, taking.place(key)))
        return
    hit = taking.word(key)
    if hit is None:
        return
    if (settings := beside(taking, hit.value)) is not None:
        _from_settings(taking, settings, hit)
        return
    found = _STAGE.search(os.path.basename(hit.value)) or _STAGE.search(hit.value)
    if found is None:
        taking.note(f"the DeepSpeed file {hit.value} is not there, and its name says no stage: taken as ZeRO-2")
    taking.take("parallel", hit, KINDS[found[1]] if found else "zero2")
    if "offload" in hit.value.lower():
        taking.note(OFFLOADED)


def _from_settings(taking: Taking, settings: Map, hit: Hit) -> None:
    """`zero_optimization.stage`, tensor parallelism and offloading of a DeepSpeed file."""
    zero = settings.get("zero_optimization")
    stage = as_number(zero.get("stage")) if isinstance(zero, Map) else None
    kind = KINDS.get(str(int(stage)), "ddp") if stage is not None else "ddp"
    taking.take("parallel", hit, kind)
    tensor = settings.get("tensor_parallel")
    size = as_number(tensor.get("autotp_size")) if isinstance(tensor, Map) else None
    if size and size > 1:
        taking.take("tensor", hit, str(int(size)))
    devices = [zero.get(name) for name in ("offload_optimizer", "offload_param")] if isinstance(zero, Map) else []
    if any(isinstance(one, Map) and one.get("device") in ("cpu", "nvme") for one in devices):
        taking.note(OFFLOADED)


def fsdp(taking: Taking, key: str = "fsdp", config: str = "fsdp_config", *, alone: bool = False) -> None:
    """Takes `parallel` from `fsdp:` (a list of words, or text) and `fsdp_config:`.

    `alone`: the settings turn it on without `fsdp:` (axolotl's FSDP2); in transformers they say nothing by themselves.
    """
    node, settings = taking.node(key), taking.node(config)
    taking.use(key, config)
    node = None if as_flag(node) is False or node in ([], {}) else node
    if node is None and not (alone and isinstance(settings, Map) and settings):
        return
    settings = settings if isinstance(settings, Map) else Map()
    hit = Hit("", key if node is not None else config, taking.place(key if node is not None else config))
    words = [str(item).lower() for item in _items(node)]
    kind = next((_FSDP_KINDS[word] for word in words if word in _FSDP_KINDS), "")
    taking.take("parallel", hit, kind or sharding_of(settings))
    if any("offload" in word for word in words) or says(settings, "offload_params", "cpu_offload"):
        taking.note(OFFLOADED)
    if says(settings, "activation_checkpointing"):
        taking.take("gradient_checkpointing", Hit("true", f"{config}.activation_checkpointing", hit.where), "full")


def _items(node: Node | None) -> list[Node]:
    if isinstance(node, Seq):
        return list(node)
    return [Text(word) for word in re.split(r"[\s,]+", node)] if isinstance(node, Text) else []


def says(settings: Map, *names: str) -> bool:
    """Whether one of these settings is on, with or without the `fsdp_` in front."""
    return any(as_flag(settings.get(f"{head}{name}")) is True for name in names for head in ("", "fsdp_"))


def sharding_of(settings: Map) -> str:
    """`parallel` of FSDP settings: what their strategy or `reshard_after_forward` says; else full sharding."""
    for name in ("fsdp_sharding_strategy", "sharding_strategy", "reshard_after_forward", "fsdp_reshard_after_forward"):
        word = str(settings.get(name, "")).lower().rpartition(".")[2]
        if word in _FSDP_KINDS:
            return _FSDP_KINDS[word]
        if word == "false":
            return "zero2"
    return "zero3"


def accelerate(taking: Taking, settings: Map, hit: Hit) -> None:
    """Takes what an Accelerate configuration says of GPUs and sharding."""
    kind = str(settings.get("distributed_type", "")).upper()
    inner = settings.get("fsdp_config") if kind == "FSDP" else settings.get("deepspeed_config")
    inner = inner if isinstance(inner, Map) else Map()
    stage = as_number(inner.get("zero_stage"))
    words = {"FSDP": sharding_of(inner), "DEEPSPEED": KINDS.get(str(int(stage or 0)), "zero2"), "MULTI_GPU": "ddp"}
    if kind in words:
        taking.take("parallel", hit, words[kind])
    processes = as_number(settings.get("num_processes"))
    if processes and processes >= 1:
        taking.take("gpus", hit, str(int(processes)))
    if says(inner, "activation_checkpointing"):
        taking.take("gradient_checkpointing", hit, "full")
    if says(inner, "offload_params") or str(inner.get("offload_optimizer_device", "none")) not in ("none", ""):
        taking.note(OFFLOADED)


def mixed_precision(taking: Taking, settings: Map, hit: Hit) -> None:
    """The number format of a launcher or its file, which counts where the trainer's own arguments name none."""
    format_ = str(settings.get("mixed_precision", "")).lower()
    if format_ in ("bf16", "fp16", "fp8"):
        taking.take("precision", hit, format_)


def launched(taking: Taking) -> None:
    """Takes what the launcher of a command says: GPUs of its environment, an Accelerate file that it names."""
    launcher = taking.source.launcher
    if taking.source.gpus is not None:
        taking.take("gpus", Hit(str(taking.source.gpus), "launcher", taking.source.gpus.where))
    name = launcher.get("config_file")
    if isinstance(name, Text):
        hit = Hit(str(name), "--config_file", name.where)
        settings = beside(taking, str(name))
        stage = _STAGE.search(os.path.basename(name))
        if settings is not None:
            accelerate(taking, settings, hit)
        elif stage is not None:
            taking.take("parallel", hit, KINDS[stage[1]])
        elif "fsdp" in name.lower():
            taking.take("parallel", hit, "zero3")
        if "offload" in name.lower():
            taking.note(OFFLOADED)
    if as_flag(launcher.get("use_fsdp")):
        taking.take("parallel", Hit("fsdp", "--use_fsdp", launcher.place("use_fsdp")), "zero3")
    stage_ = as_number(launcher.get("zero_stage"))
    if stage_ is not None and str(int(stage_)) in KINDS:
        taking.take("parallel", Hit("", "--zero_stage", launcher.place("zero_stage")), KINDS[str(int(stage_))])
