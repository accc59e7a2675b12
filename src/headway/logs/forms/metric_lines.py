"""Lines that name a step and its figures: Megatron, NeMo, torchtune, DeepSpeed, torchtitan, nanoGPT, llm.c, fairseq,
OLMo, MMEngine and XTuner, MaxText, Detectron2, TF-Slim.

Owns which form a line is read by; bars are `bars/`, rows of a Trainer `hf_rows.py`, whole forms of one tool
or one loop `known/`, counts that begin again with each epoch `epochs.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.bars.bar import EPOCH
from headway.logs.forms.blocks import frameworks as framework_blocks
from headway.logs.forms.blocks import tutorials as tutorial_blocks
from headway.logs.forms.epochs import MS_PER_BATCH, TIME, within_epoch
from headway.logs.forms.figures import fields, named
from headway.logs.forms.known import endless, frameworks, tools, tutorials
from headway.logs.forms.line import Form, Line, MarkedForm
from headway.logs.text import duration_s, finite, number, whole

MEGATRON = re.compile(r"\biteration\s+(?P<step>\d{1,12})\s*/\s*(?P<total>\d{1,12})\s*\|")
NEMO = re.compile(r"Training epoch (?P<epoch>\d+), iteration (?P<step>\d+)/(?P<total>\d+) \|")
TORCHTUNE = re.compile(r"^Step (?P<step>\d{1,12}) \| (?=\S+:)")
MODDED = re.compile(
    r"\bstep:(?P<step>\d{1,12})/(?P<total>\d{1,12}) .{0,200}?train_time:(?P<time>[\d.]+)(?P<unit>ms|s)\b"
)
FAIRSEQ = re.compile(r"\btrain_inner \| epoch (?P<epoch>\d{1,6}):.{0,3000}?\bnum_updates=(?P<step>\d{1,12})\b")
OLMO = re.compile(r"\[step=(?P<step>\d{1,12})/(?P<total>\d{1,12}),\s?epoch=\d")
MMENGINE = re.compile(r"\bIter\(train\)\s{1,4}\[\s{0,11}(?P<step>\d{1,12})/(?P<total>\d{1,12})\]")
"""mmengine/runner/log_processor.py; runs that count epochs are in `epochs.py`."""
PADDLE_SEG = re.compile(r"\[TRAIN\]\s{1,4}epoch: \d{1,6}, iter: \d")
"""paddleseg/core/train.py: the epoch of a run whose iterations count through."""
EPOCH_ITER: Final = "Epochiter: "
"""train.py of biubug6/Pytorch_Retinaface: the count in the epoch, before that in the run."""
MAXTEXT = re.compile(r"\bcompleted step: (?P<step>\d{1,12}), seconds: (?P<each>\d{1,9}\.\d{1,9})")
"""MaxText/metric_logger.py."""
GENERIC = re.compile(
    r"(?i)\b(?:global[_ ]?)?(?:steps?|iter(?:ation)?s?|updates?|batch(?:es|_id)?)\b['\"]?\s{0,4}[:=#\[(]{0,2}\s{0,8}"
    r"(?P<step>\d[\d,]{0,12})(?![\d,]*\.\d|[\d,]*[a-z%])(?:\s{0,8}(?:/|of)\s{0,8}(?P<total>\d[\d,]{0,12}))?"
)
LOSS = re.compile(
    r"(?i)(?P<name>[a-z_]{0,40}[ _-]?loss)(?: value)?['\"]?\s{0,4}[:=]?\s{0,4}"
    r"(?P<value>[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)\b)"
)
EACH = re.compile(
    r"(?i)\b(?:dt|timer?|(?:per[_ ])?step[_ ]time|iter[_ ]time|(?:avg_)?batch[_ ]?(?:time|cost)"
    r"|elapsed time per iteration|train_step_timing|sec/step|s/it)"
    r"(?:\s*(?:\((?P<in>ms|s)\)|in (?P<inside>s|ms)))?\s{0,4}[:=]?\s{0,4}"
    r"(?P<value>\d+\.?\d*(?:e[-+]?\d+)?)\s?(?P<unit>ms|s|sec)?\b"
)
DATA_TIME = re.compile(r"\bdata_time: \d")
"""detectron2/utils/events.py and mmcv's TextLoggerHook: the `time: 0.32` beside it is that of an iteration."""
PACE = re.compile(r"(?i)(?<![\w.])(?P<value>\d{1,9}(?:\.\d{1,9})?)\s?(?P<unit>ms|s|sec)/(?:step|batch|iter|it)\b")
"""`(16.9 sec/step)` of TF-Slim."""
_PER_S = r"(?:it|iter|step)s?(?:/s(?:ec)?|_per_sec(?:ond)?)"
RATE = re.compile(
    rf"(?i)(?<!eval )(?<!env )\b(?:{_PER_S}[:=]\s{{0,4}}|(?<![\d.] ){_PER_S}\s{{0,4}})"
    r"(?P<value>\d{1,9}(?:\.\d{0,20})?(?:e[-+]?\d{1,3})?)(?!\w|[.,]\d)"
)
"""`It/sec 1.98` (mlx_lm/tuner/trainer.py), `steps/sec: 1.01`; a number before the words, without `:`, is the rate."""
TOOK = re.compile(r"(?i)\bval (?:took (?P<s>\d{1,9}\.\d{1,9})s|time: (?P<ms>\d{1,12}\.\d{1,9}) ?ms)\b")
EACH_LLM_C = re.compile(r"\| (?P<value>\d+\.\d+) ms \|")
SAVED = re.compile(r"save-checkpoint\s{0,9}[.: ]{0,99}\s{0,9}\(?\s{0,9}(?P<ms>\d{1,12}\.\d{1,6})")
EVALUATED = re.compile(r"(?i)\b(?:val(?:id(?:ation)?)?|eval(?:uation)?|test)[ _]?(?:loss|ppl|acc)|\bvalidate step:")
"""The last of them is torchtitan's."""
EVALUATED_LOSS = re.compile(r"(?i)\b(?:val(?:id(?:ation)?)?|eval(?:uation)?|test)[ _]?(?:loss|ppl)")
TRAINED = re.compile(r"(?i)\btrain(?:ing)?[ _]?(?:loss|ppl|acc)")
NANO_GPT = re.compile(r"\bstep \d{1,12}: train loss \S{1,20}, val loss ")
"""train.py of nanoGPT and llama2.c: an evaluation, whose steps have lines of their own."""
MARKS: Final = ("tep", "ter", "TEP", "TER", "atch", "pdate", "poch", "rain: ", "] loss: ", *tools.MARKS,
                *endless.MARKS, *frameworks.MARKS, *tutorials.MARKS)  # fmt: skip
"""One of them stands in each line that names a step."""


def metrics_in(line: str) -> Line | None:
    """The step that a line tells of with at least a loss, a time or a learning rate; None for any other line."""
    if not any(mark in line for mark in MARKS):
        return None
    if "timing_s/step:" in line and (match := tools.VERL.search(line[:2_000])):
        return tools.verl(match, line)
    for mark, form, read in MARKED_FORMS:
        if mark in line and (match := form.search(line[:4_000])):
            return read(match, line[:4_000])
    for form, read in FORMS:
        if match := form.search(line[:4_000]):
            return read(match, line[:4_000])
    if any(mark in line for mark in ("[", "batch: ", " batches")):
        within = within_epoch(line[:2_000], named(line[:2_000]))
        if within is not None:
            return within
    match = GENERIC.search(line[:2_000])
    return _generic(match, line[:2_000]) if match else None


def saved_s(line: str) -> float | None:
    """Seconds of a save, from Megatron's timers; None for other lines."""
    match = SAVED.search(line[:4_000]) if "save-checkpoint" in line else None
    return None if match is None else float(match["ms"]) / 1_000.0


def _megatron(match: re.Match[str], line: str) -> Line:
    values = fields(line[match.end() :])
    ms = finite(values.pop("elapsed time per iteration (ms)", None))
    seconds = finite(values.pop("elapsed time per iteration (s)", None))
    seen = finite(values.pop("consumed samples", None))
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(match["total"]),
        each_s=seconds if ms is None else ms / 1_000.0,
        rows_seen=seen,
        values=values,
    )


def _nemo(match: re.Match[str], line: str) -> Line:
    # Counted from 0, both of them: `iteration 9/99` is the tenth of a hundred.
    values = fields(line[match.end() :])
    each, seen = finite(values.pop("train_step_timing in s", None)), finite(values.pop("consumed_samples", None))
    return Line(
        kind="step",
        step=int(match["step"]) + 1,
        total=int(match["total"]) + 1,
        each_s=each,
        rows_seen=seen,
        values=values,
    )


def _modded(match: re.Match[str], line: str) -> Line:
    seconds = finite(match["time"])
    return Line(
        kind="evaluation" if "val_loss" in line else "step",
        step=int(match["step"]),
        total=int(match["total"]),
        elapsed_s=None if seconds is None else seconds / (1_000.0 if match["unit"] == "ms" else 1.0),
        values=named(line[:2_000]),
    )


def _torchtune(match: re.Match[str], line: str) -> Line:
    values = named(line[match.end() :])
    kind = "step" if any(not name.startswith("val") for name in values) else "evaluation"
    return Line(kind=kind, step=int(match["step"]), values=values)


def _counted(match: re.Match[str], line: str) -> Line:
    """A line whose form is sure, without a time of its own."""
    total = match.groupdict().get("total")
    return Line(
        kind="step", step=int(match["step"]), total=int(total) if total else None, values=named(line[match.start() :])
    )


def _iterations(match: re.Match[str], line: str) -> Line:
    time = TIME.search(line, match.end())
    return replace(_counted(match, line), each_s=None if time is None else finite(time["now"]))


def _maxtext(match: re.Match[str], line: str) -> Line:
    # Counted from 0: step 9 is the tenth.
    values = named(line[match.end() :])
    return Line(kind="step", step=int(match["step"]) + 1, each_s=finite(match["each"]), values=values)


FORMS: Final[tuple[Form, ...]] = (
    (NEMO, _nemo),
    (MEGATRON, _megatron),
    (MODDED, _modded),
    (TORCHTUNE, _torchtune),
    (FAIRSEQ, _counted),
    (OLMO, _counted),
    (MMENGINE, _iterations),
    (MAXTEXT, _maxtext),
    *tools.FORMS,
)
MARKED_FORMS: Final[tuple[MarkedForm, ...]] = (
    *frameworks.FORMS,
    *framework_blocks.UNREAD,
    *tutorials.FORMS,
    *endless.FORMS,
    *tutorial_blocks.UNREAD,
)


def _generic(match: re.Match[str], line: str) -> Line | None:
    loss, each = LOSS.search(line), EACH.search(line)
    rate = re.search(r"\blr\s*[:=]\s*\[?\s*\d", line)
    if not loss and not (each and (each["unit"] or each["in"] or each["inside"])) and not rate:
        return None
    step = whole(match["step"].replace(",", ""))
    if step is None:
        return None
    values = named(line)
    if loss and (value := number(loss["value"])) is not None and EVALUATED.search(loss["name"]) is None:
        values.setdefault("loss", value)
    epoch = EPOCH.search(line)
    kind, both = _kind_of(line, loss)
    return Line(
        kind=kind,
        both=both,
        step=step,
        epoch=int(epoch["epoch"]) if epoch else None,
        epochs=int(epoch["epochs"]) if epoch and epoch["epochs"] else None,
        total=whole(match["total"].replace(",", "")) if match["total"] else None,
        total_of_run=_is_of_run(line, match, epoch),
        each_s=_each_s(line, each) if kind == "step" else _took_s(line),
        values=values,
    )


def _kind_of(line: str, loss: re.Match[str] | None) -> tuple[str, bool]:
    """What a line tells of, and whether it may as well be the other: losses of the training stand there too."""
    evaluated = EVALUATED.search(line)
    if evaluated is None or not ("loss" in line or EVALUATED_LOSS.search(line)):
        return "step", False
    first = loss is not None and loss.start() < evaluated.start() and EVALUATED.search(loss["name"]) is None
    both = first or TRAINED.search(line) is not None
    return ("step" if both and NANO_GPT.search(line) is None else "evaluation"), both


def _is_of_run(line: str, match: re.Match[str], epoch: re.Match[str] | None) -> bool:
    """Whether a count beside an epoch surely goes on through the run: it says so, or the epoch is told in fractions."""
    fraction = epoch is not None and line.startswith(".", epoch.end("epoch"))
    named = match[0].lower().startswith("global") or EPOCH_ITER in line
    return fraction or named or PADDLE_SEG.search(line) is not None


def _each_s(line: str, match: re.Match[str] | None) -> float | None:
    """Seconds of a step that a line names with its unit, or in a form whose unit is known."""
    if match is not None and (unit := match["unit"] or match["in"] or match["inside"]):
        return duration_s(f"{match['value']}{unit[:2] if unit == 'ms' else 's'}")
    if DATA_TIME.search(line) and (time := TIME.search(line)):
        return finite(time["now"])
    if ms := MS_PER_BATCH.search(line) or EACH_LLM_C.search(line):
        return float(ms[1]) / 1_000.0
    if pace := PACE.search(line):
        return float(pace["value"]) / (1_000.0 if pace["unit"].lower() == "ms" else 1.0)
    rate = finite(found["value"]) if (found := RATE.search(line)) else None
    return 1.0 / rate if rate else None


def _took_s(line: str) -> float | None:
    """Seconds of an evaluation that a line names."""
    match = TOOK.search(line)
    if match is None:
        return None
    return float(match["s"]) if match["s"] else float(match["ms"]) / 1_000.0
