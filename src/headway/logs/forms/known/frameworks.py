"""Lines of named trainers that say all themselves: LeRobot, MindFormers, HiFi-GAN, minGPT, Darknet, timm's tests.

Owns such forms; trainers that tell of a step in several lines are `blocks/frameworks.py`.
"""

from __future__ import annotations

import re
from typing import Final

from headway.logs.forms.figures import named
from headway.logs.forms.line import Line, MarkedForm, is_stamped
from headway.logs.text import number

LEROBOT: Final = re.compile(r"\bstep:(?P<step>\d{1,12})(?P<unit>[KMB])? smpl:\S{1,16} ep:\S{1,16} ")
LEROBOT_UPDATE: Final = re.compile(r"\bupdt_s:(?P<s>\d{1,6}\.\d{1,6})\b")
LEROBOT_DATA: Final = re.compile(r"\bdata_s:(?P<s>\d{1,6}\.\d{1,6})\b")
"""lerobot/utils/logging_utils.py: means of the lines' interval; counts in whole thousands (`format_big_number`)."""
SCALES: Final = {"K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
MIND_FORMERS: Final = re.compile(
    r"\{ (?:Epoch:\[\s{0,9}(?P<epoch>\d{1,6})/\s{0,9}(?P<epochs>\d{1,6})\], )?"
    r"step:\[\s{0,9}(?P<step>\d{1,9})/\s{0,9}(?P<total>\d{1,9})\], .{0,300}?\bper_step_time:\s{0,9}(?P<ms>\d{1,12})ms\b"
)
"""mindformers/core/callback/callback.py: MFLossMonitor; counts from 1, of steps within the epoch where it is named."""
HIFI_GAN: Final = re.compile(r"\bSteps : (?P<step>\d{1,12}), .{0,600}?\bs/b : (?P<each>\d{1,6}\.\d{1,6})")
"""train.py of jik876/hifi-gan and MP-SENet: steps of the run from 0, seconds of that batch."""
MIN_GPT: Final = re.compile(r"\biter_dt (?P<ms>\d{1,12}\.\d{1,6})ms; iter (?P<step>\d{1,12}): train loss ")
"""karpathy/minGPT, demo.ipynb: steps of the run from 0, the time of the last, 0 where there is none."""
DARKNET: Final = re.compile(
    r"^\s{0,4}(?P<step>\d{1,9}): (?P<loss>-?(?:\d{1,12}\.\d{1,9}|nan|inf)), \S{1,24} avg(?: loss)?, "
    r"(?P<rate>\d{1,3}\.\d{1,9}) rate, (?P<each>\d{1,9}\.\d{1,9}) seconds, (?P<images>\d{1,12}) images\b"
)
"""src/detector.c of pjreddie/darknet and AlexeyAB/darknet: a line for each batch, whose loading has one of its own."""
TIMM_TEST: Final = re.compile(
    r"\bTest(?: \(EMA\))?: \[\s{0,9}(?P<step>\d{1,9})/\s{0,9}(?P<last>\d{1,9})\]\s{1,4}"
    r"Time: \d{1,6}\.\d{1,6} \(\s{0,6}(?P<mean>\d{1,6}\.\d{1,6})\)"
)
"""timm's train.py, `validate`: batches from 0 and the number of the last; in parentheses their mean."""


def _lerobot(match: re.Match[str], line: str) -> Line:
    scale = SCALES.get(match["unit"] or "", 1)
    update, data = LEROBOT_UPDATE.search(line, match.end()), LEROBOT_DATA.search(line, match.end())
    return Line(
        kind="step",
        step=int(match["step"]) * scale,
        rounded=scale // 2,
        each_s=float(update["s"]) + float(data["s"]) if update and data else None,
        values=named(line[match.end() :]),
    )


def _mind_formers(match: re.Match[str], line: str) -> Line:
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(match["total"]),
        each_s=float(match["ms"]) / 1_000.0,
        epoch=int(match["epoch"]) if match["epoch"] else None,
        epochs=int(match["epochs"]) if match["epochs"] else None,
        first_epoch=1,
        per_epoch=match["epoch"] is not None,
        values=named(line[match.end("total") :]),
    )


def _hifi_gan(match: re.Match[str], line: str) -> Line:
    values = named(line[match.end("step") : match.start("each")])
    return Line(kind="step", step=int(match["step"]), each_s=float(match["each"]), values=values)


def _min_gpt(match: re.Match[str], line: str) -> Line:
    values = named(line[match.end("step") :].replace("train loss ", "loss: "))
    each_s = None if is_stamped(line, match.start()) else float(match["ms"]) / 1_000.0
    return Line(kind="step", step=int(match["step"]), each_s=each_s or None, values=values)


def _darknet(match: re.Match[str], line: str) -> Line:
    loss, rate = number(match["loss"]), float(match["rate"])
    return Line(
        kind="step",
        step=int(match["step"]),
        each_s=float(match["each"]),
        rows_seen=float(match["images"]),
        values={"learning_rate": rate, **({} if loss is None else {"loss": loss})},
    )


def _timm_test(match: re.Match[str], line: str) -> Line | None:
    batches = int(match["last"]) + 1
    if int(match["step"]) + 1 != batches:
        return None
    values = named(line[match.end() :])
    return Line(kind="evaluation", step=0, at_last=True, each_s=batches * float(match["mean"]), values=values)


FORMS: Final[tuple[MarkedForm, ...]] = (
    ("updt_s:", LEROBOT, _lerobot),
    ("per_step_time:", MIND_FORMERS, _mind_formers),
    ("s/b : ", HIFI_GAN, _hifi_gan),
    ("iter_dt ", MIN_GPT, _min_gpt),
    (" rate, ", DARKNET, _darknet),
    ("]  Time: ", TIMM_TEST, _timm_test),
)
MARKS: Final = (" rate, ", "]  Time: ")
"""One of them, or of those of `metric_lines.py`, stands in each of these lines."""
