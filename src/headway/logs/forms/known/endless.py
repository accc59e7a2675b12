"""Bars of tqdm over what has no length, as streamed rows: `120it [00:42, 2.84it/s, loss=2.31]`.

Owns that form, which tells of no total; bars with one are `bars/`.
"""

from __future__ import annotations

import re
from typing import Final

from headway.logs.bars.bar import EPOCH
from headway.logs.forms.figures import named
from headway.logs.forms.line import Line, MarkedForm
from headway.logs.text import duration_s

ENDLESS: Final = re.compile(
    r"(?:^|[:|\s])(?P<step>\d{1,12})(?:it|step|batch) \[(?P<passed>\d{1,5}:\d\d(?::\d\d)?),\s{1,4}"
    r"[\d.?]{1,12}\s?(?:it/s|s/it|step/s|s/step|batch/s|s/batch), (?P<figures>[^\]]{0,1000}loss[^\]]{1,1000})",
    re.IGNORECASE,
)
"""`tqdm/std.py: format_meter`, `{desc}: {n}it [{elapsed}, {rate}{postfix}]`; without a loss it may count anything."""


def _endless(match: re.Match[str], line: str) -> Line:
    step, passed_s = int(match["step"]), duration_s(match["passed"])
    epoch = EPOCH.search(line[: match.start("step")])
    return Line(
        kind="step",
        step=step,
        each_s=passed_s / step if passed_s is not None and step else None,
        epoch_s=passed_s,
        epoch=int(epoch["epoch"]) if epoch else None,
        epochs=int(epoch["epochs"]) if epoch and epoch["epochs"] else None,
        per_epoch=epoch is not None,
        values=named(match["figures"]),
    )


FORMS: Final[tuple[MarkedForm, ...]] = ((" [", ENDLESS, _endless),)
MARKS: Final = ("it [",)
"""One of them, or of those of `metric_lines.py`, stands in each of these lines."""
