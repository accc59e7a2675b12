"""Models that the catalog lacks, by their number of parameters: the shape of the nearest known one, scaled in depth.

Owns what a size in a name means (`7B`, `1.5b`, `8x7B`, `30B-A3B`), `data/sizes.csv` and the choice of the shape. Says
nothing about how far the real shape may be off; who uses it has to.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from headway.catalog.models import models
from headway.catalog.tables import rows
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture

_SPARSE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b[-_]?a(\d+(?:\.\d+)?)b(?![a-z0-9])")
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d+)x(\d+(?:\.\d+)?)b(?![a-z0-9])")
_PLAIN = re.compile(r"(?<![a-z0-9.])[ae]?(\d+(?:\.\d+)?|[01]_\d)(b|m)(?![a-z0-9])")
_SHARED_SHARE = 0.8
"""Of 8 experts of 7B each the attention is shared: Mixtral 8x7B has 46.7 of 56 billion parameters."""
_SAME_BRAND = 0.25
"""How much farther, as a logarithm, a model of the same brand may be and still go before another."""
_DEEPER = (0.7, 1.5)
"""Blocks over those of the nearest shape within which only their number changes."""
_AS_IT_IS = 0.03
"""Share of the parameters within which a shape is not scaled: `7B` is 6.7 or 7.6 billion as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Parameters of a model, and those that a token meets where they are fewer."""

    parameters: float
    active: float | None = None


def known_size(name: str) -> Size | None:
    """The size of a well-known model whose name does not say it (`data/sizes.csv`); None for any other."""
    plain = re.sub(r"[\s_]+", "-", name.lower().rpartition("/")[2])
    found = [row for row in rows("sizes") if re.search(rf"(?<![a-z0-9]){re.escape(row['name'])}(?![a-z0-9])", plain)]
    if not found:
        return None
    best = max(found, key=lambda row: len(row["name"]))
    active = float(best["active_billion"]) * 1e9 if best["active_billion"] else None
    return Size(parameters=float(best["billion"]) * 1e9, active=active)


def size_in_name(name: str) -> Size | None:
    """The size that a model's name says; None where it says none. Billions go before millions (`9b-chat-1m`)."""
    plain = name.lower()
    if found := _SPARSE.search(plain):
        return Size(parameters=float(found[1]) * 1e9, active=float(found[2]) * 1e9)
    if found := _EXPERTS.search(plain):
        each, experts = float(found[2]) * 1e9, int(found[1])
        return (
            Size(parameters=_SHARED_SHARE * each * experts, active=2 * each) if experts > 1 else Size(parameters=each)
        )
    sizes = [(found[2] != "b", float(found[1].replace("_", "."))) for found in _PLAIN.finditer(plain)]
    if not sizes:
        return None
    millions, number = min(sizes, key=lambda one: one[0])
    return Size(parameters=number * (1e6 if millions else 1e9)) if number else None


def sized_model(name: str, size: Size) -> Architecture:
    """A decoder of that size: the nearest of the catalog, its blocks as many as the parameters ask for.

    `source` says what was assumed. Raises UserError for a size that no decoder has (below 1 million, above 10^13).
    """
    if not 1e6 <= size.parameters <= 1e13:
        raise UserError(
            "a model has between 1 million and 10,000 billion parameters", got=f"{size.parameters:,.0f}",
            hint="Write it like params=7B.",
        )  # fmt: skip
    known = [one for one in models().values() if _comparable(one, size)]
    near = min(known, key=lambda one: _distance(one, name, size))
    made = _scaled(near, size.parameters)
    said = f"{size.parameters / 1e9:.3g} billion parameters"
    source = f"{said}, in the shape of {near.name} with {made.layers} blocks (assumed)"
    return replace(made, name=name, parameters_stated=0, source=source)


def _scaled(near: Architecture, parameters: float) -> Architecture:
    """More or fewer blocks where that is enough; else the width that makes up the difference."""
    if abs(parameters / near.parameters_stated - 1) <= _AS_IT_IS:
        return near
    outside = near.vocab * near.hidden * (1 if near.tied else 2)
    inside = near.parameters_stated - outside
    ratio = (parameters - outside) / inside
    if _DEEPER[0] <= ratio <= _DEEPER[1]:
        return replace(near, layers=max(1, round(near.layers * ratio)), dense_layers=min(near.dense_layers, 1))
    # embeddings grow with the width and blocks with its square: inside w^2 + outside w = parameters
    width = (math.sqrt(outside**2 + 4 * inside * parameters) - outside) / (2 * inside)
    heads = max(1, round(near.heads * width))
    groups = max(1, round(near.heads / near.kv_heads))
    heads = heads if heads % groups == 0 else groups * max(1, round(heads / groups))
    return replace(
        near, heads=heads, kv_heads=heads // groups, hidden=max(8, 8 * round(near.hidden * width / 8)),
        ffn=max(8, 8 * round(near.ffn * width / 8)), shared_ffn=8 * round(near.shared_ffn * width / 8),
        dense_ffn=8 * round(near.dense_ffn * width / 8),
    )  # fmt: skip


def _comparable(one: Architecture, size: Size) -> bool:
    decoder = one.family == "decoder" and one.parameters_stated > 0
    return decoder and bool(one.experts) == (size.active is not None)


def _distance(one: Architecture, name: str, size: Size) -> float:
    brand = re.match(r"[a-z]+", one.name.rpartition("/")[2].lower())
    same = brand is not None and len(brand[0]) > 2 and brand[0] in name.lower()
    return abs(math.log(size.parameters / one.parameters_stated)) - (_SAME_BRAND if same else 0.0)
