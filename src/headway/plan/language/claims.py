"""Results that an author may claim: the closed list of keys and what each is measured in.

Owns the table and the flattening of a `claims` map into single claims. Comparing them is `check/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headway.domain.errors import PlanError
from headway.domain.statement import Claim, Value
from headway.plan.reading.values import fault, flag, is_long, quantity, said, text, used
from headway.plan.reading.yaml import Map, Node, Seq, Text

_BY_DIMENSION: Final[dict[str, str]] = {
    "count": "parameters trainable rows batch grad_accum steps tokens_per_step experiments sequences tasks generations "
    "checkpoints checkpoints_kept epochs epochs_advised epochs_in",
    "share": "trainable_share share efficiency interrupted_within",
    "s": "wall terms serial per_sample hours_at wall_at wall_in wall_per_epoch wall_advised billed at",
    "per_s": "throughput",
    "gpu_hours": "gpu_hours",
    "days": "days",
    "usd": "cost cost_per_gpu_hour electricity",
    "joule": "energy",
    "x": "speedup rows_ratio wall_ratio",
    "any": "save_every saves",
    "after": "timeline",
    "flag": "agrees",
    "text": "says done",
    "rows": "bands tree",
}
CLAIMS: Final[dict[str, str]] = {key: unit for unit, keys in _BY_DIMENSION.items() for key in keys.split()}
"""Claim key to the dimension of what stands below it."""
SPLITS: Final = (
    "low",
    "mid",
    "high",
    "headline",
    "overhead",
    "total",
    "subtotal",
    "buffer",
    "active",
    "safe",
    "by_phase",
)
"""Words that divide a claim; at the top they hold claims themselves (`by_phase`: GPU-hours)."""
_IN_ROWS: Final = {"step": "s", "name": "text"}


def claims_of(owner: str, node: Node) -> Iterator[Claim]:
    """Every single claim in a `claims` map.

    Raises PlanError for a key that is not on the list, or a value that is not of its dimension.
    """
    if not isinstance(node, Map):
        raise fault(node, "claims are a map of results", said(node))
    for key, item in node.items():
        yield from _claims(owner, (key,), item, _dimension(key, node))


def _dimension(key: str, node: Map) -> str:
    """What is measured below a top key; empty for a split, whose own keys say it."""
    if key in CLAIMS:
        return CLAIMS[key]
    if key == "by_phase":
        return "gpu_hours"
    if key in SPLITS:
        return ""
    from difflib import get_close_matches

    near = tuple(get_close_matches(key, [*CLAIMS, *SPLITS], n=3))
    hint = f"Did you mean {near[0]}?" if near else "What no key holds goes under `says`."
    raise PlanError("unknown claim", got=key, hint=hint, where=node.place(key), field=f"claims.{key}", candidates=near)


def _claims(owner: str, path: tuple[str, ...], node: Node, dimension: str) -> Iterator[Claim]:
    if isinstance(node, Map) and not is_long(node):
        for key, item in node.items():
            inner = _IN_ROWS.get(key, CLAIMS.get(key, "text")) if dimension == "rows" else dimension
            if not dimension:
                inner = _dimension(key, node)
            elif len(path) == 1 and path[0] == "wall_at" and key == "epochs":
                inner = "count"
            yield from _claims(owner, (*path, key), item, inner)
        return
    if isinstance(node, Seq) and any(isinstance(item, Map) and not is_long(item) for item in node):
        for index, item in enumerate(node):
            yield from _claims(owner, (*path, str(index)), item, dimension)
        return
    if not dimension or dimension == "rows":
        raise fault(node, f"{path[-1]} holds claims of its own", said(node))
    items = list(node) if isinstance(node, Seq) else [node]
    values = tuple(_value(item, dimension) for item in items)
    yield Claim(owner=owner, path=path, values=values, where=node.where)


def _value(node: Node, dimension: str) -> Value | str | bool:
    if dimension == "text":
        return text(node)
    if dimension == "flag":
        return flag(node)
    if dimension == "after":
        return _after(used(node))
    return quantity(node, dimension)


def _after(node: Node) -> Value:
    """`15 h after 1`: a time whose note says after what."""
    duration, _, first = text(node).partition(" after ")
    value = quantity(Text(duration, node.where), "s")
    return Value(range=value.range, unit="s", text=text(node), note=f"after {first}" if first else "", where=node.where)
