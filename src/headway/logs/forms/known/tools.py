"""Lines that one tool alone prints: verl, litgpt, llama2.c, BasicSR, DINOv2, older fairseq, Marian, tflearn, Estimators
of TensorFlow, llama.cpp, and those of boosted trees: XGBoost, LightGBM, CatBoost.

Owns forms that are known whole; what tells of a step in words of anybody's is `metric_lines.py`.
"""

from __future__ import annotations

import re
from typing import Final

from headway.logs.forms.epochs import IMAGES, TIME
from headway.logs.forms.figures import named
from headway.logs.forms.line import Form, Line
from headway.logs.text import duration_s, finite, number

VERL = re.compile(r"\bstep:\s?(?P<step>\d{1,12}) - \S+:")
VERL_TIME = re.compile(r"\btiming_s/(?P<name>\w{1,60}):\s?(?P<s>\d{1,9}(?:\.\d{1,18})?(?:e-\d{1,3})?)")
"""verl/utils/logger/aggregate_logger.py; its lines are long, and the times stand far back. Names with a further `/`
are parts of parts."""
VERL_BESIDE: Final = (("testing", "evaluation"), ("save_checkpoint", "checkpoint"))
VERL_NO_PARTS: Final = ("generate_sequences", "reshard", "start_profile", "stop_profile")
"""Within `gen`, and around the step (verl/trainer/ppo/ray_trainer.py)."""
VERL_COVERED: Final = 0.95
"""Share of the testing and saving that a step's time has beyond its other parts where it holds them."""
LITGPT = re.compile(
    r"\biter (?P<batches>\d{1,12})(?:/\d{1,12})? (?:\| )?step (?P<step>\d{1,12})(?:/(?P<total>\d{1,12}))?(?=:| \|)"
)
"""litgpt/pretrain.py, litgpt/finetune/full.py: batches, then optimizer steps; the time is that of a batch."""
LITGPT_TIME = re.compile(r"\biter time: (?P<ms>\d{1,12}\.\d{1,6}) ?ms\b")
LLAMA2_C = re.compile(
    r"(?:^|\s)(?P<step>\d{1,12}) \| loss (?P<loss>\S{1,20}) \| lr (?P<lr>\S{1,20}) \| (?P<ms>\d{1,12}\.\d{1,6})ms\b"
)
"""train.py of llama2.c."""
BASIC_SR = re.compile(r"\[epoch:\s{0,4}\d[\d,]{0,9}, iter:\s{0,9}(?P<step>\d[\d,]{0,15}), lr:\(")
BASIC_SR_TIME = re.compile(r"\btime \(data\): (?P<each>\d{1,6}\.\d{1,6}) \(\d{1,6}\.\d{1,6}\)\]")
"""basicsr/utils/logger.py: MessageLogger."""
DINO_V2 = re.compile(r"\bTraining\s{1,4}\[\s{0,12}(?P<step>\d{1,12})/(?P<total>\d{1,12})\]\s{1,4}eta: ")
"""dinov2/logging/helpers.py: MetricLogger.log_every, iterations of the run counted from 0."""
FAIRSEQ_OLD = re.compile(
    r"^\s{0,4}\| epoch \d{1,6}(?::\s{1,12}\d{1,12} / \d{1,12} | \| )loss[= ].{0,3000}?"
    r"\bnum_updates[= ](?P<step>\d{1,12})\b"
)
"""fairseq/progress_bar.py up to 0.9, within an epoch and at its end; `wall` is since the start."""
FAIRSEQ_WALL = re.compile(r"\bwall[= ](?P<s>\d{1,12})\b")
FAIRSEQ_VALID = re.compile(
    r"\| epoch \d{1,6} \| valid on '[^']{1,80}' subset \|.{0,3000}?\bnum_updates (?P<step>\d{1,12})\b"
)
MARIAN = re.compile(
    r"(?P<valid>\[valid\] )?\bEp\. \d{1,9}(?:\.\d{1,9})? : Up\. (?P<step>\d[\d,]{0,15}) : "
    r"(?:Sen\. [\d,]{1,20} : )?(?:Cost (?P<cost>\d{1,12}(?:\.\d{1,12})?))?"
)
"""src/training/scheduler.h; every line has a moment."""
TFLEARN = re.compile(
    r"^\s{0,4}Training Step: (?P<step>\d{1,12})\s{1,4}\|(?: total loss: (?P<loss>[^|\s]{1,30})[^|]{0,40}\|)?"
    r" time: (?P<s>\d{1,9}\.\d{1,6})s\s{0,4}$"
)
"""tflearn/callbacks.py: TermLogger; the time is that of the epoch's steps so far."""
TFLEARN_ROWS = re.compile(r"^\s{0,4}\| [^|]{1,80} \| epoch: \d{1,6}\b.{0,300}? -- iter: \d{1,12}/\d{1,12}\s{0,4}$")
"""Its second line: rows of the epoch."""
ESTIMATOR = re.compile(
    r"\bloss = (?P<loss>[-+\w.]{1,30}), step = (?P<step>\d{1,12})(?: \((?P<s>\d{1,9}\.\d{1,6}) sec\))?\s{0,4}$"
)
"""tensorflow/python/training/basic_session_run_hooks.py: LoggingTensorHook; the time is that since its last line."""
ESTIMATOR_SAVED = re.compile(r"\bSaving dict for global step (?P<step>\d{1,12}): ")
"""tensorflow_estimator/python/estimator/estimator.py, at the end of an evaluation."""
ALLEN_BATCH = re.compile(r"\ballennlp\.[\w.]{1,60} - Batch \d{1,12}/\d{1,12}: ")
"""Whose batch it is was said before: `blocks/tools.py`."""
LLAMA_CPP = re.compile(
    r"\btrain_opt_callback: iter=\s{0,9}(?P<step>\d{1,9}) .{0,200}?\bloss=(?P<loss>\S{1,30})"
    r"(?: dt=(?P<each>[\d:]{1,20}))?"
)
"""common/train.cpp of llama.cpp."""
XGBOOST = re.compile(r"(?:^|\s)\[(?P<step>\d{1,9})\]\t[\w.]{1,80}-[\w@.-]{1,40}:[-+]?\d")
"""xgboost/callback.py: EvaluationMonitor, rounds counted from 0."""
LIGHT_GBM = re.compile(r"(?:^|\s)\[(?P<step>\d{1,9})\]\t[\w.-]{1,80}'s [\w@.-]{1,40}: [-+]?\d")
CAT_BOOST = re.compile(
    r"^\s{0,9}(?P<step>\d{1,9}):\t(?:learn|test\d{0,3}): \S{1,30}\t.{0,400}?\btotal: (?P<total>[\d.hmsu ]{1,30})\t"
)
"""Rounds counted from 0, and the time since the start."""


def _loss(match: re.Match[str]) -> dict[str, float]:
    loss = number(match["loss"])
    return {} if loss is None else {"loss": loss}


def verl(match: re.Match[str], line: str) -> Line:
    """A step of verl, whose time may hold the testing and the saving at its end: older versions say it so."""
    parts = {part["name"]: float(part["s"]) for part in VERL_TIME.finditer(line, match.end())}
    each_s = parts.pop("step", None)
    beside = tuple((kind, parts.pop(name)) for name, kind in VERL_BESIDE if name in parts)
    parts_s = sum(seconds for name, seconds in parts.items() if name not in VERL_NO_PARTS)
    beside_s = sum(seconds for _, seconds in beside)
    if each_s is not None and beside and each_s - parts_s >= VERL_COVERED * beside_s:
        each_s = max(parts_s, each_s - beside_s)
    return Line(kind="step", step=int(match["step"]), each_s=each_s, beside=beside)


def _litgpt(match: re.Match[str], line: str) -> Line:
    step, batches = int(match["step"]), int(match["batches"])
    time = LITGPT_TIME.search(line, match.end())
    return Line(
        kind="step",
        step=step,
        total=int(match["total"]) if match["total"] else None,
        each_s=float(time["ms"]) / 1_000.0 * max(1, round(batches / step)) if time and step else None,
        batches=batches,
        values=named(line[match.end() :]),
    )


def _llama2_c(match: re.Match[str], line: str) -> Line:
    figures = {"loss": number(match["loss"]), "learning_rate": number(match["lr"])}
    values = {name: value for name, value in figures.items() if value is not None}
    return Line(kind="step", step=int(match["step"]), each_s=float(match["ms"]) / 1_000.0, values=values)


def _basic_sr(match: re.Match[str], line: str) -> Line:
    time = BASIC_SR_TIME.search(line, match.end())
    return Line(
        kind="step",
        step=int(match["step"].replace(",", "")),
        each_s=None if time is None else float(time["each"]),
        values={} if time is None else named(line[time.end() :]),
    )


def _dino_v2(match: re.Match[str], line: str) -> Line:
    # Counted from 0: step 9 is the tenth.
    time, values = TIME.search(line, match.end()), named(line[match.end() :])
    each_s = None if time is None else finite(time["now"])
    return Line(kind="step", step=int(match["step"]) + 1, total=int(match["total"]), each_s=each_s, values=values)


def _fairseq_old(match: re.Match[str], line: str) -> Line:
    wall = FAIRSEQ_WALL.search(line, match.end())
    return Line(
        kind="step",
        step=int(match["step"]),
        elapsed_s=None if wall is None else float(wall["s"]),
        values=named(line[match.start() :]),
    )


def _fairseq_valid(match: re.Match[str], line: str) -> Line:
    return Line(kind="evaluation", step=int(match["step"]))


def _marian(match: re.Match[str], line: str) -> Line:
    values = {"loss": float(match["cost"])} if match["cost"] else {}
    kind = "evaluation" if match["valid"] else "step"
    return Line(kind=kind, step=int(match["step"].replace(",", "")), values=values)


def _tflearn(match: re.Match[str], line: str) -> Line:
    return Line(kind="step", step=int(match["step"]), epoch_s=float(match["s"]), values=_loss(match))


def _rows(match: re.Match[str], line: str) -> None:
    """A line that alone tells of no step: none of its numbers is one."""


def _estimator(match: re.Match[str], line: str) -> Line:
    interval_s = float(match["s"]) if match["s"] else 0.0
    return Line(kind="step", step=int(match["step"]), interval_s=interval_s, values=_loss(match))


def _estimator_saved(match: re.Match[str], line: str) -> Line:
    return Line(kind="evaluation", step=int(match["step"]), values=named(line[match.end() :]))


def _llama_cpp(match: re.Match[str], line: str) -> Line:
    each_s = duration_s(match["each"]) if match["each"] else None
    return Line(kind="step", step=int(match["step"]), each_s=each_s, values=_loss(match))


def _xgboost(match: re.Match[str], line: str) -> Line:
    return Line(kind="step", step=int(match["step"]) + 1, values=named(line[match.start() :]))


def _light_gbm(match: re.Match[str], line: str) -> Line:
    return Line(kind="step", step=int(match["step"]), values=named(line[match.start() :].replace("'s ", " ")))


def _cat_boost(match: re.Match[str], line: str) -> Line:
    values = named(line[: match.start("total")])
    return Line(kind="step", step=int(match["step"]) + 1, elapsed_s=duration_s(match["total"]), values=values)


FORMS: Final[tuple[Form, ...]] = (
    (LITGPT, _litgpt),
    (LLAMA2_C, _llama2_c),
    (BASIC_SR, _basic_sr),
    (DINO_V2, _dino_v2),
    (FAIRSEQ_OLD, _fairseq_old),
    (FAIRSEQ_VALID, _fairseq_valid),
    (MARIAN, _marian),
    (TFLEARN, _tflearn),
    (TFLEARN_ROWS, _rows),
    (IMAGES, _rows),
    (ALLEN_BATCH, _rows),
    (ESTIMATOR, _estimator),
    (ESTIMATOR_SAVED, _estimator_saved),
    (LLAMA_CPP, _llama_cpp),
    (XGBOOST, _xgboost),
    (LIGHT_GBM, _light_gbm),
    (CAT_BOOST, _cat_boost),
)
MARKS: Final = ("| lr ", "raining", "Up. ", "]\t", "\tlearn: ", "\ttest")
"""One of them, or of those of `metric_lines.py`, stands in each of these lines."""
