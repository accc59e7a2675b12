"""HW52x, experimental design: baselines that are missing, and metrics that do not measure.

Owns what is evaluated and by what. Whether it is paid for is `omissions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headway.check.case import Case
from headway.check.rule import Rule
from headway.check.trained import counted_experiments, evaluated_tasks, trained_datasets
from headway.check.words import counted, listed
from headway.domain.errors import Finding, Position
from headway.domain.plan import Plan, Task

OF_TEXT = ("bleu", "rouge", "chrf", "meteor", "ter", "bertscore", "perplexity", "wer", "cer")
"""Metrics of generated text: overlap with a reference, or how likely text is."""
KNOWN = (
    *OF_TEXT, "accuracy", "f1", "precision", "recall", "exact_match", "mcc", "matthews", "auc", "auroc", "loss",
    "pass@", "pearson", "spearman", "mse", "rmse", "mae", "r2", "brier", "ece", "map", "mrr", "ndcg", "hits@",
    "win_rate", "elo", "bits_per_byte", "acc", "acc_norm", "squad", "kappa", "comet", "sari",
)  # fmt: skip
"""Beginnings of metrics that everybody computes alike."""


def _without_baseline(case: Case) -> Iterator[Finding]:
    before, after = evaluated_tasks(case.plan)
    if after and not before and (case.plan.questions or case.plan.decisions):
        yield NO_BASELINE.finding(
            f"{counted(len(after), 'task')} {'is' if len(after) == 1 else 'are'} measured after training and none "
            "before: what training changed cannot be told",
            where=case.plan.where("evaluate"),
            evidence={"tasks": sorted(after), "baselines": 0},
            hint="Add a phase that evaluates the untrained model too: matrix: {evaluate: each}.",
        )
    measured = {case.plan.tasks[task].data for task in before}
    for phase, trained in _alone_by_phase(case.plan).items():
        missing = [data for data in trained if data not in measured]
        if not before or not missing or len(missing) * 2 >= len(trained):
            continue
        names = [case.plan.datasets[data].name for data in missing]
        yield NO_BASELINE.finding(
            f"{listed(names)} {'is' if len(names) == 1 else 'are'} trained without a baseline, unlike the other "
            f"{len(trained) - len(missing)} of {phase or 'the plan'}: what training changed there cannot be told",
            where=next((one.where for one in case.plan.phases if one.id == phase), case.plan.where("experiments")),
            evidence={"phase": phase, "without": missing, "with": [data for data in trained if data in measured]},
            hint="Define tasks on them, so that the untrained model is evaluated too.",
        )


def _alone_by_phase(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Datasets that runs of one training each are trained on, no mixtures, by phase."""
    found: dict[str, dict[str, None]] = {}
    for experiment in counted_experiments(plan):
        trained = [stage.data for stage in experiment.stages if stage.kind == "train"]
        if len(trained) == 1 and not plan.datasets[trained[0]].mix:
            found.setdefault(experiment.phase, {})[trained[0]] = None
    return {phase: tuple(data) for phase, data in found.items()}


def _untrained(case: Case) -> Iterator[Finding]:
    before, _ = evaluated_tasks(case.plan)
    trained = trained_datasets(case.plan)
    idle = [task for task in case.plan.tasks.values() if task.id in before and task.data not in trained]
    if not trained or not idle or len(idle) * 2 >= len(before):
        return
    yield UNTRAINED.finding(
        f"{listed([task.name for task in idle])} {'has' if len(idle) == 1 else 'have'} a baseline and no run that "
        "trains for it: only transfer can move it",
        where=idle[0].where,
        evidence={"tasks": [task.id for task in idle], "baselines": len(before)},
        hint="Train for it, or say that it measures transfer.",
    )


def _cannot_score(case: Case) -> Iterator[Finding]:
    for metrics, tasks in _by_metrics(case.plan).items():
        classes = {task.name: task.labels for task in tasks if task.labels}
        unfit = [metric for metric in metrics if metric.lower().startswith(OF_TEXT)]
        if not classes or not unfit:
            continue
        fit = [metric for metric in metrics if metric not in unfit]
        said = [f"{name} ({labels} classes)" for name, labels in classes.items()]
        yield CANNOT_SCORE.finding(
            f"{listed(unfit)} {'does' if len(unfit) == 1 else 'do'} not score classes: {listed(said)}"
            + (f"; of their metrics only {listed(fit)} can" if fit else ""),
            where=_metrics_at(tasks[0], case.plan),
            evidence={"tasks": classes, "metrics": list(metrics), "unfit": unfit},
            hint="Give classification tasks accuracy and f1.",
        )


def _undefined(case: Case) -> Iterator[Finding]:
    for metrics, tasks in _by_metrics(case.plan).items():
        unknown = [metric for metric in metrics if not metric.lower().replace("-", "_").startswith(KNOWN)]
        if not unknown or all(task.origin for task in tasks):
            continue
        said = listed([task.name for task in tasks if not task.origin])
        yield UNDEFINED.finding(
            f"{listed(unknown)} {'is' if len(unknown) == 1 else 'are'} defined nowhere: {said} cannot be scored by "
            f"{'it' if len(unknown) == 1 else 'them'}",
            where=_metrics_at(tasks[0], case.plan),
            evidence={"metrics": unknown, "tasks": len(tasks)},
            hint="Use a metric that has a formula (accuracy, f1, pass@1), or say where it is defined with `from`.",
        )


def _by_metrics(plan: Plan) -> Mapping[tuple[str, ...], list[Task]]:
    """Tasks that are scored alike and defined together, in document order."""
    found: dict[tuple[str, tuple[str, ...]], list[Task]] = {}
    for task in plan.tasks.values():
        if task.metrics:
            found.setdefault((task.group, task.metrics), []).append(task)
    return {metrics: tasks for (_, metrics), tasks in found.items()}


def _metrics_at(task: Task, plan: Plan) -> Position:
    paths = (f"tasks.{task.group}.tasks.{task.id}.metrics", f"tasks.{task.group}.metrics", f"tasks.{task.id}.metrics")
    return next((plan.positions[path] for path in paths if path in plan.positions), task.where)


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
stated: {step: 1 s}
datasets:
  papers: {rows: 1M, length: 200}
  reviews: {rows: 1M, length: 200, labels: 2}
  news: {rows: 1M, length: 200}
tasks: {TASKS}
phases:
  baseline: {matrix: {evaluate: each}}
  tuning: {steps: 1k, matrix: {data: [DATA]}}
run: {machine: RTX 4090}
"""
_ALL = _PLAN.replace("TASKS", "papers: {}, reviews: {}, news: {}")
_SCORED = _PLAN.replace("DATA", "reviews").replace("TASKS", "reviews: {metrics: [METRIC]}")

NO_BASELINE = Rule(
    code="HW521",
    name="trained without a baseline",
    severity="warning",
    says="What is trained for is measured before training too.",
    because="A score after training means little without the score before it: some tasks are solved zero-shot.",
    fails=_PLAN.replace("TASKS", "papers: {}, reviews: {}").replace("DATA", "papers, reviews, news"),
    passes=_ALL.replace("DATA", "papers, reviews, news"),
    find=_without_baseline,
)
UNTRAINED = Rule(
    code="HW522",
    name="baseline without training",
    severity="info",
    says="A task with a baseline is trained for, unless it measures transfer.",
    because="A baseline that nothing is compared with costs an evaluation and answers nothing.",
    fails=_ALL.replace("DATA", "papers, reviews"),
    passes=_ALL.replace("DATA", "papers, reviews, news"),
    find=_untrained,
)
CANNOT_SCORE = Rule(
    code="HW523",
    name="metric that cannot score",
    severity="warning",
    says="A classification task is scored by metrics of classes.",
    because="BLEU and ROUGE count shared n-grams of texts (Papineni et al. 2002, Lin 2004) and perplexity how likely a "
    "text is: of a label of one word they say little or nothing.",
    fails=_SCORED.replace("METRIC", "bleu, perplexity"),
    passes=_SCORED.replace("METRIC", "accuracy, f1"),
    find=_cannot_score,
)
UNDEFINED = Rule(
    code="HW524",
    name="metric that is not defined",
    severity="warning",
    says="A metric is a known one, or the plan says where it is defined.",
    because="Two people compute an undefined metric in two ways, and it can be chosen after the runs.",
    fails=_SCORED.replace("METRIC", "transfer_rate"),
    passes=_SCORED.replace("METRIC", "accuracy"),
    find=_undefined,
)
RULES = (NO_BASELINE, UNTRAINED, CANNOT_SCORE, UNDEFINED)
