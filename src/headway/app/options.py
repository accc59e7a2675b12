"""Options of a plan, each priced on the plan: subsets, settings, numbers of GPUs.

Owns the loop over options. How an option changes a plan is `plan/`.
"""

from __future__ import annotations

from headway.app.inputs import Inputs
from headway.app.money import bill_of
from headway.app.timing import jobs_of, side_by_side
from headway.domain.plan import Plan
from headway.domain.spread import Spread
from headway.estimate.nouns import Estimate, Rates
from headway.plan import PlanFile
from headway.report.answer import OptionAnswer
from headway.schedule.ladder import makespans


def option_answers(source: PlanFile, inputs: Inputs, whole: Estimate, rates: Rates) -> tuple[OptionAnswer, ...]:
    """Every option of the plan that changes what is run, in document order, against the whole plan."""
    found = []
    for id in inputs.plan.options:
        for label, plan in source.with_option(id):
            changed = inputs.changed(plan)
            there = side_by_side(changed, changed.estimate(rates))
            found.append(_answer(id, label, changed, inputs.plan, there, whole))
    return tuple(found)


def _answer(id: str, label: str, changed: Inputs, before: Plan, there: Estimate, whole: Estimate) -> OptionAnswer:
    option, plan = before.options[id], changed.plan
    members = tuple(item.id for item in there.experiments if not item.optional)
    jobs = jobs_of(plan, there)
    gpus = [spec.gpus for name, spec in plan.run.machines.items() if name == plan.run.machine]
    varied = any(key.startswith("run.machine") for key in option.vary)
    rungs = makespans(jobs, [gpus[0]]) if varied and gpus and gpus[0] else ()
    return OptionAnswer(
        id=id,
        label=label,
        experiments=len(members),
        members=members if option.is_subset else (),
        gpu_s=there.gpu_s,
        saves_gpu_s=_saved(whole.gpu_s, there.gpu_s),
        rung=rungs[0] if rungs else None,
        bill=bill_of(changed, there),
        note=_unpriced(plan, before),
    )


def _unpriced(plan: Plan, before: Plan) -> str:
    """What the option brings that nobody can price before the runs."""
    new = [remark for remark in unpriced(plan) if remark not in unpriced(before)]
    return "; ".join(new)


def unpriced(plan: Plan) -> tuple[str, ...]:
    """Settings of a plan that change how long it takes by an unknown amount: it is priced as if they did nothing."""
    stages = [stage for experiment in plan.experiments for stage in experiment.stages]
    stopping = any(stage.early_stop not in ("", "none") for stage in stages)
    return ("when runs stop early is not known before: they are counted in full",) if stopping else ()


def _saved(whole: Spread, there: Spread) -> Spread:
    """What the option takes away, draw by draw where both were drawn alike; negative when it adds."""
    if whole.draws is not None and there.draws is not None and len(whole.draws) == len(there.draws):
        return Spread.from_draws(whole.draws - there.draws, there.kind, there.source)
    ends = sorted((whole.p10 - there.p10, whole.p50 - there.p50, whole.p90 - there.p90))
    return Spread(p10=ends[0], p50=ends[1], p90=ends[2], kind=there.kind, source=there.source)
