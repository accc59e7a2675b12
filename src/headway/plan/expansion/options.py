"""What-if: a plan with an option applied, and plans with values put in by hand.

Owns how options and overrides change a document (settings stronger than any level, edits of the rest) and an expanded
plan (kept, dropped, put first, brought in).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from headway.domain.errors import PlanError
from headway.domain.plan import Experiment, Option, Plan
from headway.domain.record import fingerprint
from headway.domain.selection import select
from headway.domain.statement import Selector
from headway.plan.expansion.inherit import Setting
from headway.plan.language.validate import SETTABLE, axis_values, check_setting, split
from headway.plan.reading import values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Document, Map, Node, Text


@dataclass(frozen=True, slots=True)
class Variant:
    """A document to expand: what it says, and what is set in spite of it."""

    label: str
    document: Document
    settings: tuple[Setting, ...] = ()


def variants(variant: Variant, id_: str) -> list[Variant]:
    """Option `id_` applied to a document: one variant, or one for each combination of what it varies.

    Raises PlanError when the plan has no such option.
    """
    options = values.mapping(variant.document.tree.get("options", Text("")))
    if id_ not in options:
        from difflib import get_close_matches

        near = tuple(get_close_matches(id_, options, n=3))
        hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(options) or 'none'}."
        raise fault(variant.document.tree, "the plan has no such option", id_, hint, candidates=near)
    entry = values.mapping(options[id_])
    fixed = dict(values.mapping(entry.get("set", Text(""))))
    axes = {key: axis_values(node) for key, node in values.mapping(entry.get("vary", Text(""))).items()}
    found = []
    for points in product(*axes.values()):
        chosen = dict(zip(axes, points, strict=True))
        words = [f"{key.rpartition('.')[2]}={_label(node)}" for key, node in chosen.items()]
        found.append(put(variant, {**fixed, **chosen}, ", ".join(words) or id_))
    return found


def _label(node: Node) -> str:
    used = values.used(node) if values.is_long(node) else node
    return str(used) if isinstance(used, Text) else fingerprint(values.plain(used))[:6]


def put(variant: Variant, changes: Mapping[str, Node], label: str) -> Variant:
    """A variant with `changes`: keys of stages as settings, everything else written into a copy of the tree.

    Raises PlanError for a key that is not in the language, or a value that is not of it.
    """
    tree = variant.document.tree
    settings = list(variant.settings)
    for key, node in changes.items():
        pattern, path = split(key, node)
        if node != "none":
            check_setting(path, node, listed=False)
        head = path.partition(".")[0]
        if head == "matrix":
            tree = _matrix(tree, pattern, node)
        elif head in SETTABLE:
            settings.append(Setting(path, node, Selector(patterns=(pattern,), where=node.where) if pattern else None))
        else:
            tree = _written(tree, _machine_path(tree, path), node)
    return Variant(label, replace(variant.document, tree=tree), tuple(settings))


def _machine_path(tree: Map, path: str) -> list[str]:
    """`run.machine.KEY` goes to the machine that `run.machine` names."""
    parts = path.split(".")
    run = tree.get("run")
    if parts[:2] == ["run", "machine"] and len(parts) > 2 and isinstance(run, Map):
        chosen, machines = run.get("machine"), run.get("machines")
        if isinstance(chosen, Text) and isinstance(machines, Map) and chosen in machines:
            return ["run", "machines", str(chosen), *parts[2:]]
    return parts


def _written(tree: Map, parts: list[str], node: Node) -> Map:
    """A copy of `tree`, shared but for the way to `parts`, with `node` there (`none` takes it out)."""
    copy = Map(tree, tree.where, tree.places)
    head, rest = parts[0], parts[1:]
    if not rest:
        if node == "none":
            copy.pop(head, None)
        else:
            copy[head] = node
        return copy
    inner = tree.get(head, Map(where=node.where))
    if head == "machine" and (isinstance(inner, Text) or values.is_long(inner)):
        inner = Map({"gpu": inner}, inner.where)
    copy[head] = _written(values.mapping(inner) if not isinstance(inner, Map) else inner, rest, node)
    return copy


def _matrix(tree: Map, phase: str, node: Node) -> Map:
    """A copy of `tree` with `node` as the matrix of `phase`, or of a plan without phases."""
    if not phase:
        return _written(tree, ["matrix"], node)
    found = _way(tree, phase)
    if found is None:
        raise fault(node, "a matrix is set on a phase", phase)
    return _written(tree, [*found, "matrix"], node)


def _way(tree: Map, phase: str) -> list[str] | None:
    """Keys that lead to the entry of `phase`."""
    phases = values.mapping(tree.get("phases", Text("")))
    if phase in phases:
        return ["phases", phase]
    for id_, node in phases.items():
        inner = _way(values.mapping(node), phase)
        if inner:
            return ["phases", id_, *inner]
    return None


def chosen(plan: Plan, option: Option) -> Plan:
    """An expanded plan with the experiments that `option` keeps, drops, puts first or brings in.

    Raises PlanError when a selector picks nothing, or when nothing is left.
    """
    brought = {id_ for words in option.with_ for id_ in _picked(plan, Selector(patterns=(words,), where=option.where))}
    kept = {id_ for selector in option.keep for id_ in _picked(plan, selector)}
    dropped = {id_ for selector in option.drop for id_ in _picked(plan, selector)}
    experiments = [_brought(experiment, experiment.id in brought) for experiment in plan.experiments]
    if option.keep:
        experiments = [experiment for experiment in experiments if experiment.id in kept]
    experiments = [experiment for experiment in experiments if experiment.id not in dropped]
    if not experiments:
        raise PlanError("an option leaves at least one experiment", got=option.id, where=option.where)
    if option.first is not None:
        _picked(plan, option.first)
    return narrowed(plan, experiments, option.first or plan.first, brought)


def _brought(experiment: Experiment, brought: bool) -> Experiment:
    return replace(experiment, optional=False) if brought and experiment.optional else experiment


def _picked(plan: Plan, selector: Selector) -> tuple[str, ...]:
    ids = select(plan, selector)
    if not ids:
        raise fault(selector.where, "a selector picks at least one experiment", ", ".join(selector.patterns))
    return ids


def narrowed(plan: Plan, experiments: list[Experiment], first: Selector | None, brought: set[str]) -> Plan:
    """`plan` with only these experiments, and only the phases that still hold some."""
    ids = {experiment.id for experiment in experiments}
    needed: set[str] = {experiment.phase for experiment in experiments}
    parents = {phase.id: phase.parent for phase in plan.phases}
    for id_ in list(needed):
        while parents.get(id_):
            id_ = parents[id_]  # noqa: PLW2901 - up the tree
            needed.add(id_)
    phases = []
    for phase in plan.phases:
        if phase.id in needed:
            own = tuple(id_ for id_ in phase.experiments if id_ in ids)
            phases.append(replace(phase, experiments=own, optional=phase.optional and brought.isdisjoint(own)))
    return replace(
        plan,
        phases=tuple(phases),
        experiments=tuple(experiments),
        first=first,
        fingerprint=fingerprint([experiment.fingerprint for experiment in experiments]),
    )
