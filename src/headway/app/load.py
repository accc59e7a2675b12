"""A plan, loaded: what `headway.load` returns, with every verb as a method.

Owns the Python face of the verbs. Each verb's work is in the file of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.app.check import findings, plan_text
from headway.app.estimate import answer
from headway.app.inputs import Request, as_keys
from headway.app.kept import Kept, kept
from headway.app.results import CheckResult, MeasureResult, Result, WatchResult
from headway.domain.errors import UsageError
from headway.domain.experiment import Architecture
from headway.domain.measurement import Measurement
from headway.domain.plan import Plan
from headway.domain.record import Record
from headway.estimate.nouns import RATES, Rates
from headway.plan import PlanFile, is_plan, plan_from_mapping, read_plan

if TYPE_CHECKING:
    from headway.app.imported import Opened
    from headway.app.measure import Asked, Measured
    from headway.app.verify import Verified


@dataclass(frozen=True, slots=True)
class Project:
    """A plan file with its verbs."""

    source: PlanFile
    imported: Opened | None = None
    """What was read from a file of another tool, where the plan was made of one."""
    packs: str = ""
    """A folder of measurements that others share (`headway measure --share`)."""

    @property
    def plan(self) -> Plan:
        """The plan, expanded."""
        return self.source.plan

    def estimate(
        self,
        *,
        rates: Rates = "best",
        machine: str = "",
        subset: str = "",
        option: str = "",
        seed: int = 0,
        sensitivity: bool = True,
        measurements: Iterable[Measurement] = (),
        today: str = "",
    ) -> Result:
        """Hours, money, energy, calendar and memory of the plan.

        `rates` chooses whose rates count: `stated` (the author's), `predicted`, `measured`, or `best` (measured before
        predicted before stated). `machine` runs every stage on another machine of the plan; `subset` and `option`
        name options of the plan; `seed` decides all draws; `today` (ISO date) dates prices and deadlines, by default
        the clock's. Raises PlanError where the plan does not decide what is run.
        """
        if rates not in RATES or seed < 0:
            wrong = f"seed={seed}" if seed < 0 else f"rates={rates!r}"
            raise UsageError("rates are stated, predicted, measured or best, and a seed is not negative", got=wrong,
                             hint=f"Use one of {', '.join(RATES)}.")  # fmt: skip
        request = Request(
            rates=rates,
            machine=machine,
            subset=subset,
            option=option,
            seed=seed,
            sensitivity=sensitivity,
            measurements=tuple(measurements),
            kept=self._kept,
            today=today,
            models=self._models,
            served=self.imported is not None and self.imported.imported.served,
        )
        found = answer(self.source, request)
        if self.imported is None:
            return Result(found)
        from headway.app.imported import shown

        return Result(shown(found, self.imported))

    def check(
        self, *, select: Sequence[str] = (), ignore: Sequence[str] = (), seed: int = 0, today: str = ""
    ) -> CheckResult:
        """What is wrong, doubtful or missing in the plan.

        `select` and `ignore` are codes or their beginnings (`HW2`). Raises UsageError for a code that no rule has.
        """
        request = Request(seed=seed, today=today, models=self._models, kept=self._kept)
        found = findings(self.source, request, select=select, ignore=ignore)
        text = "" if self.imported else plan_text(self.plan.file)
        return CheckResult(findings=found, plan=self.plan.file or self.plan.name, text=text)

    def verify(
        self,
        *runs: str | Path,
        experiment: str = "",
        tolerance: float | None = None,
        every: bool = False,
        recalibrate: bool = False,
    ) -> Verified:
        """Runs against what was promised of them: folders, logs, ids of recorded runs; none: those without a verdict.

        `experiment` says which one was run, where run and plan leave it open; `tolerance` (a share) is how far a run
        may be off, by default up to the promise's p90; `every` takes runs with a verdict too; `recalibrate` makes
        measurements of them. New runs and verdicts are recorded beside the plan. Raises UserError for no run.
        """
        from headway.app.verify import Asked, verify

        asked = Asked(
            runs=tuple(str(run) for run in runs),
            experiment=experiment,
            tolerance=tolerance,
            every=every,
            recalibrate=recalibrate,
        )
        return verify(asked, self)

    def measure(
        self,
        experiment: str = "",
        *,
        option: str = "",
        device: str = "auto",
        budget_s: float = 90.0,
        full: bool = False,
        seed: int | None = None,
        share: str = "",
    ) -> MeasureResult:
        """Time the first stage that trains on this machine, keep it beside the plan, and say what follows.

        `device` is `auto`, `cpu` or `cuda`; `full` measures the plan itself where only a CPU is there and the plan has
        an option `cpu`; `share` names a file for what others may use. Takes up to `budget_s` seconds and the training
        libraries. Raises UserError where this machine cannot run it.
        """
        from headway.app.measure import Asked

        return MeasureResult(
            self.measured(
                Asked(
                    experiment=experiment, option=option, device=device, budget_s=budget_s, whole=full, seed=seed,
                    share=share,
                )
            )
        )  # fmt: skip

    def measured(self, asked: Asked, told: Callable[[str], None] = lambda words: None) -> Measured:
        """The same with a listener for progress."""
        from headway.app.measure import measure  # the probe's side, which no other verb needs

        return measure(self.source, asked, self._models, told, self._packed)

    def watch(
        self,
        run: str | Path = "",
        *,
        experiment: str = "",
        stage: str = "",
        price: float | None = None,
        total_steps: int | None = None,
        total_epochs: int | None = None,
    ) -> WatchResult:
        """How far a run is, what is left of it and what it costs, beside what this plan promised of it.

        `run` is a folder, a log or a run's id; empty: the newest run beside the plan. `price` in dollars an hour
        stands for the plan's own; `total_steps` where the log does not say, `total_epochs` where it tells of no steps.
        Looks once, and does not wait. Raises UsageError where there is no such run, UserError for a file that is no
        run log.
        """
        from headway.app.watched import Asked
        from headway.app.watched_log import watch_log

        return WatchResult(
            watch_log(
                str(run),
                Asked(
                    plan=self.plan.file if Path(self.plan.file).is_file() else "", experiment=experiment, stage=stage,
                    price=price, total_steps=total_steps, total_epochs=total_epochs, once=True,
                ),
            )
        )  # fmt: skip

    def records(self, kind: str = "") -> list[Record]:
        """What is stored of this plan as it stands: estimates, measurements, runs, verdicts, oldest first.

        `kind` is one of `estimate`, `measurement`, `run`, `verdict`, or empty for all.
        """
        from headway.app.stored import records

        return records(kind, self.plan.file, self.plan.fingerprint)

    @property
    def _kept(self) -> Kept:
        """What the store beside the plan knows of this machine, and where it does not, the packs."""
        own = kept(self.plan.file)
        return self._packed.before(own) if self.packs else own

    @property
    def _packed(self) -> Kept:
        if not self.packs:
            return Kept()
        from headway.app.packs import packed

        return packed(self.packs, self.source, self._models)

    @property
    def _models(self) -> Mapping[str, Architecture]:
        return {} if self.imported is None else self.imported.models


def load(
    path: str | Path | Mapping[str, Any],
    *,
    assume: Mapping[str, Any] | None = None,
    told: Callable[[str], None] | None = None,
    packs: str = "",
) -> Project:
    """The plan at `path`, or given as a mapping. Raises PlanError where it cannot be read.

    `assume` overrides the plan's keys by dotted path, and headway's priors by name (`mfu`, `data_wait_share`). A
    configuration of another tool is read as a plan; there `assume` also completes it: gpu, gpus, samples,
    tokens_per_sample, model, params, epochs, steps; `told` is called with the guess of what the file is. `packs` is a
    folder of measurements that others share.
    """
    return replace(_loaded(path, assume, told), packs=packs)


def _loaded(
    path: str | Path | Mapping[str, Any], assume: Mapping[str, Any] | None, told: Callable[[str], None] | None
) -> Project:
    if isinstance(path, Mapping):
        return _project(plan_from_mapping(path), assume or {})
    if is_plan(path):
        return _project(read_plan(path), assume or {})
    from headway.app.imported import opened, rest_of  # a dozen importers, which plans do not need

    imported = opened(path, assume or {})
    if imported is None:
        return _project(read_plan(path), assume or {})
    if told is not None:
        told(f"{imported.imported.name}: {imported.imported.summary}")
    return replace(_project(imported.source, rest_of(assume or {})), imported=imported)


def _project(source: PlanFile, assume: Mapping[str, Any]) -> Project:
    return Project(source.override(as_keys(assume)) if assume else source)
