"""Well-known models: the architecture that a hub id or a model's name means.

Owns `models.csv`. Reading a `config.json` is `configs.py`; a local folder is read there, not looked up here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from math import prod
from types import MappingProxyType
from typing import Any

from headway.catalog.devices import Ambiguous, Nonexistent
from headway.catalog.tables import rows, words
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture

_SAME_SHAPE = frozenset(
    "instruct instruction chat it pt hf unsloth bnb 4bit 8bit int4 int8 gptq awq gguf fp8 nf4 mlx bf16 fp16 dynamic"
    " meta dev float16 sharded safetensors".split()
)
"""Words of a repository's name that change its weights or their format but never its shape."""

_SIZE = re.compile(r"^(?:a|e)?\d+(?:\.\d+)?[mb]$|^\d+x\d+b$")
_CASTS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": lambda text: text == "yes",
    "str": str,
}


@cache
def _table() -> Mapping[str, Architecture]:
    casts = {f.name: _CASTS[str(f.type)] for f in fields(Architecture)}
    return MappingProxyType(
        {
            row["name"]: Architecture(**{key: casts[key](cell) for key, cell in row.items() if key in casts and cell})
            for row in rows("models")
        }
    )


def models() -> Mapping[str, Architecture]:
    """Every model of the catalog by its hub id, in the order of the file. Source: `data/models.csv`, row by row."""
    return _table()


def find_model(text: str) -> Architecture:
    """The architecture that a model's name means.

    Understood are hub ids (`Qwen/Qwen2-0.5B`), names without the organisation (`Qwen2-0.5B`), mirrors
    (`unsloth/llama-3-8b-bnb-4bit`) and variants of the same shape (`-Instruct`, `-Chat`, `-GPTQ`, ...); a size in
    the name is never changed. Raises `Ambiguous` for a name of several shapes and `UserError` for an unknown one,
    with the sizes that this generation has, or the nearest names.
    """
    if not text.strip():
        raise UserError("a model must be named", got=repr(text), hint="For example `model: Qwen/Qwen2-0.5B`")
    for form in (str.lower, _without_owner, _shape_name):
        found = _index(form).get(form(text.strip()), ())
        shapes = {_shape(_table()[name]): name for name in reversed(found)}
        if len(shapes) > 1:
            raise Ambiguous(
                "a model's name must mean one model",
                got=f"{text!r}, which may be {' or '.join(found)}",
                hint=f"Write the hub id, for example `{found[0]}`",
                candidates=found,
            )
        if shapes:
            return _table()[found[0]]
    raise _unknown(text)


def _plain(name: str) -> str:
    """A hub id without its organisation."""
    return name.rsplit("/", 1)[-1]


def _without_owner(name: str) -> str:
    return _plain(name.lower())


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[-_\s:]+", _without_owner(name)) if part]


def _shape_name(name: str) -> str:
    """A name without the words that leave the shape as it is: `Llama-3-8B` for `meta-llama/Meta-Llama-3-8B-Instruct`.

    `base` is dropped only behind a size: elsewhere (`t5-base`) it is the size.
    """
    kept = [part for part in _parts(name) if part not in _SAME_SHAPE]
    if kept and kept[-1] == "base" and any(_SIZE.match(part) for part in kept):
        kept.pop()
    return "-".join(kept)


@cache
def _index(form: Callable[[str], str]) -> Mapping[str, tuple[str, ...]]:
    """Hub ids by one form of their name and aliases."""
    index: dict[str, dict[str, None]] = {}
    for row in rows("models"):
        for name in (row["name"], *words(row["aliases"])):
            index.setdefault(form(name), {})[row["name"]] = None
    return {key: tuple(names) for key, names in index.items()}


def _shape(model: Architecture) -> tuple[object, ...]:
    """What two rows must share to be the same model for every purpose of an estimate."""
    return tuple(getattr(model, f.name) for f in fields(model) if f.name not in ("name", "source", "date"))


def _stem_and_size(name: str) -> tuple[str, str]:
    """`qwen3-7b` -> (`qwen3`, `7b`); the size is empty where the name does not end in one."""
    parts = _shape_name(name).split("-")
    return ("-".join(parts[:-1]), parts[-1]) if _SIZE.match(parts[-1]) else ("-".join(parts), "")


def _unknown(text: str) -> UserError:
    stem, size = _stem_and_size(text)
    forms = _index(_shape_name)
    longer = [form for form in forms if stem and form.startswith(f"{_shape_name(text)}-")]
    family = {s: name for name in _table() for g, s in [_stem_and_size(name)] if g == stem and s}
    if size and family and not longer:
        return _no_such_size(text, size, family)
    near = longer or difflib.get_close_matches(_shape_name(text), forms, n=3, cutoff=0.5)
    candidates = tuple(dict.fromkeys(forms[form][0] for form in near))[:3]
    nearest = f"Nearest: {', '.join(candidates)}. " if candidates else ""
    return UserError(
        "a model must be in the catalog or have a config.json",
        got=repr(text),
        hint=nearest + "`headway catalog models` lists all; or give a local folder that holds config.json",
        candidates=candidates,
    )


def _no_such_size(text: str, size: str, family: Mapping[str, str]) -> Nonexistent:
    """The generation exists, the size does not: which sizes it has, and which generations have that size."""
    sizes = sorted(family, key=_parameters)
    sample = _plain(family[sizes[0]])
    generation = sample[: sample.lower().find(sizes[0]) - 1]
    near = sorted(sizes, key=lambda s: abs(_parameters(s) - _parameters(size)))[:2]
    brand = re.match(r"[a-z]*", _stem_and_size(text)[0])
    elsewhere = [n for n in _table() if _stem_and_size(n)[1] == size and brand and _same_brand(n, brand[0])]
    also = f"; {size.upper()} exists as {', '.join(map(_plain, elsewhere))}" if elsewhere else ""
    return Nonexistent(
        "a model must exist in the size named",
        got=repr(text),
        hint=f"{generation} comes in {', '.join(s.upper() for s in sizes)}{also}",
        candidates=(*(family[s] for s in near), *elsewhere),
    )


def _same_brand(name: str, brand: str) -> bool:
    """`Qwen2.5-7B` is of brand `qwen`; words between generation and size (`coder`) make another line."""
    return bool(brand) and re.fullmatch(re.escape(brand) + r"-?[\d.]*", _stem_and_size(name)[0]) is not None


def _parameters(size: str) -> float:
    """`0.6b` -> 0.6e9; of `8x7b` the experts together."""
    return prod(map(float, re.findall(r"\d+(?:\.\d+)?", size))) * (1e9 if size.endswith("b") else 1e6)
