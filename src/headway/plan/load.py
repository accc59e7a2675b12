"""The door: a plan file, or a mapping made from flags, to a `Plan`, with its options.

Owns the order of things: read, validate, expand, check that every name and selector holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePath
from typing import Any

from headway.domain.errors import PlanError, Position
from headway.domain.plan import Dataset, Experiment, Option, Phase, Plan
from headway.domain.record import fingerprint
from headway.domain.selection import ancestry, select, select_phases
from headway.domain.statement import Claim, Selector
from headway.plan.expansion import options
from headway.plan.expansion.expand import Expansion
from headway.plan.language.claims import claims_of
from headway.plan.language.validate import validate
from headway.plan.nouns import asked, data
from headway.plan.nouns.run import run
from headway.plan.nouns.stage import Parts
from headway.plan.reading import values
from headway.plan.reading.forms import assumed
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Document, Map, Node, Text, node_from, positions, read

OWN = re.compile(r"""^(?:["']?headway["']?[ \t]{0,9}:)|\A\s{0,99}\{\s{0,99}["']headway["']\s{0,9}:""", re.MULTILINE)
"""The first key of headway's own plans, at the left margin."""
_MOST_READ = 10_000_000
"""Bytes in which a plan says that it is one."""


@dataclass(frozen=True)
class PlanFile:
    """A plan that is read and valid, and expands when it is asked for."""

    variant: options.Variant
    chosen: tuple[Option, ...] = field(default=())
    """Options whose selection (keep, drop, first, with) is applied to the expanded plan."""
    without: PlanFile | None = field(default=None, repr=False, compare=False)
    """The plan file that the last of the options was applied to."""

    @cached_property
    def plan(self) -> Plan:
        """The plan, expanded. Raises PlanError for what only expansion shows: names, budgets, batches, cycles."""
        try:
            elsewhere = self._elsewhere()
            plan = elsewhere or _expanded(self.variant)
        except PlanError as problem:
            raise self._blamed(problem) from None
        for option in self.chosen[-1:] if elsewhere else self.chosen:
            plan = options.chosen(plan, option)
        return plan

    def _elsewhere(self) -> Plan | None:
        """The same experiments under another `run:` block, where the last option changes nothing else; else None."""
        if self.without is None:
            return None
        changed = (*self.chosen[-1].set, *self.chosen[-1].vary)
        if not changed or not all(key.startswith("run.") for key in changed):
            return None
        before, circumstance = self.without.plan, run(self.variant.document.tree.get("run"))
        return replace(before, run=circumstance) if circumstance.machines.keys() == before.run.machines.keys() else None

    def _blamed(self, problem: PlanError) -> PlanError:
        """The error at the option that causes it: what it sets clashes with lines that are right without it.

        Raises PlanError as it is where the plan without the option has one, too.
        """
        if self.without is None:
            return problem
        _ = self.without.plan
        id_, options_ = self.chosen[-1].id, values.mapping(self.variant.document.tree["options"])
        return PlanError(
            f"with this option {problem.rule}", got=problem.got, hint=problem.hint, where=options_.place(id_),
            field=f"options.{id_}", candidates=problem.candidates,
        )  # fmt: skip

    def with_option(self, id_: str) -> list[tuple[str, Plan]]:
        """Label and plan for option `id_`: one, or one for each combination of what it varies.

        Raises PlanError when there is no such option, or it selects nothing.
        """
        made = self.variants(id_)
        option = made[0].chosen[-1]
        if not (option.set or option.vary):  # the same experiments, fewer of them: no need to expand again
            return [(id_, options.chosen(self.plan, option))]
        return [(file.variant.label, file.plan) for file in made]

    def variants(self, id_: str) -> list[PlanFile]:
        """The plan files that option `id_` makes of this one, to be changed further or expanded."""
        made = options.variants(self.variant, id_)
        option = asked.option(id_, values.mapping(self.variant.document.tree["options"])[id_])
        return [PlanFile(variant, (*self.chosen, option), self) for variant in made]

    def subset(self, id_: str) -> Plan:
        """The plan with only what option `id_` keeps. Raises PlanError when it does more than keep and drop."""
        made = self.variants(id_)
        if not made[0].chosen[-1].is_subset:
            raise PlanError(
                "a subset only keeps and drops", got=id_, where=made[0].chosen[-1].where,
                hint=f"Use it as an option: --option {id_}.",
            )  # fmt: skip
        return self.with_option(id_)[0][1]

    def override(self, changes: Mapping[str, object]) -> PlanFile:
        """The plan with values (dotted path to text, number, list or mapping) that are stronger than any level.

        `None` takes a key away. Raises PlanError for an unknown key or a wrong value, at the `--assume` that says it.
        """
        nodes: dict[str, Node] = {}
        for path, value in changes.items():
            where = Position(f"--assume {path.removeprefix('assume.')}")
            nodes[path] = Text("none", where) if value is None else node_from(value, where)
        return replace(self, variant=options.put(self.variant, nodes, self.variant.label), without=None)


def read_plan(path: str | os.PathLike[str], *, text: str | None = None, folder: str = "") -> PlanFile:
    """The plan in file `path`, or in `text`, when `path` is only its name and `folder` where its files are.

    Raises PlanError with file, line, column.
    """
    document = read(path, text)
    return _file(replace(document, folder=folder) if folder else document)


def is_plan(path: str | os.PathLike[str]) -> bool:
    """True for a file that says that it is a plan (`headway: 1`), and for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return OWN.search(file.read(_MOST_READ).decode("utf-8-sig", errors="replace")) is not None
    except (OSError, ValueError):
        return True


def plan_from_mapping(mapping: Mapping[str, Any], name: str = "plan") -> PlanFile:
    """A plan made in Python or from flags; `headway: 1` may be left out. Raises PlanError."""
    tree = node_from({"headway": 1, "name": name, **mapping}, Position(name))
    assert isinstance(tree, Map)
    return _file(Document(name, tree, os.getcwd()))


def plan_from_tree(tree: Map, file: str, folder: str = "") -> PlanFile:
    """A plan made by an importer: its places are those of the original `file`. Raises PlanError."""
    return _file(Document(file, tree, folder))


def _file(document: Document) -> PlanFile:
    validate(document.tree)
    return PlanFile(options.Variant("", document))


def _expanded(variant: options.Variant) -> Plan:
    document, tree = variant.document, variant.document.tree
    name = values.text(tree["name"]) if "name" in tree else _file_name(document.file)
    datasets = data.datasets(tree.get("datasets", Text("")), document.folder)
    tasks, groups = data.tasks(tree.get("tasks", Text("")), datasets)
    circumstance = run(tree.get("run"))
    parts = Parts(document.folder, datasets, tasks, groups, frozenset(circumstance.machines))
    made = Expansion(parts, variant.settings)
    made.expand(tree, name)
    entries = {
        key: values.mapping(tree.get(key, Text(""))) for key in ("questions", "references", "options", "decisions")
    }
    plan = Plan(
        name=name,
        title=values.text(tree["title"]) if "title" in tree else "",
        file=document.file,
        sources=values.texts(tree["source"]) if "source" in tree else (),
        datasets=datasets,
        tasks=tasks,
        phases=tuple(made.phases),
        experiments=tuple(made.experiments),
        questions={id_: asked.question(id_, node) for id_, node in entries["questions"].items()},
        references={id_: asked.reference(id_, node) for id_, node in entries["references"].items()},
        options={id_: asked.option(id_, node) for id_, node in entries["options"].items()},
        decisions={id_: asked.decision(id_, node) for id_, node in entries["decisions"].items()},
        claims=(*made.claims, *_more_claims(entries)),
        assume={key: assumed(node) for key, node in values.mapping(tree.get("assume", Text(""))).items()},
        run=circumstance,
        stated=made.stated,
        trained_on=_trained_on(made.experiments, datasets),
        positions=positions(tree),
        fingerprint=fingerprint([experiment.fingerprint for experiment in made.experiments]),
    )
    _check(plan, tree, variant)
    return plan


def _trained_on(experiments: Iterable[Experiment], datasets: Mapping[str, Dataset]) -> frozenset[str]:
    """The data of all training stages, with the parts of mixtures."""
    found: set[str] = set()
    ahead = {stage.data for experiment in experiments for stage in experiment.stages if stage.data}
    while ahead:
        found |= ahead
        ahead = {part for name in ahead if name in datasets for part, _ in datasets[name].mix} - found
    return frozenset(found)


def _file_name(file: str) -> str:
    path = PurePath(file.rpartition(":")[2])  # after a git revision, where there is one
    return path.parent.name if path.stem == "plan" and path.parent.name else path.stem or "plan"


def _more_claims(entries: Mapping[str, Map]) -> list[Claim]:
    """Claims about options, references and branches of decisions."""
    found: list[Claim] = []
    for kind in ("options", "references"):
        for id_, node in entries[kind].items():
            if isinstance(node, Map) and "claims" in node:
                found += claims_of(f"{kind}.{id_}", node["claims"])
    for id_, node in entries["decisions"].items():
        for branch in ("then", "else"):
            inner = values.mapping(node).get(branch)
            if isinstance(inner, Map) and "claims" in inner:
                found += claims_of(f"decisions.{id_}.{branch}", inner["claims"])
    return found


def _check(plan: Plan, tree: Map, variant: options.Variant) -> None:
    """Raises PlanError for selectors that pick nothing, names that are not there, and circles."""
    if not plan.experiments:
        raise fault(tree, "a plan has at least one experiment", "none", "Say `data`, a matrix, phases or stages.")
    plain = frozenset(
        (*(experiment.id for experiment in plan.experiments), *(phase.id for phase in plan.phases if phase.experiments))
    )
    for selector in _selectors(plan):
        _must_pick(plan, selector, plain)
    for setting in variant.settings:
        if setting.selector is not None:
            _must_pick(plan, setting.selector, plain)
    for decision in plan.decisions.values():
        for branch in (decision.then, decision.otherwise):
            if isinstance(branch, str) and branch not in ("keep", "stop") and branch not in plan.options:
                raise data.unknown_name(
                    "an option", branch, plan.options, Text(branch, decision.where), "Or write keep, or stop."
                )
    _refuse_circles(plan)


def _selectors(plan: Plan) -> list[Selector]:
    found = [selector for phase in plan.phases for selector in (phase.after, phase.needs) if selector]
    found += [question.answered_by for question in plan.questions.values() if question.answered_by]
    for option in plan.options.values():
        found += [*option.keep, *option.drop, *([option.first] if option.first else [])]
        found += [Selector(patterns=(words,), where=option.where) for words in option.with_]
    for decision in plan.decisions.values():
        found += [branch for branch in (decision.then, decision.otherwise) if isinstance(branch, Selector)]
        if decision.after and not plan.options.keys() >= set(decision.after.patterns):
            found.append(decision.after)
    return found


def _must_pick(plan: Plan, selector: Selector, plain: frozenset[str]) -> None:
    """Every pattern picks something. Raises PlanError with the nearest ids."""
    for text in selector.patterns:
        if text not in plain and not select(plan, Selector(patterns=(text,))):
            known = [*(phase.id for phase in plan.phases), *(experiment.id for experiment in plan.experiments[:2000])]
            raise data.unknown_name(
                "what a selector names", text, known, Text(text, selector.where),
                f"Phases: {', '.join(phase.id for phase in plan.phases[:12])}.",
            )  # fmt: skip


def _refuse_circles(plan: Plan) -> None:
    """Raises PlanError when phases wait for each other, or for themselves; a phase waits for what its parent does."""
    own = {phase.id: _before(plan, phase) for phase in plan.phases}
    around = ancestry(plan.phases)
    graph = {id_: sorted(set().union(*(own[outer] for outer in around[id_]))) for id_ in own}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        circle = problem.args[1][::-1]
        phase = next(phase for id_ in around[circle[0]] for phase in plan.phases if phase.id == id_ and own[id_])
        selector = phase.needs or phase.after
        where = selector.where if selector else phase.where
        raise fault(
            where, "phases do not wait for each other in a circle", " → ".join(circle), "Drop one `after` or `needs`."
        ) from None


def _before(plan: Plan, phase: Phase) -> set[str]:
    return {id_ for selector in (phase.after, phase.needs) if selector for id_ in select_phases(plan, selector)}
