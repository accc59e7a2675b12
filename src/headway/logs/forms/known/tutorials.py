"""Loops of tutorials and of much-copied repositories, where one line says all: minimind, HRNet, CenterNet, gpt-2, ...

Owns such forms; loops that tell of a step in several lines are `blocks/tutorials.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.figures import named
from headway.logs.forms.line import Line, MarkedForm, is_stamped
from headway.logs.text import duration_s, number

CLOCK: Final = r"(?:\d{1,3} days?, )?\d{1,4}:\d\d:\d\d"
"""`0:01:43`: Python's `timedelta` in whole seconds."""
MINUTES: Final = r"\d{1,6}m \d{1,2}s"
MINI_MIND: Final = re.compile(
    r"\bEpoch:\s?\[(?P<epoch>\d{1,6})/(?P<epochs>\d{1,6})\]\s?\((?P<step>\d{1,9})/(?P<total>\d{1,9})\)"
)
MINI_MIND_LEFT: Final = re.compile(r"(?i)\bepoch_time:\s?(?P<minutes>\d{1,9}\.\d)\s?min")
"""jingyaogong/minimind, train_pretrain.py: batches from 0, and the whole minutes that are LEFT of the epoch at its mean
so far, within one of them: `spend_time / (step + 1) * iters // 60 - spend_time // 60`."""
FEWEST_MINUTES: Final = 5.0
"""Left, of which one more or less is no matter."""
HRNET: Final = re.compile(
    r"\bEpoch: \[(?P<epoch>\d{1,6})/(?P<epochs>\d{1,6})\] Iter:\s?\[(?P<step>\d{1,9})/(?P<total>\d{1,9})\],"
    r" Time: (?P<mean>\d{1,6}\.(?P<digits>\d{1,6}))"
)
"""lib/core/function.py of HRNet-Semantic-Segmentation, utils/function.py of PIDNet and DDRNet: epochs and batches from
0, the time is an AverageMeter of the epoch."""
HRNET_VALID: Final = re.compile(r"\bLoss: \d{1,6}\.\d{1,6}, MeanIU:\s{1,4}\d\.\d{1,6}, Best_mIoU:")
"""tools/train.py of the same, after each validation."""
CENTER_NET: Final = re.compile(
    r"\b(?P<part>train|val): \[(?P<epoch>\d{1,6})\]\[(?P<step>\d{1,9})/(?P<total>\d{1,9})\]"
    rf"\|Tot: (?P<passed>{CLOCK}) \|ETA: "
)
CENTER_NET_MEAN: Final = re.compile(r"\|Net (?P<mean>\d{1,6}\.(?P<digits>\d{1,6}))s")
"""src/lib/trains/base_trainer.py of CenterNet and FairMOT: epochs from 1, batches from 0; `Tot` is since the epoch
began, `Net` the mean of its batches with their loading."""
KAGGLE: Final = re.compile(
    r"(?:\bEpoch: \[(?P<epoch>\d{1,6})\]|\bEVAL: )\[(?P<step>\d{1,9})/(?P<total>\d{1,9})\] "
    rf"(?:Data [\d.]{{1,12}} \([\d.]{{1,12}}\) )?Elapsed (?P<passed>{MINUTES}) \(remain "
)
KAGGLE_EPOCH: Final = re.compile(
    r"\bEpoch \d{1,6} - avg_train_loss: .{1,80}?\bavg_val_loss: .{1,60}?\btime: (?P<s>\d{1,7})s"
)
"""Notebooks after Y. Nakama's: epochs from 1, batches from 0, time since the epoch or the evaluation began; below them
that of the epoch with its evaluation."""
GPT_2: Final = re.compile(r"^\s{0,8}\[(?P<step>\d{1,9}) \| (?P<s>\d{1,9}\.\d{1,3})\] loss=(?P<loss>[-+\w.]{1,20}) avg=")
"""train.py of nshepperd's gpt-2, gpt_2.py of gpt-2-simple: seconds since the start, though a resumed count goes on."""
TEXT_CNN: Final = re.compile(
    rf"\b(?:Iter|Step):\s{{1,9}}(?P<step>\d{{1,9}}),\s{{1,4}}Train Loss:.{{0,300}}?\bTime: (?P<passed>{CLOCK})(?!\d)"
)
"""run_cnn.py of gaussic/text-classification-cnn-rnn, train_eval.py of Chinese-Text-Classification-Pytorch: steps of the
run from 0, time since the start; a small validation comes before each line."""
CHINESE_NER: Final = re.compile(
    r"\biteration:(?P<epoch>\d{1,6}) step:(?P<step>\d{1,9})/\s{0,9}(?P<total>\d{1,9}), NER loss:"
)
"""main.py of zjy-ucas/ChineseNER: its iterations are epochs."""
TF_TUTORIAL: Final = re.compile(r"\bEpoch (?P<epoch>\d{1,6}) Batch (?P<step>\d{1,9}) Loss [-+\w.]{1,30}")
"""TensorFlow's tutorials of translation and of captions: each hundredth batch, from 0 in each epoch; how many an epoch
has is not said, so its `Time taken for 1 epoch` is of an unknown number."""
TIME_SINCE: Final = re.compile(
    rf"^\s{{0,8}}(?P<passed>{MINUTES}) (?:\(- {MINUTES}\) )?\((?P<step>\d{{4,9}}) \d{{1,3}}%\)\s{{1,4}}"
    r"(?P<loss>[-+\w.]{1,20})"
)
TIME_SINCE_LAST: Final = re.compile(
    rf"^\s{{0,8}}(?P<step>\d{{4,9}}) \d{{1,3}}% \((?P<passed>{MINUTES})\)\s{{1,4}}(?P<loss>[-+\w.]{{1,20}})"
)
"""`timeSince` of PyTorch's tutorials of characters and of translation: iterations; the newest of translation tells of
its few epochs in the same form, so that a count is one of iterations from a thousand on."""
FACE_NET: Final = re.compile(r"^\s{0,8}\[(?P<epoch>\d{1,6})\]\[(?P<step>\d{1,9})\] time: (?P<s>\d{1,6}\.\d\d)\s")
"""utils/utils.py of Probabilistic-Face-Embeddings: seconds since the line before."""
MONO_DEPTH: Final = re.compile(
    r"\bIteration\s{1,9}(?P<step>\d{1,9})/(?P<total>\d{1,9}) \| examples/s: .{1,200}?"
    r"\btime elapsed: (?P<passed>\d{1,4}h\d\dm\d\ds)"
)
"""anthonyhu/vision, after monodepth2's `log_time`, which counts batches of epochs of unknown length instead."""
DALI: Final = re.compile(
    r"\bStep (?P<step>\d{1,9})/(?P<total>\d{1,9}) - Loss: .{1,120}?"
    r"\bTime Elapsed: (?P<minutes>\d{1,6}\.\d{1,4})\s?Mins?\b"
)
"""Minutes of the epoch, which a line above names."""
GRAPH: Final = re.compile(
    r"(?<![A-Za-z_])step (?P<step>\d{1,9}) / (?P<total>\d{1,9}) \(epoch \d{1,6}\.\d{1,6} / \d{1,6}(?:\.\d{1,6})?\):"
    r"(?P<figures>(?:(?!step ).){0,400}?)\btime: \d{1,9}s \(wall (?P<wall>\d{1,9})s\)"
)
"""lib/models.py of mdeff/cnn_graph, in a file that lost its ends of lines: `time` is that of all cores, `wall` since
the start."""


def _since(match: re.Match[str], line: str, *, step: int, passed_s: float | None) -> Line:
    """A step so long after the epoch or the run began; the first that is told of has their mean."""
    each_s = passed_s / step if passed_s is not None and step else None
    return Line(kind="step", step=step, each_s=each_s, epoch_s=passed_s, values=named(line[match.end() :]))


def _in_epoch(match: re.Match[str], line: str, passed_s: float | None) -> Line:
    """A batch of an epoch, counted from 0, so long after the epoch began."""
    found = _since(match, line, step=int(match["step"]) + 1, passed_s=passed_s)
    return replace(found, epoch=int(match["epoch"]), total=int(match["total"]), per_epoch=True)


def _evaluated(match: re.Match[str], passed_s: float | None) -> Line | None:
    """A batch of an evaluation, counted from 0: the last tells how long it took."""
    over = int(match["step"]) + 1 == int(match["total"])
    return Line(kind="evaluation", step=0, at_last=True, each_s=passed_s) if over else None


def _of_mean(line: Line, match: re.Match[str]) -> Line:
    """`line` with the mean of the epoch so far."""
    mean_s = float(match["mean"])
    return replace(line, each_s=mean_s, epoch_s=None, epoch_mean=(mean_s, 0.5 * 10.0 ** -len(match["digits"])))


def _mini_mind(match: re.Match[str], line: str) -> Line:
    found = Line(
        kind="step",
        step=int(match["step"]),
        total=int(match["total"]),
        epoch=int(match["epoch"]),
        epochs=int(match["epochs"]),
        per_epoch=True,
        values=named(line[match.end() :]),
    )
    left, to_do = MINI_MIND_LEFT.search(line, match.end()), int(match["total"]) - found.step - 1
    # Moments tell it exactly.
    if left is None or to_do <= 0 or is_stamped(line, match.start()):
        return found
    minutes = float(left["minutes"])
    mean_s = 60.0 * minutes / to_do
    return replace(found, each_s=mean_s if minutes >= FEWEST_MINUTES else None, epoch_mean=(mean_s, 60.0 / to_do))


def _hrnet(match: re.Match[str], line: str) -> Line:
    return replace(_of_mean(_in_epoch(match, line, None), match), epochs=int(match["epochs"]), first_epoch=0)


def _hrnet_valid(match: re.Match[str], line: str) -> Line:
    return Line(kind="evaluation", step=0, at_last=True, values=named(line[match.start() :]))


def _center_net(match: re.Match[str], line: str) -> Line | None:
    # A terminal's bar is printed over itself, and copied with all its states in one line: the last is what it came to.
    *_, match = CENTER_NET.finditer(line)
    passed_s = duration_s(match["passed"])
    if match["part"] == "val":
        return _evaluated(match, passed_s)
    found = replace(_in_epoch(match, line, passed_s), first_epoch=1)
    mean = CENTER_NET_MEAN.search(line, match.end())
    return found if mean is None else _of_mean(found, mean)


def _kaggle(match: re.Match[str], line: str) -> Line | None:
    passed_s = duration_s(match["passed"])
    return _in_epoch(match, line, passed_s) if match["epoch"] else _evaluated(match, passed_s)


def _kaggle_epoch(match: re.Match[str], line: str) -> Line:
    return Line(kind="evaluation", step=0, at_last=True, epoch_s=float(match["s"]), values=named(line[match.start() :]))


def _gpt_2(match: re.Match[str], line: str) -> Line:
    # The first line of a resumed run tells nothing: its step is no longer the number of those since the start.
    step, passed_s = int(match["step"]), float(match["s"])
    values = named(line[match.start("loss") - len("loss=") :])
    return Line(kind="step", step=step, each_s=passed_s if step == 1 else None, epoch_s=passed_s, values=values)


def _run_since(match: re.Match[str], line: str) -> Line:
    """A step of the run so long after its start."""
    found = _since(match, line, step=int(match["step"]), passed_s=duration_s(match["passed"]))
    said = match.groupdict()
    loss = number(said.get("loss"))
    values = named(line[: match.start("passed")]) if loss is None else {"loss": loss}
    return replace(found, total=int(match["total"]) if said.get("total") else None, values=values)


def _chinese_ner(match: re.Match[str], line: str) -> Line:
    step, total, values = int(match["step"]), int(match["total"]), named(line[match.end("total") :])
    return Line(kind="step", step=step, total=total, epoch=int(match["epoch"]), per_epoch=True, values=values)


def _tf_tutorial(match: re.Match[str], line: str) -> Line:
    values = named(line[match.start() :].replace(" Loss ", " loss: "))
    return Line(kind="step", step=int(match["step"]) + 1, epoch=int(match["epoch"]), per_epoch=True, values=values)


def _face_net(match: re.Match[str], line: str) -> Line:
    step = int(match["step"])
    # At the first of an epoch nobody knows how many the one before had.
    interval_s = float(match["s"]) if step > 1 else 0.0
    return Line(kind="step", step=step, epoch=int(match["epoch"]), per_epoch=True, interval_s=interval_s)


def _dali(match: re.Match[str], line: str) -> Line:
    found = _since(match, line, step=int(match["step"]), passed_s=60.0 * float(match["minutes"]))
    return replace(found, total=int(match["total"]), per_epoch=True, values=named(line))


def _graph(match: re.Match[str], line: str) -> Line:
    # One line is one reading: the last of them tells most.
    *_, match = GRAPH.finditer(line)
    found = _since(match, line, step=int(match["step"]), passed_s=float(match["wall"]))
    return replace(found, total=int(match["total"]), values=named(match["figures"]))


FORMS: Final[tuple[MarkedForm, ...]] = (
    ("](", MINI_MIND, _mini_mind),
    ("] Iter:", HRNET, _hrnet),
    (", MeanIU: ", HRNET_VALID, _hrnet_valid),
    ("]|Tot: ", CENTER_NET, _center_net),
    ("] Elapsed ", KAGGLE, _kaggle),
    (") Elapsed ", KAGGLE, _kaggle),
    (" - avg_train_loss: ", KAGGLE_EPOCH, _kaggle_epoch),
    ("] loss=", GPT_2, _gpt_2),
    ("Train Loss: ", TEXT_CNN, _run_since),
    (", NER loss:", CHINESE_NER, _chinese_ner),
    (" Batch ", TF_TUTORIAL, _tf_tutorial),
    ("%) ", TIME_SINCE, _run_since),
    ("% (", TIME_SINCE_LAST, _run_since),
    ("] time: ", FACE_NET, _face_net),
    ("| time elapsed: ", MONO_DEPTH, _run_since),
    ("Time Elapsed: ", DALI, _dali),
    ("(wall ", GRAPH, _graph),
)
MARKS: Final = (
    ", MeanIU: ", "]|Tot: ", "EVAL: [", "] loss=", "%) ", "% (", "] time: ",
)  # fmt: skip
"""One of them, or of those of `metric_lines.py`, stands in each of these lines."""
