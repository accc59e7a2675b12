"""Lines that name an epoch and no step: `Epoch 3/20, loss: 0.5`, headings, tables of fastai and skorch.

Owns what such a line says; whether its epoch is over, and how many are, is `lines/epochs_alone.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headway.logs.text import duration_s, finite

LOOKED_AT: Final = 400
"""Characters of a line that are looked at."""
MARKS: Final = ("poch", "POCH", "raining ")
"""One of them stands in each line that is."""
NAMED: Final = re.compile(
    r"(?i)(?<![a-z_\d])epoch(?:e|s(?=\s{0,4}[:=]?\s{0,4}\[?\s{0,4}\d{1,6}\s{0,2}/))?"
    r"(?:\s{0,4}[:=#\[(|]{0,2}\s{0,4})(?P<epoch>\d{1,6})\b(?![.,]\d)"
    r"(?:\s{0,2}(?:/|of|out of)\s{0,2}(?P<epochs>\d{1,6})\b)?"
)
PARTS: Final = re.compile(r"[-:|\])>*=#,;(\[]")
"""What parts a logger's prefix, and a line's figures, from what comes behind."""
LEVEL: Final = re.compile(r"(?i)info|debug|notice|warn(?:ing)?|stdout|stderr|root|print")
LEADING: Final = re.compile(
    r"(?i)start(?:ing|ed)?|begin(?:ning)?|train(?:ing)?|current|meta|of|fold|run|trial|stage|phase|for|this|time|taken"
)
"""Words that may lead to an epoch. `Best epoch: 12` and `resumed from epoch 3` count none."""
ENDED: Final = re.compile(r"(?i)\b(?:end of|finished|completed|done with)\s{1,4}$")
TIME_FOR: Final = re.compile(r"(?i)\btime(?: taken)? for\s{1,4}$")
OVER: Final = re.compile(r"(?i)^\W{0,4}(?:is |was )?(?:finished|completed?|done|ended|over|took|cost)\b")
JUDGED: Final = re.compile(
    r"(?i)loss|acc(?:uracy|\b)|\bf1|auc\b|iou\b|error|\bm[sa]e\b|rmse|psnr|bleu|perplexity|\bppl|score|reward|elbo|dice"
    r"|\bwer\b|\bcer\b|损失|准确率"
)
"""Figures that an epoch has when it is over; a learning rate is known before."""
UNIT_S: Final = {
    **dict.fromkeys(("us", "µs"), 1e-6), "ms": 1e-3,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "秒"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "分", "分钟"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600.0),
}  # fmt: skip
UNIT: Final = rf"(?:{'|'.join(sorted(UNIT_S, key=len, reverse=True))})"
NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d{1,9})?|\d{1,7}(?:\.\d{1,20})?(?:e[-+]?\d{1,3})?"
PART: Final = re.compile(rf"(?P<n>{NUMBER})\s?(?P<unit>{UNIT})")
TOOK: Final = re.compile(
    r"(?:(?<![a-zA-Z])(?P<named>(?i:(?:epoch[_ ]?)?(?:time|duration|elapsed|dur|took|耗时|用时)"
    r"(?:[_ ](?:cost|taken|used|spent|elapsed)|/epoch)?|cost time))"
    rf"(?![a-zA-Z])(?: (?:is|was|for epoch|per epoch))?\s{{0,3}}(?:\((?P<in>{UNIT})\))?\s{{0,3}}[:=~]?\s{{0,9}}"
    r"|(?i:\bcost|\bin)\s{1,3}|[(\[]\s?|[-|,] )"
    rf"(?:(?P<clock>(?:\d{{1,3}} days?, )?\d{{1,3}}:\d\d(?::\d\d)?(?:\.\d{{1,9}})?)"
    rf"|(?P<parts>(?:{NUMBER})\s?{UNIT}(?:(?:,| and)?\s?(?:{NUMBER})\s?{UNIT}){{0,3}})(?![a-zA-Z])(?!/(?!epoch))"
    rf"|(?P<comma>\d{{1,5}},\d{{1,2}})\s?(?:s|sec|秒)(?![a-zA-Z/])"
    rf"|(?P<plain>{NUMBER}))(?=$|[\s|;)\]/]|[,.](?:\s|$))"
)
"""`time: 42.38s`, `took 1m 12s`, `Time taken: 0:00:31`, `(2395.4s)`, `- 34s`, `in 34 s`; a number alone behind `time`
is in seconds."""
CLOCK_OF_DAY: Final = re.compile(r"\d\d:\d\d:\d\d$")
SPENT: Final = re.compile(r"(?i)took|taken|elapsed|dur|cost")
"""Words behind which such a clock tells a duration."""
WORDS: Final = re.compile(r"[A-Za-z_ ]{0,24}$")
OF_LESS: Final = re.compile(
    r"(?i)step|batch|iter|sample|image|data|val|eval|test|load|sav|infer|check|left|remain|\beta\b|estimat|finishes|expect"
    r"|limit"
)
"""What makes a time one of something else, in the words before it."""
TO_COME: Final = re.compile(r"(?i)\s{0,2}(?:left|remain|to go)")
SUMMED: Final = re.compile(r"(?i)total|elapsed|since|so far")
"""And what makes it one since the beginning."""
WITHIN: Final = re.compile(
    r"(?i)^\W{0,6}(?:(?:batch|step|iter\w{0,6}|i)\W{1,4})?\d{1,9}\s{0,4}/\s{0,4}\d"
    r"|\b(?:step|iter|iteration|batch)s?\b\W{0,4}\d{1,9}(?![\d.]|\s?(?:ms|s|us)\b)"
)
"""What shows that a line stands within its epoch."""
OF: Final = re.compile(
    r"(?i)\b(?:num(?:ber)?(?:[_ ]of)?[_ ](?:train(?:ing)?[_ ])?epochs?|n_epochs?|max_epochs?|total[_ ]epochs?|epochs)"
    r"['\"]?\s{0,30}[:=]\s{0,4}(?P<set>\d{1,6})\b(?![.,]\d)|--(?:num[-_])?epochs?[ =](?P<flag>\d{1,6})\b"
    r"|\btraining (?:for )?(?P<for>\d{1,6}) epochs?\b"
)
"""How many there are to be, in a banner or a dump of settings."""
COMPLETE: Final = re.compile(r"(?i)\btraining (?:is )?(?:complete|finished|done)\b")
"""Below the last epoch, of which a heading alone tells that it began."""
BANNER: Final = re.compile(r"^# epochs?: (?P<of>\d{1,6})\s{0,4}$")
"""That of Chainer's examples."""
OF_OTHERS: Final = re.compile(r"(?i)(?:warm|decay|every|save|log|best|last|pre)[^,;=:]{0,10}$")
"""What before such a number makes it one of something else."""
TABLE: Final = re.compile(r"^\s{0,8}epoch\s{1,20}\S.{0,400}?\s(?:time|dur|(?P<summed>elapsed_time))\s{0,20}$")
"""Above the rows of fastai (`epoch  train_loss  valid_loss  time`), of skorch (`dur`) and of Chainer."""
NUMBERS: Final = re.compile(r"(?i)[-+]?\d[\d.,:]*(?:e[-+]?\d+)?|\b(?:nan|inf)\b")
FORM: Final = 24
"""Characters before the epoch, and behind it, that tell lines of one kind from others."""
EMPTY_CELLS: Final = 2
"""As many may be left out of a row."""
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
    fits = table is not None and max(2, table.columns - EMPTY_CELLS) <= len(words) <= table.columns
    if table is None or not fits or not words[0].isdecimal() or len(words[0]) > 6:
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
            return int(said["set"] or said["for"] or said["flag"])
    return None


def epoch_named(message: str) -> NamedEpoch | None:
    """The epoch that a line tells of; None for lines that name none, or one beside something else."""
    message = message.replace("：", ":")
    match = None if BANNER.match(message) else NAMED.search(message)
    if match is None or not _leads(message[: match.start()]):
        return None
    before, rest = message[: match.start()], message[match.end() :]
    ended, told = ENDED.search(before), f"time{rest}" if TIME_FOR.search(before) else rest
    within = WITHIN.search(rest) is not None
    took = None if within else next((one for one in TOOK.finditer(told) if _is_of_epoch(one, told)), None)
    sure = not within and (took is not None or ended is not None or OVER.search(rest) is not None)
    epochs = int(match["epochs"]) if match["epochs"] else None
    return NamedEpoch(
        epoch=int(match["epoch"]),
        epochs=None if epochs is None or epochs < int(match["epoch"]) else epochs,
        over=sure or (not within and JUDGED.search(rest) is not None),
        sure=sure,
        took_s=None if took is None else _seconds(took),
        form=f"{NUMBERS.sub('#', before)[-FORM:]}/{NUMBERS.sub('#', rest[: 4 * FORM])[:FORM]}",
        rest=rest,
        summed=True if took is not None and SUMMED.search(_before(took, told)) else None,
    )


def _leads(before: str) -> bool:
    """Whether what stands before an epoch leaves it one that is told of: a logger's prefix, a few words."""
    if ENDED.search(before):
        return True
    words = [word for word in PARTS.split(before)[-1].split() if any(letter.isalpha() for letter in word.rstrip("Z"))]
    names = bool(words) and LEVEL.fullmatch(words[0]) is not None  # the name of a logger may come behind
    if names and len(words) == 2:
        return True
    return all(LEVEL.fullmatch(word) or LEADING.fullmatch(word) for word in words)


def _seconds(took: re.Match[str]) -> float | None:
    """Seconds of a time, in whatever form it is written."""
    if took["clock"]:
        return duration_s(took["clock"])
    if took["comma"]:
        return float(took["comma"].replace(",", "."))
    if took["parts"]:
        parts = [(part["n"], part["unit"]) for part in PART.finditer(took["parts"])]
    else:
        parts = [(took["plain"], took["in"] or "s")]
    return finite(sum(float(number.replace(",", "")) * UNIT_S[unit] for number, unit in parts))


def _is_of_epoch(took: re.Match[str], rest: str) -> bool:
    """Whether a number is a time, and not one of something else, or one of the day."""
    words = _before(took, rest)
    is_time = (took["named"] or took["parts"] or took["comma"]) is not None
    of_day = took["clock"] and CLOCK_OF_DAY.match(took["clock"]) and not SPENT.search(words)
    return is_time and not of_day and OF_LESS.search(words) is None and TO_COME.match(rest, took.end()) is None


def _before(took: re.Match[str], rest: str) -> str:
    """The words that a time stands behind."""
    words = WORDS.search(rest, 0, took.start())
    first = next(took.start(name) for name in ("clock", "parts", "comma", "plain") if took[name])
    return f"{'' if words is None else words[0]}{rest[took.start() : first]}"
