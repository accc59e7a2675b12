"""Phases, matrices and stage chains of a document, expanded into experiments in document order.

Owns ids, names and the walk. What a level inherits is `inherit`, what a stage is made of `plan.nouns.stage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Final

from headway.domain.errors import PlanError, Position
from headway.domain.plan import Experiment, Phase
from headway.domain.selection import matching
from headway.domain.statement import Claim, Stated
from headway.plan.expansion.chain import NOTHING_STATED, Chain, Made, Spot, make_stage, wall_only
from headway.plan.expansion.inherit import Inheritance, Resolved, Setting
from headway.plan.expansion.matrix import Point, axes_of
from headway.plan.language.claims import claims_of
from headway.plan.language.keys import OWN
from headway.plan.nouns.data import title
from headway.plan.nouns.stage import Parts, digest
from headway.plan.nouns.stated import stated
from headway.plan.reading import values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Map, Node, Seq

MAX_EXPERIMENTS: Final = 1_000_000
"""Most experiments of one plan: more is a typing error in a matrix."""


@dataclass(slots=True)
class _Place:
    """An experiment about to be made."""

    id: str
    name: str
    phase: str
    around: tuple[str, ...]
    entry: Map
    where: Position
    optional: bool
    wall: Map | None = None
    axes: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Expansion:
    """What a document expands into; filled by `expand`."""

    parts: Parts
    settings: Sequence[Setting] = ()
    phases: list[Phase] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    stated: Stated = field(default_factory=Stated)
    _levels: Inheritance = field(default_factory=Inheritance)
    _seen: set[str] = field(default_factory=set)
    _stages: dict[int, tuple[Node, list[Map]]] = field(default_factory=dict)

    def expand(self, tree: Map, name: str) -> None:
        """Every phase and experiment of `tree`; a tree without phases is one phase called `name`."""
        if "claims" in tree:
            self.claims.extend(claims_of("", tree["claims"]))
        plan = self._levels.level(Resolved(), tree, "", own=False)
        if "phases" not in tree:
            self._phase(name, "", tree, Resolved(), (), False, claimed=True)
            return
        for key in ("matrix", "stages", "experiments", *OWN):
            if key in tree:
                raise fault(tree.place(key), f"{key} stands in a phase, where a plan has phases", key)
        if isinstance(tree.get("stated"), Map):
            self.stated = stated(wall_only(tree["stated"]), wall=True)
        if "experiments" in tree:
            raise fault(
                tree.place("experiments"), "experiments stand in a phase, where a plan has phases", "experiments"
            )
        for id_, node in values.mapping(tree["phases"]).items():
            self._phase(id_, "", values.mapping(node), plan, (), False)

    def _phase(
        self, id_: str, parent: str, entry: Map, outer: Resolved, around: tuple[str, ...], optional: bool,
        claimed: bool = False,
    ) -> None:  # fmt: skip
        """One phase and all that it contains."""
        self._new(id_, entry.where)
        self._must_be_whole(id_, entry)
        optional = optional or ("optional" in entry and values.flag(entry["optional"]))
        here = self._levels.level(outer, entry, "" if claimed else id_, own="phases" not in entry)
        own_stated = entry.get("stated")
        at = len(self.phases)
        self.phases.append(
            Phase(
                id=id_,
                parent=parent,
                name=values.text(entry["name"]) if "name" in entry and not claimed else title(id_),
                asks=values.text(entry["asks"]) if "asks" in entry else "",
                after=values.selector(entry["after"]) if "after" in entry else None,
                needs=values.selector(entry["needs"]) if "needs" in entry else None,
                optional=optional,
                stated=stated(wall_only(own_stated), wall=True),
                where=entry.where,
            )
        )
        if "claims" in entry and not claimed:
            self.claims.extend(claims_of(id_, entry["claims"]))
        around = (id_, *around)
        first = len(self.experiments)
        self._experiments(id_, entry, here, around, optional)
        ids = tuple(experiment.id for experiment in self.experiments[first:])
        self.phases[at] = replace(self.phases[at], experiments=ids)
        if "phases" in entry:
            for inner, node in values.mapping(entry["phases"]).items():
                self._phase(inner, id_, values.mapping(node), here, around, optional)

    def _must_be_whole(self, id_: str, entry: Map) -> None:
        """Raises PlanError for keys that do not go together."""
        if "phases" in entry:
            for key in ("matrix", "stages", "experiments", *OWN):
                if key in entry:
                    raise fault(entry.place(key), f"{key} stands in the phases inside {id_}", key, field=f"{id_}.{key}")
        if "experiments" in entry and "stages" in entry:
            raise fault(
                entry.place("stages"), "stages stand in the experiments of a phase that has some", "stages",
                field=f"{id_}.stages",
            )  # fmt: skip

    def _experiments(self, id_: str, entry: Map, here: Resolved, around: tuple[str, ...], optional: bool) -> None:
        """The phase's own experiments: listed ones, each times the matrix, or the matrix, or the phase itself."""
        if "phases" in entry:
            return
        wall = wall_only(entry.get("stated"))
        if "experiments" not in entry:
            single = "matrix" not in entry
            name = self.phases[-1].name if single else ""
            place = _Place(id_, name, id_, around, entry, entry.where, optional, wall if single else None)
            self._cells(place, [entry.get("matrix")], here)
            return
        for inner, node in values.mapping(entry["experiments"]).items():
            listed = values.mapping(node)
            level = self._levels.level(here, listed, f"{id_}/{inner}")
            name = values.text(listed["name"]) if "name" in listed else title(inner)
            place = _Place(
                f"{id_}/{inner}", name, id_, around, listed, listed.where, optional, wall_only(listed.get("stated"))
            )
            if "claims" in listed:
                self.claims.extend(claims_of(place.id, listed["claims"]))
            self._cells(place, [entry.get("matrix"), listed.get("matrix")], level)

    def _cells(self, place: _Place, matrices: list[Node | None], here: Resolved) -> None:
        """One experiment for every cell of the matrices (which multiply); one when there is none."""
        given = [matrix for matrix in matrices if matrix is not None]
        if not given:
            self._experiment(place, here)
            return
        choices = [
            [axes_of(item, self.parts) for item in (matrix if isinstance(matrix, Seq) else [matrix])]
            for matrix in given
        ]
        for combination in product(*choices):
            axes = [axis for matrix in combination for axis in matrix]
            cells = prod(len(points) for _, points in axes)
            if len(self.experiments) + cells > MAX_EXPERIMENTS:
                raise fault(
                    given[0], f"a plan has at most {MAX_EXPERIMENTS:,} experiments", f"{cells:,} in this matrix"
                )
            keys = [key for key, _ in axes]
            listed = "/" in place.id and place.id.rpartition("/")[0] == place.phase
            for points in product(*(points for _, points in axes)):
                self._cell(place, here, keys, points, listed)

    def _cell(self, place: _Place, here: Resolved, keys: list[str], points: tuple[Point, ...], listed: bool) -> None:
        level = here.copy()
        id_ = f"{place.id}{'-' if listed else '/'}{'-'.join(point.id for point in points)}"
        for key, point in zip(keys, points, strict=True):
            self._levels.put(level, key, point.node, id_)
        name = " ".join([*([place.name] if place.name else []), *(point.name for point in points)])
        axes = {key: point.plain for key, point in zip(keys, points, strict=True)}
        made = _Place(
            id_, name, place.phase, place.around, place.entry, points[-1].node.where, place.optional, None, axes
        )
        self._experiment(made, level)

    def _experiment(self, place: _Place, here: Resolved) -> None:
        """One experiment with its chain of stages."""
        if place.id != place.phase:
            self._new(place.id, place.where)
        here = self._with_settings(place, here)
        entries = self._stage_entries(place.entry)
        made: list[Made] = []
        for index, own in enumerate(entries or [place.entry]):
            spot = Spot(
                experiment=place.id,
                name=place.name,
                entry=own,
                written=bool(entries),
                last=not any(_evaluated(later) for later in entries[index + 1 :]),
                level=self._stage_level(place, here, own, index) if entries else here,
                wall=wall_only(own.get("stated")) if entries else place.wall,
            )
            made.append(make_stage(self.parts, spot, made[-1].chain if made else Chain()))
        self.experiments.append(
            Experiment(
                id=place.id,
                phase=place.phase,
                name=place.name,
                stages=tuple(link.stage for link in made),
                stated=stated(place.wall, wall=True) if place.wall else NOTHING_STATED,
                axes=place.axes,
                optional=place.optional,
                fingerprint=digest(*(f"{link.stage.fingerprint} {link.tasks}" for link in made)),
                where=place.entry.where,
            )
        )

    def _stage_entries(self, entry: Map) -> list[Map]:
        """Entries of a written chain; empty for a single stage."""
        if "stages" not in entry:
            return []
        node = entry["stages"]
        if id(node) not in self._stages:
            self._stages[id(node)] = (
                node,
                [values.mapping(item) for item in (node if isinstance(node, Seq) else [node])],
            )
        found = self._stages[id(node)][1]
        if not found:
            raise fault(
                node, "a chain has at least one stage", "an empty list",
                "Write it like `stages: [{data: NAME}, {evaluate: all}]`, or leave it out.",
            )  # fmt: skip
        return found

    def _stage_level(self, place: _Place, here: Resolved, own: Map, index: int) -> Resolved:
        base = Resolved(here.values, {}, here.stated_at)
        path = f"{place.id}.stages.{index}"
        if "claims" in own:
            self.claims.extend(claims_of(path, own["claims"]))
        return self._with_settings(place, self._levels.level(base, own, path))

    def _with_settings(self, place: _Place, level: Resolved) -> Resolved:
        """`level` with what the option sets; a stage's own keys only where the stage has them."""
        if not self.settings:
            return level
        level = level.copy()
        for setting in self.settings:
            if setting.selector is not None:
                around = {place.phase: place.around}
                if not matching(setting.selector.patterns, {place.id: place.phase}, around):
                    continue
            head = setting.path.partition(".")[0]
            if head in OWN and head not in level.own:
                continue
            self._levels.put(level, setting.path, setting.value, "option")
        return level

    def _new(self, id_: str, where: Position) -> None:
        """Raises PlanError when `id_` exists already."""
        if id_ in self._seen:
            raise PlanError("an id stands once", got=id_, where=where, hint="Rename one, or drop a repeated value.")
        self._seen.add(id_)


def _evaluated(own: Map) -> bool:
    """Whether a written stage may be the one that ends with the experiment's evaluation."""
    return not any(key in own for key in ("do", "verify", "generate"))
