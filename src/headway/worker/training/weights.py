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
from headway.worker.task import Model, Task
from headway.worker.training.models import DTYPES, HEADS, Setup, blocks, configuration, first_line, make, prepared

transformers.utils.logging.set_verbosity_error()  # standard error is for what a person can act on
transformers.utils.logging.disable_progress_bar()

ATTENTION = {"flash": "flash_attention_2"}
"""headway's word -> transformers', where they differ."""
_WEIGHTS = ("*.safetensors", "*.gguf", "pytorch_model*.bin")


def weight_format(task: Task) -> str:
    """The number format in which weights lie: the recipe's, as headway's memory model has it.

    But fp32 for fp16 without adapters: a scaled fp16 gradient cannot be unscaled in fp16 (torch.amp.GradScaler), so
    that a standard trainer keeps such weights wide and casts on the way.
    """
    recipe = task.recipe
    return "fp32" if recipe.precision == "fp16" and not recipe.rank else recipe.precision


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
    found = (tuple(sorted(Path(model.place).glob(pattern))) for pattern in _WEIGHTS)
    return next((files for files in found if files), ())


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
        checkpointing=recipe.checkpointing, rank=recipe.rank, alpha=recipe.alpha, targets=recipe.targets,
    )  # fmt: skip
    files = weight_files(task.model)
    if recipe.quantize != "none":
        model = prepared(_quantised(task, setup, device), setup, device)
    elif files:
        model = prepared(_from_folder(task.model.place, setup, device), setup, device)
    else:
        model = make(setup, device)
    _freeze(model, recipe.freeze)
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
    else:  # bitsandbytes quantises while it loads, so random weights go through a folder
        bare = Setup(config=setup.config, head=setup.head, batch=1, seq=0, dtype=setup.dtype,
                     attention=setup.attention, checkpointing="none")  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            make(bare, torch.device("cpu")).save_pretrained(folder)
            model = _from_folder(folder, setup, device, asked)
    checkpointed = setup.checkpointing == "full"
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointed)


def _freeze(model: Any, leading: int) -> None:
    """Let the leading blocks, and with them the embedding, need no gradients. Raises UserError for too many."""
    if not leading:
        return
    found = blocks(model)
    if leading >= len(found):
        raise UserError("a block must be left to train", got=f"{leading} frozen of {len(found)}")
    for part in (model.get_input_embeddings(), *found[:leading]):
        part.requires_grad_(False)
