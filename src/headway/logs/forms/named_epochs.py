"""Lines that name an epoch and no step: `Epoch 3/20, loss: 0.5`, headings, tables of fastai and skorch.

Owns what such a line says; whether its epoch is over, and how many are, is `lines/epochs_alone.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headway.logs.text import duration_s

LOOKED_AT: Final = 400
"""Characters of a line that are looked at."""
NAMED: Final = re.compile(
    r"(?i)(?<![a-z_\d])epoch(?:\s{0,4}[:=#\[(|]{0,2}\s{0,4})(?P<epoch>\d{1,6})\b(?![.,]\d)"
    r"(?:\s{0,2}(?:/|of)\s{0,2}(?P<epochs>\d{1,6})\b)?"
)
BEFORE: Final = re.compile(
    r"(?i)(?:.{0,160}(?:[-:|\])>*=#]|:\d\d(?:[.,]\d{1,9})?Z?))?[\s\[(]{0,5}"
    r"(?:(?P<over>end of|finished|completed|done with)\s"
    r"|(?:(?:info|debug|start(?:ing|ed)?|begin(?:ning)?|train(?:ing)?|current|meta|of)\s){0,3})?"
)
"""What may stand before: a logger's prefix, or a few words. `Best epoch: 12` or `resumed from epoch 3` count none."""
OVER: Final = re.compile(r"(?i)^\W{0,4}(?:is |was )?(?:finished|completed?|done|ended|over|took|cost)\b")
JUDGED: Final = re.compile(
    r"(?i)loss|acc(?:uracy|\b)|\bf1|auc\b|iou\b|error|\bm[sa]e\b|rmse|psnr|bleu|perplexity|\bppl|score|reward|elbo|dice"
    r"|\bwer\b|\bcer\b|损失|准确率"
)
"""Figures that an epoch has when it is over; a learning rate is known before."""
UNIT: Final = r"(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)"
TOOK: Final = re.compile(
    r"(?i)(?:(?:\b|_)(?P<named>time|took|cost|duration|elapsed)\b[^\d\n,;|]{0,20}|[(\[]\s?|[-|,] |\bin )"
    r"(?P<n>\d{1,7}(?:\.\d{1,20})?)(?![\d.:/-])"
    rf"(?P<rest>\s?{UNIT}\b(?:,? ?\d{{1,4}}(?:\.\d{{1,20}})?\s?{UNIT}\b){{0,2}}(?!/))?"
)
"""`time: 42.38s`, `took 1m 12s`, `(2395.4s)`, `- 34s`, `in 34 s`; a number behind `time` is in seconds."""
WORDS: Final = re.compile(r"[A-Za-z_ ]{0,24}$")
OF_LESS: Final = re.compile(
    r"(?i)step|batch|iter|sample|image|data|val|eval|test|load|sav|infer|check|left|remain|\beta\b"
)
"""What makes a time one of something else, in the words before it."""
TO_COME: Final = re.compile(r"(?i)\s{0,2}(?:left|remain|to go)")
SUMMED: Final = re.compile(r"(?i)total|elapsed|since|so far")
"""And what makes it one since the beginning."""
WITHIN: Final = re.compile(r"(?i)\b(?:step|iter|iteration|batch|i)s?\b\W{0,4}\d|\d\s{0,4}/\s{0,4}\d|\(\s{0,3}\d{1,3}%")
"""What shows that a line stands within its epoch."""
OF: Final = re.compile(
    r"(?i)\b(?:num(?:ber)?(?:[_ ]of)?[_ ](?:train(?:ing)?[_ ])?epochs?|n_epochs?|max_epochs?|total[_ ]epochs?|epochs)"
    r"['\"]?\s{0,8}[:=]\s{0,4}(?P<set>\d{1,6})\b(?![.,]\d)|\btraining (?:for )?(?P<for>\d{1,6}) epochs?\b"
)
"""How many there are to be, in a banner or a dump of settings."""
BANNER: Final = re.compile(r"^# epochs?: (?P<of>\d{1,6})\s{0,4}$")
"""That of Chainer's examples."""
OF_OTHERS: Final = re.compile(r"(?i)(?:warm|decay|every|save|log|best|last|pre)[^,;=:]{0,10}$")
"""What before such a number makes it one of something else."""
TABLE: Final = re.compile(r"^\s{0,8}epoch\s{1,20}\S.{0,400}?\s(?:time|dur|(?P<summed>elapsed_time))\s{0,20}$")
"""Above the rows of fastai (`epoch  train_loss  valid_loss  time`), of skorch (`dur`) and of Chainer."""
NUMBERS: Final = re.compile(r"(?i)[-+]?\d[\d.,:]*(?:e[-+]?\d+)?|\b(?:nan|inf)\b")
FORM: Final = 24
"""Characters behind the epoch that tell lines of one kind from others."""
ROW: Final = "row"
"""Form of a table's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEpoch:
    """What a line says of an epoch."""

    epoch: int
    epochs: int | None
    over: bool
    """Whether it may tell of its end, by its figures."""
    sure: bool
    """Whether its words or a time say so."""
    took_s: float | None
    form: str
    rest: str = ""
    """What stands behind the epoch."""
    summed: bool | None = None
    """Whether the time is since the beginning; None: nothing says so."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a row for each epoch, whose last column is a time."""

    columns: int
    summed: bool
    """Whether the time is since the beginning."""


def table_in(message: str) -> Table | None:
    """The table whose heading this is; None for other lines."""
    heading = TABLE.match(message)
    return None if heading is None else Table(len(message.split()), heading["summed"] is not None)


def row_of(message: str, table: Table | None) -> NamedEpoch | None:
    """The epoch that a row of a table tells of; None for other lines."""
    words = message.split() if table is not None and message.lstrip()[:1].isdigit() else []
    if table is None or len(words) != table.columns or not words[0].isdecimal() or len(words[0]) > 6:
        return None
    took_s = duration_s(words[-1])
    if took_s is None:
        return None
    return NamedEpoch(epoch=int(words[0]), epochs=None, over=True, sure=True, took_s=took_s, form=ROW,
                  rest=message, summed=table.summed)  # fmt: skip


def epochs_announced(message: str) -> int | None:
    """The number of epochs that a banner or a setting names."""
    if banner := BANNER.match(message):
        return int(banner["of"])
    for said in OF.finditer(message):
        if OF_OTHERS.search(message[max(0, said.start() - 20) : said.start()]) is None:
            return int(said["set"] or said["for"])
    return None


def epoch_named(message: str) -> NamedEpoch | None:
    """The epoch that a line tells of; None for lines that name none, or one beside something else."""
    match = None if BANNER.match(message) else NAMED.search(message)
    before = None if match is None else BEFORE.fullmatch(message, 0, match.start())
    if match is None or before is None:
        return None
    rest = message[match.end() :]
    within = WITHIN.search(rest) is not None
    took = None if within else next((one for one in TOOK.finditer(rest) if _is_of_epoch(one, rest)), None)
    sure = not within and (took is not None or before["over"] is not None or OVER.search(rest) is not None)
    epochs = int(match["epochs"]) if match["epochs"] else None
    return NamedEpoch(
        epoch=int(match["epoch"]),
        epochs=None if epochs is None or epochs < int(match["epoch"]) else epochs,
        over=sure or (not within and JUDGED.search(rest) is not None),
        sure=sure,
        took_s=None if took is None else duration_s(f"{took['n']}{took['rest'] or ''}"),
        form=(before["over"] or "") + NUMBERS.sub("#", rest[: 4 * FORM])[:FORM],
        rest=rest,
        summed=True if took is not None and SUMMED.search(_before(took, rest)) else None,
    )


def _is_of_epoch(took: re.Match[str], rest: str) -> bool:
    """Whether a number is a time, and not one of something else."""
    is_time = (took["named"] or took["rest"]) is not None
    return is_time and OF_LESS.search(_before(took, rest)) is None and TO_COME.match(rest, took.end()) is None


def _before(took: re.Match[str], rest: str) -> str:
    """The words that a time stands behind."""
    words = WORDS.search(rest, 0, took.start())
    return f"{'' if words is None else words[0]}{rest[took.start() : took.start('n')]}"
