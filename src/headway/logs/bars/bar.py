"""Progress bars as text: tqdm's (and Lightning's, which is one), Ultralytics' own, rich's in Lightning, Keras',
fastai's, the Trainer's in a notebook, and that of a much copied training on CIFAR.

Owns one printed bar to its numbers; which bar is the training's is `choice.py`. Source of tqdm's form:
`tqdm/std.py: format_meter`, `{desc}: {percentage}|{bar}| {n}/{total} [{elapsed}<{remaining}, {rate}{postfix}]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from headway.logs.text import duration_s, number

TIME = r"(?:\d+ days?, )?\d[\d:]*"
COUNT = r"\d[\d,]{0,15}(?:\.\d{1,4})?[kMGT]?i?B?"
TQDM = re.compile(
    rf"(?P<percent>\d{{1,3}})%(?:\|[^|\n]{{0,400}}\|)?\s{{0,20}}(?P<n>{COUNT})/(?P<total>{COUNT})\s{{0,4}}"
    rf"\[(?P<elapsed>{TIME})<(?P<left>\?|{TIME})(?:,\s{{0,4}}(?P<rate>[^\]\n]{{0,2000}}))?\]?"
)
CLOCK = r"\d{1,5}:\d\d(?::\d\d)?"
SCALED = r"\d{1,12}(?:\.\d{1,4})?[kMGT]?"
SHORT = re.compile(
    rf"(?P<percent>\d{{1,3}})%\|[^|\n]{{0,400}}\|\s{{0,20}}(?P<n>{COUNT})/(?P<total>{COUNT})\s{{1,4}}"
    rf"(?P<elapsed>{CLOCK})(?:<(?P<left>\?|{CLOCK})(?:,\s{{0,4}}(?P<rate>[^\s,\]]{{1,40}}))?)?(?![\w:<])"
)
"""tqdm's as YOLOv5 sets it: without brackets, mostly without what is left (utils/general.py: `TQDM_BAR_FORMAT`)."""
ULTRALYTICS_BAR = re.compile(
    r"(?P<percent>\d{1,3})% [━╸─]{1,200} (?P<n>\d{1,12})/(?P<total>\d{1,12}) {1,2}"
    r"(?:(?P<rate>\d{1,9}\.\d{1,3}(?:[KMG]?[a-zA-Z]{1,12}/s|s/[a-zA-Z]{1,12})) )?"
    r"(?P<elapsed>\d{1,5}:\d\d(?::\d\d)?|\d{1,2}\.\d{1,2}s)(?:<(?P<left>[\d:.]{1,12}s?))?"
)
"""ultralytics/utils/tqdm.py."""
FASTPROGRESS = re.compile(
    rf"\|[█X-]{{1,200}}\| (?P<percent>\d{{1,3}})\.\d\d% \[(?P<n>\d{{1,12}})/(?P<total>\d{{1,12}}) (?P<elapsed>{CLOCK})<"
    rf"(?P<left>\?|{CLOCK})(?P<rate>)(?: (?P<loss>\d{{1,9}}\.\d{{1,9}}))?\]"
)
"""fastprogress/fastprogress.py, as fastai shows it on a console: behind the count the loss so far."""
RICH = re.compile(
    r"Epoch (?P<epoch>\d{1,9})(?:/(?P<epochs>-?\d{1,9}))?\s{1,9}[━╸╺─ ]{3,400}\s{0,9}"
    r"(?P<n>\d{1,12})/(?P<total>\d{1,12})\s{1,9}(?P<elapsed>\d{1,5}:\d\d(?::\d\d)?)\s{1,9}[•·]\s{1,9}"
    r"(?P<left>[-\d:]{1,20})\s{1,9}(?P<rate>[\d.]{1,20}it/s)?"
)
KERAS = re.compile(
    r"(?:^|\s)(?P<n>\d{1,9})/(?P<total>\d{1,9})\s{1,20}(?:\[[=>.]{3,200}\]|[━╸╺─][━╸╺─ ]{2,400})\s{0,20}-?\s{0,20}"
    r"(?:ETA: (?P<left>[\d:]+s?)|(?P<elapsed>[\d:]+)s?"
    r"(?:\s{1,9}(?P<each>[\d.]+)(?P<unit>us|ms|s|µs)/(?:step|epoch|sample))?)"
)
KERAS_PLAIN = re.compile(
    r"^\s{0,9}(?P<n>\d{1,9})/(?P<total>\d{1,9}) - (?P<elapsed>\d{1,9})s - "
    r"(?:(?=.{0,400}?\b(?P<each>[\d.]{1,12})(?P<unit>us|ms|s|µs)/(?:step|sample)\b))?"
)
"""Its `verbose=2`: a line an epoch."""
ULTRALYTICS = re.compile(r"^(?P<epoch>\d{1,6})/(?P<epochs>\d{1,6})\s{1,20}\d[\d.]{0,9}G\b")
"""`70/1000 6.73G 1.081 ...: 100%|...`: epoch, memory, losses."""
LOGGABLE = re.compile(
    rf"\bProgress on: ?(?P<what>[^\d\n]{{0,80}}?) ?(?P<n>{SCALED})it/(?P<total>{SCALED})it rate:(?P<rate>\S{{1,40}})"
    rf"(?: remaining:(?P<left>\S{{1,40}}))? elapsed:(?P<elapsed>{CLOCK})(?: postfix:(?P<values>.{{0,2000}}))?"
)
"""tqdm_loggable/tqdm_logging.py, whose counts have three digits from a thousand on; Levanter and openpi print it."""
NOTEBOOK = re.compile(
    rf"\[ {{0,12}}(?P<n>(?!0\d)\d{{1,12}})/(?P<total>[1-9]\d{{0,11}}) (?P<elapsed>{CLOCK})"
    rf"(?: < (?P<left>{CLOCK}), (?P<rate>[\d.]{{1,20}} it/s|\+inf it/s))?"
    r"(?:, Epoch (?P<at>\d{1,6}(?:\.\d{1,4})?)/\d{1,6})?\]"
)
"""transformers/utils/notebook.py: `NotebookProgressBar`; that of an evaluation names no epoch."""
CIFAR = re.compile(
    r"\[[=>.]{1,200}(?: (?P<n>\d{1,9})/(?P<total>\d{1,9}) [=>.]{0,200})?\]\s{1,4}"
    r"Step: [\dDhms]{1,20} \| Tot: (?P<elapsed>[\dDhms]{1,20})(?=[\s|\x08]|$)"
)
"""kuangliu/pytorch-cifar, utils.py: a terminal shows the count within the bar, a file behind steps back to there."""
CIFAR_COUNT = re.compile(r"[\s\x08](?P<n>\d{1,9})/(?P<total>\d{1,9})\s{0,20}$")
EPOCH = re.compile(
    r"(?i)\bepochs?\b\s*(?:\.{3}\s{0,4})?[:#=\[(]*\s*(?P<epoch>\d{1,6})(?:\.\d+)?(?:\s*(?:/|of)\s*(?P<epochs>\d{1,6}))?"
)
BRACKETED = re.compile(r"(?i)\[(?P<epoch>epoch \d{1,6}/\d{1,6})$")
PAIR = re.compile(
    r"([A-Za-z_][\w/.() -]{0,60}?)\s{0,3}[=:]\s{0,3}"
    r"([-+]?(?:\d[\d,]{0,30}\.?\d{0,30}(?:[eE][-+]?\d{1,4})?|(?:nan|inf)\b))(?![\d.])",
    re.IGNORECASE,
)

EVALUATION = re.compile(r"(?i)eval|valid|\bval\b|\btest|sanity|scoring|predict|^calculating loss\b")
"""The last is that of mlx_lm/tuner/trainer.py."""
TOKENIZE = re.compile(
    r"(?i)^map\b|tokeni[sz]|^filter|packing|adding eos|chat template|converting|truncating|preproc|^extracting|grouping"
    r"|scanning|caching"
)
LOADING = re.compile(r"(?i)loading|load .*shards|weights|materializ|capturing")
GENERATION = re.compile(
    r"(?i)generat(?!ing \w+ (?:split|examples))|sampling|decoding|processed prompts|adding requests"
)
OTHER = re.compile(
    r"(?i)download|fetching|writing|generating \w+ (?:split|examples)|saving|upload|computing|creating|resolving"
    r"|extracting data|\.(?:safetensors|bin|json|txt|model|parquet|gz)\b"
)
TRAINING = re.compile(r"(?i)\btrain|\bepoch")
OF_DATA = re.compile(r"(?i)\b(?:\d[\d.]{0,9})?(?:examples|rows|files|docs|lines|ba)/s|s/(?:examples|files|ba)\b")
"""Units of data that is prepared, where a bar does not say that it trains."""
OF_ROWS = re.compile(
    r"(?i)^1(?:s/)?[kMGT]?(?:im(?:g|age)s?|samples?|seq(?:uence)?s?|tok(?:en)?s?|ex(?:ample)?s?|rows?|sentences?|pairs?)"
    r"(?:/s)?$"
)
"""Units of which a step takes several."""
UNIT_S: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
SHORTEST_STEP_S: Final = 200e-6
"""What Keras calls a step is a row where it takes less; so is what a bar counts of which nothing else is known."""
KERAS_ROUNDING_S: Final = 1.5
"""Of the seconds, which older ones cut, and of the time of one step, times all."""
SHORTEST_ROW_S: Final = 5e-6
"""And a byte of a download where it takes less than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One print of a progress bar."""

    description: str
    kind: str
    """`train`, or the kind of observation that it is when done; empty for a bar that is no part of an estimate."""
    n: int
    total: int
    elapsed_s: float | None
    each_s: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    rate: str = ""
    """As it is printed."""
    rows: bool = False
    """Whether it surely counts rows, of which a step takes several."""
    rounded: bool = False
    """Whether its counts are rounded (`1.2k`)."""
    sure: bool = False
    """Whether its form alone shows that it is a training's."""
    one_epoch: bool = False
    """Whether it is surely of one epoch, though how many there are is not said."""
    values: Mapping[str, float]
    end: int
    """Where the bar ends in its line."""


def bars_in(line: str) -> Iterator[Bar]:
    """The bars of a line, in order; several stand in one where a terminal's line was written over."""
    start = 0
    own = list(ULTRALYTICS_BAR.finditer(line)) if "━" in line or "─" in line else []
    own = own or list(TQDM.finditer(line)) or (list(SHORT.finditer(line)) if "%|" in line else [])
    own = own or (list(FASTPROGRESS.finditer(line)) if "% [" in line else [])
    for match in own:
        # No description is longer than a line of a terminal.
        before = line[max(start, match.start() - 200) : match.start()]
        start = match.end()
        described = _described(before)
        tail = line[match.end() : match.end() + 200].partition("{")[0]
        tail = tail if tail[:1] in (" ", ",") and "%|" not in tail else ""
        loss = f",loss={said}" if (said := match.groupdict().get("loss")) else ""
        yield _bar(match, described, f"{(match['rate'] or '').partition(',')[2]},{tail}{loss}")
    other = _other(line[:4_000]) if start == 0 else None
    if other is not None:
        yield other


def _described(before: str) -> str:
    """The description among what stands before a bar, with the epoch in brackets that some put before it."""
    # What comes before a closing brace or bracket is the end of something else.
    *others, described = re.split(r"[\]}\r]", before)
    epoch = BRACKETED.search(others[-1]) if others else None
    return f"{epoch['epoch']} {described.strip(' :,')}" if epoch else described.strip(" :,")


def _other(line: str) -> Bar | None:
    """The bar of a line that has none of tqdm's."""
    if "Progress on:" in line and (loggable := LOGGABLE.search(line)):
        return _bar(loggable, loggable["what"].strip(), loggable["values"] or "")
    rich = RICH.search(line) if "━" in line or "╺" in line or "─" in line else None
    if rich:
        of = f"/{rich['epochs']}" if rich["epochs"] else ""
        return _bar(rich, f"Epoch {rich['epoch']}{of}", line[rich.end() :])
    if keras := KERAS.search(line) or KERAS_PLAIN.match(line):
        return _keras(keras, line)
    if "[" not in line:
        return None
    return _cifar(line) if "| Tot: " in line else _notebook(line)


def _notebook(line: str) -> Bar | None:
    """The Trainer's bar as it is copied from a notebook."""
    match = NOTEBOOK.search(line)
    if match is None or int(match["n"]) > int(match["total"]):
        return None
    trains = match["at"] is not None
    if not (trains or match["left"] or match.group() == line.strip()):
        return None  # a date at the beginning of a line looks so
    found = _bar(match, "Training" if trains else "Evaluation", "")
    # It is as long as the whole run: its epoch is no number of a pass.
    return replace(found, sure=trains, values={"epoch": float(match["at"])} if trains else {})


def _cifar(line: str) -> Bar | None:
    match = CIFAR.search(line)
    count = match if match is None or match["n"] else CIFAR_COUNT.search(line, match.end())
    if match is None or count is None:
        return None
    after = line[match.end() : count.start()] if count is not match else line[match.end() :]
    return Bar(
        description="",
        kind="train",
        n=int(count["n"]),
        total=int(count["total"]),
        elapsed_s=duration_s(match["elapsed"]),
        one_epoch=True,
        values=named_numbers(after),
        end=max(match.end(), count.end()),
    )


def _bar(match: re.Match[str], described: str, after: str) -> Bar:
    epoch, epochs = _epoch(described)
    rate = (match["rate"] or "").partition(",")[0].strip()
    unit = _unit(rate or after)
    values = named_numbers(after) if "=" in after or ":" in after else {}
    n, elapsed_s = _count(match["n"]), duration_s(match["elapsed"])
    # Nothing shows that it trains, and it is too fast for that: vectors of words that are read, or so.
    fast = not (described or values) and elapsed_s is not None and n * SHORTEST_STEP_S > elapsed_s + 1.0
    return Bar(
        description=described,
        kind="" if fast else _kind(described, unit, any("loss" in name.lower() for name in values)),
        n=n,
        total=_count(match["total"]),
        elapsed_s=elapsed_s,
        epoch=epoch,
        epochs=epochs,
        rate=rate,
        rows=OF_ROWS.match(unit) is not None,
        rounded=match["n"][-1] in "kMGTiB",
        values=values,
        end=match.end(),
    )


def _keras(match: re.Match[str], line: str) -> Bar:
    n, total = int(match["n"]), int(match["total"])
    done = n == total and match["elapsed"] is not None
    seconds = duration_s(match["elapsed"]) if done else None
    each = float(match["each"]) * UNIT_S[match["unit"]] if match["each"] and number(match["each"]) is not None else None
    if seconds is not None and seconds < 10 and each is not None and _is_finer(match["each"], each * total, seconds):
        seconds = each * total
    mean_s = each
    if mean_s is None and seconds and total:
        mean_s = seconds / total
    return Bar(
        description="keras",
        kind="" if mean_s is not None and mean_s < SHORTEST_ROW_S else "train",
        n=n,
        total=total,
        elapsed_s=seconds,
        each_s=each,
        rows="/sample" in line[:4_000] or (mean_s is not None and mean_s < SHORTEST_STEP_S),
        values=named_numbers(line[match.end() :]),
        end=match.end(),
    )


def _is_finer(each: str, by_each_s: float, seconds: float) -> bool:
    """Whether the time of one step, as printed, tells an epoch's more exactly than its whole seconds do.

    Of two rounded numbers the larger is the finer. Where both differ by more than their rounding, the time of one
    leaves out the first, with all that is compiled in it.
    """
    return float(each.replace(".", "")) > seconds and abs(by_each_s - seconds) <= KERAS_ROUNDING_S


def _count(text: str) -> int:
    """A count as tqdm prints it, also scaled (`1.2k`)."""
    digits = text.replace(",", "").rstrip("iB")
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(digits[-1:], 1.0)
    return int((number(digits.rstrip("kMGT")) or 0.0) * scale)


@lru_cache(maxsize=4_096)
def _epoch(described: str) -> tuple[int | None, int | None]:
    """The epoch that a description names, and of how many."""
    match = EPOCH.search(described) or ULTRALYTICS.match(described)
    return (int(match["epoch"]), int(match["epochs"]) if match["epochs"] else None) if match else (None, None)


def _unit(rate: str) -> str:
    """The unit of a rate, with one digit for all of its number."""
    return "1" + rate.strip(" ,").lstrip("?0123456789. ")[:40]


@lru_cache(maxsize=4_096)
def _kind(described: str, rate: str, tells_loss: bool) -> str:
    """What a bar counts, by its description, its unit, and whether it tells a loss."""
    if OTHER.search(described) or re.search(r"\d[kMG]?i?B/s", rate):
        return ""
    for kind, words in (
        ("load", LOADING),
        ("tokenize", TOKENIZE),
        ("evaluation", EVALUATION),
        ("generation", GENERATION),
    ):
        if words.search(_words(described)):
            return kind
    prepares = OF_DATA.search(rate) and not tells_loss and not TRAINING.search(described)
    return "tokenize" if prepares else "train"


def _words(described: str) -> str:
    """What a description says of its bar: figures of an evaluation beside a loss of the training are no part of it."""
    losses = [found for found in PAIR.finditer(described) if "loss" in found[1].lower()]
    trains = any(not EVALUATION.search(found[1]) for found in losses)
    return PAIR.sub("", described) if trains else described


def named_numbers(text: str) -> dict[str, float]:
    """The numbers that text names (`loss: 0.45, v_num=0`), at most sixty."""
    found: dict[str, float] = {}
    for match in PAIR.finditer(text[:4_000]):
        value = number(match[2])
        if value is not None and len(found) < 60:
            found[match[1].strip(" ,|[(")] = value
    return found
