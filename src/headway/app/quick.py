"""A plan from flags: one run, described on the command line.

Owns which flags a run needs and what they mean in the plan language.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from headway.domain.errors import UsageError, UserError
from headway.domain.units import parse
from headway.plan import PlanFile, plan_from_mapping

EXAMPLE = 'headway estimate --model Qwen/Qwen2-0.5B --lora 4 --gpu "RTX 4090" --batch 8 --seq 128 --steps 10k'


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """One run as flags give it: text as typed, None where nothing was said."""

    model: str | None = None
    lora: int | None = None
    qlora: int | None = None
    full: bool = False
    gpu: str | None = None
    gpus: int | None = None
    samples: str | None = None
    epochs: str | None = None
    steps: str | None = None
    tokens_per_sample: str | None = None
    seq: str | None = None
    batch: int | None = None
    grad_accum: int | None = None
    dtype: str | None = None
    price: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The flags that were used, as they are typed."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}
        return tuple(f"--{name.replace('_', '-')}" for name, value in named.items() if value not in (None, False))

    @property
    def methods(self) -> tuple[str, ...]:
        """Which of `lora`, `qlora` and `full` were asked for; only one makes a run."""
        return tuple(name for name in ("lora", "qlora", "full") if f"--{name}" in self.given)


def plan_from_flags(flags: Flags) -> PlanFile:
    """The plan of one run. Raises UsageError that names everything missing or contradictory at once."""
    _require(flags)
    try:
        return plan_from_mapping(_mapping(flags), "one-run")
    except UsageError:
        raise
    except UserError as error:
        raise UsageError(error.rule, got=error.got, hint=error.hint, field=error.field,
                         candidates=error.candidates) from error  # fmt: skip


def refuse_contradictions(flags: Flags) -> None:
    """Raises UsageError for flags that cannot be said together."""
    if len(flags.methods) > 1:
        raise UsageError("a run trains in one way", got=" and ".join(f"--{name}" for name in flags.methods),
                         hint="Keep one of them.")  # fmt: skip
    if flags.steps is not None and flags.epochs is not None:
        raise UsageError("a run is as long as its steps or its epochs say", got="--steps and --epochs",
                         hint="Keep one of them.")  # fmt: skip


def _require(flags: Flags) -> None:
    """What is missing, in one message; and what cannot be said together."""
    missing = []
    if not flags.model:
        missing.append("--model ID")
    if not flags.methods:
        missing.append("--lora R (or --qlora R, --full)")
    if not flags.gpu:
        missing.append("--gpu NAME")
    if flags.batch is None:
        missing.append("--batch N")
    if flags.seq is None and flags.tokens_per_sample is None:
        missing.append("--seq N (or --tokens-per-sample N)")
    if flags.steps is None and flags.samples is None:
        missing.append("--steps N (or --samples N --epochs N)")
    if missing:
        raise UsageError(
            "a plan file is needed, or flags that describe one run",
            got=f"no {', no '.join(missing)}",
            hint=f"Example: {EXAMPLE}",
        )
    refuse_contradictions(flags)


def _mapping(flags: Flags) -> dict[str, Any]:
    """The same in the plan language."""
    rank = flags.lora if flags.lora is not None else flags.qlora
    seq = None if flags.seq is None else whole(flags.seq, "--seq")
    data: dict[str, Any] = {"length": _length(flags, seq)}
    if flags.samples is not None:
        data["rows"] = whole(flags.samples, "--samples")
    machine: dict[str, Any] = {"gpu": flags.gpu, "gpus": flags.gpus or 1}
    if flags.price is not None:
        machine["price"] = price_text(flags.price)
    said: dict[str, Any] = {
        "title": _title(flags),
        "model": flags.model,
        "adapter": {"method": "lora", "rank": rank} if rank is not None else None,
        "quantize": "nf4" if flags.qlora is not None else None,
        "precision": flags.dtype,
        "micro_batch": flags.batch,
        "grad_accum": flags.grad_accum,
        "max_length": seq,
        "gpus": flags.gpus,
        "steps": None if flags.steps is None else whole(flags.steps, "--steps"),
        "epochs": flags.epochs if flags.steps is None else None,
        "data": data,
        "run": {"machine": machine},
    }
    return {key: value for key, value in said.items() if value is not None}


def _title(flags: Flags) -> str:
    """`Qwen/Qwen2-0.5B, LoRA of rank 4`."""
    method = (
        f"LoRA of rank {flags.lora}" if flags.lora else f"QLoRA of rank {flags.qlora}" if flags.qlora else "all weights"
    )
    return f"{flags.model}, {method}"


def _length(flags: Flags, seq: int | None) -> Any:
    """Tokens in a row: as said; else every row as long as `--seq`."""
    if flags.tokens_per_sample is not None:
        return flags.tokens_per_sample
    return dict.fromkeys(("mean", "median", "min", "max"), seq)


def whole(text: str, flag: str) -> int:
    """A count such as `10k` as a whole number. Raises UsageError for anything else."""
    try:
        value = parse(_number(text), "count").range
    except UserError as error:
        raise UsageError(f"{flag} takes a count", got=repr(text), hint="Write it like 4000, 10k or 1.5M.") from error
    if not value.is_point or value.mid < 1 or not value.mid.is_integer():
        raise UsageError(f"{flag} takes a whole number from 1 on", got=repr(text))
    return int(value.mid)


def count(text: str, flag: str) -> str:
    """A count as it was typed (`52k` stays `52k`). Raises UsageError for what is none."""
    whole(text, flag)
    return text.strip()


def _number(text: str) -> str | float:
    """Bare numbers are counts only as numbers; `10k` is text with a unit."""
    try:
        return float(text)
    except ValueError:
        return text


def price_text(text: str) -> str:
    """`0.59`, `$0.59`, `$0.59/h` and `0.59/hour` are the same price of the whole machine."""
    amount = text.strip().removeprefix("$")
    said = f"${amount}" if "/" in amount else f"${amount}/h"
    try:
        parse(said, "usd_per_hour")
    except UserError as error:
        raise UsageError(
            "--price takes dollars an hour", got=repr(text), hint="Write it like 0.59 or $0.59/h."
        ) from error
    return said
