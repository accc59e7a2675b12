"""One stage from what holds at its place: recipe, data, budget, evaluation, and the fingerprint of its model.

Owns what a stage is made of and what of it is identity. Parts are made once for equal nodes and shared.
Fingerprints (principle 10) cover model, data, recipe, effective batch, seed, the chain so far and tasks; they leave out
names, what is stated or claimed, everything in `run`, and the keys that say how and not what (◦ in `language.keys`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from headway.domain.plan import Cadence, Dataset, Evaluation, Generation, Task
from headway.domain.record import fingerprint
from headway.domain.statement import Name, Stated, Value
from headway.domain.units import Range
from headway.plan.nouns import data as data_nouns
from headway.plan.nouns.recipe import RECIPE, RecipePart, recipe_part
from headway.plan.nouns.stated import stated
from headway.plan.reading import forms, values
from headway.plan.reading.values import fault, identity
from headway.plan.reading.yaml import Map, Node, Text

_T = TypeVar("_T")
_TRAINER: Final = (
    "learning_rate",
    "lr_schedule",
    "warmup",
    "weight_decay",
    "params",
    "validation",
    "carry",
    "early_stop",
)
_ONE_EPOCH: Final = Value(range=Range.point(1.0), unit="count", text="1", note="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerPart:
    """Settings of the trainer that cost no time."""

    extra: Mapping[str, object]
    validation_share: float
    carry: str
    early_stop: str
    identity: str


def digest(*parts: str) -> str:
    """16 hexadecimal digits over texts, each kept apart from the next."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class Parts:
    """Makes the parts of stages, each once for the nodes that it is made from."""

    def __init__(
        self,
        folder: str,
        datasets: dict[str, Dataset],
        tasks: Mapping[str, Task],
        groups: Mapping[str, tuple[str, ...]],
        machines: frozenset[str],
    ) -> None:
        self.folder = folder
        self.datasets = datasets
        self.tasks = tasks
        self.groups = groups
        self.machines = machines
        self._made: dict[tuple[Any, ...], Any] = {}
        self._inline: dict[str, str] = {}

    def once(self, make: Callable[[Mapping[str, Node]], _T], found: Mapping[str, Node], keys: tuple[str, ...]) -> _T:
        """`make(found)`, remembered for the nodes at `keys`."""
        nodes = tuple(map(found.get, keys))
        key = (make.__name__, *map(id, nodes))
        if key not in self._made:
            self._made[key] = (make(found), nodes)  # the nodes stay alive, so that no other gets their id
        made: _T = self._made[key][0]
        return made

    def model(self, found: Mapping[str, Node]) -> tuple[Name | None, str]:
        """The model and its identity."""
        return self.once(_model, found, ("model",))

    def recipe(self, found: Mapping[str, Node]) -> RecipePart:
        """How it is trained."""
        return self.once(recipe_part, found, RECIPE)

    def trainer(self, found: Mapping[str, Node]) -> TrainerPart:
        """What else the trainer is told."""
        return self.once(_trainer, found, _TRAINER)

    def budget(self, found: Mapping[str, Node]) -> tuple[Value | None, Value | None, Value | None, str]:
        """Epochs, steps, tokens: one of them, one epoch where nothing is said."""
        return self.once(_budget, found, ("epochs", "steps", "tokens"))

    def data(self, found: Mapping[str, Node]) -> tuple[str, str]:
        """Dataset id and its identity."""
        return self.once(self._data, found, ("data",))

    def evaluation(self, found: Mapping[str, Node]) -> tuple[Evaluation | None, str]:
        """Which tasks, and their identity."""
        return self.once(self._evaluation, found, ("evaluate",))

    def stated(self, found: Mapping[str, Node]) -> Stated:
        """Rates of the terms."""
        return self.once(_stated, found, ("stated",))

    def seed(self, found: Mapping[str, Node]) -> int:
        """The random seed."""
        return self.once(_seed, found, ("seed",))

    def machine(self, found: Mapping[str, Node]) -> str:
        """The machine of a stage, where it is not the plan's. Raises PlanError for one that is not defined."""
        if "machine" not in found:
            return ""
        name = values.name(found["machine"]).use
        if name not in self.machines:
            hint = "Define it under `run.machines`."
            raise data_nouns.unknown_name("a machine", name, self.machines, found["machine"], hint)
        return name

    def cadence(self, found: Mapping[str, Node], key: str) -> Cadence | None:
        """`save` or `log`."""
        return self.once(_save if key == "save" else _log, found, (key,))

    def _data(self, found: Mapping[str, Node]) -> tuple[str, str]:
        node = found.get("data")
        if node is None:
            return "", ""
        if isinstance(node, Map) and not values.is_long(node):
            return self._in_place(node)
        used = values.name(node)
        if used.use not in self.datasets:
            hint = "Define it under `datasets`, or write it in place: `data: {from: NAME, rows: 52k}`."
            raise data_nouns.unknown_name("a dataset", used.use, self.datasets, values.used(node), hint)
        return used.use, self._dataset_identity(used.use, named=True)

    def _in_place(self, node: Map) -> tuple[str, str]:
        """A dataset written where it is used: one id for the same content."""
        base = data_nouns.slug(values.text(node["name"])) if "name" in node else ""
        base = base or "data"
        made = data_nouns.dataset(base, node, self.folder)
        data_nouns.check_mix(made, self.datasets, node)
        content = fingerprint(values.plain(node))
        id_, number = base, 1
        while id_ in self.datasets and self._inline.get(id_) != content:
            number += 1
            id_ = f"{base}-{number}"
        if id_ not in self.datasets:
            self._inline[id_] = content
            name = made.name if "name" in node else "data"
            self.datasets[id_] = data_nouns.dataset(
                id_, Map({**node, "name": Text(name)}, node.where, node.places), self.folder
            )
        return id_, self._dataset_identity(id_, named=False)

    def _dataset_identity(self, id_: str, named: bool) -> str:
        made = self.datasets[id_]
        parts = [[self._dataset_identity(part, named=True), round(share, 9)] for part, share in made.mix]
        computed = made.rows_counted and made.tokens is not None and not made.tokens.unknown
        return fingerprint(
            {
                "id": id_ if named and not made.origin else "",
                "from": made.origin,
                "split": made.split,
                "rows": None if made.rows_counted else identity(made.rows),
                "length": None if computed else identity(made.length),
                "quantiles": made.length_quantiles,
                "tokens": identity(made.tokens),
                "mix": sorted(parts, key=str),
                "labels": made.labels,
            }
        )

    def members(self, node: Node) -> tuple[str, ...]:
        """Task ids that a task, a group, `all` or a list names. Raises PlanError for an unknown one."""
        found: dict[str, None] = {}
        for id_ in values.texts(node):
            if id_ == "all":
                found.update(dict.fromkeys(self.tasks))
            elif id_ in self.groups:
                found.update(dict.fromkeys(self.groups[id_]))
            elif id_ in self.tasks:
                found[id_] = None
            else:
                known = [*self.tasks, *self.groups, "all"]
                raise data_nouns.unknown_name("a task", id_, known, node, "Define it under `tasks`.")
        if not found:
            raise fault(node, "an evaluation has at least one task", values.said(node), "Define some under `tasks`.")
        return tuple(found)

    def _evaluation(self, found: Mapping[str, Node]) -> tuple[Evaluation | None, str]:
        node = found.get("evaluate")
        if node is None:
            return None, ""
        entry = node if isinstance(node, Map) and "tasks" in node else Map({"tasks": node}, node.where)
        if isinstance(node, Map) and "tasks" not in node:
            if values.is_long(node):
                entry = Map({"tasks": values.used(node)}, node.where)
            else:
                entry = Map({"tasks": Text("all", node.where), **node}, node.where, node.places)
        every = forms.cadence(entry["every"]) if "every" in entry else None
        if every is not None and every.unit == "s":
            raise fault(entry["every"], "evaluations come every so many steps or epochs", every.text)
        made = Evaluation(
            tasks=self.members(entry["tasks"]),
            when=values.text(entry["when"]) if "when" in entry else "end",
            every_steps=int(every.mid) if every is not None and every.noun.startswith("step") else None,
            every_epochs=every.mid if every is not None and every.noun.startswith("epoch") else None,
            rows=values.quantity(entry["rows"], "count") if "rows" in entry else None,
            shots=values.integer(entry["shots"]) if "shots" in entry else None,
            where=node.where,
        )
        tasks = [
            [task.id, task.origin, task.shots, list(task.metrics), task.labels,
             self._dataset_identity(task.data, named=True) if task.data else ""]
            for task in (self.tasks[id_] for id_ in made.tasks)
        ]  # fmt: skip
        return made, fingerprint(
            [tasks, made.when, made.every_steps, made.every_epochs, identity(made.rows), made.shots]
        )


def generation(node: Node) -> tuple[Generation, str]:
    """Samples to draw, and their identity."""
    entry = values.mapping(node)
    made = Generation(
        prompts=values.integer(entry["prompts"], 1) if "prompts" in entry else 1,
        samples=values.integer(entry["samples"], 1) if "samples" in entry else 1,
        tokens=values.quantity(entry["tokens"], "count") if "tokens" in entry else None,
        prompt_tokens=values.quantity(entry["prompt_tokens"], "count") if "prompt_tokens" in entry else None,
    )
    return made, fingerprint([made.prompts, made.samples, identity(made.tokens), identity(made.prompt_tokens)])


def _model(found: Mapping[str, Node]) -> tuple[Name | None, str]:
    made = values.name(found["model"]) if "model" in found else None
    return made, made.use if made else ""


def _seed(found: Mapping[str, Node]) -> int:
    return values.integer(found["seed"]) if "seed" in found else 0


def _stated(found: Mapping[str, Node]) -> Stated:
    node = found.get("stated")
    return stated(node if isinstance(node, Map) else None, wall=False)


def _save(found: Mapping[str, Node]) -> Cadence | None:
    return _cadence(found.get("save"))


def _log(found: Mapping[str, Node]) -> Cadence | None:
    return _cadence(found.get("log"))


def _cadence(node: Node | None) -> Cadence | None:
    if not isinstance(node, Map):
        return None
    every = forms.cadence(node["every"]) if "every" in node else None
    return Cadence(
        every_steps=int(every.mid) if every is not None and every.noun.startswith("step") else None,
        every_epochs=every.mid if every is not None and every.noun.startswith("epoch") else None,
        every_s=every.mid if every is not None and every.unit == "s" else None,
        keep=forms.keep(node["keep"]) if "keep" in node else None,
        text=every.text if every is not None else "",
        where=every.where if every is not None else node.where,
    )


def _budget(found: Mapping[str, Node]) -> tuple[Value | None, Value | None, Value | None, str]:
    made = {key: values.quantity(found[key], "count") for key in ("epochs", "steps", "tokens") if key in found}
    for key, value in made.items():
        if key == "steps" and value.range.is_point and value.mid != int(value.mid):
            raise fault(found[key], "steps are whole", repr(value.text), "Write ceil(...) around it.", field=key)
    if not made:
        made["epochs"] = _ONE_EPOCH
    key, value = next(iter(made.items()))
    return made.get("epochs"), made.get("steps"), made.get("tokens"), fingerprint([key, identity(value)])


def _trainer(found: Mapping[str, Node]) -> TrainerPart:
    extra: dict[str, object] = {}
    for key in ("learning_rate", "weight_decay"):
        if key in found:
            extra[key] = values.number(found[key])
    if "lr_schedule" in found:
        extra["lr_schedule"] = values.text(found["lr_schedule"])
    if "params" in found:
        extra["params"] = values.plain(found["params"])
    kept = dict(extra)
    if "warmup" in found:
        warmup = forms.warmup(found["warmup"])
        extra["warmup"], kept["warmup"] = warmup.text, identity(warmup)
    share = forms.held_out(found["validation"]) if "validation" in found else 0.0
    carry = values.text(found["carry"]) if "carry" in found else "adapter"
    stop = values.text(found["early_stop"]) if "early_stop" in found else ""
    return TrainerPart(
        extra=extra, validation_share=share, carry=carry, early_stop=stop,
        identity=fingerprint([kept, share, carry, stop]),
    )  # fmt: skip
