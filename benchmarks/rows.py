"""Published training speeds as typed cases: model, recipe, batches, machine, and the seconds that were measured.

Owns which rows can be used and which of them are judged; no row vanishes: what cannot be used is `Unusable` with its
reason. How cells are read is `reading/`. `python benchmarks/rows.py` prints the counts.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.machine import Node
from headway.work.parameters import count_parameters
from headway.work.step import Work, step_work
from reading.architecture import architecture
from reading.cells import Row, Unreadable, noted, number
from reading.held import TRAINS_MORE, peak_of
from reading.machine import node, spreading
from reading.recipe import batches_of, recipe

DATA = Path(__file__).parent / "data" / "throughput.csv"
TRAINING = ("pretrain", "full_finetune", "lora", "qlora")
ADAPTERS = ("lora", "qlora")
CONFIGURATION = (
    "source", "model", "gpu", "n_gpus", "seq_len", "precision", "task", "lora_rank", "parallelism",
)  # fmt: skip
"""Columns that make a configuration; rows that agree in all of them are never split between fitting and judging."""

_TUNED = re.compile(
    r"megatron|nemo|foundry|internevo|torchtitan|deeplearningexamples|nvidia dle|nanogpt|fms-fsdp", re.I
)
_BOARD = re.compile(r"\s*[- ](SXM\d?|PCIe|NVL|OAM|\d+GB)\b")
_KERNELS = ("liger", "foak", "unsloth", "padding-free", "multipack", "scattermoe", "apex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a row is counted under, whether it can be used or not."""

    id: str
    source: str
    task: str
    gpu: str
    """The card without form factor and memory (`A100`, `RTX 4090`); the row's own word where it is unknown."""
    parameters_b: float
    trust: str
    split: str
    judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A row that cannot be compared with a prediction."""

    id: str
    source: str
    reason: str
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """A measured step, as everything that a predictor may know of it, and the measurement.

    `seconds` is one optimizer step of `batches` (forward and backward only where `optimizer_step` is False).
    """

    id: str
    source: str
    date: str
    framework: str
    model: str
    task: str
    trust: str
    split: str
    """The row's own split (`column split`); empty where the file has none."""
    judged: bool
    """Trust A or B, packed, tokens per second, layers and hidden width stated, training."""
    configuration: tuple[str, ...]
    architecture: Architecture
    recipe: Recipe
    batches: Batches
    node: Node
    seconds: float | None
    """None where only memory was published."""
    peak_bytes: float | None
    """Peak memory of one GPU, where published."""
    peak_seen_by: str
    """`allocated` or `reserved` by torch, or `device` (everything)."""
    optimizer_step: bool
    length_known: bool
    """Every row has a fixed length; otherwise only the mean is known."""
    context: int
    virtual: int
    expert: int
    stated_precision: str
    """As the source writes it: NVFP4 is read as fp8, GPTQ as nf4, for want of words of their own."""
    parameters_b: float
    stack: str
    """`tuned` (fused kernels, little Python) or `huggingface` (eager modules)."""
    assumed: tuple[str, ...]

    @property
    def kernels(self) -> str:
        """Words of fused kernels in use: `liger foak unsloth padding-free scattermoe multipack`."""
        return " ".join(word for word in _KERNELS if word in self.framework.lower())

    @property
    def label(self) -> Label:
        """What the row is counted under."""
        return Label(
            id=self.id,
            source=self.source,
            task=self.task,
            gpu=card(self.node.device.name),
            parameters_b=self.parameters_b,
            trust=self.trust,
            split=self.split,
            judged=self.judged,
        )

    @property
    def tokens(self) -> float:
        """Tokens computed in an optimizer step of the whole job."""
        return self.batches.tokens_per_step

    def work(self) -> Work:
        """Work of the measured step on one GPU: without optimizer terms where it was not run.

        Interleaved stages wait 1/v as long: bubble (p-1)/(vm+p-1) (Narayanan et al. 2021, arXiv:2104.04473, 2.2.2).
        """
        work = step_work(self.architecture, self.recipe, self.batches)
        waiting, busy = self.recipe.parallel.pipeline - 1, self.virtual * self.batches.micro_steps
        work = replace(work, bubble=waiting / (busy + waiting))
        if self.optimizer_step:
            return work
        return replace(work, terms=tuple(term for term in work.terms if term.phase != "optimizer"))


def load(path: Path = DATA) -> list[Row]:
    """Rows of a file with the columns of `data/throughput.csv` (more are ignored). Raises `UserError` without them."""
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        missing = {"id", *CONFIGURATION, "tokens_per_s", "n_layers", "trust", "packing"} - set(reader.fieldnames or ())
        if missing:
            raise UserError("a file of measurements must have its columns", got=f"{path} without {sorted(missing)}")
        return list(reader)


def is_judged(row: Row) -> bool:
    """Whether a predictor of time is judged by this row."""
    stated = all(number(row, name) for name in ("tokens_per_s", "n_layers", "hidden"))
    return row["trust"] in ("A", "B") and row["packing"] == "yes" and row["task"] in TRAINING and stated


def configuration(row: Row) -> tuple[str, ...]:
    """What makes two rows measurements of the same thing; numbers are compared as numbers."""
    return tuple(row[name] if number(row, name) is None else f"{number(row, name):g}" for name in CONFIGURATION)


def _seconds(row: Row, batches: Batches, fixed: bool) -> float | None:
    """Seconds of one optimizer step. Tokens per second are of the whole job and count for fixed lengths only.

    Otherwise samples per second do: the tokens of unpacked rows are counted by each source in its own way.
    """
    tokens, samples, step = (number(row, name) for name in ("tokens_per_s", "samples_per_s", "step_time_s"))
    if fixed and tokens:
        return batches.tokens_per_step / tokens
    if samples:
        return batches.rows_per_step / samples
    return step


def _stack(row: Row) -> str:
    return "tuned" if _TUNED.search(row["framework"]) or row["source"].startswith("mlcommons") else "huggingface"


def card(name: str) -> str:
    """A device's name without form factor and memory."""
    return _BOARD.sub("", name).strip()


def unusable(row: Row, reason: str) -> Unusable:
    """A row with the reason why it cannot be used."""
    label = Label(
        id=row["id"],
        source=row["source"],
        task=row["task"],
        gpu=card(row["gpu"]),
        parameters_b=number(row, "params_b") or 0.0,
        trust=row["trust"],
        split=row.get("split") or "",
        judged=is_judged(row),
    )
    return Unusable(id=row["id"], source=row["source"], reason=reason, label=label)


def read(row: Row) -> Case | Unusable:
    """The case of a row, or why there is none."""
    try:
        return _case(row)
    except Unreadable as reason:
        return unusable(row, str(reason))
    except UserError as error:
        return unusable(row, f"cannot be described: {error.rule}")


def _case(row: Row) -> Case:
    if row["task"] not in TRAINING:
        raise Unreadable(f"not training ({row['task']})")
    arch, assumed_arch = architecture(row)
    if noted(row, r"sliding-window/document mask"):  # modded-nanogpt, 2024-11-19: windows of 1,024
        arch = replace(arch, sliding_window=1024)
    machine, assumed_machine = node(row)
    spread = spreading(row)
    bare, batches, length = batches_of(row, spread)
    full = recipe(row, spread, bare)
    more = (
        ("embedding and head are trained too: left out, its memory not judged",) if TRAINS_MORE in row["model"] else ()
    )
    seconds = _seconds(row, batches, length.fixed)
    peak, seen = peak_of(row, machine.total_gpus)
    if seconds is None and peak is None:
        raise Unreadable("neither a speed nor a peak of memory")
    return Case(
        id=row["id"],
        source=row["source"],
        date=row.get("date_or_version", ""),
        framework=row["framework"],
        model=row["model"],
        task=row["task"],
        trust=row["trust"],
        split=row.get("split") or "",
        judged=is_judged(row),
        configuration=configuration(row),
        architecture=arch,
        recipe=full,
        batches=batches,
        node=machine,
        seconds=seconds,
        peak_bytes=peak,
        peak_seen_by=seen,
        optimizer_step=noted(row, r"\bno optimizer") is None,
        length_known=length.fixed,
        context=spread.context,
        virtual=spread.virtual,
        expert=spread.expert,
        stated_precision=row.get("precision") or "",
        parameters_b=number(row, "params_b") or count_parameters(arch).total / 1e9,
        stack=_stack(row),
        assumed=(*assumed_arch, *assumed_machine, *spread.assumed, *more),
    )


def cases(rows: Iterable[Row]) -> tuple[list[Case], list[Unusable]]:
    """All rows, read: those that can be used, and the others with their reasons."""
    found = [read(row) for row in rows]
    return [one for one in found if isinstance(one, Case)], [one for one in found if isinstance(one, Unusable)]


def _report(rows: Sequence[Row]) -> str:
    usable, refused = cases(rows)
    lines = [f"{len(rows)} rows: {len(usable)} usable, {len(refused)} not"]
    timed = [case for case in usable if case.seconds is not None]
    judged = sum(case.judged for case in timed)
    lines.append(f"judged for time: {judged} of {sum(map(is_judged, rows))} that qualify; {len(timed)} have a time")
    lines.append(f"with a peak of memory: {sum(case.peak_bytes is not None for case in usable)}")
    for title, counts in (
        ("not usable", Counter(one.reason for one in refused)),
        ("assumed", Counter(one for case in usable for one in case.assumed)),
        ("judged rows by source", Counter(case.source for case in timed if case.judged)),
    ):
        lines += [f"\n{title}", *(f"{number:6d}  {name}" for name, number in counts.most_common())]
    return "\n".join(lines)


def main() -> None:
    """Print how many rows can be used, and why the others cannot."""
    parser = argparse.ArgumentParser(description="How many published measurements can be used, and why not the others.")
    parser.add_argument("--rows", type=Path, default=DATA, help="a file in the same columns")
    try:
        print(_report(load(parser.parse_args().rows)))
    except (UserError, OSError) as error:
        sys.exit(f"rows: {error}")


if __name__ == "__main__":
    main()
