"""The model that a task trains: weights of a folder or random ones, on its device, with what is frozen frozen.

Owns where weights come from and in which number format they lie; class, adapters and checkpointing are `models.py`.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from headway.domain.errors import UserError
from headway.domain.units import format_bytes
from headway.worker.machine.facts import free_disk_bytes
from headway.worker.task import Model, Task, TrainingRecipe
from headway.worker.training.models import DTYPES, HEADS, Setup, blocks, configuration, first_line, make, prepared

transformers.utils.logging.set_verbosity_error()  # standard error is for what a person can act on
transformers.utils.logging.disable_progress_bar()

ATTENTION = {"flash": "flash_attention_2"}
"""headway's word -> transformers', where they differ."""
_WEIGHTS = ("*.safetensors", "*.gguf", "pytorch_model*.bin")
_WHOLE = "model.safetensors"


def weight_format(task: Task) -> str:
    """The number format in which weights lie: the recipe's, as headway's memory model has it.

    But fp32 without adapters for master weights, and for fp16: a scaled fp16 gradient cannot be unscaled in fp16
    (torch.amp.GradScaler), so that a standard trainer keeps such weights wide and casts on the way.
    """
    recipe = task.recipe
    wide = recipe.master_weights or recipe.precision == "fp16"
    return "fp32" if wide and not recipe.rank else recipe.precision


def config_of(model: Model) -> Mapping[str, Any]:
    """The parsed `config.json` of a task's model. Raises UserError for a folder without one."""
    path = Path(model.place)
    if model.place == "-":
        return model.config or {}
    if not path.is_dir():
        raise UserError("a model's place must be a folder, or -", got=path.name,
                        hint="Models are not downloaded: fetch it first, or give its config.")  # fmt: skip
    if not (path / "config.json").is_file():
        if model.config is not None:
            return model.config
        raise UserError("a model's folder must hold a config.json", got=path.name)
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("a model's config.json must be JSON", got=first_line(error)) from None
    if not isinstance(found, dict):
        raise UserError("a model's config.json must be an object", got=type(found).__name__)
    return found


def weight_files(model: Model) -> tuple[Path, ...]:
    """The files that hold a folder's weights, of the first known kind; () where weights are drawn at random."""
    if model.place == "-":
        return ()
    folder = Path(model.place)
    found = (tuple(sorted(folder.glob(pattern))) for pattern in _WEIGHTS)
    return _read_of(folder) or next((files for files in found if files), ())


def _read_of(folder: Path) -> tuple[Path, ...]:
    """The .safetensors that transformers reads: a whole file, else the shards of the index; () where neither is there.

    The same weights may lie beside them in one more file (`consolidated.safetensors` of Mistral).
    """
    if (folder / _WHOLE).is_file():
        return (folder / _WHOLE,)
    try:
        said = json.loads((folder / f"{_WHOLE}.index.json").read_text(encoding="utf-8"))
        return tuple(folder / name for name in sorted(set(said["weight_map"].values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # there is none, or one that nobody can load
        return ()


def vocabulary(config: Mapping[str, Any]) -> int:
    """Ids that the model knows; a multimodal one's text part. Raises UserError for a config without."""
    return int(configuration(config).vocab_size)


def trained_model(task: Task, device: torch.device) -> nn.Module:
    """The model in training mode on `device`; what is not trained needs no gradient. Raises UserError.

    Random weights and adapters are drawn from torch's random state.
    """
    recipe = task.recipe
    setup = Setup(
        config=config_of(task.model), head=task.model.head, batch=task.batches.micro_batch, seq=0,
        dtype=weight_format(task), attention=ATTENTION.get(recipe.attention, recipe.attention),
        checkpointing=recipe.checkpointing, rank=recipe.rank, alpha=recipe.alpha, dropout=recipe.dropout,
        targets=recipe.targets,
    )  # fmt: skip
    files = weight_files(task.model)
    if recipe.quantize != "none":
        model = prepared(_quantised(task, setup, device), setup, device)
    elif files:
        model = prepared(_from_folder(task.model.place, setup, device), setup, device)
    else:
        model = make(setup, device)
    _freeze(model, recipe)
    return model


def _from_folder(place: str, setup: Setup, device: torch.device, quantization: Any = None) -> Any:
    """The folder's weights in the setup's number format; no code beside them is run."""
    more: dict[str, Any] = {} if quantization is None else {"quantization_config": quantization}
    if not any(Path(place).glob("*.safetensors")) and (files := sorted(Path(place).glob("*.gguf"))):
        more["gguf_file"] = files[0].name
    else:
        more["config"] = configuration(setup.config)
    try:
        model = getattr(transformers, HEADS[setup.head]).from_pretrained(
            place, dtype=DTYPES[setup.dtype], attn_implementation=setup.attention, local_files_only=True,
            device_map={"": device} if quantization is not None else None, **more,
        )  # fmt: skip
    except Exception as error:  # files that are cut, of another model, or need a package: each says so its own way
        raise UserError("transformers must be able to load the weights", got=first_line(error)) from None
    model.config.use_cache = False
    return model if quantization is not None else model.to(device)


def _quantised(task: Task, setup: Setup, device: torch.device) -> Any:
    """A base in 8 or 4 bits as bitsandbytes makes it, prepared as PEFT prepares it."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("a quantised base needs the package bitsandbytes", got="no bitsandbytes",
                        hint="pip install bitsandbytes")  # fmt: skip
    from peft import prepare_model_for_kbit_training

    compute = DTYPES[setup.dtype]
    asked = (
        transformers.BitsAndBytesConfig(load_in_8bit=True)
        if task.recipe.quantize == "int8"
        else transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
        )
    )
    if weight_files(task.model):
        model = _from_folder(task.model.place, setup, device, asked)
    else:
        model = _drawn(task, setup, device, asked)
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # which `prepared` sees to


def _drawn(task: Task, setup: Setup, device: torch.device, quantization: Any) -> Any:
    """Random weights, quantised: bitsandbytes does that while it loads, so that they go through a folder.

    It lies in the task's own, which whoever starts a probe removes, however that ends. Raises UserError without room.
    """
    bare = Setup(config=setup.config, head=setup.head, batch=1, seq=0, dtype=setup.dtype,
                 attention=setup.attention, checkpointing="none")  # fmt: skip
    made: Any = make(bare, torch.device("cpu"))
    size = sum(one.numel() * one.element_size() for one in made.parameters())
    place = Path(task.out or tempfile.gettempdir())
    if size > (free := free_disk_bytes(place)):
        raise UserError("random weights that are quantised must be written once",
                        got=f"{format_bytes(size)}, and {format_bytes(free)} are free",
                        hint="Free space on the disk, or give a folder with weights.")  # fmt: skip
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="headway-base-", dir=place) as folder:
            made.save_pretrained(folder)
            del made  # the host may have no room for both
            return _from_folder(folder, setup, device, quantization)
    except OSError as error:
        raise UserError("the run's folder must be writable", got=error.strerror or str(error)) from None


def _freeze(model: Any, recipe: TrainingRecipe) -> None:
    """Let the leading blocks, and with them the embedding, need no gradients. Raises UserError for too many.

    As only what is trained has master weights, matrices that are not lie in the recipe's format.
    """
    if not recipe.freeze:
        return
    found = blocks(model)
    if recipe.freeze >= len(found):
        raise UserError("a block must be left to train", got=f"{recipe.freeze} frozen of {len(found)}")
    for part in (model.get_input_embeddings(), *found[: recipe.freeze]):
        part.requires_grad_(False)
        for one in part.parameters() if recipe.master_weights and not recipe.rank else ():
            if one.dim() > 1:  # a norm's vectors stay as wide as what it may be given
                one.data = one.data.to(DTYPES[recipe.precision])
