"""Mistakes that people make in plans, each as a change of a plan's text: one operator, every place where it applies.

Owns the operators; which plans they corrupt, and that the mistakes are caught, is `test_mutations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

Operator = Callable[[str], Iterator[str]]
_FIGURE = re.compile(r"(?<![\w.])\$?(?P<number>\d+(?:\.\d+)?)(?P<unit>[kM]\b|%| ?[a-zA-Z][\w/-]*)?")
_CLAIMS = re.compile(r"^( *)(?:.*\{)?\bclaims:(?:.*\n)(?:\1 +.*\n)*|\bclaims: \{[^\n]*\}", re.MULTILINE)
_RATES = re.compile(
    r"\b(?:step|throughput|evaluation|generation|load|tokenize|checkpoint|mean|facts)\b: [\d.]+ (?:ms|s|min)"
)


def within_claims(text: str) -> Iterator[re.Match[str]]:
    """Every figure that an author concluded, each once; those of lists of axes and of names are none."""
    seen = set()
    for block in _CLAIMS.finditer(text):
        begin = text.index("claims:", block.start()) + len("claims:")
        for figure in _FIGURE.finditer(text, begin, block.end()):
            before = text[text.rfind("\n", 0, figure.start()) + 1 : figure.start()]
            after = text[figure.end() : figure.end() + 12]
            is_key = re.match(r"[\w ]*:", after) or (re.search(r"[{,] *\w* ?$", before) and ": " in after[:8])
            if (
                figure.start() not in seen
                and not is_key
                and not re.search(r"(?:says:|epochs:|name: \w*)[^,]*$", before)
            ):
                seen.add(figure.start())
                yield figure


def times(factor: float, figures: Callable[[str], Iterator[re.Match[str]]]) -> Operator:
    """Figures multiplied by a factor, one at a time."""

    def corrupted(text: str) -> Iterator[str]:
        for found in figures(text):
            number = found["number"]
            decimals = len(number.partition(".")[2]) + (2 if factor < 1 else 0)
            changed = f"{float(number) * factor:.{decimals}f}"
            yield text[: found.start("number")] + changed + text[found.end("number") :]

    return corrupted


def stated_rates(text: str) -> Iterator[re.Match[str]]:
    """The figures of stated rates that are a plain time."""
    for rate in _RATES.finditer(text):
        if not rate[0].startswith("mean"):
            number = re.compile(r"(?P<number>[\d.]+)").search(text, rate.start(), rate.end())
            assert number is not None  # the pattern holds one
            yield number


def replaced(pattern: str, new: str) -> Operator:
    """Each place of a pattern, one at a time."""

    def corrupted(text: str) -> Iterator[str]:
        for found in re.finditer(pattern, text, re.MULTILINE):
            yield text[: found.start()] + found.expand(new) + text[found.end() :]

    return corrupted


def each(*operators: Operator) -> Operator:
    """Several ways to make one mistake."""

    def corrupted(text: str) -> Iterator[str]:
        for operator in operators:
            yield from operator(text)

    return corrupted


def where(words: str, operator: Operator) -> Operator:
    """An operator for plans that hold these words: elsewhere what it makes is no mistake."""
    return lambda text: operator(text) if words in text else iter(())


OPERATORS: Final[Mapping[str, Operator]] = {
    "claim of ten times as much": times(10, within_claims),
    "claim of a tenth": times(0.1, within_claims),
    "claim of a third more": times(1.34, within_claims),
    "claim of a sixth more": times(1.17, within_claims),
    "claim of half": times(0.5, within_claims),
    "step ten times as long": replaced(r"\bstep: (?:\{mean: [^}]*\}|1 s)", "step: 12 s"),
    "step of a tenth": each(
        replaced(r"mean: 1\.5 s, median: 1\.49 s", "mean: 0.15 s, median: 0.15 s"),
        replaced(r"mean: 160 ms, median: 159 ms", "mean: 16 ms, median: 16 ms"),
        replaced(r"step: 1 s,", "step: 100 ms,"),
    ),
    "rate ten times as long": times(10, stated_rates),
    "milliseconds for seconds": each(
        replaced(r"(?<=\d) ms\b", " s"), replaced(r"(mean: 1\.5) s", r"\1 ms"), replaced(r"(step: 1) s\b", r"\1 ms")
    ),
    "minutes for hours": each(
        replaced(r"(wall: [\d.]+) h\b", r"\1 min"),
        replaced(r"(wall: [\d.]+) min\b", r"\1 h"),
        replaced(r"(evaluation: 4) min", r"\1 h"),
    ),
    "node-hours for GPU-hours": where("    gpus: 8", replaced(r"(gpu_hours: [\d.]+)\b", r"\1 node-h")),
    "memory of another GPU": replaced(r"memory: \d+ GB", "memory: 24 GB"),
    "impossible GPU": replaced(r"gpu: (?:A100 PCIe|H100 SXM) 80GB|gpu: T4", "gpu: H100 40GB"),
    "unknown GPU": replaced(r"gpu: (?:A100 PCIe|H100 SXM) 80GB|gpu: T4", "gpu: RTX 9999"),
    "name of several GPUs": replaced(r"(gpu: A100) PCIe 80GB", r"\1"),
    "smaller GPU": each(
        replaced(r"gpu: (?:A100 PCIe|H100 SXM) 80GB", "gpu: T4"), replaced(r"gpu: T4, memory: 16 GB", "gpu: K80")
    ),
    "model that does not exist": replaced(r"Qwen/Qwen2\.5-[\d.]+B", "Qwen/Qwen2.5-2B"),
    "model thirty times as large": replaced(r"Qwen/Qwen2\.5-[\d.]+B", "Qwen/Qwen2.5-72B"),
    "price of another instance": replaced(r"(price: \{use: )\$55\.04", r"\1$32.77"),
    "price of a tenth": each(
        replaced(r"\$1\.39/h", "$0.14/h"),
        replaced(r"\$55\.04/h", "$5.50/h"),
        replaced(r"\$0\.35/h", "$0.035/h"),
        replaced(r"\$26\.42/h", "$2.64/h"),
    ),
    "price ten times as high": each(
        replaced(r"\$1\.39/h", "$13.90/h"),
        replaced(r"\$55\.04/h", "$550/h"),
        replaced(r"\$0\.35/h", "$3.50/h"),
        replaced(r"\$26\.42/h", "$264/h"),
    ),
    "price without a date": replaced(r"price: \{use: (\$[\d.]+/h), date: [^}]*\}", r"price: \1"),
    "old price": replaced(r"2026-(?:11|07)-\d\d(?=\"?, source: the)", "2024-03-01"),
    "hazard per hour": each(
        replaced(r"5%/month", "5%/h"), replaced(r"\{use: 5%/month, source: the AWS spot advisor\}", "5%/h")
    ),
    "wrong discount": replaced(r"discount: 52%", "discount: 80%"),
    "blocks of an hour": replaced(r"unit: node\}", "unit: node, block: 1 h}"),
    "checkpoint at every turn": each(
        replaced(r"every: \d+ steps", "every: 2 steps"), replaced(r"save: \{every: 1 epochs", "save: {every: 4 steps")
    ),
    "no checkpoint on a long run": each(
        replaced(r"^save: .*\nevaluate", "evaluate"),
        replaced(r"^(steps: 1500\n(?:.*\n)*?)save: .*\n", r"steps: 15000\n"),
    ),
    "every checkpoint kept": replaced(r"every: 1000 steps, keep: 1", "every: 100 steps, keep: all"),
    "mixture unlike 100 %": each(replaced(r"code: 20%", "code: 30%"), replaced(r"prose: 50%", "prose: 5%")),
    "training on the test split": each(
        replaced(r"^  (prose|code): \{rows", r"  \1: {split: test, rows"),
        replaced(r"(rows: 3200)", r"\1, split: test"),
        replaced(r"matrix: \{data: \[prose,", "matrix: {data: [prose-test,"),
    ),
    "scored on training rows": replaced(r"\{data: (?:prose|code)-test\}", r"{data: prose}"),
    "no evaluation": each(replaced(r"^evaluate: held-out\n", ""), replaced(r"^evaluate: \{tasks.*\n", "")),
    "no time for the evaluation": replaced(r"^  evaluation: .*\n", ""),
    "no verification": replaced(r"^      - \{verify.*\n", ""),
    "no baseline": replaced(r"^  baseline:\n(?:    .*\n)+", ""),
    "one seed": each(replaced(r", seed: \[0, 1, 2\]", ""), replaced(r"seed: \[0, 1, 2\]", "seed: 0")),
    "seeds of one value": replaced(r"seed: \[0, 1, 2\]", "seed: [0, 0, 0]"),
    "batch that does not multiply": each(
        replaced(r"grad_accum: 4", "grad_accum: 8"),
        replaced(r"grad_accum: 2", "grad_accum: 1"),
        replaced(r"micro_batch: [48]", "micro_batch: 6"),
    ),
    "batch that does not fit": replaced(r"micro_batch: [48]", "micro_batch: 512"),
    "epochs hidden in steps": each(replaced(r"^steps: 1500", "steps: 60k"), replaced(r"^epochs: 5", "steps: 380k")),
    "rows ten times as many": each(
        replaced(r"rows: 640k", "rows: 6400k"), replaced(r"rows: 3200, len", "rows: 32000, len")
    ),
    "rows cut off": each(
        replaced(r"max_length: 1024", "max_length: 256"),
        replaced(r"max_length: 2048", "max_length: 512"),
        replaced(r"max_length: 256", "max_length: 64"),
    ),
    "rows longer than the model": replaced(r"max_length: \d+", "max_length: 200000"),
    "guessed lengths": replaced(
        r"length: \{mean: \d+(?:, median: \d+)?, min: (\d+), max: (\d+), n: [12]000\}", r"length: \1-\2"
    ),
    "no lengths": replaced(r", length: \{mean: [^}]*n: [12]000\}", ""),
    "question without a contrast": each(
        replaced(r"along: mix", "along: learning_rate"),
        replaced(r"along: mix", "along: adapter.rank"),
        replaced(r"answered_by: mixes, along", "answered_by: baseline, along"),
    ),
    "target without a score": replaced(r"along: mix\}", "along: mix, target: 80% of gpt-4}"),
    "decision without a criterion": replaced(r"    if: .*\n", ""),
    "metric that is not defined": replaced(r"metrics: \[perplexity\]", "metrics: [transfer_rate]"),
    "metric that cannot score": replaced(r"metrics: \[accuracy, f1\]", "metrics: [bleu]"),
    "range reversed": each(
        replaced(r"(wall: )([\d.]+)-([\d.]+) min", r"\1\3-\2 min"), replaced(r"(step: )(\d+)-(\d+) ms", r"\1\3-\2 ms")
    ),
    "bands with a gap": replaced(r"step: 200-300 ms", "step: 250-300 ms"),
    "no buffer": replaced(r"^(steps: )1500(\n(?:.*\n)*?)  buffer: 15%\n", r"\g<1>6000\2"),
    "budget that is too small": each(
        replaced(r"budget: \[\d+ h", "budget: [1 min"), replaced(r"\$(?:20|500|1)\]", "$0.01]")
    ),
    "deadline that has passed": replaced(r"^  (budget: .*)", r"  \1\n  deadline: 2026-11-01"),
    "stopping early by nothing": each(
        replaced(r"^evaluate: held-out", "early_stop: validation_loss"),
        replaced(r"validation: 1%", "early_stop: validation_loss"),
    ),
    "shards replaced by copies": replaced(r"parallel: fsdp", "parallel: ddp"),
    "people on the meter": each(
        replaced(r"^  testing:", "  writing: {do: write the report, by: human, stated: {wall: 3 h}}\n  testing:")
    ),
    "more GPUs than there are": replaced(r"    gpus: 8\n    parallel", "    gpus: 16\n    parallel"),
    "GB for GiB": replaced(r"memory: 16 GB", "memory: 15.1 GB"),
    "skewed step": replaced(r"median: 1\.49 s", "median: 1.35 s"),
    "sample out of order": each(
        replaced(r"(median: )(\d+), min", r"\g<1>\g<2>0, min"), replaced(r"min: \d+, (max: 1\d+)", r"min: 9000, \1")
    ),
    "few batches": replaced(r"n: (?:50|60)\}$", "n: 1}"),
    "saving that is not there": replaced(r"saves: 2\.7 GPU-h", "saves: 60%"),
    "number format without hardware": replaced(r"precision: fp16", "precision: bf16"),
    "trained parameters of other layers": each(
        replaced(r"targets: \[q, v\]", "targets: all-linear"), replaced(r"rank: (?:8|16)", "rank: 64")
    ),
    "factor without a source": replaced(
        r"^  load: (\d+ s)", r"  load: \1\n  factors: {LoRA against full fine-tuning: 60-70% faster}"
    ),
}
"""Name -> every plan with that mistake."""
