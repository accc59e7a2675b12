"""Text to the forms it may be in: a tree of YAML or JSON, the commands of a script, the tables of a document.

Owns the order in which forms are tried, and what of a command line is launcher, environment or program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.fields.taking import as_number
from headway.plan.importing.nouns import Source
from headway.plan.importing.text import markdown, shell
from headway.plan.importing.text.tree import json_tree, yaml_tree
from headway.plan.load import OWN
from headway.plan.reading.yaml import Map, Text

_PROGRAM: Final = re.compile(
    r"\b(?:swift|megatron|trl|tune|litgpt|axolotl|llamafactory-cli|accelerate|torchrun|deepspeed|python3?|xtuner|srun)\b"
    r"|\.py\b"
)
_RUNNERS: Final = frozenset("python python3 torchrun deepspeed accelerate srun uv poetry".split())
_TOOLS: Final = {
    "swift": "sft pt rlhf infer deploy export eval app rollout merge-lora web-ui sample".split(),
    "megatron": "sft pt rlhf export".split(),
    "trl": "sft dpo grpo kto reward rloo vllm-serve chat".split(),
    "llamafactory-cli": "train chat export api webui".split(),
}
_VALUED: Final = frozenset(
    "config_file nproc_per_node nnodes node_rank master_addr master_port num_processes num_machines machine_rank "
    "main_process_ip main_process_port main_process_port mixed_precision num_cpu_threads_per_process rdzv_backend "
    "rdzv_endpoint rdzv_id num_gpus include hostfile max_restarts dynamo_backend gpu_ids zero_stage rdzv_conf "
    "deepspeed_config_file log_dir local_ranks_filter gradient_accumulation_steps deepspeed_multinode_launcher "
    "fsdp_sharding_strategy tee role start_method monitor_interval".split()
)
"""Options of launchers that take a value (torchrun, accelerate launch, deepspeed)."""
_BATCH: Final = re.compile(
    r"^#SBATCH\s+.*?(?:--gres=gpu:(?:[\w-]+:)?|--gpus-per-node[= ](?:[\w-]+:)?)(\d+)", re.MULTILINE
)
_BATCH_NODES: Final = re.compile(r"^#SBATCH\s+(?:-N|--nodes)[= ]\s*(\d+)", re.MULTILINE)


def sources(name: str, text: str, folder: str) -> Iterator[Source]:
    """Every form that the text is in, the more telling first; none for a plan of headway's own."""
    if OWN.search(text) or not text.strip() or "\0" in text:
        return
    if text.lstrip()[:1] == "{" and (tree := json_tree(name, text)) is not None:
        yield Source(name=name, folder=folder, form="json", tree=tree)
        return
    script = name.endswith((".sh", ".bash", ".slurm", ".sbatch")) or text.startswith("#!")
    if not script and (tree := yaml_tree(name, text)) is not None and len(tree):
        yield Source(name=name, folder=folder, form="yaml", tree=tree)
    if _PROGRAM.search(text) and not name.endswith((".md", ".markdown")):
        yield from _scripts(name, text, folder)
    grids = markdown.grids(name, text)
    if grids:
        yield Source(name=name, folder=folder, form="markdown", tables=grids)


def _scripts(name: str, text: str, folder: str) -> Iterator[Source]:
    """The commands of a script that start a program, trainings first."""
    found = [one for command in shell.commands(name, text) if (one := _command(command, name, folder, text))]
    yield from sorted(found, key=lambda one: not re.search(r"\b(?:sft|pt|rlhf|dpo|grpo|train)\b", one.program))


def _command(command: shell.Command, name: str, folder: str, text: str) -> Source | None:
    """A command as a source: its program, its flags, its launcher's."""
    words = list(command.words)
    program, launcher = _program(words)
    if not program:
        return None
    tree = shell.flags(tuple(words))
    return Source(
        name=name, folder=folder, form="command", tree=tree, program=program, launcher=launcher,
        gpus=_gpus(command, launcher, text, name),
        times=command.times,
        processes="nproc_per_node" in launcher or not {"NPROC_PER_NODE", "WORLD_SIZE"}.isdisjoint(command.variables),
    )  # fmt: skip


def _program(words: list[Text]) -> tuple[str, Map]:
    """What runs, with what stands before its own flags taken from `words`, and the launcher's flags."""
    launcher = Map()
    while words:
        word = words.pop(0)
        base = word.rpartition("/")[2]
        if base in _TOOLS and words and words[0] in _TOOLS[base]:
            return f"{base} {words.pop(0)}", launcher
        if base in ("axolotl", "litgpt", "tune") and words:
            return " ".join([base, *_verbs(words)]), launcher
        if base.endswith(".py"):
            return _script(str(word)), launcher
        if word == "-m" and words and not re.search(r"torch\.distributed|accelerate|torchrun", words[0]):
            return _script(str(words.pop(0))), launcher
        if word.startswith("-"):
            _launcher_flag(word, words, launcher)
    return "", launcher


def _verbs(words: list[Text]) -> list[str]:
    """The words of a tool's command before its first flag or file."""
    found: list[str] = []
    while words and re.fullmatch(r"[a-z_]+", words[0]) and len(found) < 3:
        found.append(str(words.pop(0)))
    return found


def _script(path: str) -> str:
    """`swift/cli/sft.py` is `swift sft`; other scripts keep their names."""
    tool = re.search(r"(swift|megatron)[/.]cli[/.](?:_megatron[/.])?(\w+?)(?:\.py)?$", path)
    older = re.fullmatch(r"llm_(sft|pt|dpo|rlhf|infer)\.py", path.rpartition("/")[2])
    if older:  # ms-swift 1 and 2
        return f"swift {older[1].replace('dpo', 'rlhf')}"
    return f"{tool[1]} {tool[2]}" if tool else path.rpartition("/")[2]


def _launcher_flag(word: Text, words: list[Text], launcher: Map) -> None:
    key, equals, _ = word.lstrip("-").replace("-", "_").partition("=")
    if equals:
        launcher[key] = Text(word.partition("=")[2], word.where)
    elif key in _VALUED and words:
        launcher[key] = words.pop(0)
    else:
        launcher[key] = Text("true", word.where)
    launcher.places[key] = word.where


def _gpus(command: shell.Command, launcher: Map, text: str, name: str) -> Text | None:
    """GPUs of a command: processes of a node times nodes, from the launcher, the environment or the batch system."""
    known = command.variables
    nodes = _number(launcher.get("nnodes")) or _number(known.get("NNODES")) or 1
    where = command.words[0].where
    total = _number(launcher.get("num_processes"))
    if total:
        return Text(str(total), launcher.place("num_processes"))
    batch, batch_nodes = _BATCH.search(text), _BATCH_NODES.search(text)
    visible = known.get("CUDA_VISIBLE_DEVICES", known.get("ASCEND_RT_VISIBLE_DEVICES", ""))
    listed = len([word for word in visible.split(",") if word.strip().isdigit()])
    each = next(
        (found for key in ("nproc_per_node", "num_gpus") if (found := _number(launcher.get(key)))),
        _number(known.get("NPROC_PER_NODE")) or (listed or None),
    )
    if each is None and batch is not None:
        each = int(batch[1])
        where = Position(name, text.count("\n", 0, batch.start()) + 1, 1)
    if batch_nodes is not None and nodes == 1:
        nodes = int(batch_nodes[1])
    return Text(str(each * nodes), where) if each and each * nodes <= 100_000 else None


def _number(word: object) -> int | None:
    """A whole number above 0; None for `$N`, `gpu` and the like."""
    value = as_number(Text(str(word))) if word is not None else None
    return int(value) if value is not None and 1 <= value <= 100_000 and value == int(value) else None
