"""Lines that name a step and its figures: Megatron, NeMo, torchtune, DeepSpeed, torchtitan, nanoGPT, llm.c, fairseq,
OLMo, MMEngine and XTuner, MaxText, verl.

Owns one line to a step or an evaluation; bars are `bars.py`, rows of a Trainer `hf_rows.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.lines.bars import EPOCH, named_numbers
from headway.logs.lines.epochs import TIME, within_epoch
from headway.logs.lines.line import Line
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
MAXTEXT = re.compile(r"\bcompleted step: (?P<step>\d{1,12}), seconds: (?P<each>\d{1,9}\.\d{1,9})")
"""MaxText/metric_logger.py."""
VERL = re.compile(r"\bstep:(?P<step>\d{1,12}) - \S+:")
VERL_STEP = re.compile(r"\btiming_s/step:(?P<each>\d{1,9}(?:\.\d{1,18})?)")
"""verl/utils/logger/aggregate_logger.py; its lines are long, and the time of the step stands far back."""
GENERIC = re.compile(
    r"(?i)\b(?:global[_ ]?)?(?:steps?|iter(?:ation)?s?|updates?|batch(?:es)?)\b['\"]?\s{0,4}[:=#\[(]{0,2}\s{0,8}"
    r"(?P<step>\d[\d,]{0,12})(?!\.\d|[\d,]*[a-z%])(?:\s{0,8}(?:/|of)\s{0,8}(?P<total>\d[\d,]{0,12}))?"
)
LOSS = re.compile(
    r"(?i)(?P<name>[a-z_]{0,40}[ _-]?loss)(?: value)?['\"]?\s{0,4}[:=]?\s{0,4}"
    r"(?P<value>[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)\b)"
)
EACH = re.compile(
    r"(?i)\b(?:dt|time|step[_ ]time|iter[_ ]time|elapsed time per iteration|train_step_timing|sec/step|s/it)"
    r"(?:\s*(?:\((?P<in>ms|s)\)|in (?P<inside>s|ms)))?\s{0,4}[:=]?\s{0,4}"
    r"(?P<value>\d+\.?\d*(?:e[-+]?\d+)?)\s?(?P<unit>ms|s|sec)?\b"
)
_PER_S = r"(?:it|iter|step)s?(?:/s(?:ec)?|_per_sec(?:ond)?)"
RATE = re.compile(
    rf"(?i)(?<!eval )(?<!env )\b(?:{_PER_S}[:=]\s{{0,4}}|(?<![\d.] ){_PER_S}\s{{0,4}})"
    r"(?P<value>\d{1,9}(?:\.\d{0,20})?(?:e[-+]?\d{1,3})?)(?!\w|[.,]\d)"
)
"""`It/sec 1.98` (mlx_lm/tuner/trainer.py), `steps/sec: 1.01`; a number before the words, without `:`, is the rate."""
TOOK = re.compile(r"(?i)\bval took (?P<value>\d{1,9}\.\d{1,9})s\b")
EACH_LLM_C = re.compile(r"\| (?P<value>\d+\.\d+) ms \|")
MEMORY = re.compile(r"(?i)\bmem(?:ory)?\w*\s{0,3}[:=]\s{0,3}(?P<value>\d+\.?\d*)\s?(?P<unit>[GM]i?B)\b")
MEMORY_UNITS: Final = {"gib": 2.0**30, "mib": 2.0**20, "gb": 1e9, "mb": 1e6}
SAVED = re.compile(r"save-checkpoint\s{0,9}[.: ]{0,99}\s{0,9}\(?\s{0,9}(?P<ms>\d{1,12}\.\d{1,6})")
EVALUATED = re.compile(r"(?i)\b(?:val(?:id(?:ation)?)?|eval(?:uation)?|test)[ _]?(?:loss|ppl|acc)")
NAMES: Final = {
    "lm loss": "loss", "reduced_train_loss": "loss", "train_loss": "loss", "lr": "learning_rate",
    "learning rate": "learning_rate", "grad norm": "grad_norm", "gnorm": "grad_norm",
}  # fmt: skip


MARKS: Final = ("tep", "ter", "TEP", "TER", "atch", "pdate", "poch", "rain: ")
"""One of them stands in each line that names a step."""


def metrics_in(line: str) -> Line | None:
    """The step that a line tells of with at least a loss, a time or a learning rate; None for any other line."""
    if not any(mark in line for mark in MARKS):
        return None
    if "timing_s/step:" in line and (match := VERL.search(line[:2_000])):
        return _verl(match, line)
    for form, read in FORMS:
        if match := form.search(line[:4_000]):
            return read(match, line[:4_000])
    if ("[" in line or "batch: " in line) and (within := within_epoch(line[:2_000], _named(line[:2_000]))) is not None:
        return within
    match = GENERIC.search(line[:2_000])
    return _generic(match, line[:2_000]) if match else None


def saved_s(line: str) -> float | None:
    """Seconds of a save, from Megatron's timers; None for other lines."""
    match = SAVED.search(line[:4_000]) if "save-checkpoint" in line else None
    return None if match is None else float(match["ms"]) / 1_000.0


def _named(text: str) -> dict[str, float]:
    """The numbers that a line names, without its step and what loggers put before the message."""
    found: dict[str, float] = {}
    for name, value in named_numbers(text).items():
        short = name.rpartition(" - ")[2].strip()
        plain = NAMES.get(short.lower(), "loss" if short.lower() == "loss" else short)
        if not re.search(r"(?i)(?:step|iter|iteration|epoch|batch|\.py)$", plain):
            found.setdefault(plain, value)
    memory = MEMORY.search(text)
    if memory and (size := finite(memory["value"])) is not None:
        found["memory_bytes"] = size * MEMORY_UNITS[memory["unit"].lower()]
    return found


def _fields(text: str) -> dict[str, float]:
    """The fields of `a: 1 | b: 2/3 |`, the first number of each."""
    found = {}
    for piece in text.split("|")[:60]:
        name, colon, value = piece.partition(":")
        words = value.strip().split("/")[0].split()
        if colon and words and (figure := number(words[0])) is not None:
            found[NAMES.get(name.strip(), name.strip())] = figure
    return found


def _megatron(match: re.Match[str], line: str) -> Line:
    fields = _fields(line[match.end() :])
    ms = finite(fields.pop("elapsed time per iteration (ms)", None))
    seen = finite(fields.pop("consumed samples", None))
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(match["total"]),
        each_s=None if ms is None else ms / 1_000.0,
        rows_seen=seen,
        values=fields,
    )


def _nemo(match: re.Match[str], line: str) -> Line:
    # Counted from 0, both of them: `iteration 9/99` is the tenth of a hundred.
    fields = _fields(line[match.end() :])
    each, seen = finite(fields.pop("train_step_timing in s", None)), finite(fields.pop("consumed_samples", None))
    return Line(
        kind="step",
        step=int(match["step"]) + 1,
        total=int(match["total"]) + 1,
        each_s=each,
        rows_seen=seen,
        values=fields,
    )


def _modded(match: re.Match[str], line: str) -> Line:
    seconds = finite(match["time"])
    return Line(
        kind="evaluation" if "val_loss" in line else "step",
        step=int(match["step"]),
        total=int(match["total"]),
        elapsed_s=None if seconds is None else seconds / (1_000.0 if match["unit"] == "ms" else 1.0),
        values=_named(line[:2_000]),
    )


def _torchtune(match: re.Match[str], line: str) -> Line:
    values = _named(line[match.end() :])
    kind = "step" if any(not name.startswith("val") for name in values) else "evaluation"
    return Line(kind=kind, step=int(match["step"]), values=values)


def _counted(match: re.Match[str], line: str) -> Line:
    """A line whose form is sure, without a time of its own."""
    total = match.groupdict().get("total")
    return Line(
        kind="step", step=int(match["step"]), total=int(total) if total else None, values=_named(line[match.start() :])
    )


def _iterations(match: re.Match[str], line: str) -> Line:
    time = TIME.search(line, match.end())
    return replace(_counted(match, line), each_s=None if time is None else finite(time["now"]))


def _maxtext(match: re.Match[str], line: str) -> Line:
    # Counted from 0: step 9 is the tenth.
    values = _named(line[match.end() :])
    return Line(kind="step", step=int(match["step"]) + 1, each_s=finite(match["each"]), values=values)


def _verl(match: re.Match[str], line: str) -> Line:
    each = VERL_STEP.search(line, match.end())
    return Line(kind="step", step=int(match["step"]), each_s=None if each is None else finite(each["each"]))


FORMS: Final = (
    (NEMO, _nemo),
    (MEGATRON, _megatron),
    (MODDED, _modded),
    (TORCHTUNE, _torchtune),
    (FAIRSEQ, _counted),
    (OLMO, _counted),
    (MMENGINE, _iterations),
    (MAXTEXT, _maxtext),
)


def _generic(match: re.Match[str], line: str) -> Line | None:
    loss, each = LOSS.search(line), EACH.search(line)
    rate = re.search(r"\blr\s*[:=]\s*\[?\s*\d", line)
    if not loss and not (each and (each["unit"] or each["in"] or each["inside"])) and not rate:
        return None
    step = whole(match["step"].replace(",", ""))
    if step is None:
        return None
    values = _named(line)
    if loss and (value := number(loss["value"])) is not None and EVALUATED.search(loss["name"]) is None:
        values.setdefault("loss", value)
    epoch, took = EPOCH.search(line), TOOK.search(line)
    kind = "evaluation" if EVALUATED.search(line) and "loss" in line else "step"
    return Line(
        kind=kind,
        step=step,
        epoch=int(epoch["epoch"]) if epoch else None,
        epochs=int(epoch["epochs"]) if epoch and epoch["epochs"] else None,
        total=whole(match["total"].replace(",", "")) if match["total"] else None,
        each_s=_each_s(line, each) if kind == "step" else float(took["value"]) if took else None,
        values=values,
    )


def _each_s(line: str, match: re.Match[str] | None) -> float | None:
    """Seconds of a step that a line names with its unit."""
    if match is None or not (unit := match["unit"] or match["in"] or match["inside"]):
        if llm_c := EACH_LLM_C.search(line):
            return float(llm_c["value"]) / 1_000.0
        rate = finite(found["value"]) if (found := RATE.search(line)) else None
        return 1.0 / rate if rate else None
    return duration_s(f"{match['value']}{unit[:2] if unit == 'ms' else 's'}")
