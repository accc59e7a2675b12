"""Rates that the author states, term by term.

Owns the making of `Stated`; which level a term comes from is kept beside it by `plan.expansion`.
"""

from __future__ import annotations

from typing import Final

from headway.domain.statement import Factor, Stated, Value
from headway.plan.reading import values
from headway.plan.reading.forms import factor
from headway.plan.reading.yaml import Map, Node, Seq

TERMS: Final = (
    "step", "wall", "evaluation", "generation", "checks", "load", "tokenize", "compile", "checkpoint", "final_save",
    "cleanup",
)  # fmt: skip


def stated(node: Map | None, wall: bool) -> Stated:
    """The terms of a `stated` map; `wall`, the time of the whole thing, only where it is of that thing."""
    if not node:
        return Stated()
    terms = {key: _parts(node[key]) for key in TERMS if key in node and (key != "wall" or wall)}
    factors: tuple[Factor, ...] = tuple(
        factor(cause, item) for cause, item in values.mapping(node["factors"]).items()
    ) if "factors" in node else ()  # fmt: skip
    rates = node.get("throughput", Seq())
    return Stated(
        terms=terms,
        throughput=tuple(values.quantity(item, "per_s") for item in (rates if isinstance(rates, Seq) else [rates])),
        factors=factors,
        convergence={
            key: values.quantity(item, "count") for key, item in values.mapping(node["convergence"]).items()
        } if "convergence" in node else {},
        source="; ".join(values.texts(node["source"])) if "source" in node else "",
    )  # fmt: skip


def _parts(node: Node) -> dict[str, Value]:
    if isinstance(node, Map) and not values.is_long(node) and not values.is_statistics(node):
        return {part: values.quantity(item, "s") for part, item in node.items()}
    return {"": values.quantity(node, "s")}
